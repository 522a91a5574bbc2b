//! Messages that are sent in fragments: which objects are fragments of one message.

use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    types::{PyIterator, PyMapping},
};

use super::convert::Outgoing;
use crate::protocol::message::{Kind, Part};

/// The fragments of a message, out of an iterable.
pub(super) struct Fragments<'py> {
    items: Bound<'py, PyIterator>,
    text: Option<bool>,
    /// The type of the first item: whether it is `str`, and what the message carries.
    first: Option<(bool, Kind)>,
}

impl<'py> Fragments<'py> {
    /// Raises `TypeError` if the object is not an iterable, or is one of keys.
    pub(super) fn new(message: &Bound<'py, PyAny>, text: Option<bool>) -> PyResult<Self> {
        refuse_mapping(message)?;
        let items = message
            .try_iter()
            .map_err(|_| wrong_type(message, "str, bytes, or iterable"))?;
        Ok(Self {
            items,
            text,
            first: None,
        })
    }

    /// Passes each fragment to `send`, and an empty one for the end of the message. An iterable
    /// without items is no message.
    pub(super) fn each(
        mut self,
        mut send: impl FnMut(Kind, Part, &[u8]) -> PyResult<()>,
    ) -> PyResult<()> {
        let mut part = Part::First;
        while let Some(item) = self.items.next() {
            let item = item?;
            let outgoing = self.convert(&item)?;
            let (kind, payload) = outgoing.parts();
            send(kind, part, payload)?;
            part = Part::Next;
        }
        match self.first {
            Some((_, kind)) => send(kind, Part::Last, &[]),
            None => Ok(()),
        }
    }

    fn convert<'a>(&mut self, item: &'a Bound<'py, PyAny>) -> PyResult<Outgoing<'a>> {
        let first_is_text = self.first.map(|(is_text, _)| is_text);
        let (is_text, outgoing) = fragment(item, self.text, first_is_text)?;
        let kind = outgoing.parts().0;
        self.first.get_or_insert((is_text, kind));
        Ok(outgoing)
    }
}

/// Checks what the asyncio client is to send in fragments, as [`Fragments::new`] does; it may be
/// asynchronous there.
pub(super) fn check(message: &Bound<'_, PyAny>) -> PyResult<()> {
    refuse_mapping(message)?;
    let (py, kind) = (message.py(), message.get_type());
    if kind.hasattr(intern!(py, "__iter__"))? || kind.hasattr(intern!(py, "__aiter__"))? {
        return Ok(());
    }
    Err(wrong_type(
        message,
        "str, bytes, iterable, or async iterable",
    ))
}

/// An iterable of keys is surely a mistake.
fn refuse_mapping(message: &Bound<'_, PyAny>) -> PyResult<()> {
    if message.cast::<PyMapping>().is_ok() {
        return Err(PyTypeError::new_err("data is a dict-like object"));
    }
    Ok(())
}

fn wrong_type(message: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let name = message.get_type().name();
    let name = name.map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("data must be {expected}, not {name}"))
}

/// One fragment, and whether it is a `str`; the first one of its message was, if `first_is_text`.
///
/// Raises `TypeError` for what can't be a fragment, or not one of this message.
pub(super) fn fragment<'a>(
    item: &'a Bound<'_, PyAny>,
    text: Option<bool>,
    first_is_text: Option<bool>,
) -> PyResult<(bool, Outgoing<'a>)> {
    let Some((is_text, outgoing)) = Outgoing::fragment(item, text)? else {
        return Err(PyTypeError::new_err("iterable must contain bytes or str"));
    };
    if first_is_text.is_some_and(|first_is_text| first_is_text != is_text) {
        return Err(PyTypeError::new_err("iterable must contain uniform types"));
    }
    Ok((is_text, outgoing))
}
