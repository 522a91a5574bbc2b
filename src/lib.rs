//! The core of `websocket_rs`, a WebSocket client for Python.
//!
//! ```text
//! call:  websocket_rs/*.py -> python -> connection (directly | posted to its thread) -> net::stream -> wire
//! data:  wire -> net::stream -> protocol -> connection -> (caller | eventfd -> event loop) -> str | bytes
//! ```
//!
//! The modules stand in four rings, and each uses only those before it: `protocol` decides and does
//! no I/O; `net` moves bytes and knows no WebSocket; `connection` brings the two together, on its
//! own thread and on those of the program; `python` alone knows Python. `buffer`, `random`, `error`,
//! `deadline` and `process` lie below all of them. Without the feature `python` the crate needs no
//! interpreter.
//! `echo_server` is for trying things out, and uses none of the others.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod buffer;
pub mod connection;
pub mod deadline;
#[cfg(feature = "echo-server")]
pub mod echo_server;
pub mod error;
pub mod net;
pub mod process;
pub mod protocol;
#[cfg(feature = "python")]
mod python;
pub mod random;
