//! Receiving: whoever holds the reading half reads, decodes, and delivers to the inbox.
//!
//! Invariant: whoever reads deals with all that it has read, before it lets go of the half.

mod batch;
mod by_loop;
mod delivery;
mod inbox;
pub mod poller;
mod readers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use self::{batch::Batch, by_loop::ByLoop, delivery::Delivery, inbox::Inbox, readers::Readers};
pub use self::{batch::Message, inbox::Marks};
use super::{
    Connection, LOG,
    buffers::{SMALL, UNUSED},
    lock::Lock,
};
use crate::{
    buffer::Buffer,
    deadline::Deadline,
    error::{Error, Phase, Result},
    net::{
        stream::{Halt, Patience, Stream},
        wait::Wait,
    },
    protocol::{
        close::{Cause, State},
        decoder::Decoder,
        message::Kind,
    },
};

/// What a connection has for receiving.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Messages received and not yet taken.
    inbox: Inbox,
    /// Who is reading.
    pub(super) readers: Readers,
    half: Lock<Reader>,
    /// The program has closed the connection and receives no more, though the peer has not
    /// answered yet.
    is_over: AtomicBool,
    /// The decoder has something that it may inflate when there is room for it.
    is_behind: AtomicBool,
    /// Whether an event loop reads.
    pub(super) by_loop: ByLoop,
}

/// The reading half.
#[derive(Debug)]
struct Reader {
    stream: Arc<Stream>,
    decoder: Decoder,
    ciphertext: Buffer,
    /// Messages are dropped from now on: the program has closed the connection and takes none.
    discards: bool,
}

impl Receiving {
    pub(super) fn new(stream: Arc<Stream>, decoder: Decoder, marks: Marks) -> Self {
        Self {
            inbox: Inbox::new(marks),
            readers: Readers::default(),
            half: Lock::new(Reader {
                stream,
                decoder,
                ciphertext: Buffer::default(),
                discards: false,
            }),
            is_over: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            by_loop: ByLoop::default(),
        }
    }

    /// Whether reading should pause, since many messages wait to be taken.
    pub(super) fn pauses(&self) -> bool {
        self.inbox.pauses()
    }

    /// Whether a batch alone is reason enough for reading to pause.
    fn is_filled_by(&self, batch: &Batch) -> bool {
        self.inbox.is_filled_by(batch)
    }

    /// Drops the reading half, now or when its holder lets go.
    pub(super) fn close(&self) {
        self.half.close();
    }
}

impl Reader {
    /// Whether its buffers have become larger than those of a new one.
    fn is_large(&self) -> bool {
        self.decoder.is_large() || self.ciphertext.capacity() > SMALL
    }

    /// Gives the buffers back that are empty.
    fn give_back(&mut self) {
        self.decoder.give_back();
        self.ciphertext.give_back();
        self.stream.give_back();
    }
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
    /// Takes the next message, if there is one and `convert` succeeds.
    ///
    /// `convert` must not call back into the connection. Returns `None` also while another thread
    /// is taking a message.
    pub fn take<R, E>(
        &self,
        convert: impl FnOnce(&Message<'_>) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        let taken = self.receiving.inbox.pop(convert)?;
        self.note_taken();
        Some(taken)
    }

    /// Takes the next frame, if there is one and `convert` succeeds; `convert` is told whether it
    /// is the last of its message.
    pub fn take_frame<R, E>(
        &self,
        convert: impl FnOnce(Kind, bool, &[u8]) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        let taken = self.receiving.inbox.pop_frame(convert)?;
        self.note_taken();
        Some(taken)
    }

    /// Whether there is nothing to take.
    pub fn is_drained(&self) -> bool {
        self.receiving.inbox.is_empty()
    }

    /// Notes whether the program takes frames, as they come, or whole messages.
    pub fn stream(&self, streaming: bool) {
        self.receiving.inbox.stream(streaming);
        self.resume_reading();
    }

    /// Notes that something has been taken out of the inbox.
    fn note_taken(&self) {
        self.receiving.readers.note_taken();
        self.resume_reading();
    }

    /// Wakes the connection thread if reading had paused and may go on.
    fn resume_reading(&self) {
        if self.receiving.inbox.resumes() {
            self.thread.wake();
        }
    }

    /// Gives the buffers back that are empty. Returns whether that is all of them.
    pub(super) fn give_receive_buffers_back(&self) -> bool {
        self.receiving.inbox.give_back();
        match self.receiving.half.try_acquire() {
            Some(mut reader) => reader.give_back(),
            // A reader that waits for long does so itself.
            None => return self.receiving.readers.are_present(),
        }
        true
    }

    /// Waits until no other thread is reading, but not for long.
    pub(super) fn wait_for_last_reader(&self) {
        let wait = Wait {
            deadline: Deadline::after(Some(LAST_READER)),
            ..Wait::FOR_EVER
        };
        // It fails if this thread itself was reading when a signal came.
        drop(self.receiving.half.acquire(&wait, Phase::Receive));
    }

    /// Decodes the frames that came in one segment with the response of the opening handshake.
    pub(super) fn decode_arrived(&self) {
        if let Some(mut reader) = self.receiving.half.try_acquire() {
            self.decode(&mut reader);
        }
    }

    /// Waits in the calling thread until a message can be taken.
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
        let _presence = self.receiving.readers.enter(&self.thread);
        loop {
            if !self.receiving.inbox.is_empty() {
                return Ok(true);
            }
            self.check_receivable()?;
            let Some(mut reader) = self.receiving.half.acquire(wait, Phase::Receive)? else {
                return Err(self.closed());
            };
            // The connection thread may have read ahead while it had the half.
            if !self.receiving.inbox.is_empty() {
                return Ok(true);
            }
            self.check_receivable()?;
            match self.read_waiting(&mut reader, wait) {
                Ok(_) | Err(Halt::WouldBlock | Halt::Failed(_)) => {}
                Err(Halt::Interrupted) => return Ok(false),
                Err(Halt::Stopped(error)) => return Err(error),
            }
            // A peer that sends without end need not complete a message.
            if self.receiving.inbox.is_empty() && self.check_receivable().is_ok() {
                wait.deadline.check(Phase::Receive)?;
            }
        }
    }

    /// Reads once, waiting for it. While nothing comes, no large buffer is held.
    fn read_waiting(&self, reader: &mut Reader, wait: &Wait<'_>) -> Result<Reading, Halt> {
        if reader.is_large() && wait.deadline.remaining().is_none_or(|left| left > UNUSED) {
            let deadline = Deadline::after(Some(UNUSED));
            let short = Wait { deadline, ..*wait };
            match self.read_once(reader, Patience::Until(&short, Phase::Receive)) {
                Err(Halt::Stopped(Error::Timeout { .. })) => reader.give_back(),
                other => return other,
            }
        }
        self.read_once(reader, Patience::Until(wait, Phase::Receive))
    }

    /// Whether a message can still come; otherwise, how the connection ended.
    pub fn check_receivable(&self) -> Result<()> {
        let closing = self.closing();
        let over = match closing.state() {
            State::Open => false,
            State::Closing => {
                closing.closure().rcvd.is_some()
                    || closing.closure().cause.is_some()
                    || self.receiving.is_over.load(Ordering::SeqCst)
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
        stream.has_buffered() || self.receiving.is_behind.load(Ordering::SeqCst)
    }

    /// Reads what there is without waiting, unless another thread is reading.
    pub fn read_ahead(&self) -> Reading {
        let Some(mut reader) = self.receiving.half.try_acquire() else {
            return Reading::Busy;
        };
        self.read_once(&mut reader, Patience::None)
            .unwrap_or(Reading::Nothing)
    }

    /// Ends waiting in `receive`, though the peer has not answered the Close frame yet.
    pub fn dismiss_receivers(&self, stream: &Stream) {
        if self.receiving.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.receiving.readers.are_present() {
            stream.dismiss_reader();
        }
        self.waker.wake_receiver();
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
        let space = match decoder.space() {
            Ok(space) => space,
            Err(cause) => {
                self.fail(cause);
                return Ok(Reading::Nothing);
            }
        };
        match stream.read(space, ciphertext, patience, &speak) {
            Ok(0) if stream.reader_is_dismissed() => Ok(Reading::Nothing),
            Ok(0) => {
                self.end_of_stream(Cause::Eof);
                Ok(Reading::Nothing)
            }
            Ok(count) => {
                self.receiving.by_loop.note_size(count);
                self.note_size(count);
                match decoder.advance(count) {
                    Ok(()) => self.decode(reader),
                    Err(cause) => self.fail(cause),
                }
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
    fn decode(&self, reader: &mut Reader) {
        let mut close = None;
        if self.state() != State::Open {
            self.expect_less(reader);
        }
        let (result, any) = self.receiving.inbox.deliver(|batch| {
            let result = reader.decoder.decode(&mut Delivery {
                connection: self,
                batch,
                discards: reader.discards,
                close: &mut close,
            });
            if matches!(result, Err(Cause::OutOfMemory)) {
                batch.drop_incomplete();
            }
            // Little that is read may inflate to much.
            self.note_size(batch.load().bytes);
            result
        });
        let is_behind = reader.decoder.is_behind();
        self.receiving.is_behind.store(is_behind, Ordering::SeqCst);
        if let Some(frame) = close {
            log::debug!(logger: self.thread.logger, target: LOG, "received close frame, code {}", frame.code);
            self.close_outbox(|closing, _| closing.receive(frame));
            self.thread.wake();
        }
        if let Err(cause) = result {
            self.fail(cause);
        }
        if any || self.state() != State::Open {
            self.waker.wake_receiver();
        }
        if self.sending.has_frames() || reader.stream.has_outgoing() {
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
        reader.discards = reader.discards || self.receiving.inbox.pauses();
    }

    /// Fails the connection: the peer broke the protocol (RFC 6455, section 7.1.7).
    pub(super) fn fail(&self, cause: Cause) {
        log::debug!(logger: self.thread.logger, target: LOG, "failing the connection: {cause}");
        self.close_outbox(|closing, _| closing.fail(cause));
        self.thread.wake();
    }

    /// Nothing more will come.
    fn end_of_stream(&self, cause: Cause) {
        // Whoever reads next meets the same end.
        if self.state() == State::Closed {
            return;
        }
        if self.close_is_agreed() {
            log::debug!(logger: self.thread.logger, target: LOG, "end of stream");
        } else {
            log::debug!(logger: self.thread.logger, target: LOG, "end of stream: {cause}");
        }
        self.closing().end(Some(cause));
        self.sending.finish();
        self.waker.wake_receiver();
        self.waker.wake_sender();
        self.thread.wake();
    }
}

/// How long a reader may take to meet the end of the stream after a write has failed.
pub(super) const LAST_READER: Duration = Duration::from_secs(1);
