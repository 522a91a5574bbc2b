//! Timeouts come in, deadlines go down.
//!
//! A user gives a timeout (a duration); it becomes a [`Deadline`] (an instant) once, at the edge,
//! and every wait below takes the instant. So no number of small steps can stretch a call. The
//! clock is monotonic: changes of the system time do not matter.

use std::time::{Duration, Instant};

use crate::error::{Error, Phase, Result};

/// The instant at which a call gives up, or never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadline {
    at: Option<Instant>,
    timeout: Duration,
}

impl Deadline {
    /// A deadline that never comes.
    pub const NEVER: Self = Self {
        at: None,
        timeout: Duration::MAX,
    };

    /// The deadline for a call that starts now. `None` waits for ever.
    pub fn after(timeout: Option<Duration>) -> Self {
        Self::started(timeout, Duration::ZERO)
    }

    /// The deadline for a call of which earlier attempts have used `elapsed` already.
    /// Its error names the whole timeout.
    pub fn started(timeout: Option<Duration>, elapsed: Duration) -> Self {
        match timeout {
            Some(timeout) => Self {
                // A timeout past the end of the clock is the same as none.
                at: Instant::now().checked_add(timeout.saturating_sub(elapsed)),
                timeout,
            },
            None => Self::NEVER,
        }
    }

    /// The time left, zero once the deadline has passed; `None` if it never comes.
    pub fn remaining(&self) -> Option<Duration> {
        self.at
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether the deadline has passed.
    pub fn passed(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// The instant itself; `None` if it never comes.
    pub fn instant(&self) -> Option<Instant> {
        self.at
    }

    /// The error of a phase that outlasted this deadline.
    pub fn error(&self, phase: Phase) -> Error {
        Error::Timeout {
            phase,
            seconds: self.timeout.as_secs_f64(),
        }
    }

    /// Fails if the deadline has passed.
    pub fn check(&self, phase: Phase) -> Result<()> {
        if self.passed() {
            Err(self.error(phase))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_has_no_remaining_time_and_does_not_pass() {
        assert_eq!(Deadline::after(None).remaining(), None);
        assert!(!Deadline::NEVER.passed());
    }

    #[test]
    fn zero_has_passed_at_once() {
        let deadline = Deadline::after(Some(Duration::ZERO));
        assert!(deadline.passed());
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    }

    #[test]
    fn elapsed_time_counts_but_is_not_told() {
        let second = Duration::from_secs(1);
        let deadline = Deadline::started(Some(60 * second), 20 * second);
        assert!(deadline.remaining().unwrap() <= 40 * second);
        assert!(deadline.remaining().unwrap() > 39 * second);
        let deadline = Deadline::started(Some(second), Duration::MAX);
        assert!(deadline.passed());
        assert_eq!(
            deadline.error(Phase::Connect).to_string(),
            "timed out in connecting after 1 s"
        );
        assert_eq!(Deadline::started(None, Duration::MAX), Deadline::NEVER);
    }

    #[test]
    fn a_timeout_past_the_end_of_the_clock_never_passes() {
        assert_eq!(Deadline::after(Some(Duration::MAX)).remaining(), None);
    }
}
