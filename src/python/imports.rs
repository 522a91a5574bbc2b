//! What the core needs of Python: classes, functions and modules, by name.
//!
//! The package hands them over when it is imported. So nothing has to be imported when something
//! fails: when no descriptor is left, when the package's files are other ones by then or out of
//! reach, or in a frozen program, whose files are those that Python code imports. If the package
//! is imported anew, what it hands over then replaces the rest.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    types::{PyDict, PyMapping},
};

/// Takes what the core needs of Python.
#[pyfunction]
pub(super) fn provide(py: Python<'_>, names: Bound<'_, PyDict>) {
    let names = names.unbind();
    let replaced = slot().replace(names);
    drop(replaced);
    // The first look at an abstract class imports it.
    let _ = py.None().bind(py).cast::<PyMapping>();
}

/// What the package has handed over under a name.
pub(super) fn get<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let names = slot().as_ref().map(|names| names.clone_ref(py));
    let names = names.ok_or_else(|| PyRuntimeError::new_err("import websocket_rs first"))?;
    names.bind(py).as_any().get_item(name)
}

/// Held for single steps that run no Python code, by threads that are attached.
fn slot() -> MutexGuard<'static, Option<Py<PyDict>>> {
    static NAMES: Mutex<Option<Py<PyDict>>> = Mutex::new(None);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}
