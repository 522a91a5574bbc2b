//! Python values in, Python values out.

use std::{net::SocketAddr, time::Duration};

use pyo3::{
    Borrowed,
    exceptions::{PyTypeError, PyValueError},
    intern,
    prelude::*,
    types::{PyByteArray, PyBytes, PyInt, PyMemoryView, PyString},
};

use crate::{
    inbox::Payload,
    protocol::{close::CloseFrame, message::Kind},
};

/// What the user wants to send.
pub(super) enum Outgoing<'a> {
    /// A view into an immutable object that the caller keeps alive.
    Borrowed(Kind, &'a [u8]),
    /// A copy of something that may change.
    Owned(Kind, Vec<u8>),
}

impl<'a> Outgoing<'a> {
    /// Text for `str`, binary for bytes-like objects.
    ///
    /// Raises `TypeError` for anything else, and `UnicodeEncodeError` for a `str` that UTF-8
    /// cannot express.
    pub(super) fn new(message: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = message.cast::<PyBytes>() {
            return Ok(Self::Borrowed(Kind::Binary, bytes.as_bytes()));
        }
        if let Ok(text) = message.cast::<PyString>() {
            return Ok(Self::Borrowed(Kind::Text, text.to_str()?.as_bytes()));
        }
        if let Ok(bytes) = message.cast::<PyByteArray>() {
            return Ok(Self::Owned(Kind::Binary, bytes.to_vec()));
        }
        if message.cast::<PyMemoryView>().is_ok() {
            // Any format and layout, as `bytes()` would see it.
            let bytes = message.call_method0(intern!(message.py(), "tobytes"))?;
            return Ok(Self::Owned(Kind::Binary, bytes.extract()?));
        }
        Err(PyTypeError::new_err(format!(
            "message must be str or bytes-like, not {}",
            message.get_type().name()?
        )))
    }

    /// What is to be sent.
    pub(super) fn parts(&self) -> (Kind, &[u8]) {
        match self {
            Self::Borrowed(kind, payload) => (*kind, payload),
            Self::Owned(kind, payload) => (*kind, payload),
        }
    }
}

/// A received message as `str` or `bytes`; `decode` overrides what its kind says.
pub(super) fn message<'py>(
    py: Python<'py>,
    kind: Kind,
    payload: &Payload<'_>,
    decode: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = payload.as_slice();
    if decode.unwrap_or(kind == Kind::Text) {
        Ok(PyString::from_bytes(py, bytes)?.into_any())
    } else {
        Ok(PyBytes::new(py, bytes).into_any())
    }
}

/// A timeout in seconds; `None` and infinity are no limit.
pub(super) fn timeout(name: &str, value: Option<f64>) -> PyResult<Option<Duration>> {
    match value {
        None => Ok(None),
        Some(seconds) if seconds.is_nan() || seconds < 0.0 => Err(PyValueError::new_err(format!(
            "{name} must be a positive number of seconds, 0 or None, not {seconds}"
        ))),
        // What does not fit is as good as for ever.
        Some(seconds) => Ok(Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// A close code as an argument.
pub(super) struct Code(pub(super) u16);

impl FromPyObject<'_, '_> for Code {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if !object.is_instance_of::<PyInt>() {
            let text = format!("close code must be an int, not {}", object.repr()?);
            return Err(PyTypeError::new_err(text));
        }
        object
            .extract()
            .map(Self)
            .map_err(|_| PyValueError::new_err(format!("close code {} is out of range", *object)))
    }
}

/// A close reason as an argument.
pub(super) struct Reason(pub(super) String);

impl FromPyObject<'_, '_> for Reason {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self(text.to_str()?.to_owned()));
        }
        let text = format!("close reason must be a str, not {}", object.repr()?);
        Err(PyTypeError::new_err(text))
    }
}

/// The Close frame that the user asks for. Raises `ValueError`, naming the value.
pub(super) fn close_frame(code: &Code, reason: &Reason) -> PyResult<CloseFrame> {
    CloseFrame::new(code.0, &reason.0).map_err(PyValueError::new_err)
}

/// An address as the `socket` module shows it.
pub(super) fn address(
    py: Python<'_>,
    address: Option<SocketAddr>,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    let host_and_port = |address: SocketAddr| (address.ip().to_string(), address.port());
    Ok(match address {
        None => None,
        Some(SocketAddr::V4(v4)) => Some(host_and_port(v4.into()).into_pyobject(py)?.into_any()),
        Some(SocketAddr::V6(v6)) => {
            let (host, port) = host_and_port(v6.into());
            Some(
                (host, port, v6.flowinfo(), v6.scope_id())
                    .into_pyobject(py)?
                    .into_any(),
            )
        }
    })
}
