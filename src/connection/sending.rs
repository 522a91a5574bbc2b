//! Sending: frames go through the outbox, and whoever has the writing half writes them.
//!
//! Invariants: frames go out whole and in the order in which they were accepted; whoever lets go
//! of the writing half looks for what others have added meanwhile.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use super::{Connection, LOG};
use crate::{
    connection::receiving::Reading,
    error::{Error, Phase, Result},
    net::stream::{Halt, Patience, Stream},
    net::wait::Wait,
    outbox::{Part, Refusal},
    protocol::{
        close::{Cause, State},
        frame::append_masked,
        message::Kind,
    },
};

/// The position of the end of a frame that was accepted, for [`Connection::write_until`].
pub type Sent = u64;

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
        if payload.len() > LARGE && !self.compresses() {
            log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
            let result = self.write_large(kind, payload, wait);
            self.write_what_was_left();
            return result;
        }
        let end = self.accept(kind, Part::Whole, payload)?;
        self.write_until(end, wait)
    }

    /// Whether messages are compressed, which takes time.
    pub fn compresses(&self) -> bool {
        self.outbox.compresses()
    }

    /// Accepts a message, or a part of one, without waiting or writing. Call
    /// [`Self::hand_over`] next.
    ///
    /// Returns whether it is the first since the program has waited for a message. Such a one is
    /// best written at once, for the sake of request and response. Those that follow are left to
    /// the connection thread, which writes many at a time.
    pub fn post(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<bool> {
        self.accept(kind, part, payload)?;
        Ok(!self.in_burst.swap(true, Ordering::Relaxed))
    }

    /// Accepts a message, or a part of one, without waiting or writing. Call
    /// [`Self::write_until`] next.
    pub fn accept(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<Sent> {
        log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
        let pushed = self.outbox.push(kind, part, payload);
        pushed.map_err(|refusal| self.refused(refusal))
    }

    /// The error of a frame that the outbox does not accept.
    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Finished => self.closed(),
            Refusal::Fragmented => Error::Concurrency(FRAGMENTED),
            Refusal::OutOfMemory => Error::OutOfMemory,
        }
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
        self.unfinished.load(Ordering::SeqCst) || self.has_untaken()
    }

    /// Whether something waits that no writer has seen yet.
    fn has_untaken(&self) -> bool {
        self.tls_has_outgoing.load(Ordering::SeqCst) || !self.outbox.is_empty()
    }

    /// Writes what the socket takes at once. Returns whether it would not take all.
    pub fn try_write(&self) -> bool {
        while let Some(mut writer) = self.writer.try_take() {
            let result = self.write(&mut writer, Patience::None);
            drop(writer);
            match result {
                Ok(()) => {}
                Err(Halt::Failed(error)) => {
                    self.write_failed(error);
                    return false;
                }
                Err(_) => return true,
            }
            // Someone may have added something and found the writing half taken.
            if !self.has_untaken() {
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

    /// Notes that TLS has something to say by itself, and says it if that needs no waiting.
    pub(super) fn write_for_tls(&self) {
        self.tls_has_outgoing.store(true, Ordering::SeqCst);
        self.write_now();
    }

    /// After the writing half is passed on: sees to what is left, also by others.
    fn write_what_was_left(&self) {
        if self.has_unwritten() {
            self.write_now();
        }
    }

    /// Writes in the calling thread, until all up to a frame that was accepted is written.
    pub fn write_until(&self, end: Sent, wait: &Wait<'_>) -> Result<()> {
        let result = self.write_waiting_until(end, wait);
        self.write_what_was_left();
        result
    }

    fn write_waiting_until(&self, end: Sent, wait: &Wait<'_>) -> Result<()> {
        while self.outbox.written() < end {
            if self.outbox.is_abandoned() {
                return Err(self.closed());
            }
            let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            let result = self.write_waiting(&mut writer, wait);
            drop(writer);
            match result {
                // What could not be written was accepted after it, such as the answer to a Close
                // frame.
                Err(Halt::Failed(error)) if self.outbox.written() >= end => {
                    self.write_failed(error);
                }
                result => self.go_on(result, wait)?,
            }
        }
        Ok(())
    }

    /// Writes all there is, waiting as long as it takes.
    fn write_waiting(&self, writer: &mut Writer, wait: &Wait<'_>) -> Result<(), Halt> {
        match self.write(writer, Patience::None) {
            Err(Halt::WouldBlock) => {
                // The peer may not read before it has been read from.
                let _absence = self.attendance.call_in_a_reader(&self.control);
                self.write(writer, Patience::Until(wait, Phase::Send))
            }
            other => other,
        }
    }

    /// Deals with what stopped a writer, who has let go of its half: a signal's handler may use
    /// the connection. Returns an error unless the writer should go on.
    fn go_on(&self, result: Result<(), Halt>, wait: &Wait<'_>) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(Halt::Interrupted) => {
                self.write_what_was_left();
                (wait.interrupt)()
            }
            Err(Halt::Stopped(error)) => Err(error),
            Err(Halt::Failed(error)) => {
                self.write_failed(error);
                Err(self.closed())
            }
            Err(Halt::WouldBlock) => unreachable!("the writer may wait"),
        }
    }

    /// Writes until nothing is left.
    pub(super) fn write(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        let result = self.write_all(writer, patience);
        self.unfinished.store(result.is_err(), Ordering::SeqCst);
        if let Err(Halt::Failed(_)) = result {
            self.abandon_writing(writer);
        }
        result
    }

    fn write_all(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        loop {
            writer.flush(patience)?;
            if writer.carries > 0 {
                let carries = std::mem::take(&mut writer.carries);
                self.outbox.note_written(carries);
                if self.outbox.pending() <= self.write_limit / 2 {
                    self.observer.drained();
                }
            }
            if writer.plaintext.is_empty() {
                self.outbox.take(&mut writer.plaintext);
                writer.carries = writer.plaintext.len();
            }
            self.tls_has_outgoing.store(false, Ordering::SeqCst);
            if writer.plaintext.is_empty() && !writer.stream.has_outgoing() {
                return Ok(());
            }
            writer.seal()?;
        }
    }

    /// Nothing more is written: neither what has begun nor what waits.
    fn abandon_writing(&self, writer: &mut Writer) {
        writer.clear();
        self.outbox.abandon();
        self.unfinished.store(false, Ordering::SeqCst);
    }

    /// Writes a message that is too large to be copied as a whole, piece by piece.
    fn write_large(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        let mut writer = loop {
            let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            // What was accepted before goes first.
            match self.write_waiting(&mut writer, wait) {
                Ok(()) => break writer,
                stopped => {
                    drop(writer);
                    self.go_on(stopped, wait)?;
                }
            }
        };
        let mask = self
            .outbox
            .header(kind, payload.len(), &mut writer.plaintext)
            .map_err(|refusal| self.refused(refusal))?;
        let mut pieces = payload.chunks(PIECE);
        let halt = loop {
            let Some(piece) = pieces.next() else {
                return Ok(());
            };
            append_masked(piece, mask, &mut writer.plaintext);
            if let Err(halt) = self.write_piece(&mut writer, wait) {
                break halt;
            }
        };
        let rest: usize = pieces.clone().map(<[u8]>::len).sum();
        if matches!(halt, Halt::Failed(_)) {
            self.abandon_writing(&mut writer);
        } else if rest > FINISHED {
            // Copying the rest would take long, and half a frame makes the connection useless.
            self.abandon_writing(&mut writer);
            let interrupted = std::io::ErrorKind::Interrupted.into();
            self.closing().fail(Cause::Io(Arc::new(interrupted)));
        } else {
            // A frame that has begun must be finished; the connection thread will see to it.
            for piece in pieces {
                append_masked(piece, mask, &mut writer.plaintext);
            }
            self.unfinished.store(true, Ordering::SeqCst);
        }
        drop(writer);
        self.control.wake();
        self.go_on(Err(halt), wait)
    }

    /// Writes a piece of a frame, waiting as long as it takes.
    fn write_piece(&self, writer: &mut Writer, wait: &Wait<'_>) -> Result<(), Halt> {
        writer.seal()?;
        match writer.flush(Patience::None) {
            Err(Halt::WouldBlock) => {}
            other => return other,
        }
        let _absence = self.attendance.call_in_a_reader(&self.control);
        loop {
            match writer.flush(Patience::Until(wait, Phase::Send)) {
                // In the middle of a frame the half cannot be let go of. A handler that sends is
                // told so by its turn.
                Err(Halt::Interrupted) => (wait.interrupt)().map_err(Halt::Stopped)?,
                other => return other,
            }
        }
    }

    /// The stream takes no more. What the peer had sent before may still say why.
    fn write_failed(&self, error: std::io::Error) {
        self.outbox.abandon();
        // Another reader is about to meet the end of the stream itself.
        for _ in 0..LAST_READS {
            match self.read_ahead() {
                Reading::Some => {}
                Reading::Nothing => break,
                Reading::Busy => thread::sleep(Duration::from_millis(1)),
            }
        }
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

    /// Forgets all that is not written.
    fn clear(&mut self) {
        self.plaintext = Vec::new();
        self.wire = Vec::new();
        self.sent = 0;
        self.carries = 0;
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

const FRAGMENTED: &str = "cannot call send while another thread is already running send";
/// A message of more bytes is written piece by piece by the thread that sends it.
const LARGE: usize = 256 * 1024;
/// The size of the pieces: a multiple of four, so that the mask begins anew with each.
const PIECE: usize = 128 * 1024;
/// How often to look for what a peer had sent before it ended the stream.
const LAST_READS: usize = 50;
/// The largest buffer that the writing half keeps.
const KEPT: usize = 512 * 1024;
/// The rest of a message that is still finished after its sender was interrupted.
const FINISHED: usize = 16 * 1024 * 1024;
