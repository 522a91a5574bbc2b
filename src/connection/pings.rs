//! Pings of our own: sending them, what comes of them, and keepalive.
//!
//! Lock order: the pings come before the outbox, so that pings go out in the order in which they
//! are noted. Waiters are called with no lock of this file held.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
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
    random::random,
};

/// Called once: when the Pong has come, with the time since the Ping, or when none will come any
/// more. It may be called on any thread, with the reading half held, and must not wait.
pub type Waiter = Box<dyn FnOnce(Result<Duration>) + Send>;

/// The last Ping of keepalive.
#[derive(Debug, Default)]
pub(super) struct LastPing {
    number: u64,
    sent: Sent,
    /// What the stream had taken when keepalive last looked.
    taken: usize,
}

/// What a connection has for its pings.
#[derive(Debug)]
pub(super) struct Pinging {
    /// Guards the pings that wait for their Pong.
    waiting: Mutex<WaitingPings>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
}

type WaitingPings = Pings<Option<Waiter>>;

impl Pinging {
    /// Keepalive sends a Ping each `interval`, and waits `timeout` for its Pong; `None` is not at
    /// all, and for ever.
    pub(super) fn new(interval: Option<Duration>, timeout: Option<Duration>) -> Self {
        Self {
            waiting: Mutex::default(),
            interval,
            timeout,
        }
    }
}

impl Connection {
    /// The keepalive of this connection, beginning now, if it has one.
    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        let interval = self.pinging.interval?;
        let timeout = self.pinging.timeout;
        Some(Keepalive::new(interval, timeout, Instant::now()))
    }

    /// Accepts a Ping for sending, with a payload that no other ping waits for; by default, a
    /// random one. Does not write.
    pub fn ping(&self, payload: Option<Vec<u8>>, waiter: Option<Waiter>) -> Result<Sent> {
        self.send_ping(payload, waiter).map(|(_, sent)| sent)
    }

    /// Accepts a Pong that answers no Ping. Does not write.
    pub fn pong(&self, payload: &[u8]) -> Result<Sent> {
        log::trace!(logger: self.thread.logger, target: LOG, "> Pong [{} bytes]", payload.len());
        self.accept_control(Control::Pong, payload)
    }

    /// The time between the last Ping that was answered and its Pong.
    pub fn latency(&self) -> Duration {
        self.pings().latency()
    }

    /// Whether a Ping waits for its Pong, so that someone should read.
    pub(super) fn awaits_pong(&self) -> bool {
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
    pub(super) fn keep_alive(
        &self,
        keepalive: &mut Keepalive,
        last: &mut LastPing,
        stream: &Stream,
    ) -> Option<Instant> {
        loop {
            let is_answered = self.pings().is_acknowledged(last.number);
            let taken = stream.taken();
            let is_on_its_way = self.sending.written() < last.sent && last.taken != taken;
            last.taken = taken;
            let is_deaf = self.receiving.pauses() || is_on_its_way;
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
                    log::debug!(logger: self.thread.logger, target: KEEPALIVE, "sent keepalive ping");
                }
                // It may have come just now, and not have been read.
                Step::Fail if self.read_ahead() == Reading::Some => {}
                Step::Fail => {
                    log::debug!(logger: self.thread.logger, target: KEEPALIVE, "no pong has come in time");
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
                let random = random::<4>()
                    .map_err(|error| Error::io("make the payload of a ping", error))?;
                if !pings.is_waiting_for(&random) {
                    break random.to_vec();
                }
            },
        };
        log::trace!(logger: self.thread.logger, target: LOG, "> Ping [{} bytes]", payload.len());
        // It is noted before it can be answered.
        let sent = self.accept_control(Control::Ping, &payload)?;
        Ok((pings.add(payload, Instant::now(), waiter), sent))
    }

    fn pings(&self) -> MutexGuard<'_, WaitingPings> {
        self.pinging
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const DUPLICATE: &str = "already waiting for a pong with the same data";
const KEEPALIVE: &str = "websocket_rs::keepalive";
