//! Bytes and file descriptors: the ways to a server, TLS, full-duplex streams, wake-ups.
//!
//! Knows no WebSocket. Every wait takes a [`wait::Wait`], and no lock that the other
//! direction of a stream needs is held while waiting.

pub mod outcome;
pub mod stream;
pub mod tls;
pub mod wait;
pub mod wakeup;
pub mod way;
