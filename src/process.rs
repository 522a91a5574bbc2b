//! What every thread of ours has in common: its process and its signals.
//!
//! After `fork()` the child has the descriptors of its parent's connections but not their
//! threads, and locks may be held by threads that are not there. So every connection remembers
//! the process that opened it, and in any other it refuses to do anything. Asking the system for
//! the process id would cost a system call each time; the interpreter tells of a fork instead.

use std::{
    io, mem,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sys::signal::{SigSet, SigmaskHow};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Tells a process from the one that it was forked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u32);

impl Generation {
    /// The generation of this process.
    pub fn current() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this process is the one that made this value.
    pub fn is_current(self) -> bool {
        self == Self::current()
    }

    /// Drops what has threads; or, in a process forked from theirs, leaves it alone: waiting for
    /// threads that are not there would never end.
    pub fn end<T>(self, value: T) {
        if self.is_current() {
            drop(value);
        } else {
            mem::forget(value);
        }
    }
}

/// To be called in a child process right after a fork.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A value of which each process has its own, with a lock of its own: that of the process it was
/// forked from may be held for ever, by a thread that is not there.
///
/// Every static value that is behind a lock, and that threads come to which the interpreter doesn't
/// stop for a fork, is one of these; [`Self::forked`] is called for each.
#[derive(Debug)]
pub struct PerProcess<T> {
    value: Mutex<T>,
    initial: fn() -> T,
    /// Set in a forked process only, by the one thread that it has.
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    /// The value of the first process, and what makes those of others.
    pub const fn new(value: T, initial: fn() -> T) -> Self {
        Self {
            value: Mutex::new(value),
            initial,
            next: OnceLock::new(),
        }
    }

    /// Locks the value of this process.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.current()
            .value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a forked process a value of its own. Returns what its parent had, unless that was
    /// being changed.
    pub fn forked(&self) -> Option<T> {
        let inherited = self.current();
        inherited
            .next
            .get_or_init(|| Box::new(Self::new((self.initial)(), self.initial)));
        let mut value = inherited.value.try_lock().ok()?;
        Some(mem::replace(&mut *value, (self.initial)()))
    }

    fn current(&self) -> &Self {
        let mut current = self;
        while let Some(next) = current.next.get() {
            current = next;
        }
        current
    }
}

/// Starts a thread to which no signal is delivered, so that they reach the program's threads.
///
/// Fails if the system has no more threads, where [`thread::spawn`] would panic.
pub fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // The new thread inherits the mask, so there is no moment without it.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let result = thread::Builder::new()
        .name(name)
        .stack_size(STACK)
        .spawn(body);
    mask.thread_set_mask()?;
    result
}

/// OpenSSL's handshake is the deepest that the stack has to hold.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_in_the_parent_is_free_in_the_child() {
        let value = PerProcess::new(1, || 0);
        let held = value.lock();
        assert_eq!(value.forked(), None);
        assert_eq!(*value.lock(), 0);
        assert_eq!(*held, 1);
    }

    #[test]
    fn a_child_may_have_what_its_parent_had() {
        let value = PerProcess::new(1, || 0);
        assert_eq!(value.forked(), Some(1));
        *value.lock() = 2;
        assert_eq!(value.forked(), Some(2));
        assert_eq!(*value.lock(), 0);
    }
}
