//! The ways to a server: a host name, a Unix socket or a socket that was given, directly or through
//! a proxy, up to the stream on which the opening handshake begins.

pub mod dial;
pub mod exchange;
pub mod proxy;
pub mod route;
pub mod socket;
pub mod target;
pub mod unix;
