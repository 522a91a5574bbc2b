//! Closing: the closing handshake as the program sees it, and the end.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::event::PollFlags;

use super::{Connection, LOG};
use crate::{
    deadline::Deadline,
    error::{Error, Phase, Result},
    net::{
        stream::{Patience, Stream},
        wait::{Wait, wait_ready},
        wake::Wake,
    },
    protocol::close::{ABNORMAL, Cause, CloseFrame, Closing, State},
};

/// The end of a connection.
#[derive(Debug, Default)]
pub(super) struct End {
    has_come: bool,
    waiting: Vec<Arc<Wake>>,
}

impl Connection {
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
            log::debug!(target: LOG, id = self.control.id; "closing with code {}", frame.code);
            self.write_now();
            self.control.wake();
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
            .outbox
            .close(|is_fragmented| decide(&mut self.closing(), is_fragmented));
        if let Some(frame) = &frame {
            log::trace!(target: LOG, id = self.control.id; "> Close {}", frame.code);
        }
        frame
    }

    /// Waits in the calling thread until the connection has ended and its resources are free.
    pub fn wait_ended(&self, wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        let wake = {
            let mut end = self.end_state();
            if end.has_come {
                None
            } else {
                let wake = Wake::new().map_err(|error| Error::io("make an eventfd", error))?;
                let wake = Arc::new(wake);
                end.waiting.push(Arc::clone(&wake));
                Some(wake)
            }
        };
        if let Some(wake) = wake {
            // The connection thread keeps to the deadline.
            let result = wait_ready(&wake, PollFlags::IN, wait, Phase::Close);
            self.end_state()
                .waiting
                .retain(|other| !Arc::ptr_eq(other, &wake));
            result?;
        }
        self.control.join();
        Ok(())
    }

    /// Whether the connection has ended and its resources are free.
    pub fn has_ended(&self) -> bool {
        self.end_state().has_come
    }

    /// Ends the connection and frees what it holds. Only the connection thread calls this.
    pub fn end(&self, stream: &Stream) {
        self.closing().end(None);
        self.outbox.finish();
        // A thread that is sending may have the answer to a Close frame still before it.
        let wait = Wait {
            deadline: Deadline::after(Some(LAST_WRITE)),
            ..Wait::FOR_EVER
        };
        if let Ok(Some(mut writer)) = self.writer.take(&wait, Phase::Close) {
            // It fails if the peer has gone, and then nothing is lost.
            let _ = self.write(&mut writer, Patience::None);
            writer.close_notify();
        }
        stream.shutdown();
        self.reader.retire();
        self.writer.retire();
        let closure = self.closure();
        let code = closure.rcvd.map_or(ABNORMAL, |frame| frame.code);
        log::debug!(target: LOG, id = self.control.id; "connection has ended, code {code}");
    }

    /// Tells everyone that [`Self::end`] is done and the descriptors are closed.
    pub fn announce_end(&self) {
        let mut end = self.end_state();
        end.has_come = true;
        for wake in end.waiting.drain(..) {
            wake.set();
        }
        drop(end);
        self.give_pings_up();
        self.observer.arrived();
        self.observer.drained();
        self.observer.ended();
    }

    fn end_state(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CLOSED_INSIDE: &str = "close during fragmented message";
/// How long the end of a connection waits for a thread that is sending.
const LAST_WRITE: Duration = Duration::from_millis(50);
