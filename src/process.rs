//! What every thread of ours has in common: its process and its signals.
//!
//! After `fork()` the child has the descriptors of its parent's connections but not their
//! threads, and locks may be held by threads that are not there. So every connection remembers
//! the process that opened it, and in any other it refuses to do anything. Asking the system for
//! the process id would cost a system call each time; the interpreter tells of a fork instead.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
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
            std::mem::forget(value);
        }
    }
}

/// To be called in a child process right after a fork.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
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
