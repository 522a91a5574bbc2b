//! The binding: the only place that knows Python.
//!
//! It converts arguments and results, detaches from the interpreter around everything that may
//! wait, and calls. Rules: what may run Python code is entered by [`attached`]; no lock that another thread may hold while attached is waited for
//! while attached; nothing is logged between computing a result and returning it; every class is
//! frozen, so that any number of threads may be inside its methods.

mod async_client;
mod attached;
mod connection;
mod convert;
#[cfg(feature = "echo-server")]
mod echo_server;
mod event_loop;
mod exceptions;
mod fragments;
mod hooks;
mod imports;
mod interrupt;
mod logging;
mod numbers;
mod options;
mod pong;
mod streaming;
mod sync_client;
mod turns;

use pyo3::prelude::*;

use crate::protocol::handshake;

/// The private module `websocket_rs._core`.
#[pymodule(name = "_core", gil_used = true)]
mod core {
    #[pymodule_export]
    use super::{
        accept_key,
        async_client::AsyncConnection,
        connection::BaseConnection,
        convert::check_close,
        event_loop::EventQueue,
        generate_key,
        hooks::{AfterFork, begin_exit, note_exit},
        imports::provide,
        options::{ConnectOptions, DeflateOffer, ParsedUri, host_name, join_uri, parse_uri},
        pong::PongWaiter,
        sync_client::SyncConnection,
    };

    #[cfg(feature = "echo-server")]
    #[pymodule_export]
    use super::echo_server::EchoServer;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::logging::install()?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// A random value for the `Sec-WebSocket-Key` header.
#[pyfunction]
fn generate_key() -> PyResult<String> {
    Ok(handshake::generate_key()?)
}

/// What the `Sec-WebSocket-Accept` header must be for a key.
#[pyfunction]
fn accept_key(key: &str) -> String {
    handshake::accept_key(key)
}
