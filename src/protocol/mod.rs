//! What to say and what to make of what is said: RFC 6455 without any I/O.
//!
//! Decisions do no I/O. Nothing here knows sockets, threads, time or Python; bytes come in as
//! slices, bytes go out into vectors, and every rule is testable on a byte string.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod message;
pub mod uri;
