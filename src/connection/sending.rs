//! Sending: frames go through the outbox, and whoever has the writing half writes them.
//!
//! Invariants: frames go out whole and in the order in which they were accepted; whoever lets go
//! of the writing half looks for what others have added meanwhile.

use std::sync::{Arc, atomic::Ordering};

use super::{Connection, LOG};
use crate::{
    connection::receiving::Reading,
    error::{Phase, Result},
    net::stream::{Halt, Patience, Stream},
    net::wait::Wait,
    protocol::{
        close::{Cause, State},
        frame::append_masked,
        message::Kind,
    },
};

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<Stream>,
    /// Frames taken from the outbox, or begun by a large message, and not yet sealed.
    plaintext: Vec<u8>,
    /// What is going over the wire, of which `sent` bytes have gone.
    wire: Vec<u8>,
    sent: usize,
    /// How many bytes of the outbox the wire carries.
    carries: usize,
}

impl Connection {
    /// Sends a message from the calling thread; returns when the system has all of it.
    ///
    /// If the wait is ended early by a signal, the message is still sent as a whole; unless more
    /// than 16 MiB are left, which fails the connection.
    pub fn send(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
        if payload.len() > LARGE {
            return self.send_large(kind, payload, wait);
        }
        let end = self.outbox.push(kind, payload).map_err(|_| self.closed())?;
        while self.outbox.written() < end {
            let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            let result = self.write_waiting(&mut writer, wait);
            drop(writer);
            result?;
        }
        self.write_what_was_left();
        Ok(())
    }

    /// Accepts a message for sending, without waiting or writing. Call [`Self::hand_over`] next.
    ///
    /// Returns whether it is the first since the program has waited for a message. Such a one is
    /// best written at once, for the sake of request and response. Those that follow are left to
    /// the connection thread, which writes many at a time.
    pub fn post(&self, kind: Kind, payload: &[u8]) -> Result<bool> {
        log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
        self.outbox.push(kind, payload).map_err(|_| self.closed())?;
        Ok(!self.in_burst.swap(true, Ordering::Relaxed))
    }

    /// Sees to it that what was posted is written: at once, without waiting, or later.
    pub fn hand_over(&self, at_once: bool) {
        if at_once {
            self.write_now();
        } else {
            self.control.wake_if_asleep();
        }
    }

    /// Whether more may be posted.
    pub fn has_room(&self) -> bool {
        self.outbox.pending() <= self.write_limit
    }

    /// Fails if nothing can be sent any more.
    pub fn check_sendable(&self) -> Result<()> {
        if self.state() == State::Open {
            Ok(())
        } else {
            Err(self.closed())
        }
    }

    /// Notes that the program waits for a message, so that its next one ends the burst.
    pub fn note_waiting(&self) {
        self.in_burst.store(false, Ordering::Relaxed);
    }

    /// Whether something waits to be written.
    pub fn has_unwritten(&self) -> bool {
        self.unfinished.load(Ordering::SeqCst) || !self.outbox.is_empty()
    }

    /// Writes what the socket takes at once. Returns whether it would not take all.
    pub fn try_write(&self) -> bool {
        while let Some(mut writer) = self.writer.try_take() {
            let result = self.write(&mut writer, Patience::None);
            drop(writer);
            match result {
                Ok(()) => {}
                Err(Halt::WouldBlock | Halt::Stopped(_)) => return true,
                Err(Halt::Failed(error)) => {
                    self.write_failed(error);
                    return false;
                }
            }
            // Someone may have added to the outbox and found the writing half taken.
            if self.outbox.is_empty() {
                return false;
            }
        }
        false
    }

    /// Writes what the socket takes at once, and leaves the rest to the connection thread.
    pub(super) fn write_now(&self) {
        if self.try_write() {
            self.control.wake_if_asleep();
        }
    }

    /// Writes all there is, waiting as long as it takes.
    fn write_waiting(&self, writer: &mut Writer, wait: &Wait<'_>) -> Result<()> {
        let halt = match self.write(writer, Patience::None) {
            Err(Halt::WouldBlock) => {
                // The peer may not read before it has been read from.
                let _absence = self.attendance.call_in_a_reader(&self.control);
                self.write(writer, Patience::Until(wait, Phase::Send))
            }
            other => other,
        };
        self.resolve(halt)
    }

    /// Turns what stopped a writer into an error.
    fn resolve(&self, result: Result<(), Halt>) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(Halt::Stopped(error)) => Err(error),
            Err(Halt::Failed(error)) => {
                self.write_failed(error);
                Err(self.closed())
            }
            Err(Halt::WouldBlock) => unreachable!("the writer may wait"),
        }
    }

    /// Writes until nothing is left.
    fn write(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        let result = self.write_all(writer, patience);
        self.unfinished.store(result.is_err(), Ordering::SeqCst);
        result
    }

    fn write_all(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        loop {
            writer.flush(patience)?;
            if writer.carries > 0 {
                self.outbox
                    .note_written(std::mem::take(&mut writer.carries));
                if self.outbox.pending() <= self.write_limit / 2 {
                    self.observer.drained();
                }
            }
            if writer.plaintext.is_empty() {
                self.outbox.take(&mut writer.plaintext);
                writer.carries = writer.plaintext.len();
            }
            if writer.plaintext.is_empty() && !writer.stream.has_outgoing() {
                return Ok(());
            }
            writer.seal()?;
        }
    }

    /// Sends a message that is too large to be copied as a whole, piece by piece.
    fn send_large(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
            return Err(self.closed());
        };
        // What was accepted before goes first.
        self.write_waiting(&mut writer, wait)?;
        let mask = self
            .outbox
            .header(kind, payload.len(), &mut writer.plaintext)
            .map_err(|_| self.closed())?;
        let mut pieces = payload.chunks(PIECE);
        let mut result = Ok(());
        for piece in &mut pieces {
            append_masked(piece, mask, &mut writer.plaintext);
            result = writer.seal().and_then(|()| writer.flush(Patience::None));
            if let Err(Halt::WouldBlock) = result {
                let _absence = self.attendance.call_in_a_reader(&self.control);
                result = writer.flush(Patience::Until(wait, Phase::Send));
            }
            if result.is_err() {
                break;
            }
        }
        let rest: usize = pieces.clone().map(<[u8]>::len).sum();
        if result.is_err() && rest > FINISHED {
            // Copying the rest would take long, and half a frame makes the connection useless.
            drop(writer);
            self.write_failed(std::io::ErrorKind::Interrupted.into());
        } else if let Err(Halt::Stopped(_)) = result {
            // A frame that has begun must be finished; the connection thread will see to it.
            for piece in pieces {
                append_masked(piece, mask, &mut writer.plaintext);
            }
            self.unfinished.store(true, Ordering::SeqCst);
            drop(writer);
            self.control.wake();
        } else {
            drop(writer);
        }
        let result = self.resolve(result);
        self.write_what_was_left();
        result
    }

    /// After the writing half is passed on: sees to what others have added meanwhile.
    fn write_what_was_left(&self) {
        if !self.outbox.is_empty() {
            self.write_now();
        }
    }

    /// The stream takes no more. What the peer had sent before may still say why.
    pub(super) fn write_failed(&self, error: std::io::Error) {
        self.outbox.finish();
        while self.read_ahead() == Reading::Some {}
        let mut closing = self.closing();
        if closing.closure().rcvd.is_none() {
            closing.fail(Cause::Io(Arc::new(error)));
        }
        drop(closing);
        self.observer.arrived();
        self.observer.drained();
        self.control.wake();
    }
}

impl Writer {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            plaintext: Vec::new(),
            wire: Vec::new(),
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

    /// Makes ciphertext, or the frames as they are, out of what is to be written next.
    fn seal(&mut self) -> Result<(), Halt> {
        self.stream.seal(&mut self.plaintext, &mut self.wire)
    }

    /// Writes the wire buffer until it is empty.
    fn flush(&mut self, patience: Patience<'_>) -> Result<(), Halt> {
        while self.sent < self.wire.len() {
            self.sent += self.stream.send(&self.wire[self.sent..], patience)?;
        }
        self.sent = 0;
        self.wire.clear();
        // A large message must not be paid for until the end of the connection.
        for buffer in [&mut self.wire, &mut self.plaintext] {
            if buffer.is_empty() && buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }
}

/// A message of more bytes is written piece by piece by the thread that sends it.
const LARGE: usize = 256 * 1024;
/// The size of the pieces: a multiple of four, so that the mask begins anew with each.
const PIECE: usize = 128 * 1024;
/// The largest buffer that the writing half keeps.
const KEPT: usize = 512 * 1024;
/// The rest of a message that is still finished after its sender was interrupted.
const FINISHED: usize = 16 * 1024 * 1024;
