//! What the interpreter calls when the process forks, and when it ends itself.
//!
//! It ends in two steps. When all functions that were registered for the exit have run, other
//! threads are kept out of our code, see [`attached`]. Connections go on: as the interpreter lets
//! go of modules and objects, Python code may still use them. When no such code is left, what is
//! still open ends.

use std::time::Duration;

use pyo3::prelude::*;

use super::{attached, logging};
use crate::{connection::registry, net::tls, process};

/// Has the method that a forked process calls first.
///
/// For its sake, the interpreter keeps this until its very end, and drops it when no Python code
/// can run any more: so its end is that of the connections.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct AfterFork;

#[pymethods]
impl AfterFork {
    #[new]
    fn new() -> Self {
        Self
    }

    /// Disowns the connections of the parent process.
    #[expect(clippy::unused_self, reason = "whoever has the method has the object")]
    fn disown(&self) {
        process::forked();
        attached::forked();
        logging::forked();
        registry::forked();
        tls::forked();
    }
}

impl Drop for AfterFork {
    fn drop(&mut self) {
        registry::stop_all(TIMEOUT);
    }
}

/// Hands on the records that wait, and one of the exit, before `logging` closes its handlers.
#[pyfunction]
pub(super) fn note_exit(py: Python<'_>) -> PyResult<()> {
    let _inside = attached::enter(py);
    registry::note_exit();
    logging::drain(py)
}

/// Keeps all other threads out of our code, for good.
#[pyfunction]
pub(super) fn begin_exit(py: Python<'_>) {
    attached::begin_exit(py);
}

/// How long the interpreter's exit may wait for connections to end.
const TIMEOUT: Duration = Duration::from_secs(1);
