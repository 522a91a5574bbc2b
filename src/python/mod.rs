//! The binding: the only place that knows Python.
//!
//! It converts arguments and results, detaches from the interpreter around everything that may
//! wait, and calls. Rules: no lock that another thread may hold while attached is waited for
//! while attached; nothing is logged between computing a result and returning it; every class is
//! frozen, so that any number of threads may be inside its methods.

mod async_client;
mod connection;
mod convert;
mod echo_server;
mod event_loop;
mod exceptions;
mod fragments;
mod interrupt;
mod logging;
mod options;
mod pong;
mod streaming;
mod sync_client;

use std::time::Duration;

use pyo3::prelude::*;

use crate::{control, process};

/// The private module `websocket_rs._core`.
#[pymodule(name = "_core", gil_used = true)]
mod core {
    #[pymodule_export]
    use super::{
        after_fork_in_child,
        async_client::AsyncConnection,
        connection::BaseConnection,
        echo_server::EchoServer,
        event_loop::Wakeups,
        options::{ConnectOptions, parse_uri},
        pong::PongWaiter,
        shutdown,
        sync_client::SyncConnection,
    };

    use pyo3::prelude::*;

    use crate::protocol::extension::DEFAULT_LEVEL;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEFLATE_LEVEL", DEFAULT_LEVEL)?;
        super::logging::install(module.py())
    }
}

/// Ends every connection, for the exit of the interpreter.
#[pyfunction]
fn shutdown(py: Python<'_>) -> PyResult<()> {
    py.detach(|| control::stop_all(EXIT_TIMEOUT));
    logging::finish(py)
}

/// Disowns the connections of the parent process.
#[pyfunction]
fn after_fork_in_child() {
    process::forked();
    logging::forked();
}

/// How long the interpreter's exit may wait for connections to end.
const EXIT_TIMEOUT: Duration = Duration::from_millis(1200);
