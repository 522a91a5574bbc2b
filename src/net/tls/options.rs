//! What the user can choose about TLS, as plain values.

use std::{fmt, str::FromStr};

use super::{Identity, connector};
use crate::error::{Result, TlsError};

/// How TLS is to be set up. Equal options share one trust store in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// What is checked of the server's certificate.
    pub verify: Verify,
    /// Whose signature makes a certificate acceptable.
    pub trust: Trust,
    /// The certificate that this client shows when the server asks for one.
    pub identity: Option<Identity>,
    /// The oldest version to agree upon; `None` is the oldest that the TLS library speaks.
    pub min_version: Option<Version>,
    /// The newest version to agree upon; `None` is the newest that the TLS library speaks.
    pub max_version: Option<Version>,
    /// The protocols offered through ALPN (RFC 7301). Only `http/1.1` can be offered: the opening
    /// handshake is an HTTP/1.1 request, and a server may choose anything from the list, so that
    /// `h2` beside `http/1.1` would be an invitation to a connection that cannot work.
    pub alpn: Vec<String>,
}

/// What is checked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verify {
    /// Signatures up to a trust anchor, validity, and the name of the server.
    #[default]
    Full,
    /// As `Full`, but any name will do.
    WithoutHostname,
    /// Nothing. The connection is open to anyone who can intercept it.
    Off,
}

/// Whose signature makes a certificate acceptable.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum Trust {
    /// The certificate authorities of the operating system, or of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, as they are when the process opens its first TLS connection.
    #[default]
    System,
    /// These certificates (DER) and no others.
    Anchors(Vec<Vec<u8>>),
}

/// A version of TLS. Older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsOptions {
    /// Whether the server can be anyone; whoever opens the connection then logs a warning.
    pub fn verification_is_off(&self) -> bool {
        self.verify == Verify::Off
    }

    /// Checks what can be checked without the trust store.
    pub fn check(&self) -> Result<(), TlsError> {
        if let Some(name) = self.alpn.iter().find(|name| *name != "http/1.1") {
            return Err(TlsError::Configuration(format!(
                "the protocol {name:?} cannot be offered (ALPN): WebSocket connections are opened \
                 with HTTP/1.1, and the server may choose any protocol that is offered; \
                 offer [\"http/1.1\"] or nothing"
            )));
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && min > max
        {
            return Err(TlsError::Configuration(
                "the minimum version of TLS is above the maximum version".into(),
            ));
        }
        match &self.identity {
            Some(identity) => identity.parse().map(drop),
            None => Ok(()),
        }
    }

    /// Checks the options and loads the trust store, so that a key that does not match its
    /// certificate is reported before anything is sent. [`Session::open`] does the same, later.
    pub fn prepare(&self) -> Result<()> {
        connector::connector(self).map(drop)
    }
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            verify: Verify::Full,
            trust: Trust::System,
            identity: None,
            min_version: Some(Version::Tls12),
            max_version: None,
            alpn: Vec::new(),
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Anchors(anchors) => write!(f, "Anchors({} certificates)", anchors.len()),
        }
    }
}

impl FromStr for Version {
    type Err = TlsError;

    /// Accepts the names that OpenSSL gives: `TLSv1.2`, `TLSv1.3`.
    fn from_str(name: &str) -> Result<Self, TlsError> {
        match name {
            "TLSv1.2" => Ok(Self::Tls12),
            "TLSv1.3" => Ok(Self::Tls13),
            _ => Err(TlsError::Configuration(format!(
                "{name:?} is not a version of TLS that is spoken here (TLSv1.2, TLSv1.3)"
            ))),
        }
    }
}
