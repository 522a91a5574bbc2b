//! Numbers as arguments. One that no machine number holds is as far as these go, so that the rules
//! for values name the argument, and nothing is an `OverflowError`.

use std::time::Duration;

use pyo3::{
    Borrowed,
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
    types::PyBool,
};

/// Whatever has `__index__`.
#[derive(Clone, Copy)]
pub(super) struct Integer(pub(super) i128);

/// A number of seconds: whatever has `__float__` or `__index__`.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) f64);

impl From<Seconds> for f64 {
    fn from(Seconds(seconds): Seconds) -> Self {
        seconds
    }
}

impl FromPyObject<'_, '_> for Integer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(number) => Ok(Self(number)),
            Err(error) => match beyond(&object, error)? {
                Sign::Negative => Ok(Self(i128::MIN)),
                Sign::Positive => Ok(Self(i128::MAX)),
            },
        }
    }
}

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyBool>() {
            return Err(no_seconds(&object)?);
        }
        match object.extract() {
            Ok(number) => Ok(Self(number)),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(no_seconds(&object)?)
            }
            Err(error) => match beyond(&object, error)? {
                Sign::Negative => Ok(Self(f64::NEG_INFINITY)),
                Sign::Positive => Ok(Self(f64::INFINITY)),
            },
        }
    }
}

/// On which side of zero a number is that is out of range.
enum Sign {
    Negative,
    Positive,
}

/// Takes the error of a number that could not be converted: fails if it is about anything else than
/// its size.
fn beyond(number: &Bound<'_, PyAny>, error: PyErr) -> PyResult<Sign> {
    if !error.is_instance_of::<PyOverflowError>(number.py()) {
        return Err(error);
    }
    Ok(if number.lt(0)? {
        Sign::Negative
    } else {
        Sign::Positive
    })
}

/// The error for what is no number. Wherever a number of seconds comes from a program directly, it is
/// called `timeout`.
fn no_seconds(object: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let text = format!(
        "timeout must be a number of seconds or None, not {}",
        object.repr()?
    );
    Ok(PyTypeError::new_err(text))
}

/// A timeout in seconds; `None` and infinity are no limit.
pub(super) fn timeout(name: &str, value: Option<impl Into<f64>>) -> PyResult<Option<Duration>> {
    match value.map(Into::into) {
        None => Ok(None),
        Some(seconds) if seconds.is_nan() || seconds < 0.0 => Err(PyValueError::new_err(format!(
            "{name} must be a number of seconds, 0 or more, or None, not {seconds}"
        ))),
        // A number of seconds that doesn't fit is as good as no limit.
        Some(seconds) => Ok(Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// A timeout of a call that, without any time, takes what is there.
pub(super) fn waiting(name: &str, seconds: f64) -> PyResult<Option<Duration>> {
    timeout(name, Some(if seconds < 0.0 { 0.0 } else { seconds }))
}
