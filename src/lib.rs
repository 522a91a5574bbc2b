//! The core of `websocket_rs`, a WebSocket client for Python.
//!
//! ```text
//! call:  websocket_rs/*.py -> python -> connection (directly | posted to its thread) -> net::stream -> wire
//! data:  wire -> net::stream -> protocol -> inbox -> (caller | eventfd -> event loop) -> str | bytes
//! ```
//!
//! Modules stand in rings, and each uses only those before it: `protocol` decides and does no
//! I/O; `error`, `deadline`, `process`; `net` moves bytes and knows no WebSocket; `turn`, `inbox`,
//! `outbox`, `options`, `opening`, `control` and `attendance` are the parts from which `connection`
//! and `connection_thread` are made; and `python` alone knows Python. Without the feature `python`
//! the crate needs none. `echo_server` is for trying things out, and nothing else uses it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod attendance;
pub mod connection;
pub mod connection_thread;
pub mod control;
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
