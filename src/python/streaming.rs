//! Messages that are taken frame by frame, as both clients do it.

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
        connection.stream(true);
        let taken = connection.take_frame(|kind, fin, payload| {
            let fragment = self.convert(py, kind, fin, payload, decode)?;
            Ok((fragment, fin))
        })?;
        if let Ok((_, fin)) = taken {
            self.in_message = !fin;
            if fin {
                connection.stream(false);
            }
        }
        Some(taken)
    }

    /// Nobody waits for the next frame any more. Between messages, whole ones are taken again; so
    /// they are if no frame can come any more, to say that.
    pub(super) fn leave(&mut self, connection: &Connection) {
        if connection.is_drained() && connection.check_receivable().is_err() {
            self.in_message = false;
            self.carry.clear();
        }
        // Frames that can't be taken one by one any more don't keep reading from going on.
        connection.stream(self.in_message);
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
        let joined;
        let bytes = if self.carry.is_empty() {
            payload
        } else {
            joined = [&self.carry, payload].concat();
            &joined
        };
        if !decode.unwrap_or(kind == Kind::Text) {
            let fragment = PyBytes::new_with(py, bytes.len(), |buffer| {
                buffer.copy_from_slice(bytes);
                Ok(())
            })?;
            self.carry.clear();
            return Ok(fragment.into_any());
        }
        let cut = if fin { 0 } else { cut_tail(bytes) };
        let (text, carry) = bytes.split_at(bytes.len() - cut);
        let text = PyString::from_bytes(py, text)?;
        self.carry = carry.to_vec();
        Ok(text.into_any())
    }
}
