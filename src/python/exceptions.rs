//! From [`Error`] to Python exceptions, in one place.
//!
//! The classes are defined in Python, in `websocket_rs.exceptions`; what is passed here are plain
//! values, from which the functions of `websocket_rs._errors` make an exception.

use pyo3::{
    exceptions::{PyTimeoutError, PyValueError},
    intern,
    prelude::*,
    types::PyModule,
};

use crate::{
    error::{Error, TlsError},
    protocol::{
        close::{Cause, CloseFrame, Closure},
        handshake::HandshakeError,
    },
};

/// The exception for an error.
pub(super) fn raise(py: Python<'_>, error: Error) -> PyErr {
    build(py, error).unwrap_or_else(|error| error)
}

fn build(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let text = error.to_string();
    let errors = py.import(intern!(py, "websocket_rs._errors"))?;
    let exception = match error {
        Error::InvalidArgument(text) => return Ok(PyValueError::new_err(text)),
        Error::Timeout { .. } => return Ok(PyTimeoutError::new_err(text)),
        Error::InvalidUri { uri, reason } => {
            errors.call_method1(intern!(py, "invalid_uri"), (uri, reason))?
        }
        Error::Resolve { code, .. } => {
            errors.call_method1(intern!(py, "resolve_error"), (code, text))?
        }
        Error::Io { source, .. } => {
            errors.call_method1(intern!(py, "connect_error"), (source.raw_os_error(), text))?
        }
        Error::Tls(TlsError::Configuration(text)) => return Ok(PyValueError::new_err(text)),
        Error::Tls(TlsError::Verification { reason, .. }) => {
            errors.call_method1(intern!(py, "certificate_error"), (text, reason))?
        }
        Error::Tls(_) => errors.call_method1(intern!(py, "tls_error"), (text,))?,
        Error::Handshake(error) => handshake(&errors, *error)?,
        Error::Closed(closure) => closed(&errors, &closure)?,
        Error::Concurrency(text) => {
            errors.call_method1(intern!(py, "concurrency_error"), (text,))?
        }
        Error::Forked | Error::Cancelled | Error::Interrupted => {
            errors.call_method1(intern!(py, "unusable"), (text,))?
        }
    };
    Ok(PyErr::from_value(exception))
}

fn handshake<'py>(
    errors: &Bound<'py, PyModule>,
    error: HandshakeError,
) -> PyResult<Bound<'py, PyAny>> {
    let py = errors.py();
    match error {
        HandshakeError::Message(text) => {
            errors.call_method1(intern!(py, "invalid_message"), (text, false))
        }
        HandshakeError::Eof => errors.call_method1(
            intern!(py, "invalid_message"),
            ("connection closed while reading HTTP response", true),
        ),
        HandshakeError::Status(response) => errors.call_method1(
            intern!(py, "invalid_status"),
            (
                response.status,
                response.reason,
                response.headers,
                response.body.as_slice(),
            ),
        ),
        HandshakeError::Header { name, value } => {
            errors.call_method1(intern!(py, "invalid_header"), (name, value))
        }
        HandshakeError::Upgrade { name, value } => {
            errors.call_method1(intern!(py, "invalid_upgrade"), (name, value))
        }
        HandshakeError::Negotiation(text) => {
            errors.call_method1(intern!(py, "negotiation_error"), (text,))
        }
        HandshakeError::Security(text) => {
            errors.call_method1(intern!(py, "security_error"), (text,))
        }
    }
}

fn closed<'py>(errors: &Bound<'py, PyModule>, closure: &Closure) -> PyResult<Bound<'py, PyAny>> {
    let py = errors.py();
    let pair = |frame: &Option<CloseFrame>| {
        frame
            .as_ref()
            .map(|frame| (frame.code, frame.reason.clone()))
    };
    let cause = match &closure.cause {
        None => None,
        Some(Cause::Protocol(text)) => {
            Some(errors.call_method1(intern!(py, "protocol_error"), (text,))?)
        }
        Some(Cause::InvalidData(text)) => {
            Some(errors.call_method1(intern!(py, "invalid_data"), (text,))?)
        }
        Some(Cause::TooBig {
            size,
            limit,
            current,
        }) => {
            Some(errors.call_method1(intern!(py, "payload_too_big"), (*size, *limit, *current))?)
        }
        Some(Cause::Eof) => Some(errors.call_method0(intern!(py, "end_of_stream"))?),
        Some(Cause::Io(error)) => Some(errors.call_method1(
            intern!(py, "stream_error"),
            (error.raw_os_error(), error.to_string()),
        )?),
    };
    errors.call_method1(
        intern!(py, "connection_closed"),
        (
            closure.is_ok(),
            pair(&closure.rcvd),
            pair(&closure.sent),
            closure.rcvd_then_sent,
            cause,
        ),
    )
}
