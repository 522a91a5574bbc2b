//! Waiting outside the interpreter, in a way that Ctrl-C ends.

use std::cell::Cell;

use pyo3::prelude::*;

use super::{attached, exceptions, logging};
use crate::{
    deadline::Deadline,
    error::{Error, Result},
    net::wait::Wait,
};

/// Runs `call` detached from the interpreter.
///
/// A signal runs its Python handler; if that raises, so does this. Records that were logged
/// meanwhile are handed to Python before anything is raised.
pub(super) fn wait<R: Send>(
    py: Python<'_>,
    deadline: Deadline,
    call: impl FnOnce(&Wait<'_>) -> Result<R> + Send,
) -> PyResult<R> {
    let (result, raised) = attached::detach(py, || {
        let raised = Cell::new(None);
        let interrupt = || {
            // A thread that the exit has left behind returns to where it stays.
            if !attached::may_attach() {
                return Err(Error::Interrupted);
            }
            let checked = Python::try_attach(|py| {
                let _inside = attached::enter(py);
                py.check_signals()
            });
            // There are no handlers of signals any more where the interpreter is at its end.
            checked.unwrap_or(Ok(())).map_err(|error| {
                raised.set(Some(error));
                Error::Interrupted
            })
        };
        let result = call(&Wait {
            deadline,
            interrupt: &interrupt,
            wake: None,
        });
        (result, raised.into_inner())
    });
    match (result, raised) {
        (Ok(value), None) => Ok(value),
        (_, Some(error)) => Err(error),
        (Err(error), None) => {
            logging::drain(py)?;
            Err(exceptions::raise(py, error))
        }
    }
}
