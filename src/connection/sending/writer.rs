//! The writing half: what is going over the wire.
//!
//! Must not know what the bytes mean. Invariants: bytes go out whole and in order; buffers that a
//! large message has made large are given back once they are empty.

use std::sync::Arc;

use crate::{
    buffer::Buffer,
    net::stream::{Halt, Patience, Stream},
};

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<Stream>,
    /// Frames taken from the outbox, or begun by a large message, and not yet sealed.
    pub(super) plaintext: Buffer,
    /// What is going over the wire, of which `sent` bytes have gone.
    wire: Buffer,
    sent: usize,
    /// How many bytes of the outbox the wire carries.
    pub(super) carries: usize,
}

impl Writer {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            plaintext: Buffer::default(),
            wire: Buffer::default(),
            sent: 0,
            carries: 0,
        }
    }

    /// Says goodbye in TLS; but only between records, not into the middle of one.
    pub(super) fn close_notify(&self) {
        if self.sent == self.wire.len() {
            self.stream.close_notify();
        }
    }

    /// Whether TLS has something to say by itself.
    pub(super) fn has_outgoing(&self) -> bool {
        self.stream.has_outgoing()
    }

    /// Makes ciphertext, or the frames as they are, out of what is to be written next.
    pub(super) fn seal(&mut self) -> Result<(), Halt> {
        self.stream.seal(&mut self.plaintext, &mut self.wire)
    }

    /// Gives the buffers back that are empty.
    pub(super) fn give_back(&mut self) {
        self.wire.give_back();
        self.plaintext.give_back();
    }

    /// Forgets all that is not written.
    pub(super) fn clear(&mut self) {
        self.plaintext = Buffer::default();
        self.wire = Buffer::default();
        self.sent = 0;
        self.carries = 0;
    }

    /// Writes the wire buffer until it is empty.
    pub(super) fn flush(&mut self, patience: Patience<'_>) -> Result<(), Halt> {
        while self.sent < self.wire.len() {
            self.sent += self.stream.send(&self.wire[self.sent..], patience)?;
        }
        self.sent = 0;
        self.wire.clear();
        // A large message must not be paid for until the end of the connection.
        for buffer in [&mut self.wire, &mut self.plaintext] {
            if buffer.capacity() > KEPT {
                buffer.give_back();
            }
        }
        Ok(())
    }
}

/// The largest buffer that the writing half keeps.
const KEPT: usize = 2 * 1024 * 1024;
