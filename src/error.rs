//! Everything that can go wrong, as one enum.
//!
//! Each variant says when it occurs and what the caller may do next. The binding maps these to
//! Python exceptions in one place; nothing else in the crate builds error texts for users.

use std::{fmt, io, sync::Arc};

use crate::protocol::{
    InvalidArgument, close::Closure, handshake::HandshakeError, http::Response, uri::InvalidUri,
};

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot name a WebSocket server (RFC 6455, section 3). Nothing was sent.
    InvalidUri(InvalidUri),
    /// An argument breaks a rule. Nothing was sent, the connection is as it was.
    InvalidArgument(String),
    /// The host name could not be resolved. `code` is the `EAI_*` value of `getaddrinfo`.
    Resolve {
        /// The host name that was looked up.
        host: String,
        /// The `EAI_*` value.
        code: i32,
        /// The system's text for it.
        message: String,
    },
    /// A system call failed while the connection was being opened.
    Io {
        /// What was being attempted, for the message: "connect to 127.0.0.1:80".
        attempt: String,
        /// The error of the system call.
        source: Arc<io::Error>,
    },
    /// TLS could not be set up or agreed upon. No byte of the HTTP request was sent.
    Tls(TlsError),
    /// The proxy did not connect to the server.
    Proxy(Box<ProxyError>),
    /// The server's answer to the opening handshake is not an acceptance (RFC 6455, section 4.1).
    Handshake(Box<HandshakeError>),
    /// The connection is closed: normally, by a failure, or by the peer vanishing.
    Closed(Box<Closure>),
    /// The time given for this phase is used up.
    Timeout {
        /// What was under way.
        phase: Phase,
        /// The time that was given, in seconds.
        seconds: f64,
    },
    /// There is no memory for a message. Nothing was sent, the connection is as it was.
    OutOfMemory,
    /// Another thread or task is already in this call. Nothing was done.
    Concurrency(&'static str),
    /// A signal handler raised while the call waited. The binding holds what it raised.
    Interrupted,
    /// The connection belongs to the process that this one was forked from.
    Forked,
    /// The attempt to connect was abandoned by the caller or by the interpreter's exit.
    Cancelled,
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// The server's certificate was not accepted; the text names the reason.
    Verification {
        /// OpenSSL's reason, such as "self-signed certificate".
        reason: String,
        /// What the user can do about it, where we know.
        hint: Option<String>,
    },
    /// Certificates or keys given by the user cannot be used.
    Configuration(String),
    /// Anything else: an alert, a version mismatch, a peer that does not speak TLS.
    Protocol(String),
}

/// Why a proxy did not connect to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyError {
    /// The answer of an HTTP proxy is not HTTP; the text says why.
    Message(String),
    /// The connection ended before the answer of an HTTP proxy did.
    MessageEof,
    /// An HTTP proxy refuses.
    Status(Response),
    /// A SOCKS proxy refuses.
    Refusal {
        /// The reason that it gives.
        reason: &'static str,
        /// The error that a socket would have reported, where there is one.
        code: Option<i32>,
    },
    /// A SOCKS proxy breaks the protocol, or can't do what is asked of it; the text says how.
    Protocol(String),
    /// The connection ended before the answer of a SOCKS proxy did.
    Eof,
}

/// What a call was waiting for when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the host name.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Opening the connection to a proxy, and its connection to the server.
    Proxy,
    /// The TLS handshake.
    TlsHandshake,
    /// The opening handshake of WebSocket.
    OpeningHandshake,
    /// Waiting for a message.
    Receive,
    /// Waiting for the Pong that answers a Ping.
    Pong,
    /// Writing a message.
    Send,
    /// The closing handshake.
    Close,
}

impl Error {
    /// An I/O error of the opening phase.
    pub fn io(attempt: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            attempt: attempt.into(),
            source: Arc::new(source),
        }
    }
}

impl From<InvalidUri> for Error {
    fn from(error: InvalidUri) -> Self {
        Self::InvalidUri(error)
    }
}

impl From<InvalidArgument> for Error {
    fn from(error: InvalidArgument) -> Self {
        Self::InvalidArgument(error.0)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Proxy => "connecting through the proxy",
            Self::TlsHandshake => "the TLS handshake",
            Self::OpeningHandshake => "the opening handshake",
            Self::Receive => "waiting for a message",
            Self::Pong => "waiting for a pong",
            Self::Send => "sending a message",
            Self::Close => "the closing handshake",
        })
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verification { reason, hint } => {
                write!(f, "certificate verify failed: {reason}")?;
                match hint {
                    Some(hint) => write!(f, " ({hint})"),
                    None => Ok(()),
                }
            }
            Self::Configuration(text) | Self::Protocol(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) | Self::Protocol(text) => f.write_str(text),
            Self::MessageEof => f.write_str("connection closed while reading HTTP response"),
            Self::Status(response) => {
                write!(f, "proxy rejected connection: HTTP {}", response.status)
            }
            Self::Refusal { reason, .. } => f.write_str(reason),
            Self::Eof => f.write_str("connection closed while reading the proxy's reply"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUri(error) => error.fmt(f),
            Self::InvalidArgument(text) => f.write_str(text),
            Self::Resolve { host, message, .. } => write!(f, "cannot resolve {host:?}: {message}"),
            Self::Io { attempt, source } => {
                // The number is shown by whoever shows the error.
                let source = source.to_string();
                let text = source.split(" (os error").next().unwrap_or_default();
                write!(f, "cannot {attempt}: {text}")
            }
            Self::Tls(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Closed(closure) => closure.fmt(f),
            Self::Timeout { phase, seconds } => write!(f, "timed out in {phase} after {seconds} s"),
            Self::Concurrency(text) => f.write_str(text),
            Self::Interrupted => f.write_str("interrupted by a signal"),
            Self::OutOfMemory => f.write_str("message doesn't fit into memory"),
            Self::Forked => f.write_str(
                "this connection was opened before fork() and belongs to the parent process",
            ),
            Self::Cancelled => f.write_str("the attempt to connect was abandoned"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small_enough_to_return_by_value() {
        assert!(size_of::<Error>() <= 64);
    }

    #[test]
    fn timeout_names_its_phase() {
        let error = Error::Timeout {
            phase: Phase::TlsHandshake,
            seconds: 0.5,
        };
        assert_eq!(
            error.to_string(),
            "timed out in the TLS handshake after 0.5 s"
        );
    }
}
