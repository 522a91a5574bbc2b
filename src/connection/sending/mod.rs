//! Sending: frames go through the outbox, and whoever holds the writing half writes them.
//!
//! Invariants: frames go out whole and in the order in which they were accepted; whoever lets go
//! of the writing half looks for what others have added meanwhile.

mod compressor;
mod large;
mod outbox;
mod writer;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use self::{
    outbox::{Outbox, Refusal},
    writer::Writer,
};
use super::{
    Connection, LOG,
    lock::Lock,
    receiving::{LAST_READER, Reading},
};
use crate::{
    deadline::Deadline,
    error::{Error, Phase, Result},
    net::{
        stream::{Halt, Patience, Stream},
        wait::Wait,
    },
    protocol::{
        close::{Cause, CloseFrame, State},
        deflate::Deflater,
        frame::Control,
        message::{Kind, Part},
    },
};

/// The position of the end of a frame that was accepted, for [`Connection::write_until`].
pub type Sent = u64;

/// What a connection has for sending.
#[derive(Debug)]
pub(super) struct Sending {
    /// Frames accepted and not yet written.
    outbox: Outbox,
    half: Lock<Writer>,
    /// How many bytes may wait to be written before senders wait.
    limit: usize,
    /// Guards why a write has failed, until the connection has failed by it.
    failure: Mutex<Option<Failure>>,
    /// When the last message was posted, in nanoseconds of the monotonic clock; 0 if the program has
    /// waited for one since.
    posted: AtomicI64,
    /// The writing half holds something that the socket would not take.
    unfinished: AtomicBool,
    /// The TLS session has made something to send that no writer has seen yet.
    tls_has_outgoing: AtomicBool,
}

/// A write that has failed.
#[derive(Debug)]
struct Failure {
    error: io::Error,
    since: Instant,
}

impl Sending {
    /// Fails if the system has no randomness for the masking keys.
    pub(super) fn new(
        stream: Arc<Stream>,
        deflater: Option<Deflater>,
        limit: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            outbox: Outbox::new(deflater)?,
            half: Lock::new(Writer::new(stream)),
            limit,
            failure: Mutex::new(None),
            posted: AtomicI64::new(0),
            unfinished: AtomicBool::new(false),
            tls_has_outgoing: AtomicBool::new(false),
        })
    }

    /// Accepts the answer to a Ping.
    pub(super) fn push_pong(&self, payload: &[u8]) {
        self.outbox.push_pong(payload);
    }

    /// Accepts the Close frame that `decide` gives, if it gives one, and no message any more.
    pub(super) fn push_close(
        &self,
        decide: impl FnOnce(bool) -> Option<CloseFrame>,
    ) -> Option<CloseFrame> {
        self.outbox.close(decide)
    }

    /// Drops what waits to be written.
    pub(super) fn abandon(&self) {
        self.outbox.abandon();
    }

    /// Accepts nothing any more.
    pub(super) fn finish(&self) {
        self.outbox.finish();
    }

    /// Whether frames wait that no writer has taken.
    pub(super) fn has_frames(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The position up to which all is written.
    pub(super) fn written(&self) -> Sent {
        self.outbox.written()
    }
}

impl Connection {
    /// Sends a message from the calling thread; returns when the system has all of it.
    ///
    /// If the wait is ended early by a signal, the message is still sent as a whole; unless more
    /// than 16 MiB are left, which fails the connection.
    pub fn send(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        if payload.len() > LARGE && !self.compresses() {
            log::trace!(logger: self.thread.logger, target: LOG, "> {kind:?} [{} bytes]", payload.len());
            let result = self.write_large(kind, payload, wait);
            self.write_what_was_left();
            return result;
        }
        let end = self.accept(kind, Part::Whole, payload)?;
        self.write_until(end, wait)
    }

    /// Sends a message from the calling thread as far as that needs no waiting. If the system does
    /// not have all of it, the position is returned that [`Self::write_until`] is to wait for.
    pub fn try_send(&self, kind: Kind, payload: &[u8]) -> Result<Option<Sent>> {
        self.check_process()?;
        let end = self.accept(kind, Part::Whole, payload)?;
        self.try_write();
        Ok((self.sending.outbox.written() < end).then_some(end))
    }

    /// Whether messages are compressed, which takes time.
    pub fn compresses(&self) -> bool {
        self.sending.outbox.compresses()
    }

    /// Accepts a message, or a part of one, without waiting or writing. Call
    /// [`Self::hand_over`] next.
    ///
    /// Returns whether it is the first since the program has waited for a message, or has not sent
    /// for a while. Such a one is best written at once: that costs less than to wake the connection
    /// thread. Those that follow closely are left to it, which writes many at a time.
    pub fn post(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<bool> {
        self.accept(kind, part, payload)?;
        let now = clock_gettime(ClockId::Monotonic);
        let now = now
            .tv_sec
            .wrapping_mul(1_000_000_000)
            .wrapping_add(now.tv_nsec);
        let pause = now.wrapping_sub(self.sending.posted.swap(now, Ordering::Relaxed));
        Ok(pause > PAUSE)
    }

    /// Accepts a message, or a part of one, without waiting or writing. Call
    /// [`Self::write_until`] next.
    pub fn accept(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<Sent> {
        log::trace!(logger: self.thread.logger, target: LOG, "> {kind:?} [{} bytes]", payload.len());
        let pushed = self.sending.outbox.push(kind, part, payload);
        pushed.map_err(|refusal| self.refused(refusal))
    }

    /// Accepts a Ping, or a Pong that answers none, without waiting or writing.
    pub(super) fn accept_control(&self, control: Control, payload: &[u8]) -> Result<Sent> {
        let pushed = self.sending.outbox.push_control(control, payload);
        pushed.map_err(|refusal| self.refused(refusal))
    }

    /// The error of a frame that the outbox does not accept.
    fn refused(&self, refusal: Refusal) -> Error {
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
            self.thread.wake_if_asleep();
        }
    }

    /// Whether more may be posted.
    pub fn has_room(&self) -> bool {
        self.sending.outbox.pending() <= self.sending.limit
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
        self.sending.posted.store(0, Ordering::Relaxed);
    }

    /// Whether something waits to be written.
    pub fn has_unwritten(&self) -> bool {
        self.sending.unfinished.load(Ordering::SeqCst) || self.has_untaken()
    }

    /// Whether something waits that no writer has seen yet.
    fn has_untaken(&self) -> bool {
        self.sending.tls_has_outgoing.load(Ordering::SeqCst) || !self.sending.outbox.is_empty()
    }

    /// Writes what the socket takes at once. Returns whether it would not take all.
    pub fn try_write(&self) -> bool {
        while let Some(mut writer) = self.sending.half.try_acquire() {
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
            self.thread.wake_if_asleep();
        }
    }

    /// Notes that TLS has something to say by itself, and says it if that needs no waiting.
    pub(super) fn write_for_tls(&self) {
        self.sending.tls_has_outgoing.store(true, Ordering::SeqCst);
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
        while self.sending.outbox.written() < end {
            if self.sending.outbox.is_abandoned() {
                return Err(self.failed_write());
            }
            let Some(mut writer) = self.sending.half.acquire(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            let result = self.write_waiting(&mut writer, wait);
            drop(writer);
            match result {
                // The frame itself has been written. What failed came after it, such as the answer
                // to a Close frame.
                Err(Halt::Failed(error)) if self.sending.outbox.written() >= end => {
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
            Err(Halt::WouldBlock) => self.write_on(wait, |wait| {
                self.write(writer, Patience::Until(wait, Phase::Send))
            }),
            other => other,
        }
    }

    /// Goes on with what the socket would not take at once.
    ///
    /// The peer may not read before it has been read from, so the connection thread reads if nobody
    /// else does. But mostly the peer just needs a moment, in which that would be a waste.
    fn write_on(
        &self,
        wait: &Wait<'_>,
        mut write: impl FnMut(&Wait<'_>) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        if wait.deadline.remaining().is_none_or(|left| left > MOMENT) {
            let deadline = Deadline::after(Some(MOMENT));
            match write(&Wait { deadline, ..*wait }) {
                Err(Halt::Stopped(Error::Timeout { .. })) => {}
                other => return other,
            }
        }
        let _request = self.receiving.readers.request(&self.thread);
        write(wait)
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
                Err(self.failed_write())
            }
            Err(Halt::WouldBlock) => unreachable!("the writer may wait"),
        }
    }

    /// The error of an operation whose write has failed, which another thread that reads may have
    /// to learn before.
    fn failed_write(&self) -> Error {
        self.wait_for_last_reader();
        self.finish_failed_write();
        self.closed()
    }

    /// Writes until nothing is left.
    fn write(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        let result = self.write_all(writer, patience);
        self.sending
            .unfinished
            .store(result.is_err(), Ordering::SeqCst);
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
                self.sending.outbox.note_written(carries);
                if self.sending.outbox.pending() <= self.sending.limit / 2 {
                    self.waker.wake_sender();
                }
            }
            if writer.plaintext.is_empty() {
                self.sending.outbox.take(&mut writer.plaintext);
                writer.carries = writer.plaintext.len();
            }
            self.sending.tls_has_outgoing.store(false, Ordering::SeqCst);
            if writer.plaintext.is_empty() && !writer.has_outgoing() {
                return Ok(());
            }
            self.note_size(writer.plaintext.len());
            writer.seal()?;
        }
    }

    /// Gives the buffers back that are empty. Returns whether that is all of them.
    pub(super) fn give_send_buffers_back(&self) -> bool {
        self.sending.outbox.give_back();
        let writer = self.sending.half.try_acquire();
        writer.map(|mut writer| writer.give_back()).is_some()
    }

    /// Nothing more is written: neither what has begun nor what waits.
    fn abandon_writing(&self, writer: &mut Writer) {
        writer.clear();
        self.sending.outbox.abandon();
        self.sending.unfinished.store(false, Ordering::SeqCst);
    }

    /// Writes what is left at the end of the connection, and drops the writing half.
    pub(super) fn end_sending(&self) {
        self.sending.finish();
        // A thread that is sending may have the answer to a Close frame still before it.
        let wait = Wait {
            deadline: Deadline::after(Some(LAST_WRITE)),
            ..Wait::FOR_EVER
        };
        if let Ok(Some(mut writer)) = self.sending.half.acquire(&wait, Phase::Close) {
            // It fails if the peer has gone, and then nothing is lost.
            let _ = self.write(&mut writer, Patience::None);
            writer.close_notify();
        }
        self.sending.half.close();
    }

    /// The stream takes no more. What the peer had sent before may still say why.
    fn write_failed(&self, error: io::Error) {
        self.sending.outbox.abandon();
        let since = Instant::now();
        self.failure().get_or_insert(Failure { error, since });
        if self.finish_failed_write() {
            self.thread.wake();
        }
    }

    /// Fails the connection after a write has failed and all that had come before has been read.
    /// Returns whether another thread is reading, so that this is to be called again.
    pub(super) fn finish_failed_write(&self) -> bool {
        let Some(failure) = self.failure().take() else {
            return false;
        };
        for _ in 0..LAST_READS {
            match self.read_ahead() {
                Reading::Some => {}
                // It is about to meet the end of the stream itself, unless it is stuck.
                Reading::Busy if failure.since.elapsed() < LAST_READER => {
                    self.failure().get_or_insert(failure);
                    return true;
                }
                Reading::Nothing | Reading::Busy => break,
            }
        }
        let mut closing = self.closing();
        if closing.closure().rcvd.is_none() {
            closing.fail(Cause::Io(Arc::new(failure.error)));
        }
        drop(closing);
        self.waker.wake_receiver();
        self.waker.wake_sender();
        self.thread.wake();
        false
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.sending
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const FRAGMENTED: &str = "cannot call send while another thread is already running send";
/// A message of more bytes is written piece by piece by the thread that sends it.
const LARGE: usize = 256 * 1024;
/// Messages that are posted so many nanoseconds apart don't make a burst.
const PAUSE: i64 = 50_000;
/// How long a peer that reads may need to make room.
const MOMENT: Duration = Duration::from_millis(5);
/// How often to look for what a peer had sent before it ended the stream.
const LAST_READS: usize = 50;
/// How long the end of a connection waits for a thread that is sending.
const LAST_WRITE: Duration = Duration::from_millis(50);
