//! A value that comes once, and that any number of threads may wait for.
//!
//! Waiting takes no descriptor: a program that has none left closes connections to get some back.
//! It is a system call all the same, which a signal ends.
//!
//! Invariants: the first value stays; whoever waits is woken by it, or by what ends the wait.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::{
    io::Errno,
    thread::futex::{self, Flags},
};

use super::wait::{Wait, timespec};
use crate::error::{Error, Phase, Result};

/// What has become of something, once it is known.
#[derive(Debug)]
pub struct Outcome<T> {
    /// Guards the value. Held for single operations.
    value: Mutex<Option<T>>,
    /// What threads wait on: whether the value is known, or awaited.
    state: AtomicU32,
}

impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self {
            value: Mutex::new(None),
            state: AtomicU32::new(UNKNOWN),
        }
    }
}

impl<T: Clone> Outcome<T> {
    /// Makes the value known, if there is none yet.
    pub fn set(&self, value: T) {
        self.slot().get_or_insert(value);
        if self.state.swap(KNOWN, Ordering::AcqRel) == AWAITED {
            // It fails only for an address that is none.
            let _ = futex::wake(&self.state, Flags::PRIVATE, i32::MAX.unsigned_abs());
        }
    }

    /// The value, if it is known.
    pub fn get(&self) -> Option<T> {
        self.slot().clone()
    }

    /// Waits for the value in the calling thread.
    pub fn wait(&self, wait: &Wait<'_>, phase: Phase) -> Result<T> {
        loop {
            if let Some(value) = self.get() {
                return Ok(value);
            }
            if let Err(error) = self.wait_once(wait, phase) {
                return self.get().ok_or(error);
            }
        }
    }

    fn wait_once(&self, wait: &Wait<'_>, phase: Phase) -> Result<()> {
        let left = wait.deadline.remaining().unwrap_or(LONG).min(LONG);
        let _ = self
            .state
            .compare_exchange(UNKNOWN, AWAITED, Ordering::AcqRel, Ordering::Acquire);
        match futex::wait(&self.state, Flags::PRIVATE, AWAITED, Some(&timespec(left))) {
            // It has come by now, or nothing has happened.
            Ok(()) | Err(Errno::AGAIN) => Ok(()),
            Err(Errno::TIMEDOUT) => wait.deadline.check(phase),
            Err(Errno::INTR) => (wait.interrupt)(),
            Err(error) => Err(Error::io("wait for a thread", error.into())),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither is the value known, nor does anyone wait for it.
const UNKNOWN: u32 = 0;
const AWAITED: u32 = 1;
const KNOWN: u32 = 2;
/// The kernel begins a wait without a limit anew after a signal whose handler asks for that.
const LONG: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::deadline::Deadline;

    #[test]
    fn everyone_who_waits_gets_the_first_value() {
        let outcome = Outcome::default();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| outcome.wait(&Wait::FOR_EVER, Phase::Pong)))
                .collect();
            outcome.set(1);
            outcome.set(2);
            for thread in waiting {
                assert_eq!(thread.join().unwrap().unwrap(), 1);
            }
        });
        assert_eq!(outcome.get(), Some(1));
    }

    #[test]
    fn wait_ends_at_its_deadline() {
        let outcome = Outcome::<()>::default();
        let wait = Wait {
            deadline: Deadline::after(Some(Duration::from_millis(5))),
            ..Wait::FOR_EVER
        };
        let result = outcome.wait(&wait, Phase::Close);
        assert!(matches!(result, Err(Error::Timeout { .. })));
        assert_eq!(outcome.get(), None);
    }
}
