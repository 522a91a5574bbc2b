//! Python values in, Python values out.

use std::{ffi::OsStr, net::SocketAddr, os::unix::ffi::OsStrExt as _};

use pyo3::{
    Borrowed,
    exceptions::{PyTypeError, PyUnicodeDecodeError},
    intern,
    prelude::*,
    types::{PyByteArray, PyBytes, PyMemoryView, PyString},
};

use super::{attached, exceptions, numbers::Integer};
use crate::{
    connection::receiving::Message,
    net::stream::Address,
    protocol::{close::CloseFrame, frame::MAX_CONTROL_PAYLOAD, message::Kind},
};

/// What the user wants to send.
pub(super) enum Outgoing<'a> {
    /// A view into an immutable object that the caller keeps alive.
    Borrowed(Kind, &'a [u8]),
    /// A copy of something that may change. Python makes it, and raises if it has no memory.
    Owned(Kind, Bound<'a, PyBytes>),
}

impl<'a> Outgoing<'a> {
    /// Text for `str`, binary for bytes-like objects, unless `text` says otherwise; `None` for
    /// anything else.
    ///
    /// Raises `UnicodeEncodeError` for a `str` that UTF-8 cannot express, and
    /// `UnicodeDecodeError` for bytes that are to be sent as text and are not UTF-8.
    pub(super) fn new(message: &'a Bound<'a, PyAny>, text: Option<bool>) -> PyResult<Option<Self>> {
        // The common case.
        if let (None, Ok(bytes)) = (text, message.cast::<PyBytes>()) {
            return Ok(Some(Self::Borrowed(Kind::Binary, bytes.as_bytes())));
        }
        let Some((is_text, outgoing)) = Self::fragment(message, text)? else {
            return Ok(None);
        };
        if text == Some(true) && !is_text {
            let (_, payload) = outgoing.parts();
            let py = message.py();
            if let Err(error) = attached::detach(py, || std::str::from_utf8(payload)) {
                let error = PyUnicodeDecodeError::new_utf8(py, payload, error)?;
                return Err(PyErr::from_value(error.into_any()));
            }
        }
        Ok(Some(outgoing))
    }

    /// A fragment of a message, and whether it is a `str`. Bytes are taken for text unseen, since
    /// a fragment may end in the middle of a character.
    pub(super) fn fragment(
        message: &'a Bound<'a, PyAny>,
        text: Option<bool>,
    ) -> PyResult<Option<(bool, Self)>> {
        let kind = |is_text| {
            if text.unwrap_or(is_text) {
                Kind::Text
            } else {
                Kind::Binary
            }
        };
        if let Ok(bytes) = message.cast::<PyBytes>() {
            return Ok(Some((false, Self::Borrowed(kind(false), bytes.as_bytes()))));
        }
        if let Ok(string) = message.cast::<PyString>() {
            let bytes = string.to_str()?.as_bytes();
            return Ok(Some((true, Self::Borrowed(kind(true), bytes))));
        }
        Ok(bytes_of_mutable(message)?.map(|bytes| (false, Self::Owned(kind(false), bytes))))
    }

    /// What is to be sent.
    pub(super) fn parts(&self) -> (Kind, &[u8]) {
        match self {
            Self::Borrowed(kind, payload) => (*kind, payload),
            Self::Owned(kind, payload) => (*kind, payload.as_bytes()),
        }
    }
}

/// A copy of what may change; `None` if the object is of another type.
fn bytes_of_mutable<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let bytes = if object.cast::<PyByteArray>().is_ok() {
        object.py().get_type::<PyBytes>().call1((object,))?
    } else if object.cast::<PyMemoryView>().is_ok() {
        // Any format and layout, as `bytes()` would see it.
        object.call_method0(intern!(object.py(), "tobytes"))?
    } else {
        return Ok(None);
    };
    Ok(Some(bytes.cast_into()?))
}

/// The payload of a Ping or a Pong.
///
/// Raises `TypeError` for other types, and `ValueError` for what does not fit into a frame.
fn control_payload(data: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let Some((_, outgoing)) = Outgoing::fragment(data, None)? else {
        let name = data.get_type().name()?;
        let text = format!("data must be str or bytes-like, not {name}");
        return Err(PyTypeError::new_err(text));
    };
    let (_, payload) = outgoing.parts();
    if payload.len() > MAX_CONTROL_PAYLOAD {
        let text = format!(
            "control frame too long: data has {} bytes, at most {MAX_CONTROL_PAYLOAD} fit",
            payload.len()
        );
        return Err(exceptions::control_frame(data.py(), text));
    }
    Ok(payload.to_vec())
}

/// The payload of a Ping or a Pong as an argument.
pub(super) struct ControlPayload(pub(super) Vec<u8>);

impl FromPyObject<'_, '_> for ControlPayload {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        control_payload(&object).map(Self)
    }
}

/// A received message as `str` or `bytes`; `decode` overrides what its kind says.
pub(super) fn message<'py>(
    py: Python<'py>,
    message: &Message<'_>,
    decode: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let is_text = decode.unwrap_or(message.kind == Kind::Text);
    if is_text && message.rest.is_empty() {
        return Ok(PyString::from_bytes(py, message.first)?.into_any());
    }
    let len = message.len();
    let bytes = if message.rest.is_empty() && len < LARGE {
        PyBytes::new(py, message.first)
    } else {
        // Fails if there is no memory for it.
        PyBytes::new_with(py, len, |buffer| {
            if len < LARGE {
                message.copy_to(buffer);
            } else {
                attached::detach(py, || message.copy_to(buffer));
            }
            Ok(())
        })?
    };
    if is_text {
        Ok(PyString::from_bytes(py, bytes.as_bytes())?.into_any())
    } else {
        Ok(bytes.into_any())
    }
}

/// A close code as an argument.
pub(super) struct Code(pub(super) u16);

impl FromPyObject<'_, '_> for Code {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let Integer(number) = object.extract().map_err(|error: PyErr| {
            let is_about_type = error.is_instance_of::<PyTypeError>(py);
            match object.repr() {
                Ok(shown) if is_about_type => {
                    PyTypeError::new_err(format!("close code must be an int, not {shown}"))
                }
                _ => error,
            }
        })?;
        u16::try_from(number).map(Self).map_err(|_| {
            let text = format!("invalid status code: {number} is out of range");
            exceptions::control_frame(py, text)
        })
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

/// The Close frame that the user asks for. Raises `InvalidControlFrame`, naming the value.
pub(super) fn close_frame(py: Python<'_>, code: &Code, reason: &Reason) -> PyResult<CloseFrame> {
    CloseFrame::new(code.0, &reason.0).map_err(|text| exceptions::control_frame(py, text))
}

/// Checks that a Close frame can be sent. Raises `InvalidControlFrame`, naming the value.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "arguments are passed by value"
)]
pub(super) fn check_close(py: Python<'_>, code: Code, reason: Reason) -> PyResult<()> {
    close_frame(py, &code, &reason).map(drop)
}

/// An address as the `socket` module shows it.
pub(super) fn address<'py>(
    py: Python<'py>,
    address: Option<&Address>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let host_and_port = |address: SocketAddr| (address.ip().to_string(), address.port());
    Ok(Some(match address {
        None => return Ok(None),
        Some(&Address::Inet(SocketAddr::V4(v4))) => {
            host_and_port(v4.into()).into_pyobject(py)?.into_any()
        }
        Some(&Address::Inet(SocketAddr::V6(v6))) => {
            let (host, port) = host_and_port(v6.into());
            (host, port, v6.flowinfo(), v6.scope_id())
                .into_pyobject(py)?
                .into_any()
        }
        // A name that is no path may hold anything.
        Some(Address::Unix(name)) if name.first() == Some(&0) => PyBytes::new(py, name).into_any(),
        Some(Address::Unix(path)) => OsStr::from_bytes(path).into_pyobject(py)?.into_any(),
    }))
}

/// Up to this size, a message is masked and handed to the system in less time than it may take to
/// get the interpreter back: another thread that computes holds it for 5 ms.
pub(super) const BRIEF: usize = 16 * 1024;
/// From this size on, copying takes long enough to leave the interpreter for it, and memory may be
/// lacking.
const LARGE: usize = 16 * 1024 * 1024;
