//! What to say and what to make of what is said: RFC 6455 and RFC 7692 without any I/O.
//!
//! Decisions do no I/O. Nothing here knows sockets, threads, time or Python; bytes come in as
//! slices, bytes go out into vectors, and every rule is testable on a byte string.

pub mod close;
pub mod decoder;
pub mod deflate;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod host;
pub mod http;
pub mod keepalive;
pub mod message;
pub mod ping;
pub mod reference;
pub mod uri;
pub mod utf8;

use std::fmt;

/// A value that a caller gave and that breaks a rule; the text names both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArgument(pub String);

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may surround a value of a header, and the elements of one (RFC 9110, section 5.6.3). Other
/// white space, such as U+00A0, belongs to it.
pub const BLANKS: [char; 2] = [' ', '\t'];
