//! The sockets that one event loop reads by itself, and who stands in for a loop that is kept busy.
//!
//! A loop that polls waits, so it reads: the sockets of its connections are in one epoll instance,
//! which the loop polls like a socket. A socket is in it only while the loop is to read it; at any
//! other time, the connection thread reads. Both may look at the same moment, which is harmless:
//! readiness is level-triggered, and only one of them has the reading half.
//!
//! Nothing notices by itself that a loop does not poll, because the program computes or blocks. One
//! thread for each loop, the sentinel, sleeps until a socket is readable, gives the loop some time,
//! and if that has not polled since, leaves what is readable to the connection threads. So an idle
//! loop costs no wake-ups, and a busy one at most twenty a second.
//!
//! Must not know Python. Invariants: whoever takes a socket out of the epoll instance wakes its
//! connection thread; a forked process, which shares the descriptors, leaves them to its parent.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, epoll, poll},
};

use crate::{
    connection::Connection,
    net::{wait::timespec, wakeup::Wakeup},
    process,
};

/// The epoll instance of one event loop.
#[derive(Debug)]
pub struct Poller {
    shared: Arc<Shared>,
    process: process::Generation,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    /// The connections whose sockets the loop reads, by their number. Locked for single steps.
    connections: Mutex<HashMap<u64, Weak<Connection>>>,
    /// How often the loop has polled; it wraps around.
    polls: AtomicU32,
    /// Wakes the sentinel, to end.
    wakeup: Wakeup,
    is_over: AtomicBool,
}

impl Poller {
    /// A poller without sockets, and its sentinel. Fails if the system has no descriptor or no
    /// thread for it.
    pub fn new() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Mutex::default(),
            polls: AtomicU32::new(0),
            wakeup: Wakeup::new()?,
            is_over: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        process::spawn("websocket-watch".to_owned(), move || watched.watch())?;
        Ok(Self {
            shared,
            process: process::Generation::current(),
        })
    }

    /// The descriptor that is readable while one of the sockets is.
    pub fn as_raw_fd(&self) -> RawFd {
        self.shared.epoll.as_raw_fd()
    }

    /// Notes that the loop polls, and returns the connections that have something to read.
    pub fn poll(&self) -> Vec<Arc<Connection>> {
        if !self.process.is_current() {
            // They are the parent's, which reads them.
            return Vec::new();
        }
        self.shared.polls.fetch_add(1, Ordering::SeqCst);
        self.shared.readable()
    }

    /// Fails if the system has no memory for it, and in a forked process.
    pub(super) fn add(&self, connection: &Arc<Connection>, socket: impl AsFd) -> io::Result<()> {
        if !self.process.is_current() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let id = connection.thread.id;
        self.shared
            .connections()
            .insert(id, Arc::downgrade(connection));
        let data = epoll::EventData::new_u64(id);
        let added = epoll::add(&self.shared.epoll, socket, data, epoll::EventFlags::IN);
        if added.is_err() {
            self.shared.connections().remove(&id);
        }
        Ok(added?)
    }

    pub(super) fn remove(&self, id: u64, socket: impl AsFd) {
        self.shared.connections().remove(&id);
        // It fails only if the socket is not there.
        let _ = epoll::delete(&self.shared.epoll, socket);
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // The sentinel is the parent's, which has the same wake-up.
            return;
        }
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.wakeup.set();
    }
}

impl Shared {
    fn readable(&self) -> Vec<Arc<Connection>> {
        // If there is just one, it is that, and costs no system call.
        if let Some(only) = self.only() {
            return only.upgrade().into_iter().collect();
        }
        let mut events = Vec::with_capacity(AT_ONCE);
        let now = timespec(Duration::ZERO);
        // It fails only if a signal comes, and is tried again in the next turn of the loop.
        if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now)).is_err() {
            return Vec::new();
        }
        let connections = self.connections();
        let found = events
            .iter()
            .filter_map(|event| connections.get(&event.data.u64())?.upgrade());
        found.collect()
    }

    /// The connection, if there is just one.
    fn only(&self) -> Option<Weak<Connection>> {
        let connections = self.connections();
        let only = connections.values().next();
        only.filter(|_| connections.len() == 1).cloned()
    }

    /// The life of the sentinel.
    fn watch(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let mut fds = [
                PollFd::new(&self.wakeup, PollFlags::IN),
                PollFd::new(&self.epoll, PollFlags::IN),
            ];
            let _ = poll(&mut fds, None);
            let polls = self.polls.load(Ordering::SeqCst);
            let _ = poll(&mut fds[..1], Some(&timespec(PATIENCE)));
            if polls == self.polls.load(Ordering::SeqCst) {
                for connection in self.readable() {
                    connection.leave_to_thread();
                }
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Weak<Connection>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many sockets are read in one turn of the loop.
const AT_ONCE: usize = 64;
/// How long a loop may leave a socket alone that is readable.
const PATIENCE: Duration = Duration::from_millis(50);
