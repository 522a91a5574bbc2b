//! What the program waits for on a connection, told to its event loop as it happens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    connection::Waker,
    python::event_loop::{Completion, Event, EventSender},
};

/// Which events the program waits for.
#[derive(Debug)]
pub(super) struct Waiters {
    /// The number of the connection.
    id: u64,
    sender: Arc<EventSender>,
    arrival: AtomicBool,
    room: AtomicBool,
    end: AtomicBool,
}

impl Waiters {
    /// Nothing is waited for yet.
    pub(super) fn new(id: u64, sender: Arc<EventSender>) -> Self {
        Self {
            id,
            sender,
            arrival: AtomicBool::new(false),
            room: AtomicBool::new(false),
            end: AtomicBool::new(false),
        }
    }

    /// Tells the loop that something has happened, whoever waits for it.
    pub(super) fn send(&self, event: Event) {
        self.sender.send(Completion::of(self.id, event));
    }

    /// Notes that an event is waited for, so that it is told once.
    pub(super) fn add(&self, event: Event) {
        if let Some(wanted) = self.wanted(event) {
            wanted.store(true, Ordering::SeqCst);
        }
    }

    /// Notes that an event is waited for no more. Returns whether it was.
    pub(super) fn remove(&self, event: Event) -> bool {
        self.wanted(event).is_some_and(|wanted| {
            wanted.load(Ordering::SeqCst) && wanted.swap(false, Ordering::SeqCst)
        })
    }

    fn wake(&self, event: Event) {
        if self.remove(event) {
            self.send(event);
        }
    }

    fn wanted(&self, event: Event) -> Option<&AtomicBool> {
        match event {
            Event::Arrived => Some(&self.arrival),
            Event::Drained => Some(&self.room),
            Event::Ended => Some(&self.end),
            Event::Opened | Event::Pong(_) => None,
        }
    }
}

impl Waker for Waiters {
    fn wake_receiver(&self) {
        self.wake(Event::Arrived);
    }

    fn wake_sender(&self) {
        self.wake(Event::Drained);
    }

    fn wake_closer(&self) {
        self.wake(Event::Ended);
    }
}
