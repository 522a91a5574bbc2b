//! Messages that are taken frame by frame, as both faces do it.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyString},
};

use crate::{
    connection::Connection,
    protocol::{message::Kind, utf8::cut_tail},
};

/// The message that the program is taking frame by frame.
#[derive(Debug, Default)]
pub(super) struct Streaming {
    /// Whether there is one whose last frame has not been taken.
    pub(super) in_message: bool,
    /// The beginning of a character that the next frame completes.
    carry: Vec<u8>,
}

impl Streaming {
    /// Takes the next frame, if it is there: its payload, and whether it is the last.
    pub(super) fn pop<'py>(
        &mut self,
        py: Python<'py>,
        connection: &Connection,
        decode: Option<bool>,
    ) -> Option<PyResult<(Bound<'py, PyAny>, bool)>> {
        connection.inbox.stream(true);
        let taken = connection.inbox.pop_frame(|kind, fin, payload| {
            let fragment = self.convert(py, kind, fin, payload, decode)?;
            Ok((fragment, fin))
        })?;
        if let Ok((_, fin)) = taken {
            self.in_message = !fin;
            if fin {
                connection.inbox.stream(false);
            }
        }
        Some(taken)
    }

    /// Nobody waits for the next frame any more. Between messages, whole ones are taken again.
    pub(super) fn leave(&self, connection: &Connection) {
        connection.inbox.stream(self.in_message);
        // The frames of an incomplete message count no more, so there may be room again.
        if connection.inbox.resumes() {
            connection.control.wake();
        }
    }

    /// A frame as `str` or `bytes`. A character that a frame ends in goes to the next one.
    fn convert<'py>(
        &mut self,
        py: Python<'py>,
        kind: Kind,
        fin: bool,
        payload: &[u8],
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !decode.unwrap_or(kind == Kind::Text) {
            return Ok(PyBytes::new_with(py, payload.len(), |buffer| {
                buffer.copy_from_slice(payload);
                Ok(())
            })?
            .into_any());
        }
        let joined;
        let bytes = if self.carry.is_empty() {
            payload
        } else {
            joined = [&self.carry, payload].concat();
            &joined
        };
        let cut = match cut_tail(bytes) {
            // More than the beginning of a character is no text, and Python says so.
            cut @ 1..=3 if !fin => cut,
            _ => 0,
        };
        let (text, carry) = bytes.split_at(bytes.len() - cut);
        let text = PyString::from_bytes(py, text)?;
        self.carry = carry.to_vec();
        Ok(text.into_any())
    }
}
