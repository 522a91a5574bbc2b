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

pub mod attendance;
pub mod connection;
pub mod connection_thread;
pub mod deadline;
pub mod echo_server;
pub mod error;
pub mod inbox;
pub mod net;
pub mod opening;
pub mod options;
pub mod outbox;
pub mod process;
pub mod protocol;
#[cfg(feature = "python")]
mod python;
pub mod turn;
