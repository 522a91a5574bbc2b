//! Waiting outside the interpreter, in a way that Ctrl-C ends.

use std::cell::Cell;

use pyo3::prelude::*;

use super::{exceptions, logging};
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
    let (result, raised) = py.detach(|| {
        let raised = Cell::new(None);
        let interrupt = || {
            #[expect(
                clippy::redundant_closure_for_method_calls,
                reason = "the method alone is not general enough over lifetimes"
            )]
            let checked = Python::attach(|py| py.check_signals());
            checked.map_err(|error| {
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
