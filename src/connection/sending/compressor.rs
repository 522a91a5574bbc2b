//! Compression of what is sent: which messages are worth it, and one context for all of them.
//!
//! Invariant: what has been compressed is sent, or the context begins anew; the server would not
//! have seen it otherwise.

use std::collections::TryReserveError;

use crate::protocol::{
    deflate::{Backoff, Deflater},
    message::{Kind, Part},
};

/// Compresses the messages of one connection, in the order in which they are sent.
#[derive(Debug)]
pub(super) struct Compressor {
    deflater: Deflater,
    /// Text that compresses well must not be left alone for the sake of other messages.
    text: Backoff,
    binary: Backoff,
    /// Whether the message that is being sent in fragments is compressed.
    in_message: bool,
    /// What the last part has become.
    output: Vec<u8>,
}

impl Compressor {
    /// A compressor that has seen nothing yet.
    pub(super) fn new(deflater: Deflater) -> Self {
        Self {
            deflater,
            text: Backoff::default(),
            binary: Backoff::default(),
            in_message: false,
            output: Vec::new(),
        }
    }

    /// Compresses a part of a message. Returns whether [`Self::output`] is what to send.
    pub(super) fn compress(
        &mut self,
        kind: Kind,
        part: Part,
        payload: &[u8],
    ) -> Result<bool, TryReserveError> {
        let output = &mut self.output;
        match part {
            Part::Whole => {
                let backoff = match kind {
                    Kind::Text => &mut self.text,
                    Kind::Binary => &mut self.binary,
                };
                if !self.deflater.suits(payload) || backoff.skips() {
                    return Ok(false);
                }
                let is_smaller = self.deflater.deflate(payload, output)?;
                backoff.note(is_smaller);
                return Ok(is_smaller);
            }
            Part::First => self.in_message = self.deflater.suits(payload),
            Part::Next | Part::Last => {}
        }
        if self.in_message {
            let fin = part == Part::Last;
            self.deflater.deflate_fragment(payload, fin, output)?;
        }
        Ok(self.in_message)
    }

    /// Makes room for the next output. A large message must not be paid for until the end.
    pub(super) fn clear(&mut self) {
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
    }

    /// Gives the buffer back that is empty.
    pub(super) fn give_back(&mut self) {
        self.output = Vec::new();
    }

    /// What the last part has become.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Begins a new context, since the server does not see what was compressed last.
    pub(super) fn reset(&mut self) {
        self.deflater.reset();
    }
}

/// The largest buffer that is kept.
const KEPT: usize = 256 * 1024;
