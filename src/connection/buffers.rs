//! What becomes of buffers that a large message, or many small ones, have made large: they are kept
//! for the next one, since fresh memory is expensive, and given back when none has come for a while.
//!
//! Nothing ticks: the connection thread looks after them only while there are some. Invariant:
//! whoever has made a buffer large says so by [`Connection::note_size`].

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::Connection;

/// What a connection knows of its large buffers.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Much has passed through them since the connection thread last looked.
    are_used: AtomicBool,
    /// The connection thread looks after them.
    are_watched: AtomicBool,
}

impl Connection {
    /// Notes that so many bytes have passed through a buffer at once.
    pub(super) fn note_size(&self, size: usize) {
        let buffers = &self.buffers;
        if size > SMALL && !buffers.are_used.load(Ordering::Relaxed) {
            buffers.are_used.store(true, Ordering::SeqCst);
            if !buffers.are_watched.swap(true, Ordering::SeqCst) {
                self.thread.wake();
            }
        }
    }

    /// Gives large buffers back that have not been used since it was last called. Returns whether
    /// it is to be called again, [`UNUSED`] later.
    fn review_buffers(&self) -> bool {
        let buffers = &self.buffers;
        if !buffers.are_used.swap(false, Ordering::SeqCst)
            && self.give_receive_buffers_back()
            && self.give_send_buffers_back()
        {
            buffers.are_watched.store(false, Ordering::SeqCst);
            // What was noted just before that has woken nobody.
            if buffers.are_used.load(Ordering::SeqCst) {
                return !buffers.are_watched.swap(true, Ordering::SeqCst);
            }
            return false;
        }
        true
    }
}

/// When the connection thread looks after large buffers.
#[derive(Debug, Default)]
pub(super) struct Review(Option<Instant>);

impl Review {
    /// Looks after them, if there are any and it is time to. Returns when to look again.
    pub(super) fn run(&mut self, connection: &Connection) -> Option<Instant> {
        if !connection.buffers.are_watched.load(Ordering::SeqCst) {
            return None;
        }
        let now = Instant::now();
        if self.0.is_none_or(|due| due <= now) {
            let is_first = self.0.is_none();
            let goes_on = is_first || connection.review_buffers();
            self.0 = goes_on.then(|| now + UNUSED);
        }
        self.0
    }
}

/// A buffer of this many bytes is kept for good.
pub(super) const SMALL: usize = 16 * 1024;
/// After how long without use a large buffer is given back.
pub(super) const UNUSED: Duration = Duration::from_secs(2);
