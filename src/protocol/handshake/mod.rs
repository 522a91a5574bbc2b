//! The opening handshake (RFC 6455, section 4.1): building the request, judging the response.
//!
//! Bytes in, bytes out: it knows no stream and no deadline. Invariants: nothing that a caller
//! gives can add a line to the request; a response is accepted only if every rule of the section
//! holds; no value of a header appears in an error unless it is one of the handshake's own.

pub mod request;

use std::{fmt, io};

use data_encoding::BASE64;
use tungstenite::handshake::derive_accept_key;

use super::{
    extension::Malformed,
    http::{Response, ResponseError},
};
use crate::random::random;

/// Why the server's answer is not an acceptance.
#[derive(Debug, Clone)]
pub enum HandshakeError {
    /// It is not an HTTP response at all; the text says why.
    Message(String),
    /// The connection ended before the response did.
    Eof,
    /// The status is not 101.
    Status(Response),
    /// A header is missing (`None`), or has a value that the rules refuse.
    Header {
        /// The name of the header.
        name: &'static str,
        /// Its value.
        value: Option<String>,
        /// Whether it stands there several times; `value` has them all.
        is_repeated: bool,
    },
    /// The `Upgrade` or `Connection` header does not agree to WebSocket.
    Upgrade {
        /// The name of the header.
        name: &'static str,
        /// Its value, if it is there.
        value: Option<String>,
    },
    /// The header with the extensions can't be parsed.
    Extensions(Malformed),
    /// The server chose a subprotocol or an extension that was not offered.
    Negotiation(String),
    /// The response is larger than any handshake has reason to be.
    Security(String),
}

/// A random value for the `Sec-WebSocket-Key` header (RFC 6455, section 4.1). Fails if the system has
/// no randomness.
pub fn generate_key() -> io::Result<String> {
    Ok(BASE64.encode(&random::<16>()?))
}

/// What the `Sec-WebSocket-Accept` header must be for a key (section 4.2.2).
pub fn accept_key(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

impl From<ResponseError> for HandshakeError {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Malformed(text) => Self::Message(text),
            ResponseError::Eof => Self::Eof,
            ResponseError::TooLarge(text) => Self::Security(text),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) => {
                write!(f, "did not receive a valid HTTP response: {text}")
            }
            Self::Eof => f.write_str(
                "did not receive a valid HTTP response: connection closed before its end",
            ),
            Self::Status(response) => write!(
                f,
                "server rejected WebSocket connection: HTTP {}",
                response.status
            ),
            Self::Header { name, value, .. } | Self::Upgrade { name, value } => match value {
                None => write!(f, "missing {name} header"),
                Some(value) => write!(f, "invalid {name} header: {value}"),
            },
            Self::Extensions(malformed) => write!(f, "invalid {EXTENSIONS} header: {malformed}"),
            Self::Negotiation(text) | Self::Security(text) => f.write_str(text),
        }
    }
}

/// The name of the header with the extensions.
pub const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
