//! Who reads a connection: a thread of the program that is inside a call, or nobody.
//!
//! On the sync side, whoever waits for a message reads it. Only while nobody does, the connection
//! thread stands in, and it must learn of that without costing a request-response loop anything:
//! entering and leaving are a few atomic operations, and a system call only where the connection
//! thread has gone to sleep until the reader leaves.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::control::Control;

/// Keeps track of the readers and of the writers that wait for one.
#[derive(Debug, Default)]
pub struct Attendance {
    attended: AtomicBool,
    /// How often a reader has left, or taken a message without having to wait for it.
    visits: AtomicU32,
    /// The connection thread sleeps until the reader leaves.
    parked: AtomicBool,
    /// So many writers are stuck, perhaps until someone reads.
    stuck_writers: AtomicUsize,
}

impl Attendance {
    /// Notes that the calling thread reads, until the value returned is dropped.
    pub fn enter<'a>(&'a self, control: &'a Control) -> Visit<'a> {
        self.attended.store(true, Ordering::SeqCst);
        Visit {
            attendance: self,
            control,
        }
    }

    /// Notes that the program has taken a message that was read ahead. It is as good as a visit:
    /// the program is about to come for the next one.
    pub fn note_taken(&self) {
        // Only the thread that is in `recv` counts, so adding needs no atomic operation.
        let visits = self.visits.load(Ordering::Relaxed).wrapping_add(1);
        self.visits.store(visits, Ordering::Relaxed);
    }

    /// Asks the connection thread to read if nobody else does, until the value is dropped.
    pub fn call_in_a_reader<'a>(&'a self, control: &Control) -> Absence<'a> {
        self.stuck_writers.fetch_add(1, Ordering::SeqCst);
        control.wake();
        Absence { attendance: self }
    }

    /// Whether a thread of the program is reading.
    pub fn is_attended(&self) -> bool {
        self.attended.load(Ordering::SeqCst)
    }

    /// Whether a writer is stuck.
    pub fn is_called_for(&self) -> bool {
        self.stuck_writers.load(Ordering::SeqCst) > 0
    }

    /// How often a reader has left; it wraps around.
    pub fn visits(&self) -> u32 {
        self.visits.load(Ordering::SeqCst)
    }

    /// Asks to be woken when the reader leaves. Returns whether there is a reader to leave.
    pub fn park(&self) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        self.is_attended()
    }
}

/// A thread's stay in a call that reads.
#[derive(Debug)]
pub struct Visit<'a> {
    attendance: &'a Attendance,
    control: &'a Control,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let attendance = self.attendance;
        attendance.note_taken();
        attendance.attended.store(false, Ordering::SeqCst);
        if attendance.parked.load(Ordering::SeqCst)
            && attendance.parked.swap(false, Ordering::SeqCst)
        {
            self.control.wake();
        }
    }
}

/// A writer's need for a reader.
#[derive(Debug)]
pub struct Absence<'a> {
    attendance: &'a Attendance,
}

impl Drop for Absence<'_> {
    fn drop(&mut self) {
        self.attendance.stuck_writers.fetch_sub(1, Ordering::SeqCst);
    }
}
