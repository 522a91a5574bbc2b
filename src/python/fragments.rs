//! Messages that the sync face sends in fragments.

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyIterator, PyMapping},
};

use super::convert::Outgoing;
use crate::{outbox::Part, protocol::message::Kind};

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
        if message.cast::<PyMapping>().is_ok() {
            return Err(PyTypeError::new_err("data is a dict-like object"));
        }
        let items = message.try_iter().map_err(|_| {
            let name = message.get_type().name();
            let name = name.map_or_else(|_| "?".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("data must be str, bytes, or iterable, not {name}"))
        })?;
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
        let Some((is_text, outgoing)) = Outgoing::fragment(item, self.text)? else {
            return Err(PyTypeError::new_err("iterable must contain bytes or str"));
        };
        match self.first {
            None => self.first = Some((is_text, outgoing.parts().0)),
            Some((first_is_text, _)) if first_is_text == is_text => {}
            Some(_) => return Err(PyTypeError::new_err("iterable must contain uniform types")),
        }
        Ok(outgoing)
    }
}
