//! Whether a thread of the program is reading a connection.
//!
//! On the sync side, whoever waits for a message reads it. Only while nobody does, the connection
//! thread stands in, and it must learn of that without costing a request-response loop anything:
//! entering and leaving are a few atomic operations, and a system call only where the connection
//! thread sleeps until the reader leaves.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::connection::handle::ThreadHandle;

/// The threads of the program that read, and those that need someone to read.
#[derive(Debug, Default)]
pub(in crate::connection) struct Readers {
    present: AtomicBool,
    /// How often a reader has left, or taken a message without having to wait for it.
    departures: AtomicU32,
    /// The connection thread sleeps until the reader leaves.
    wakes_on_departure: AtomicBool,
    /// How many writers are stuck, perhaps until someone reads.
    requests: AtomicUsize,
}

impl Readers {
    /// Notes that the calling thread reads, until the value returned is dropped.
    pub(super) fn enter<'a>(&'a self, thread: &'a ThreadHandle) -> Presence<'a> {
        self.present.store(true, Ordering::SeqCst);
        Presence {
            readers: self,
            thread,
        }
    }

    /// Notes that the program has taken a message that was read ahead. It counts as a departure:
    /// the program is about to come back for the next one.
    pub(super) fn note_taken(&self) {
        // Only the thread that is in `recv` counts, so adding needs no atomic operation.
        let departures = self.departures.load(Ordering::Relaxed).wrapping_add(1);
        self.departures.store(departures, Ordering::Relaxed);
    }

    /// Asks the connection thread to read if nobody else does, until the value is dropped.
    pub(in crate::connection) fn request<'a>(&'a self, thread: &ThreadHandle) -> Request<'a> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        thread.wake();
        Request { readers: self }
    }

    /// Whether a thread of the program is reading.
    pub(in crate::connection) fn are_present(&self) -> bool {
        self.present.load(Ordering::SeqCst)
    }

    /// Whether a writer needs someone to read.
    pub(in crate::connection) fn are_requested(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// How often a reader has left; it wraps around.
    pub(in crate::connection) fn departures(&self) -> u32 {
        self.departures.load(Ordering::SeqCst)
    }

    /// Has the connection thread woken when the reader leaves. Returns whether there is one.
    pub(in crate::connection) fn wake_on_departure(&self) -> bool {
        self.wakes_on_departure.store(true, Ordering::SeqCst);
        self.are_present()
    }
}

/// A thread's stay in a call that reads.
#[derive(Debug)]
pub(super) struct Presence<'a> {
    readers: &'a Readers,
    thread: &'a ThreadHandle,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let readers = self.readers;
        readers.note_taken();
        readers.present.store(false, Ordering::SeqCst);
        if readers.wakes_on_departure.load(Ordering::SeqCst)
            && readers.wakes_on_departure.swap(false, Ordering::SeqCst)
        {
            self.thread.wake();
        }
    }
}

/// A writer's need for a reader.
#[derive(Debug)]
pub(in crate::connection) struct Request<'a> {
    readers: &'a Readers,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.readers.requests.fetch_sub(1, Ordering::SeqCst);
    }
}
