//! Reading in the thread of an event loop, which calls here when its poller says so.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{Reading, poller::Poller};
use crate::{connection::Connection, net::stream::Stream, protocol::close::State};

/// Whether the event loop reads a connection.
#[derive(Debug, Default)]
pub(in crate::connection) struct ByLoop {
    /// Guards what the loop needs to read, until the connection ends; and the steps of putting the
    /// socket into the poller and taking it out.
    place: Mutex<Option<Place>>,
    /// The socket is in the poller.
    is_on: AtomicBool,
    /// The last read brought much, so that the next one takes long.
    is_bulky: AtomicBool,
}

#[derive(Debug)]
struct Place {
    poller: Arc<Poller>,
    stream: Arc<Stream>,
}

impl ByLoop {
    /// Whether the loop reads, so that the connection thread need not.
    pub(in crate::connection) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    pub(super) fn note_size(&self, count: usize) {
        self.is_bulky.store(count > BRIEF, Ordering::Relaxed);
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Lets the event loop of this poller read, whenever [`Self::read_by_loop`] is called.
    pub fn set_poller(&self, poller: Arc<Poller>, stream: Arc<Stream>) {
        *self.receiving.by_loop.place() = Some(Place { poller, stream });
    }

    /// Has the event loop read from now on, which is about to poll. Nothing changes if it does so
    /// already, or can't.
    pub fn read_by_loop(self: &Arc<Self>) {
        let by_loop = &self.receiving.by_loop;
        if by_loop.is_on() || self.state() != State::Open || self.receiving.pauses() {
            return;
        }
        let slot = by_loop.place();
        if let Some(place) = &*slot
            && !by_loop.is_on()
            && place.poller.add(self, &place.stream).is_ok()
        {
            by_loop.is_on.store(true, Ordering::SeqCst);
            drop(slot);
            // It waits for the socket, too.
            self.thread.wake();
        }
    }

    /// Has the connection thread read from now on.
    pub(super) fn leave_to_thread(&self) {
        let by_loop = &self.receiving.by_loop;
        let slot = by_loop.place();
        if let Some(place) = &*slot
            && by_loop.is_on.swap(false, Ordering::SeqCst)
        {
            place.poller.remove(self.thread.id, &place.stream);
        }
        drop(slot);
        // Also where the sentinel came first: the thread may have looked before the loop read.
        self.thread.wake();
    }

    /// Ends reading by the loop for good, before the socket is closed.
    pub(in crate::connection) fn end_reading_by_loop(&self) {
        let by_loop = &self.receiving.by_loop;
        // From here on, the socket is not put back.
        let place = by_loop.place().take();
        if let Some(place) = place
            && by_loop.is_on.swap(false, Ordering::SeqCst)
        {
            place.poller.remove(self.thread.id, &place.stream);
        }
    }

    /// Whether the next read takes so little time that the caller need not let go of anything.
    pub fn reads_briefly(&self) -> bool {
        self.is_plain && !self.receiving.by_loop.is_bulky.load(Ordering::Relaxed)
    }

    /// Reads what there is, in the thread of the event loop.
    pub fn read_in_loop(&self) {
        let stream = match &*self.receiving.by_loop.place() {
            Some(place) => Arc::clone(&place.stream),
            None => return,
        };
        let mut left = ROUNDS;
        while self.read_ahead() == Reading::Some && self.has_buffered(&stream) && left > 0 {
            left -= 1;
        }
        // Of what is not in the socket any more, the poller says nothing.
        if self.state() != State::Open || self.receiving.pauses() || self.has_buffered(&stream) {
            self.leave_to_thread();
        }
    }
}

/// A read of more bytes is long.
const BRIEF: usize = 16 * 1024;
/// How often to go on with what TLS or the decoder still have.
const ROUNDS: usize = 4;
