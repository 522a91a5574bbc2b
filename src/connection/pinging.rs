//! Pings of our own: sending them, what comes of them, and keepalive.
//!
//! Lock order: the pings come before the outbox, so that pings go out in the order in which they
//! are noted. Waiters are called with no lock of this file held.

use std::{
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Connection, LOG, receiving::Reading, sending::Sent};
use crate::{
    error::{Error, Result},
    net::stream::Stream,
    protocol::{
        close::Cause,
        frame::Control,
        keepalive::{Keepalive, Step},
        ping::Pings,
    },
};

/// Called once: when the Pong has come, with the time since the Ping, or when none will come any
/// more. It may be called on any thread, with the reading half held, and must not wait.
pub type Waiter = Box<dyn FnOnce(Result<Duration>) + Send>;

/// The last Ping of keepalive.
#[derive(Debug, Default)]
pub struct LastPing {
    number: u64,
    sent: Sent,
    /// What the stream had taken when keepalive last looked.
    taken: usize,
}

/// The pings of a connection.
pub(super) type WaitingPings = Pings<Option<Waiter>>;

impl Connection {
    /// Accepts a Ping for sending, with a payload that no other ping waits for; by default, a
    /// random one. Does not write.
    pub fn ping(&self, payload: Option<Vec<u8>>, waiter: Option<Waiter>) -> Result<Sent> {
        self.send_ping(payload, waiter).map(|(_, sent)| sent)
    }

    /// Accepts a Pong that answers no Ping. Does not write.
    pub fn pong(&self, payload: &[u8]) -> Result<Sent> {
        log::trace!(target: LOG, id = self.control.id; "> Pong [{} bytes]", payload.len());
        let pushed = self.outbox.push_control(Control::Pong, payload);
        pushed.map_err(|refusal| self.refused(refusal))
    }

    /// The time between the last Ping that was answered and its Pong.
    pub fn latency(&self) -> Duration {
        self.pings().latency()
    }

    /// Whether a Ping waits for its Pong, so that someone should read.
    pub(crate) fn awaits_pong(&self) -> bool {
        self.pings().any_waiting()
    }

    /// A Pong has come.
    pub(super) fn acknowledge(&self, payload: &[u8]) {
        let acknowledged = self.pings().acknowledge(payload, Instant::now());
        for (waiter, latency) in acknowledged {
            if let Some(waiter) = waiter {
                waiter(Ok(latency));
            }
        }
    }

    /// No Pong will come any more.
    pub(super) fn give_pings_up(&self) {
        let waiting = self.pings().give_up();
        for waiter in waiting.into_iter().flatten() {
            waiter(Err(self.closed()));
        }
    }

    /// Does what keepalive has to do now, but does not write. Returns when to call this again.
    ///
    /// A peer that takes what goes before the Ping is as alive as one that answers it.
    pub fn keep_alive(
        &self,
        keepalive: &mut Keepalive,
        last: &mut LastPing,
        stream: &Stream,
    ) -> Option<Instant> {
        loop {
            let is_answered = self.pings().is_acknowledged(last.number);
            let taken = stream.taken();
            let is_on_its_way = self.outbox.written() < last.sent && last.taken != taken;
            last.taken = taken;
            let is_deaf = self.inbox.pauses() || is_on_its_way;
            match keepalive.step(Instant::now(), is_answered, is_deaf) {
                Step::Wait(until) => return Some(until),
                Step::Ping => {
                    // It is refused only if the connection is closing.
                    let (number, sent) = self.send_ping(None, None).ok()?;
                    *last = LastPing {
                        number,
                        sent,
                        taken,
                    };
                    log::debug!(target: KEEPALIVE, id = self.control.id; "sent keepalive ping");
                }
                // It may have come just now, and not have been read.
                Step::Fail if self.read_ahead() == Reading::Some => {}
                Step::Fail => {
                    log::debug!(target: KEEPALIVE, id = self.control.id; "no pong has come in time");
                    self.fail(Cause::KeepaliveTimeout);
                    return None;
                }
            }
        }
    }

    fn send_ping(&self, payload: Option<Vec<u8>>, waiter: Option<Waiter>) -> Result<(u64, Sent)> {
        let mut pings = self.pings();
        let payload = match payload {
            Some(payload) if pings.is_waiting_for(&payload) => {
                return Err(Error::Concurrency(DUPLICATE));
            }
            Some(payload) => payload,
            None => loop {
                let random = rand::random::<[u8; 4]>();
                if !pings.is_waiting_for(&random) {
                    break random.to_vec();
                }
            },
        };
        log::trace!(target: LOG, id = self.control.id; "> Ping [{} bytes]", payload.len());
        // It is noted before it can be answered.
        let pushed = self.outbox.push_control(Control::Ping, &payload);
        let sent = pushed.map_err(|refusal| self.refused(refusal))?;
        Ok((pings.add(payload, Instant::now(), waiter), sent))
    }

    fn pings(&self) -> MutexGuard<'_, WaitingPings> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const DUPLICATE: &str = "already waiting for a pong with the same data";
const KEEPALIVE: &str = "websocket_rs::keepalive";
