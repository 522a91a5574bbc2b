//! From [`Error`] to Python exceptions, in one place.
//!
//! The classes are defined in Python, in `websocket_rs.exceptions`; what is passed here are plain
//! values, from which the functions of `websocket_rs._errors` make an exception.
//!
//! `ConnectionClosed` is made here instead, without running Python code: when the interpreter
//! exits, every thread that waits on a connection gets one, and a thread that is stopped by the
//! interpreter while Rust code is on its stack takes the process down.

use pyo3::{
    exceptions::{PyEOFError, PyMemoryError, PyOSError, PyTimeoutError, PyValueError},
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyModule, PyString, PyTuple},
};

use crate::{
    error::{Error, ProxyError, TlsError},
    protocol::{
        close::{Cause, CloseFrame, Closure},
        extension::Malformed,
        handshake::{EXTENSIONS, HandshakeError},
    },
};

/// The exception for an error.
pub(super) fn raise(py: Python<'_>, error: Error) -> PyErr {
    build(py, error).unwrap_or_else(|error| error)
}

/// The exception for a Ping, a Pong or a Close frame that cannot be sent.
pub(super) fn control_frame(py: Python<'_>, text: String) -> PyErr {
    let make = || {
        let errors = py.import(intern!(py, "websocket_rs._errors"))?;
        errors.call_method1(intern!(py, "invalid_control_frame"), (text,))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

fn build(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    if let Error::Closed(closure) = &error {
        return closed(py, closure).map(PyErr::from_value);
    }
    let text = error.to_string();
    let errors = py.import(intern!(py, "websocket_rs._errors"))?;
    let exception = match error {
        Error::InvalidArgument(text) | Error::Tls(TlsError::Configuration(text)) => {
            return Ok(PyValueError::new_err(text));
        }
        Error::Timeout { .. } => return Ok(PyTimeoutError::new_err(text)),
        Error::OutOfMemory => return Ok(PyMemoryError::new_err(text)),
        Error::InvalidUri(error) => {
            errors.call_method1(intern!(py, "invalid_uri"), (error.uri, error.reason))?
        }
        Error::Resolve { code, .. } => {
            errors.call_method1(intern!(py, "resolve_error"), (code, text))?
        }
        Error::Io { source, .. } => {
            errors.call_method1(intern!(py, "connect_error"), (source.raw_os_error(), text))?
        }
        Error::Tls(TlsError::Verification { reason, .. }) => {
            errors.call_method1(intern!(py, "certificate_error"), (text, reason))?
        }
        Error::Tls(_) => errors.call_method1(intern!(py, "tls_error"), (text,))?,
        Error::Handshake(error) => handshake(&errors, *error)?,
        Error::Proxy(error) => proxy(&errors, *error)?,
        Error::Closed(closure) => closed(py, &closure)?,
        Error::Concurrency(text) => {
            errors.call_method1(intern!(py, "concurrency_error"), (text,))?
        }
        Error::Forked | Error::Cancelled | Error::Interrupted => {
            errors.call_method1(intern!(py, "unusable"), (text,))?
        }
    };
    Ok(PyErr::from_value(exception))
}

fn proxy<'py>(errors: &Bound<'py, PyModule>, error: ProxyError) -> PyResult<Bound<'py, PyAny>> {
    let py = errors.py();
    let text = error.to_string();
    match error {
        ProxyError::Message(_) => {
            errors.call_method1(intern!(py, "invalid_proxy_message"), (text, false))
        }
        ProxyError::MessageEof => {
            errors.call_method1(intern!(py, "invalid_proxy_message"), (text, true))
        }
        ProxyError::Status(response) => errors.call_method1(
            intern!(py, "invalid_proxy_status"),
            (
                response.status,
                response.reason,
                response.headers,
                response.body.as_slice(),
            ),
        ),
        ProxyError::Refusal { code, .. } => {
            errors.call_method1(intern!(py, "proxy_refusal"), (code, text))
        }
        ProxyError::Protocol(_) => {
            errors.call_method1(intern!(py, "invalid_proxy_reply"), (text, false))
        }
        ProxyError::Eof => errors.call_method1(intern!(py, "invalid_proxy_reply"), (text, true)),
    }
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
        HandshakeError::Header {
            name,
            value,
            is_repeated,
        } => errors.call_method1(intern!(py, "invalid_header"), (name, value, is_repeated)),
        HandshakeError::Upgrade { name, value } => {
            errors.call_method1(intern!(py, "invalid_upgrade"), (name, value))
        }
        HandshakeError::Extensions(Malformed {
            what,
            position,
            header,
        }) => errors.call_method1(
            intern!(py, "invalid_header_format"),
            (EXTENSIONS, what, header, position),
        ),
        HandshakeError::Negotiation(text) => {
            errors.call_method1(intern!(py, "negotiation_error"), (text,))
        }
        HandshakeError::Security(text) => {
            errors.call_method1(intern!(py, "security_error"), (text,))
        }
    }
}

/// Imports the classes, so that [`closed`] need not.
pub(super) fn load(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let exceptions = py.import("websocket_rs.exceptions")?;
        let class = |name| exceptions.getattr(name).map(Bound::unbind);
        Ok(Classes {
            closed_ok: class("ConnectionClosedOK")?,
            closed_error: class("ConnectionClosedError")?,
            protocol_error: class("ProtocolError")?,
            payload_too_big: class("PayloadTooBig")?,
            too_many_fragments: class("TooManyFragments")?,
            close: py.import("websocket_rs.frames")?.getattr("Close")?.unbind(),
        })
    })
}

/// Whether an exception says that the connection was closed normally.
pub(super) fn is_closed_ok(py: Python<'_>, error: &PyErr) -> bool {
    load(py).is_ok_and(|classes| error.is_instance(py, classes.closed_ok.bind(py)))
}

fn closed<'py>(py: Python<'py>, closure: &Closure) -> PyResult<Bound<'py, PyAny>> {
    let classes = load(py)?;
    let frame = |frame: &Option<CloseFrame>| match frame {
        None => Ok(None),
        Some(frame) => make(
            classes.close.bind(py),
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
        &classes.closed_ok
    } else {
        &classes.closed_error
    };
    let exception = make(
        class.bind(py),
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
        exception.setattr(intern!(py, "__cause__"), cause_of(py, classes, cause)?)?;
    }
    Ok(exception)
}

fn cause_of<'py>(py: Python<'py>, classes: &Classes, cause: &Cause) -> PyResult<Bound<'py, PyAny>> {
    let text = cause.to_string();
    Ok(match cause {
        Cause::Protocol(_) | Cause::InvalidData(_) | Cause::UnfinishedMessage(_) => {
            classes.protocol_error.bind(py).call1((text,))?
        }
        Cause::TooBig {
            size,
            limit,
            current,
        } => {
            let current = (*current > 0).then_some(*current);
            make(
                classes.payload_too_big.bind(py),
                &[
                    (intern!(py, "size"), size.into_pyobject(py)?.into_any()),
                    (intern!(py, "max_size"), limit.into_pyobject(py)?.into_any()),
                    (
                        intern!(py, "current_size"),
                        current.into_pyobject(py)?.into_any(),
                    ),
                ],
                true,
            )?
        }
        Cause::TooManyFragments { limit } => make(
            classes.too_many_fragments.bind(py),
            &[(
                intern!(py, "max_fragments"),
                limit.into_pyobject(py)?.into_any(),
            )],
            true,
        )?,
        Cause::OutOfMemory => PyMemoryError::new_err(text)
            .into_value(py)
            .into_bound(py)
            .into_any(),
        Cause::KeepaliveTimeout => PyTimeoutError::new_err(text)
            .into_value(py)
            .into_bound(py)
            .into_any(),
        Cause::Eof => PyEOFError::new_err(text)
            .into_value(py)
            .into_bound(py)
            .into_any(),
        // OSError picks its own subclass for the number.
        Cause::Io(error) => match error.raw_os_error() {
            Some(number) => {
                let text = text
                    .split(" (os error")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                PyOSError::new_err((number, text))
            }
            None => PyOSError::new_err(text),
        }
        .into_value(py)
        .into_bound(py)
        .into_any(),
    })
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

/// The classes that [`closed`] makes instances of.
pub(super) struct Classes {
    closed_ok: Py<PyAny>,
    closed_error: Py<PyAny>,
    protocol_error: Py<PyAny>,
    payload_too_big: Py<PyAny>,
    too_many_fragments: Py<PyAny>,
    close: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
