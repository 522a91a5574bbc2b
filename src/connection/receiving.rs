//! Receiving: whoever has the reading half reads, decodes, and delivers to the inbox.
//!
//! Invariant: the one who reads deals with all that it has read, before it lets go of the half.

use std::sync::{Arc, atomic::Ordering};

use super::{Connection, LOG};
use crate::{
    error::{Error, Phase, Result},
    inbox::Batch,
    net::stream::{Halt, Patience, Stream},
    net::wait::Wait,
    protocol::{
        close::{Cause, CloseFrame, State},
        frame::Control,
        message::{Decoder, Kind, Sink},
    },
};

/// The reading half.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) stream: Arc<Stream>,
    pub(super) decoder: Decoder,
    pub(super) ciphertext: Vec<u8>,
    /// Messages are dropped from now on: the program has closed the connection and takes none.
    pub(super) discards: bool,
}

/// What came of reading once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Some bytes came, and were dealt with.
    Some,
    /// Nothing is there, or nothing more will come.
    Nothing,
    /// Another thread is reading.
    Busy,
}

impl Connection {
    /// Waits in the calling thread until a message can be taken from the inbox.
    ///
    /// What had been received when the time ran out is kept, and the next call goes on from it.
    pub fn receive(&self, wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        while !self.receive_until_signal(wait)? {
            // The half is free, so a handler may use the connection, even close it.
            (wait.interrupt)()?;
        }
        Ok(())
    }

    /// Returns whether a message can be taken; otherwise a signal has come.
    fn receive_until_signal(&self, wait: &Wait<'_>) -> Result<bool> {
        let _visit = self.attendance.enter(&self.control);
        loop {
            if !self.inbox.is_empty() {
                return Ok(true);
            }
            self.check_receivable()?;
            let Some(mut reader) = self.reader.take(wait, Phase::Receive)? else {
                return Err(self.closed());
            };
            // The connection thread may have read ahead while it had the turn.
            if !self.inbox.is_empty() {
                return Ok(true);
            }
            self.check_receivable()?;
            match self.read_once(&mut reader, Patience::Until(wait, Phase::Receive)) {
                Ok(_) | Err(Halt::WouldBlock | Halt::Failed(_)) => {}
                Err(Halt::Interrupted) => return Ok(false),
                Err(Halt::Stopped(error)) => return Err(error),
            }
            // A peer that sends without end need not complete a message.
            if self.inbox.is_empty() && self.check_receivable().is_ok() {
                wait.deadline.check(Phase::Receive)?;
            }
        }
    }

    /// Whether a message can still come; otherwise, how the connection ended.
    pub fn check_receivable(&self) -> Result<()> {
        let closing = self.closing();
        let over = match closing.state() {
            State::Open => false,
            State::Closing => {
                closing.closure().rcvd.is_some()
                    || closing.closure().cause.is_some()
                    || self.receiving_is_over.load(Ordering::SeqCst)
            }
            State::Closed => true,
        };
        if over {
            Err(Error::Closed(Box::new(closing.closure().clone())))
        } else {
            Ok(())
        }
    }

    /// Whether a read may find something though the stream has nothing.
    pub fn has_buffered(&self, stream: &Stream) -> bool {
        stream.has_buffered() || self.is_behind.load(Ordering::SeqCst)
    }

    /// Reads what there is without waiting, unless another thread is reading.
    pub fn read_ahead(&self) -> Reading {
        let Some(mut reader) = self.reader.try_take() else {
            return Reading::Busy;
        };
        self.read_once(&mut reader, Patience::None)
            .unwrap_or(Reading::Nothing)
    }

    /// Ends waiting in `receive`, though the peer has not answered the Close frame yet.
    pub fn dismiss_receivers(&self, stream: &Stream) {
        if self.receiving_is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.attendance.is_attended() {
            stream.dismiss_reader();
        }
        self.observer.arrived();
    }

    /// Reads once and deals with all that this completes.
    fn read_once(&self, reader: &mut Reader, patience: Patience<'_>) -> Result<Reading, Halt> {
        if reader.decoder.is_behind() {
            self.decode(reader);
            return Ok(Reading::Some);
        }
        let Reader {
            stream,
            decoder,
            ciphertext,
            ..
        } = reader;
        let speak = || self.write_for_tls();
        match decoder.fill(|space| stream.read(space, ciphertext, patience, &speak)) {
            Ok(0) if stream.reader_is_dismissed() => Ok(Reading::Nothing),
            Ok(0) => {
                self.end_of_stream(Cause::Eof);
                Ok(Reading::Nothing)
            }
            Ok(_) => {
                self.decode(reader);
                Ok(Reading::Some)
            }
            Err(Halt::Failed(error)) => {
                self.end_of_stream(Cause::Io(Arc::new(error)));
                Ok(Reading::Nothing)
            }
            Err(halt) => Err(halt),
        }
    }

    /// Deals with what has been read.
    pub(super) fn decode(&self, reader: &mut Reader) {
        let mut close = None;
        if self.state() != State::Open {
            self.expect_less(reader);
        }
        let (result, any) = self.inbox.deliver(|batch| {
            let result = reader.decoder.decode(&mut Delivery {
                connection: self,
                batch,
                discards: reader.discards,
                close: &mut close,
            });
            if matches!(result, Err(Cause::OutOfMemory)) {
                batch.drop_incomplete();
            }
            result
        });
        let is_behind = reader.decoder.is_behind();
        self.is_behind.store(is_behind, Ordering::SeqCst);
        if let Some(frame) = close {
            log::debug!(target: LOG, id = self.control.id; "received close frame, code {}", frame.code);
            self.close_outbox(|closing, _| closing.receive(frame));
            self.control.wake();
        }
        if let Err(cause) = result {
            self.fail(cause);
        }
        if any || self.state() != State::Open {
            self.observer.arrived();
        }
        if !self.outbox.is_empty() || reader.stream.has_outgoing() {
            self.write_now();
        }
    }

    /// Takes in less of a connection that is closing, or nothing of one that has failed.
    fn expect_less(&self, reader: &mut Reader) {
        if self.closing().closure().cause.is_some() {
            // Not even the Close frame that answers ours is processed (section 7.1.7).
            reader.decoder.finish();
        }
        // A program that has closed the connection takes little interest in further messages.
        reader.discards = reader.discards || self.inbox.pauses();
    }

    /// Fails the connection: the peer broke the protocol (RFC 6455, section 7.1.7).
    pub(super) fn fail(&self, cause: Cause) {
        log::debug!(target: LOG, id = self.control.id; "failing the connection: {cause}");
        self.close_outbox(|closing, _| closing.fail(cause));
        self.control.wake();
    }

    /// Nothing more will come.
    fn end_of_stream(&self, cause: Cause) {
        if self.close_is_agreed() {
            log::debug!(target: LOG, id = self.control.id; "end of stream");
        } else {
            log::debug!(target: LOG, id = self.control.id; "end of stream: {cause}");
        }
        self.closing().end(Some(cause));
        self.outbox.finish();
        self.observer.arrived();
        self.observer.drained();
        self.control.wake();
    }
}

/// Takes what the decoder finds to where it belongs.
struct Delivery<'a> {
    connection: &'a Connection,
    batch: &'a mut Batch,
    /// Messages are dropped.
    discards: bool,
    close: &'a mut Option<CloseFrame>,
}

impl Delivery<'_> {
    fn trace(&self, what: impl std::fmt::Debug, fin: bool, size: usize) {
        let more = if fin { "" } else { ", continued" };
        log::trace!(target: LOG, id = self.connection.control.id; "< {what:?} [{size} bytes{more}]");
    }
}

impl Sink for Delivery<'_> {
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause> {
        self.trace(kind, fin, payload.len());
        if self.discards {
            return Ok(());
        }
        self.batch.push(kind, fin, payload)
    }

    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Vec<u8>) -> Result<(), Cause> {
        self.trace(kind, fin, payload.len());
        if self.discards {
            return Ok(());
        }
        self.batch.push_large(kind, fin, payload)
    }

    fn write_message(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        if self.discards {
            return write(&mut Vec::new());
        }
        let size = self.batch.write_message(kind, write)?;
        self.trace(kind, true, size);
        Ok(())
    }

    fn is_full(&self) -> bool {
        !self.discards && self.connection.inbox.is_filled_by(self.batch)
    }

    fn ping(&mut self, payload: &[u8]) {
        self.trace(Control::Ping, true, payload.len());
        self.connection.outbox.push_pong(payload);
    }

    fn pong(&mut self, payload: &[u8]) {
        self.trace(Control::Pong, true, payload.len());
        self.connection.acknowledge(payload);
    }

    fn close(&mut self, frame: CloseFrame) {
        log::trace!(target: LOG, id = self.connection.control.id; "< Close {}", frame.code);
        *self.close = Some(frame);
    }
}
