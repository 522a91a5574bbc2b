//! From connection threads to an event loop: one eventfd and one queue for each loop.
//!
//! The eventfd says that something has happened; the queue says on which connections; what it is,
//! a message or room to send, stays where it is until a waiter takes it. So a cancelled waiter
//! loses nothing. The queue carries numbers, never Python objects: the futures that wait are kept
//! here, where only Python threads come.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use pyo3::{PyTraverseError, PyVisit, intern, prelude::*};

use super::{exceptions, logging};
use crate::{error::Result, net::wake::Wake};

/// What a future waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// The attempt to connect has come to an end.
    Opened,
    /// A message has arrived, or none will come any more.
    Arrived,
    /// The outbox has room, or nothing will be sent any more.
    Drained,
    /// The connection has ended.
    Ended,
    /// The Pong has come for the ping with this number, or none will come.
    Pong(u64),
}

/// A waiter: the number of its connection, and what it waits for.
pub(super) type Waiter = (u64, Event);

/// What a waiter is told.
#[derive(Debug)]
pub(super) struct Notice {
    waiter: Waiter,
    /// What came of a ping.
    pong: Option<Result<Duration>>,
}

impl Notice {
    /// Something has happened on a connection.
    pub(super) fn of(id: u64, event: Event) -> Self {
        Self::to((id, event))
    }

    /// What the waiter waits for has happened.
    pub(super) fn to(waiter: Waiter) -> Self {
        Self { waiter, pong: None }
    }

    /// A ping has an outcome.
    pub(super) fn pong(waiter: Waiter, outcome: Result<Duration>) -> Self {
        Self {
            waiter,
            pong: Some(outcome),
        }
    }
}

/// The side of connection threads.
#[derive(Debug)]
pub(super) struct Signals {
    queue: Sender<Notice>,
    /// Whether the eventfd has been set and not cleared since.
    signalled: AtomicBool,
    wake: Wake,
}

impl Signals {
    /// Tells the loop that what a waiter waits for has happened.
    pub(super) fn send(&self, notice: Notice) {
        // The other end lives as long as the loop's `Wakeups`; without it nobody waits.
        if self.queue.send(notice).is_ok() && !self.signalled.swap(true, Ordering::AcqRel) {
            self.wake.set();
        }
    }
}

/// The side of the event loop: the callback of its reader.
///
/// It must not refer to its loop by itself, or the two would keep each other alive.
#[pyclass(frozen, weakref, module = "websocket_rs._core")]
pub(super) struct Wakeups {
    signals: Arc<Signals>,
    queue: Receiver<Notice>,
    /// Held for single operations on the map, by threads that are attached.
    futures: Mutex<HashMap<Waiter, Futures>>,
}

/// The futures that wait for the same; nearly always there is one.
struct Futures {
    first: Py<PyAny>,
    others: Vec<Py<PyAny>>,
}

#[pymethods]
impl Wakeups {
    /// Raises `OSError` if the process has no descriptor left.
    #[new]
    fn new() -> PyResult<Self> {
        let (sender, queue) = unbounded();
        Ok(Self {
            signals: Arc::new(Signals {
                queue: sender,
                signalled: AtomicBool::new(false),
                wake: Wake::new()?,
            }),
            queue,
            futures: Mutex::default(),
        })
    }

    /// The descriptor to register with `loop.add_reader`.
    fn fileno(&self) -> i32 {
        self.signals.wake.as_raw_fd()
    }

    /// Wakes those that wait for what has happened. The callback of the reader.
    fn dispatch(&self, py: Python<'_>) -> PyResult<()> {
        self.signals.wake.clear();
        // Cleared before the queue is looked at, so that nothing sent later goes unnoticed.
        self.signals.signalled.swap(false, Ordering::AcqRel);
        for _ in 0..BUDGET {
            let Ok(notice) = self.queue.try_recv() else {
                return logging::drain(py);
            };
            if let Err(error) = self.resolve(py, notice) {
                self.signals.wake.set();
                return Err(error);
            }
        }
        // The loop has others to serve, too. It will come back for the rest.
        self.signals.wake.set();
        logging::drain(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        // The collector runs on a thread that may be in the middle of a change.
        match self.futures.try_lock() {
            Ok(futures) => futures
                .values()
                .flat_map(Futures::all)
                .try_for_each(|future| visit.call(future)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let futures = std::mem::take(&mut *self.futures());
        drop(futures);
    }
}

impl Wakeups {
    /// The side of connection threads.
    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// Keeps the future of a waiter until [`Self::resolve`] completes it.
    pub(super) fn wait_for(&self, waiter: Waiter, future: &Bound<'_, PyAny>) {
        let future = future.clone().unbind();
        match self.futures().entry(waiter) {
            Entry::Vacant(entry) => {
                entry.insert(Futures {
                    first: future,
                    others: Vec::new(),
                });
            }
            Entry::Occupied(mut entry) => entry.get_mut().others.push(future),
        }
    }

    /// Completes the futures of a waiter that still wait.
    pub(super) fn resolve(&self, py: Python<'_>, notice: Notice) -> PyResult<()> {
        let futures = self.futures().remove(&notice.waiter);
        let mut pong = notice.pong;
        for future in futures.iter().flat_map(Futures::all) {
            let future = future.bind(py);
            if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                continue;
            }
            match pong.take() {
                None => future.call_method1(intern!(py, "set_result"), (py.None(),))?,
                Some(Ok(latency)) => {
                    future.call_method1(intern!(py, "set_result"), (latency.as_secs_f64(),))?
                }
                Some(Err(error)) => {
                    let error = exceptions::raise(py, error);
                    future.call_method1(intern!(py, "set_exception"), (error.into_value(py),))?;
                    // Nobody need wait for a pong, and so nobody is told that nobody did.
                    future.call_method0(intern!(py, "exception"))?
                }
            };
        }
        Ok(())
    }

    /// Forgets a waiter that is gone.
    pub(super) fn forget(&self, waiter: Waiter) {
        let future = self.futures().remove(&waiter);
        drop(future);
    }

    fn futures(&self) -> MutexGuard<'_, HashMap<Waiter, Futures>> {
        self.futures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Futures {
    fn all(&self) -> impl Iterator<Item = &Py<PyAny>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// So many waiters are served before the loop gets its turn.
const BUDGET: usize = 256;
