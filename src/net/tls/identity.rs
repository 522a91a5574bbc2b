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
    /// Where both come from, for the text of errors.
    pub names: (String, String),
}

impl Identity {
    /// Checks that the key belongs to the certificate and makes native-tls's form of both.
    pub(super) fn parse(&self) -> Result<native_tls::Identity, TlsError> {
        let refused = |text: String| Err(TlsError::Configuration(text));
        let (certificate_name, key_name) = &self.names;
        let chain = X509::stack_from_pem(&self.certificates)
            .map_err(|error| unusable(certificate_name, &error))?;
        let Some(certificate) = chain.first() else {
            return refused(format!("{certificate_name} holds no certificate (PEM)"));
        };
        let key = self.private_key()?;
        let certified = certificate
            .public_key()
            .map_err(|error| unusable(certificate_name, &error))?;
        if !certified.public_eq(&key) {
            return refused(format!(
                "{key_name} is not the key of the certificate in {certificate_name}"
            ));
        }
        let key = key
            .private_key_to_pem_pkcs8()
            .map_err(|error| unusable(key_name, &error))?;
        native_tls::Identity::from_pkcs8(&self.certificates, &key)
            .or_else(|error| refused(format!("unusable {certificate_name}: {error}")))
    }

    fn private_key(&self) -> Result<PKey<Private>, TlsError> {
        let name = &self.names.1;
        let mut asked = false;
        let outcome = PKey::private_key_from_pem_callback(&self.key, |_| {
            asked = true;
            Err(ErrorStack::get())
        });
        let text = match outcome {
            Ok(key) => return Ok(key),
            Err(_) if asked => format!(
                "{name} is encrypted; decrypt it first, such as with \
                 openssl pkey -in client.key -out plain.key"
            ),
            Err(_) if !contains(&self.key, b"PRIVATE KEY-----") => {
                let is_sought_here = self.names.0 == self.names.1;
                let hint = if is_sought_here {
                    "; give it as client_key"
                } else {
                    ""
                };
                format!("{name} holds no private key (PEM){hint}")
            }
            Err(error) => return Err(unusable(name, &error)),
        };
        Err(TlsError::Configuration(text))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither is printed: the key is secret, and both may be one text.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn unusable(what: &str, error: &ErrorStack) -> TlsError {
    let reason = super::failure::describe(error);
    TlsError::Configuration(format!("{what} cannot be used: {reason}"))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
