//! A lock whose wait obeys a deadline and Ctrl-C, and whose value can be taken away for good.
//!
//! Each direction of a connection is a [`Turn`]: whoever reads has the reading half, whoever
//! writes has the writing half, and nobody needs both. The holder may wait on the network for
//! ever, so waiting for the turn must be as interruptible as waiting for the network itself;
//! the locks of the standard library are not. Retiring a half drops it, and with it its share
//! of the file descriptors, as soon as its holder lets go.

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

/// One half of a connection, which one thread at a time may hold.
#[derive(Debug)]
pub struct Turn<T> {
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
    retired: bool,
}

/// The half while it is held. Dropping it passes the turn on.
#[derive(Debug)]
pub struct Held<'a, T> {
    turn: &'a Turn<T>,
    value: Option<Box<T>>,
}

impl<T> Turn<T> {
    /// A turn that nobody has.
    pub fn new(value: T) -> Self {
        Self {
            slot: Mutex::new(Slot {
                value: Some(Box::new(value)),
                holder: None,
                waiting: 0,
                retired: false,
            }),
            freed: Condvar::new(),
        }
    }

    /// Takes the turn if nobody has it.
    pub fn try_take(&self) -> Option<Held<'_, T>> {
        let mut slot = self.lock();
        let value = slot.value.take()?;
        slot.holder = Some(thread::current().id());
        drop(slot);
        Some(self.held(value))
    }

    /// Waits for the turn. `None` if it has been retired; an error also if this thread has it.
    pub fn take(&self, wait: &Wait<'_>, phase: Phase) -> Result<Option<Held<'_, T>>> {
        let mut slot = self.lock();
        loop {
            if let Some(value) = slot.value.take() {
                slot.holder = Some(thread::current().id());
                return Ok(Some(self.held(value)));
            }
            if slot.retired {
                return Ok(None);
            }
            if slot.holder == Some(thread::current().id()) {
                // A signal handler runs on top of the call that has the turn.
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
                slot = self.lock();
            }
        }
    }

    /// Ends the turn for good: the value is dropped now, or when its holder lets go.
    pub fn retire(&self) {
        let mut slot = self.lock();
        slot.retired = true;
        let value = slot.value.take();
        drop(slot);
        self.freed.notify_all();
        drop(value);
    }

    fn held(&self, value: Box<T>) -> Held<'_, T> {
        Held {
            turn: self,
            value: Some(value),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the turn is passed on"),
        }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only when the turn is passed on"),
        }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.turn.lock();
        if !slot.retired {
            slot.value = self.value.take();
        }
        let waiting = slot.waiting > 0;
        drop(slot);
        if waiting {
            self.turn.freed.notify_one();
        }
    }
}

const REENTERED: &str = "cannot send in a signal handler that has interrupted a send";
/// How long a signal may go unnoticed by a thread that waits for its turn: these waits are not
/// system calls that a signal ends.
const SLICE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use std::{sync::Arc, thread};

    #[test]
    fn turn_is_exclusive_and_passed_on() {
        let turn = Arc::new(Turn::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let turn = Arc::clone(&turn);
                thread::spawn(move || {
                    for _ in 0..1000 {
                        let held = turn.take(&Wait::FOR_EVER, Phase::Send);
                        *held.unwrap().unwrap() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*turn.try_take().unwrap(), 4000);
    }

    #[test]
    fn take_gives_up_at_its_deadline() {
        let turn = Turn::new(());
        let held = turn.try_take();
        let deadline = Deadline::after(Some(Duration::from_millis(5)));
        let is_timeout = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let wait = Wait {
                    deadline,
                    ..Wait::FOR_EVER
                };
                matches!(
                    turn.take(&wait, Phase::Send),
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
    fn take_by_its_own_holder_is_refused() {
        let turn = Turn::new(());
        let held = turn.try_take();
        assert!(matches!(
            turn.take(&Wait::FOR_EVER, Phase::Send),
            Err(Error::Concurrency(_))
        ));
        drop(held);
    }

    #[test]
    fn retired_value_is_dropped_when_its_holder_lets_go() {
        let value = Arc::new(());
        let turn = Turn::new(Arc::clone(&value));
        let held = turn.try_take();
        turn.retire();
        assert_eq!(Arc::strong_count(&value), 2);
        drop(held);
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(turn.take(&Wait::FOR_EVER, Phase::Send).unwrap().is_none());
    }
}
