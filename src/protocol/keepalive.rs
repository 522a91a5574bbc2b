//! Keepalive: when to send a Ping, and when to take the peer for dead.
//!
//! It decides, and knows no clock: the instants come in. Pings are `interval` apart, or further
//! where a Pong takes longer than that. Invariant: the peer is taken for dead only after it could
//! have been heard for the whole timeout.

use std::time::{Duration, Instant};

/// The keepalive of one connection.
#[derive(Debug)]
pub struct Keepalive {
    interval: Duration,
    timeout: Option<Duration>,
    state: State,
    /// Whether reading had paused when [`Self::step`] was last called.
    was_deaf: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Until the next Ping.
    Resting { until: Instant },
    /// A Ping was sent; `since` then, or since the peer can be heard again.
    Waiting { sent: Instant, since: Instant },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until then.
    Wait(Instant),
    /// Send a Ping, and ask again.
    Ping,
    /// Fail the connection: no Pong has come in time.
    Fail,
}

impl Keepalive {
    /// A keepalive that begins now. Without a timeout, Pings are sent whether they are answered or
    /// not.
    pub fn new(interval: Duration, timeout: Option<Duration>, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            state: State::Resting {
                until: later(now, interval),
            },
            was_deaf: false,
        }
    }

    /// What is to be done now.
    ///
    /// `is_answered` tells whether the last Ping is acknowledged, and `is_deaf` whether reading
    /// has paused, so that a Pong could not be seen.
    pub fn step(&mut self, now: Instant, is_answered: bool, is_deaf: bool) -> Step {
        let could_hear = !std::mem::replace(&mut self.was_deaf, is_deaf) && !is_deaf;
        if let State::Waiting { sent, since } = self.state {
            let Some(timeout) = self.timeout.filter(|_| !is_answered) else {
                self.state = State::Resting {
                    until: later(sent, self.interval),
                };
                return self.step(now, is_answered, is_deaf);
            };
            // If this is called much too late, the process was suspended meanwhile and could not
            // have received the Pong either.
            let is_late = now >= later(later(since, timeout), LATE);
            let since = if could_hear && !is_late { since } else { now };
            self.state = State::Waiting { sent, since };
            let deadline = later(since, timeout);
            return if now >= deadline {
                Step::Fail
            } else {
                // A Pong that has come meanwhile need not wake anyone: it is looked for when the
                // next Ping is due.
                let next = later(sent, self.interval);
                Step::Wait(if next > now {
                    next.min(deadline)
                } else {
                    deadline
                })
            };
        }
        match self.state {
            State::Resting { until } if now < until => Step::Wait(until),
            _ => {
                self.state = State::Waiting {
                    sent: now,
                    since: now,
                };
                Step::Ping
            }
        }
    }
}

/// Stands for an instant past the end of the clock: a thousand years from now.
fn later(instant: Instant, duration: Duration) -> Instant {
    const THOUSAND_YEARS: Duration = Duration::from_secs(1000 * 365 * 86_400);
    instant
        .checked_add(duration)
        .unwrap_or(instant + THOUSAND_YEARS)
}

/// A call that comes this much too late shows that the process did not run.
const LATE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pings_are_an_interval_apart_while_answered() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(20 * SECOND, Some(20 * SECOND), start);
        for round in 1..4 {
            let due = start + 20 * SECOND * round;
            let before = start + 20 * SECOND * round.saturating_sub(1) + SECOND;
            assert_eq!(keepalive.step(before, true, false), Step::Wait(due));
            assert_eq!(keepalive.step(due, true, false), Step::Ping);
            let step = keepalive.step(due, false, false);
            assert_eq!(step, Step::Wait(due + 20 * SECOND));
        }
    }

    #[test]
    fn silence_for_the_timeout_is_the_end() {
        let start = Instant::now();
        for (interval, timeout) in [(20, 5), (5, 20), (20, 20)] {
            let (interval, timeout) = (interval * SECOND, timeout * SECOND);
            let mut keepalive = Keepalive::new(interval, Some(timeout), start);
            let mut now = start + interval;
            assert_eq!(keepalive.step(now, true, false), Step::Ping);
            loop {
                match keepalive.step(now, false, false) {
                    Step::Wait(until) => now = until,
                    step => break assert_eq!(step, Step::Fail),
                }
            }
            assert_eq!(now, start + interval + timeout);
        }
    }

    #[test]
    fn late_pong_delays_the_next_ping() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(SECOND, Some(10 * SECOND), start);
        assert_eq!(keepalive.step(start + SECOND, true, false), Step::Ping);
        let now = start + 4 * SECOND;
        assert_eq!(
            keepalive.step(now, false, false),
            Step::Wait(start + 11 * SECOND)
        );
        assert_eq!(keepalive.step(now, true, false), Step::Ping);
    }

    #[test]
    fn nobody_is_dead_while_we_do_not_listen() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(SECOND, Some(SECOND), start);
        assert_eq!(keepalive.step(start + SECOND, true, false), Step::Ping);
        for second in 2..10 {
            let now = start + SECOND * second;
            assert_eq!(keepalive.step(now, false, true), Step::Wait(now + SECOND));
        }
        let now = start + 10 * SECOND;
        assert_eq!(keepalive.step(now, false, false), Step::Wait(now + SECOND));
        assert_eq!(keepalive.step(now + SECOND, false, false), Step::Fail);
    }

    #[test]
    fn nobody_is_dead_because_the_process_was_stopped() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(SECOND, Some(SECOND), start);
        assert_eq!(keepalive.step(start + SECOND, true, false), Step::Ping);
        let now = start + 60 * SECOND;
        assert_eq!(keepalive.step(now, false, false), Step::Wait(now + SECOND));
        assert_eq!(keepalive.step(now + SECOND, false, false), Step::Fail);
    }

    #[test]
    fn without_a_timeout_pings_go_on_unanswered() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(SECOND, None, start);
        for second in 1..4 {
            let now = start + SECOND * second;
            assert_eq!(keepalive.step(now, false, false), Step::Ping);
            assert_eq!(keepalive.step(now, false, false), Step::Wait(now + SECOND));
        }
    }
}
