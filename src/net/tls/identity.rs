//! The client's certificate and key: what is accepted, and what is said about the rest.
//!
//! native-tls takes keys in PKCS#8 only; PKCS#1 (`RSA PRIVATE KEY`) and SEC1 (`EC PRIVATE KEY`) are
//! converted. Invariant: OpenSSL is never left to ask for a password, which it would do on the
//! terminal.

use std::fmt;

use openssl::{
    error::ErrorStack,
    pkey::{PKey, Private},
    x509::X509,
};

use crate::error::{Result, TlsError};

/// A certificate, the intermediate certificates to be sent along with it, and its key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// PEM: the client's certificate first, then the intermediate ones.
    pub certificates: Vec<u8>,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted. May be the same text as `certificates` if that
    /// holds both.
    pub key: Vec<u8>,
}

impl Identity {
    /// Checks that the key belongs to the certificate and makes native-tls's form of both.
    pub(super) fn parse(&self) -> Result<native_tls::Identity, TlsError> {
        let chain = X509::stack_from_pem(&self.certificates)
            .map_err(|error| unusable("the client certificate", &error))?;
        let Some(certificate) = chain.first() else {
            return Err(TlsError::Configuration(
                "there is no certificate (PEM) in client_cert".into(),
            ));
        };
        let key = private_key(&self.key)?;
        let certified = certificate
            .public_key()
            .map_err(|error| unusable("the client certificate", &error))?;
        if !certified.public_eq(&key) {
            return Err(TlsError::Configuration(
                "client_key is not the key of the certificate in client_cert".into(),
            ));
        }
        let key = key
            .private_key_to_pem_pkcs8()
            .map_err(|error| unusable("the client's private key", &error))?;
        native_tls::Identity::from_pkcs8(&self.certificates, &key)
            .map_err(|error| TlsError::Configuration(format!("unusable client_cert: {error}")))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither is printed: the key is secret, and both may be one text.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn private_key(pem: &[u8]) -> Result<PKey<Private>, TlsError> {
    let mut asked = false;
    let outcome = PKey::private_key_from_pem_callback(pem, |_| {
        asked = true;
        Err(ErrorStack::get())
    });
    match outcome {
        Ok(key) => Ok(key),
        Err(_) if asked => Err(TlsError::Configuration(
            "the client's private key is encrypted; decrypt it first \
             (openssl pkey -in client.key -out plain.key)"
                .into(),
        )),
        Err(_) if !contains(pem, b"PRIVATE KEY-----") => Err(TlsError::Configuration(
            "there is no private key (PEM) in client_key".into(),
        )),
        Err(error) => Err(unusable("the client's private key", &error)),
    }
}

fn unusable(what: &str, error: &ErrorStack) -> TlsError {
    let reason = super::failure::describe(error);
    TlsError::Configuration(format!("{what} cannot be used: {reason}"))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
