//! Pings that wait for their Pong (RFC 6455, sections 5.5.2 and 5.5.3).
//!
//! Knows no clock: the instants come in. Invariants: no two pings that wait have the same
//! payload; a Pong acknowledges its ping and all earlier ones, since a peer may answer the
//! latest only; a Pong that nobody waits for changes nothing.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

/// The pings of one connection. `T` is whatever waits for a Pong.
pub struct Pings<T> {
    waiting: VecDeque<Ping<T>>,
    /// How many pings were sent, and how many of them are acknowledged.
    sent: u64,
    acknowledged: u64,
    latency: Duration,
}

struct Ping<T> {
    payload: Vec<u8>,
    sent_at: Instant,
    waiter: T,
}

impl<T> Default for Pings<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: 0,
            acknowledged: 0,
            latency: Duration::ZERO,
        }
    }
}

impl<T> Pings<T> {
    /// Whether a ping with this payload waits.
    pub fn is_waiting_for(&self, payload: &[u8]) -> bool {
        self.waiting.iter().any(|ping| ping.payload == payload)
    }

    /// Notes a ping that is sent now. Its payload is one that none waits for. Returns its number.
    pub fn add(&mut self, payload: Vec<u8>, now: Instant, waiter: T) -> u64 {
        self.waiting.push_back(Ping {
            payload,
            sent_at: now,
            waiter,
        });
        self.sent += 1;
        self.sent
    }

    /// A Pong has come. Returns whoever waited for it or for an earlier one, each with the time
    /// since its ping.
    pub fn acknowledge(&mut self, payload: &[u8], now: Instant) -> Vec<(T, Duration)> {
        let Some(last) = self.waiting.iter().position(|ping| ping.payload == payload) else {
            return Vec::new();
        };
        let acknowledged: Vec<_> = self
            .waiting
            .drain(..=last)
            .map(|ping| (ping.waiter, now.saturating_duration_since(ping.sent_at)))
            .collect();
        self.acknowledged += acknowledged.len() as u64;
        if let Some((_, latency)) = acknowledged.last() {
            self.latency = *latency;
        }
        acknowledged
    }

    /// Whether the ping with this number is acknowledged.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        number <= self.acknowledged
    }

    /// Whether any ping waits.
    pub fn any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The time between the last ping that was acknowledged and its Pong; zero before the first.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// No Pong will come any more. Returns whoever waits.
    pub fn give_up(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|ping| ping.waiter).collect()
    }
}

impl<T> fmt::Debug for Pings<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pings")
            .field("waiting", &self.waiting.len())
            .field("latency", &self.latency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pong_acknowledges_its_ping_and_earlier_ones() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pings = Pings::default();
        for (number, payload) in [b"a", b"b", b"c"].iter().enumerate() {
            pings.add(payload.to_vec(), at(number as u64), number);
        }
        assert!(pings.is_waiting_for(b"b"));
        assert!(pings.acknowledge(b"unknown", at(5)).is_empty());
        assert_eq!(
            pings.acknowledge(b"b", at(11)),
            [
                (0, Duration::from_millis(11)),
                (1, Duration::from_millis(10))
            ]
        );
        assert_eq!(pings.latency(), Duration::from_millis(10));
        assert!(pings.is_acknowledged(2) && !pings.is_acknowledged(3));
        assert!(pings.acknowledge(b"a", at(12)).is_empty());
        assert_eq!(pings.give_up(), [2]);
        assert!(!pings.any_waiting());
    }
}
