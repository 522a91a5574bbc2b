//! The core of `websocket_rs`, a WebSocket client for Python.
//!
//! ```text
//! call:  websocket_rs/*.py -> python -> connection (directly | posted to its thread) -> net::stream -> wire
//! data:  wire -> net::stream -> protocol -> inbox -> (caller | eventfd -> event loop) -> str | bytes
//! ```
//!
//! Modules stand in rings, and each uses only those above it here: `protocol` decides and does no
//! I/O, `net` moves bytes and knows no WebSocket, `connection` and `connection_thread` join the
//! two, and `python` alone knows Python. Without the feature `python` the crate needs none.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod error;
pub mod deadline;
pub mod process;
pub mod protocol;
pub mod net;
pub mod turn;
pub mod inbox;
pub mod outbox;
pub mod options;
pub mod opening;
pub mod attendance;
pub mod connection;
pub mod connection_thread;
pub mod echo_server;
#[cfg(feature = "python")]
mod python;
