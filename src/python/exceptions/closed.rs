//! `ConnectionClosed`, made without running Python code: every thread that waits on a connection
//! gets one when it is closed, possibly all at once.

use pyo3::{
    exceptions::{PyEOFError, PyMemoryError, PyTimeoutError},
    intern,
    prelude::*,
    types::{PyString, PyTuple},
};

use super::os_error;
use crate::{
    protocol::close::{Cause, CloseFrame, Closure},
    python::imports,
};

/// Whether an exception says that the connection was closed normally.
pub(in crate::python) fn is_closed_ok(py: Python<'_>, error: &PyErr) -> bool {
    imports::get(py, "ConnectionClosedOK").is_ok_and(|class| error.is_instance(py, &class))
}

pub(super) fn closed<'py>(py: Python<'py>, closure: &Closure) -> PyResult<Bound<'py, PyAny>> {
    let close = imports::get(py, "Close")?;
    let frame = |frame: &Option<CloseFrame>| match frame {
        None => Ok(None),
        Some(frame) => make(
            &close,
            &[
                (
                    intern!(py, "code"),
                    frame.code.into_pyobject(py)?.into_any(),
                ),
                (
                    intern!(py, "reason"),
                    frame.reason.as_str().into_pyobject(py)?.into_any(),
                ),
            ],
            false,
        )
        .map(Some),
    };
    let class = if closure.is_ok() {
        "ConnectionClosedOK"
    } else {
        "ConnectionClosedError"
    };
    let exception = make(
        &imports::get(py, class)?,
        &[
            (
                intern!(py, "rcvd"),
                frame(&closure.rcvd)?.into_pyobject(py)?,
            ),
            (
                intern!(py, "sent"),
                frame(&closure.sent)?.into_pyobject(py)?,
            ),
            (
                intern!(py, "rcvd_then_sent"),
                closure.rcvd_then_sent.into_pyobject(py)?.into_any(),
            ),
        ],
        true,
    )?;
    if let Some(cause) = &closure.cause {
        exception.setattr(intern!(py, "__cause__"), cause_of(py, cause)?)?;
    }
    Ok(exception)
}

fn cause_of<'py>(py: Python<'py>, cause: &Cause) -> PyResult<Bound<'py, PyAny>> {
    let text = cause.to_string();
    let builtin = |error: PyErr| Ok(error.into_value(py).into_bound(py).into_any());
    match cause {
        Cause::Protocol(_) | Cause::InvalidData(_) | Cause::UnfinishedMessage(_) => {
            imports::get(py, "ProtocolError")?.call1((text,))
        }
        &Cause::TooBig {
            size,
            limit,
            current,
        } => {
            let current = (current > 0).then_some(current);
            let attributes = [
                (intern!(py, "size"), size.into_pyobject(py)?.into_any()),
                (intern!(py, "max_size"), limit.into_pyobject(py)?.into_any()),
                (
                    intern!(py, "current_size"),
                    current.into_pyobject(py)?.into_any(),
                ),
            ];
            make(&imports::get(py, "PayloadTooBig")?, &attributes, true)
        }
        Cause::TooManyFragments { limit } => {
            let limit = limit.into_pyobject(py)?.into_any();
            let attributes = [(intern!(py, "max_fragments"), limit)];
            make(&imports::get(py, "TooManyFragments")?, &attributes, true)
        }
        Cause::OutOfMemory => builtin(PyMemoryError::new_err(text)),
        Cause::KeepaliveTimeout => builtin(PyTimeoutError::new_err(text)),
        Cause::Eof => builtin(PyEOFError::new_err(text)),
        Cause::Io(error) => builtin(os_error(error, &text)),
    }
}

/// An instance of a class with these attributes, whose `__init__` is not run.
fn make<'py>(
    class: &Bound<'py, PyAny>,
    attributes: &[(&Bound<'py, PyString>, Bound<'py, PyAny>)],
    with_args: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let mut args = vec![class.clone()];
    if with_args {
        args.extend(attributes.iter().map(|(_, value)| value.clone()));
    }
    let args = PyTuple::new(py, args)?;
    let instance = class.call_method1(intern!(py, "__new__"), args)?;
    for (name, value) in attributes {
        instance.setattr(*name, value)?;
    }
    Ok(instance)
}
