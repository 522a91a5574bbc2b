//! Closing: the closing handshake as the program sees it, and the end.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Connection, LOG};
use crate::{
    error::{Error, Phase, Result},
    net::{outcome::Outcome, stream::Stream, wait::Wait},
    protocol::close::{ABNORMAL, Cause, CloseFrame, Closing, Closure, State},
};

/// What a connection has for its end.
#[derive(Debug)]
pub(super) struct Ending {
    /// Guards the state of the closing handshake.
    handshake: Mutex<Closing>,
    /// How long the closing handshake may take; `None` is no limit.
    timeout: Option<Duration>,
    /// Known once the connection thread is done with the connection.
    ended: Outcome<()>,
}

impl Ending {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self {
            handshake: Mutex::default(),
            timeout,
            ended: Outcome::default(),
        }
    }

    /// How long the closing handshake may take; `None` is no limit.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

impl Connection {
    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.closing().state()
    }

    /// Whether the stream has failed, so that no Close frame can come or go any more.
    pub fn stream_has_failed(&self) -> bool {
        matches!(self.closing().closure().cause, Some(Cause::Io(_)))
    }

    /// Where the connection stands for the program.
    pub fn reported_state(&self) -> State {
        self.closing().reported_state()
    }

    /// How the connection has ended, or is ending.
    pub fn closure(&self) -> Closure {
        self.closing().closure().clone()
    }

    /// The error of an operation that the closed connection cannot carry out.
    pub fn closed(&self) -> Error {
        Error::Closed(Box::new(self.closure()))
    }

    /// Whether both Close frames have passed.
    pub fn close_is_agreed(&self) -> bool {
        self.closing().agreed()
    }

    pub(super) fn closing(&self) -> MutexGuard<'_, Closing> {
        self.ending
            .handshake
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the closing handshake, unless it is under way. Does not wait.
    ///
    /// Inside of a message that is being sent in fragments, it fails the connection.
    pub fn begin_close(&self, frame: CloseFrame) {
        self.close_if_open(|closing, is_fragmented| {
            if is_fragmented {
                closing.fail(Cause::UnfinishedMessage(CLOSED_INSIDE))
            } else {
                closing.begin(frame)
            }
        });
    }

    /// Fails the connection because a message that has begun can't be sent to its end.
    pub fn give_message_up(&self, why: &'static str) {
        self.close_if_open(|closing, _| closing.fail(Cause::UnfinishedMessage(why)));
    }

    /// Ends the connection at once, without the closing handshake and without what waits to be
    /// written. Does not wait.
    pub fn abort(&self) {
        let cause = Cause::Io(Arc::new(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            ABORTED,
        )));
        self.close_outbox(|closing, _| {
            if closing.agreed() {
                // It has been closed already; only its thread isn't done yet.
                None
            } else {
                closing.fail(cause)
            }
        });
        self.sending.abandon();
        log::debug!(logger: self.thread.logger, target: LOG, "aborting");
        self.thread.stop();
    }

    /// Closes an open connection, and writes the Close frame if that needs no waiting.
    fn close_if_open(&self, decide: impl FnOnce(&mut Closing, bool) -> Option<CloseFrame>) {
        let frame = self.close_outbox(|closing, is_fragmented| {
            if closing.state() == State::Open {
                decide(closing, is_fragmented)
            } else {
                None
            }
        });
        if let Some(frame) = frame {
            log::debug!(logger: self.thread.logger, target: LOG, "closing with code {}", frame.code);
            self.write_now();
            self.thread.wake();
        }
    }

    /// Sends the Close frame that `decide` gives, if it gives one, and no message any more.
    ///
    /// The state of the closing handshake and the outbox change in one step. Otherwise a message
    /// in fragments could begin between the two, or another thread shut the outbox to a Close
    /// frame that counts as sent.
    pub(super) fn close_outbox(
        &self,
        decide: impl FnOnce(&mut Closing, bool) -> Option<CloseFrame>,
    ) -> Option<CloseFrame> {
        let frame = self
            .sending
            .push_close(|is_fragmented| decide(&mut self.closing(), is_fragmented));
        if let Some(frame) = &frame {
            log::trace!(logger: self.thread.logger, target: LOG, "> Close {}", frame.code);
        }
        frame
    }

    /// Waits in the calling thread until the connection has ended and its resources are free.
    pub fn wait_ended(&self, wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        // The connection thread keeps to the close timeout.
        self.ending.ended.wait(wait, Phase::Close)?;
        self.thread.join();
        Ok(())
    }

    /// Whether the connection has ended and its resources are free.
    pub fn has_ended(&self) -> bool {
        self.ending.ended.get().is_some()
    }

    /// Ends the connection and frees what it holds. Only the connection thread calls this.
    pub(super) fn end(&self, stream: &Stream) {
        self.closing().end(None);
        self.end_sending();
        self.end_reading_by_loop();
        stream.shutdown();
        self.receiving.close();
        let closure = self.closure();
        let code = closure.rcvd.map_or(ABNORMAL, |frame| frame.code);
        log::debug!(logger: self.thread.logger, target: LOG, "connection has ended, code {code}");
    }

    /// Tells everyone that [`Self::end`] is done and the descriptors are closed.
    pub(super) fn announce_end(&self) {
        self.ending.ended.set(());
        self.give_pings_up();
        self.waker.wake_receiver();
        self.waker.wake_sender();
        self.waker.wake_closer();
    }
}

const ABORTED: &str = "the connection was aborted by this program";
const CLOSED_INSIDE: &str = "close during fragmented message";
