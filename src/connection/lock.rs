//! A lock whose wait obeys a deadline and Ctrl-C, and which can be closed for good.
//!
//! A [`Lock`] guards each half of a connection: whoever reads has acquired the reading half, whoever
//! writes the writing half, and nobody needs both. The holder may wait on the network for ever, so
//! waiting for the lock must be as interruptible as waiting for the network; the locks of the
//! standard library are not. Closing a lock drops its value, and with it its share of the file
//! descriptors, as soon as the holder lets go.

use std::{
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use crate::{
    error::{Error, Phase, Result},
    net::wait::Wait,
};

/// A value, such as one half of a connection, that one thread at a time may hold.
#[derive(Debug)]
pub(super) struct Lock<T> {
    /// Guards only the handing over; never held while waiting for anything else.
    slot: Mutex<Slot<T>>,
    freed: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<Box<T>>,
    /// Who took the value last.
    holder: Option<ThreadId>,
    waiting: usize,
    closed: bool,
}

/// The value while it is held. Dropping the guard passes the lock on.
#[derive(Debug)]
pub(super) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    value: Option<Box<T>>,
}

impl<T> Lock<T> {
    /// A lock that nobody has.
    pub(super) fn new(value: T) -> Self {
        Self {
            slot: Mutex::new(Slot {
                value: Some(Box::new(value)),
                holder: None,
                waiting: 0,
                closed: false,
            }),
            freed: Condvar::new(),
        }
    }

    /// Takes the lock if nobody has it.
    pub(super) fn try_acquire(&self) -> Option<Guard<'_, T>> {
        let mut slot = self.slot();
        let value = slot.value.take()?;
        slot.holder = Some(thread::current().id());
        drop(slot);
        Some(self.guard(value))
    }

    /// Waits for the lock. `None` if it has been closed; an error also if this thread holds it.
    pub(super) fn acquire(&self, wait: &Wait<'_>, phase: Phase) -> Result<Option<Guard<'_, T>>> {
        let mut slot = self.slot();
        loop {
            if let Some(value) = slot.value.take() {
                slot.holder = Some(thread::current().id());
                return Ok(Some(self.guard(value)));
            }
            if slot.closed {
                return Ok(None);
            }
            if slot.holder == Some(thread::current().id()) {
                // A signal handler runs on top of the call that has the lock.
                return Err(Error::Concurrency(REENTERED));
            }
            let slice = wait
                .deadline
                .remaining()
                .map_or(SLICE, |left| left.min(SLICE));
            slot.waiting += 1;
            let (mut woken, timeout) = self
                .freed
                .wait_timeout(slot, slice)
                .unwrap_or_else(PoisonError::into_inner);
            woken.waiting -= 1;
            slot = woken;
            if timeout.timed_out() && slot.value.is_none() {
                // The interpreter may be entered only with no lock held.
                drop(slot);
                (wait.interrupt)()?;
                wait.deadline.check(phase)?;
                slot = self.slot();
            }
        }
    }

    /// Closes the lock for good: the value is dropped now, or when its holder lets go.
    pub(super) fn close(&self) {
        let mut slot = self.slot();
        slot.closed = true;
        let value = slot.value.take();
        drop(slot);
        self.freed.notify_all();
        drop(value);
    }

    fn guard(&self, value: Box<T>) -> Guard<'_, T> {
        Guard {
            lock: self,
            value: Some(value),
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the lock is passed on"),
        }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the lock is passed on"),
        }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.lock.slot();
        if !slot.closed {
            slot.value = self.value.take();
        }
        let waiting = slot.waiting > 0;
        drop(slot);
        if waiting {
            self.lock.freed.notify_one();
        }
    }
}

const REENTERED: &str = "cannot send in a signal handler that has interrupted a send";
/// How long a signal may go unnoticed by a thread that waits for its lock: these waits are not
/// system calls that a signal ends.
const SLICE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use std::{sync::Arc, thread};

    #[test]
    fn lock_is_exclusive_and_passed_on() {
        let lock = Arc::new(Lock::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for _ in 0..1000 {
                        let held = lock.acquire(&Wait::FOR_EVER, Phase::Send);
                        *held.unwrap().unwrap() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*lock.try_acquire().unwrap(), 4000);
    }

    #[test]
    fn acquire_gives_up_at_its_deadline() {
        let lock = Lock::new(());
        let held = lock.try_acquire();
        let deadline = Deadline::after(Some(Duration::from_millis(5)));
        let is_timeout = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let wait = Wait {
                    deadline,
                    ..Wait::FOR_EVER
                };
                matches!(
                    lock.acquire(&wait, Phase::Send),
                    Err(Error::Timeout {
                        phase: Phase::Send,
                        ..
                    })
                )
            });
            other.join().unwrap()
        });
        assert!(is_timeout);
        drop(held);
    }

    #[test]
    fn acquire_by_its_own_holder_is_refused() {
        let lock = Lock::new(());
        let held = lock.try_acquire();
        assert!(matches!(
            lock.acquire(&Wait::FOR_EVER, Phase::Send),
            Err(Error::Concurrency(_))
        ));
        drop(held);
    }

    #[test]
    fn closed_value_is_dropped_when_its_holder_lets_go() {
        let value = Arc::new(());
        let lock = Lock::new(Arc::clone(&value));
        let held = lock.try_acquire();
        lock.close();
        assert_eq!(Arc::strong_count(&value), 2);
        drop(held);
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(
            lock.acquire(&Wait::FOR_EVER, Phase::Send)
                .unwrap()
                .is_none()
        );
    }
}
