//! From [`Error`] to Python exceptions, in one place.
//!
//! The classes are defined in Python, in `websocket_rs.exceptions`; which error becomes which, and
//! with what arguments, is decided here.

mod closed;

use std::{fmt, io};

use pyo3::{
    exceptions::{PyEOFError, PyMemoryError, PyOSError, PyTimeoutError, PyValueError},
    prelude::*,
    types::PyTuple,
};
use rustix::io::Errno;

use self::closed::closed;
pub(super) use self::closed::is_closed_ok;
use super::{attached, imports};
use crate::{
    error::{Error, ProxyError, TlsError},
    protocol::{
        extension::Malformed,
        handshake::{EXTENSIONS, HandshakeError},
        http::Response,
    },
};

/// The exception for an error.
pub(super) fn raise(py: Python<'_>, error: Error) -> PyErr {
    let _inside = attached::enter(py);
    build(py, error).unwrap_or_else(|error| error)
}

/// The exception for a Ping, a Pong or a Close frame that cannot be sent.
pub(super) fn control_frame(py: Python<'_>, text: String) -> PyErr {
    let _inside = attached::enter(py);
    make(py, "InvalidControlFrame", (text,), None).unwrap_or_else(|error| error)
}

fn build(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let text = error.to_string();
    match error {
        Error::InvalidArgument(text) | Error::Tls(TlsError::Configuration(text)) => {
            Ok(PyValueError::new_err(text))
        }
        Error::Timeout { .. } => Ok(PyTimeoutError::new_err(text)),
        Error::OutOfMemory => Ok(PyMemoryError::new_err(text)),
        Error::InvalidUri(error) => make(py, "InvalidURI", (error.uri, error.reason), None),
        Error::Resolve { code, .. } => make(py, "ResolveError", (code, text), None),
        Error::Io { source, .. } => {
            let number = number_of(&source);
            make(py, connect_error(number), (number, text), None)
        }
        Error::Tls(TlsError::Verification { reason, .. }) => {
            let error = make(py, "CertificateError", (1, text), None)?;
            error.value(py).setattr("verify_message", reason)?;
            Ok(error)
        }
        Error::Tls(TlsError::Protocol(_)) => make(py, "TLSError", (1, text), None),
        Error::Handshake(error) => handshake(py, *error),
        Error::Proxy(error) => proxy(py, *error),
        Error::Closed(closure) => closed(py, &closure).map(PyErr::from_value),
        Error::Concurrency(text) => make(py, "ConcurrencyError", (text,), None),
        Error::Forked | Error::Cancelled | Error::Interrupted => {
            make(py, "WebSocketException", (text,), None)
        }
    }
}

/// The exception of Python itself for an error of the system that has nothing to do with connecting.
pub(super) fn os_error(error: &io::Error, text: &str) -> PyErr {
    // OSError picks its own subclass for the number.
    PyOSError::new_err((number_of(error), text_of(&text)))
}

/// What `errno` is for an error: what the system has said, or what comes nearest to it.
fn number_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| {
        let errno = match error.kind() {
            io::ErrorKind::AddrNotAvailable => Errno::ADDRNOTAVAIL,
            io::ErrorKind::ConnectionAborted => Errno::CONNABORTED,
            io::ErrorKind::InvalidData => Errno::PROTO,
            io::ErrorKind::InvalidInput => Errno::INVAL,
            io::ErrorKind::UnexpectedEof => Errno::CONNRESET,
            io::ErrorKind::WouldBlock => Errno::AGAIN,
            _ => Errno::IO,
        };
        errno.raw_os_error()
    })
}

/// The text of an error without its number, which Python shows.
fn text_of(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The class for a system call that failed while the connection was being opened.
fn connect_error(number: i32) -> &'static str {
    match Errno::from_raw_os_error(number) {
        Errno::CONNREFUSED => "RefusedError",
        Errno::CONNRESET | Errno::PIPE => "ResetError",
        Errno::NOENT => "NotFoundError",
        Errno::ACCESS | Errno::PERM => "ForbiddenError",
        Errno::TIMEDOUT => "TimedOutError",
        _ => "ConnectError",
    }
}

fn handshake(py: Python<'_>, error: HandshakeError) -> PyResult<PyErr> {
    let invalid_message = |cause| {
        let text = "did not receive a valid HTTP response";
        make(py, "InvalidMessage", (text,), Some(cause))
    };
    match error {
        HandshakeError::Message(text) => invalid_message(PyValueError::new_err(text)),
        HandshakeError::Eof => invalid_message(PyEOFError::new_err(
            "connection closed while reading HTTP response",
        )),
        HandshakeError::Status(refusal) => {
            make(py, "InvalidStatus", (response(py, refusal)?,), None)
        }
        HandshakeError::Header {
            name,
            value,
            is_repeated,
        } => {
            let is_wrong = value.is_some() && !is_repeated;
            let class = if is_wrong {
                "InvalidHeaderValue"
            } else {
                "InvalidHeader"
            };
            make(py, class, (name, value), None)
        }
        HandshakeError::Upgrade { name, value } => make(py, "InvalidUpgrade", (name, value), None),
        HandshakeError::Extensions(Malformed {
            what,
            position,
            header,
        }) => {
            let arguments = (EXTENSIONS, what, header, position);
            make(py, "InvalidHeaderFormat", arguments, None)
        }
        HandshakeError::Negotiation(text) => make(py, "NegotiationError", (text,), None),
        HandshakeError::Security(text) => make(py, "SecurityError", (text,), None),
    }
}

fn proxy(py: Python<'_>, error: ProxyError) -> PyResult<PyErr> {
    let text = error.to_string();
    let cause = match error {
        ProxyError::Status(refusal) => {
            return make(py, "InvalidProxyStatus", (response(py, refusal)?,), None);
        }
        ProxyError::Message(_) | ProxyError::Protocol(_) => PyValueError::new_err(text),
        ProxyError::MessageEof | ProxyError::Eof => PyEOFError::new_err(text),
        ProxyError::Refusal { code: None, .. } => PyOSError::new_err(text),
        ProxyError::Refusal {
            code: Some(number), ..
        } => PyOSError::new_err((number, text)),
    };
    let (class, text) = match error {
        ProxyError::Message(_) | ProxyError::MessageEof => (
            "InvalidProxyMessage",
            "did not receive a valid HTTP response from proxy",
        ),
        _ => ("ProxyError", "failed to connect to SOCKS proxy"),
    };
    make(py, class, (text,), Some(cause))
}

/// The response of a server or a proxy that refuses, as a Python object.
fn response(py: Python<'_>, refusal: Response) -> PyResult<Bound<'_, PyAny>> {
    let headers = imports::get(py, "Headers")?.call1((refusal.headers,))?;
    let body = refusal.body.as_slice();
    imports::get(py, "Response")?.call1((refusal.status, refusal.reason, headers, body))
}

/// An instance of a class of `websocket_rs.exceptions`.
fn make<'py>(
    py: Python<'py>,
    class: &str,
    arguments: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
    cause: Option<PyErr>,
) -> PyResult<PyErr> {
    let class = imports::get(py, class)?;
    let error = PyErr::from_value(class.call1(arguments.into_pyobject(py)?)?);
    if cause.is_some() {
        error.set_cause(py, cause);
    }
    Ok(error)
}
