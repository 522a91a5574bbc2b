//! Which threads are attached to the interpreter with our code on their stack, and that none is
//! when the interpreter exits.
//!
//! Up to CPython 3.13, a thread that asks for the interpreter during its finalization is ended by
//! `pthread_exit`, which unwinds the stack, and aborts the process where that holds frames of
//! Rust. Python code that we call can let go of the interpreter anywhere, and has to ask for it
//! again. So before finalization begins, the thread that exits waits until every other one has
//! left our code or is detached in it, and from then on keeps them from coming back: they stay
//! detached until the process ends. Nothing is raised in them: they belong to a program that has
//! ended.
//!
//! Invariant: the number of threads inside changes, and is looked at, by threads that are attached,
//! but for the one that waits until it is zero. So one that is let in counts.

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use pyo3::prelude::*;

/// How many threads are attached in our code, or were when they called Python from there.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The interpreter exits.
static EXITING: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// How many calls of ours this thread is attached in, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// This thread is the one that ends the interpreter.
    static IS_LAST: Cell<bool> = const { Cell::new(false) };
}

/// A thread's stay in our code.
pub(super) struct Inside(
    /// It ends in the thread that it began in.
    PhantomData<*const ()>,
);

/// Lets a thread in. To be called first in whatever Python calls and may run Python code.
#[inline]
pub(super) fn enter(py: Python<'_>) -> Inside {
    let depth = DEPTH.get();
    if depth == 0 {
        arrive(py);
    }
    DEPTH.set(depth + 1);
    Inside(PhantomData)
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        // After a panic inside of `detach`, the thread counts no more.
        match DEPTH.get() {
            0 => {}
            1 => {
                DEPTH.set(0);
                count(-1);
            }
            depth => DEPTH.set(depth - 1),
        }
    }
}

/// Runs `call` detached from the interpreter.
pub(super) fn detach<R: Send>(py: Python<'_>, call: impl FnOnce() -> R + Send) -> R {
    let depth = DEPTH.replace(0);
    if depth > 0 {
        count(-1);
    }
    let result = py.detach(|| {
        let result = call();
        if !may_attach() {
            stay_away();
        }
        result
    });
    if depth > 0 {
        arrive(py);
        DEPTH.set(depth);
    }
    result
}

/// Whether this thread may attach to the interpreter.
pub(super) fn may_attach() -> bool {
    !EXITING.load(Ordering::SeqCst) || IS_LAST.get()
}

/// Whether the interpreter exits, and ends what programs have left open.
pub(super) fn is_exiting() -> bool {
    EXITING.load(Ordering::SeqCst)
}

/// Keeps all other threads out, and waits until they have left, but not for ever.
pub(super) fn begin_exit(py: Python<'_>) {
    IS_LAST.set(true);
    if EXITING.swap(true, Ordering::SeqCst) {
        // The package was imported more than once.
        return;
    }
    py.detach(|| {
        let deadline = Instant::now() + TIMEOUT;
        while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// To be called after a fork, in the new process, which has this thread alone.
pub(super) fn forked() {
    INSIDE.store(usize::from(DEPTH.get() > 0), Ordering::SeqCst);
}

#[inline]
fn arrive(py: Python<'_>) {
    if !may_attach() {
        py.detach(stay_away);
    }
    count(1);
}

/// The interpreter's lock makes this one step.
#[inline]
fn count(change: isize) {
    let inside = INSIDE.load(Ordering::Relaxed);
    INSIDE.store(inside.saturating_add_signed(change), Ordering::Release);
}

/// Waits for the end of the process.
#[cold]
fn stay_away() {
    loop {
        thread::park();
    }
}

/// How long a handler of records, or whatever else we call, may delay the exit.
const TIMEOUT: Duration = Duration::from_millis(900);
