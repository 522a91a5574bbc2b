//! Whether a program has kept its event loop from polling, so that others should get their turn.
//!
//! What never suspends, such as a loop of `recv` where messages come faster than they are handled,
//! would keep the event loop to itself for ever. Asking the clock is cheap if it is the coarse one,
//! which moves on every few milliseconds. When it has moved on, the loop is asked to call back; when
//! it has moved on again and the loop has not, it is time to suspend.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// The turns of one event loop. Used by its thread only.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// When this was looked at last, in steps of the coarse clock.
    step: AtomicI64,
    /// The loop has been asked to call back, and has not.
    asked: AtomicBool,
}

/// What to do for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the loop to call back.
    Ask,
    /// Suspend once.
    Suspend,
}

impl Turns {
    /// Whether [`Self::step`] is to be called.
    pub(super) fn is_due(&self) -> bool {
        now() != self.step.load(Ordering::Relaxed)
    }

    /// What to do, if there is something.
    pub(super) fn step(&self) -> Option<Step> {
        let now = now();
        if self.step.swap(now, Ordering::Relaxed) == now {
            return None;
        }
        let has_asked = self.asked.swap(true, Ordering::Relaxed);
        Some(if has_asked { Step::Suspend } else { Step::Ask })
    }

    /// The loop runs what is due: it has polled, or is about to.
    pub(super) fn note_polled(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }
}

/// The time in steps of the length that most systems' coarse clock has.
fn now() -> i64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec * (SECOND / STEP) + now.tv_nsec / STEP
}

const SECOND: i64 = 1_000_000_000;
/// In nanoseconds.
const STEP: i64 = 4_000_000;

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn suspends_only_where_the_loop_has_not_called_back() {
        let turns = Turns::default();
        let next = || {
            while !turns.is_due() {
                thread::sleep(Duration::from_millis(1));
            }
            turns.step()
        };
        assert_eq!(next(), Some(Step::Ask));
        assert_eq!(next(), Some(Step::Suspend));
        turns.note_polled();
        assert_eq!(next(), Some(Step::Ask));
    }
}
