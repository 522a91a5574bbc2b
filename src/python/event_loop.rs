//! From connection threads to an event loop: one eventfd and one queue for each loop.
//!
//! The eventfd says that something has happened; the queue says on which connections; what it is,
//! a message or room to send, stays where it is until a waiter takes it. So a cancelled waiter
//! loses nothing. The queue carries numbers, never Python objects: the futures that wait are kept
//! here, where only Python threads come.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use pyo3::{PyTraverseError, PyVisit, intern, prelude::*};

use super::{
    attached, exceptions, logging,
    turns::{Step, Turns},
};
use crate::{
    connection::receiving::poller::Poller,
    error::{Error, Result},
    net::wakeup::Wakeup,
};

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
pub(super) struct Completion {
    waiter: Waiter,
    /// What came of a ping.
    pong: Option<Result<Duration>>,
}

impl Completion {
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
pub(super) struct EventSender {
    queue: Sender<Completion>,
    /// Whether the eventfd has been set and not cleared since.
    is_set: AtomicBool,
    wakeup: Wakeup,
}

impl EventSender {
    /// Tells the loop that what a waiter waits for has happened.
    pub(super) fn send(&self, completion: Completion) {
        let Some(completion) = keep_if_collecting(completion) else {
            return;
        };
        // The other end lives as long as the loop's `EventQueue`; without it nobody waits.
        if self.queue.send(completion).is_ok() && !self.is_set.swap(true, Ordering::AcqRel) {
            self.wakeup.set();
        }
    }
}

thread_local! {
    /// What has been told while this thread, a loop's, reads.
    static COLLECTED: RefCell<Option<Vec<Completion>>> = const { RefCell::new(None) };
}

/// Reads in the thread of the loop, and returns what it would have been told otherwise.
fn collect(read: impl FnOnce()) -> Vec<Completion> {
    COLLECTED.set(Some(Vec::new()));
    // After a panic, what is told must not be kept for ever.
    let result = catch_unwind(AssertUnwindSafe(read));
    let collected = COLLECTED.take().unwrap_or_default();
    if let Err(panic) = result {
        resume_unwind(panic);
    }
    collected
}

/// Keeps what is told while [`collect`] runs; returns it at any other time.
fn keep_if_collecting(completion: Completion) -> Option<Completion> {
    COLLECTED.with_borrow_mut(|collected| match collected {
        Some(collected) => {
            collected.push(completion);
            None
        }
        None => Some(completion),
    })
}

/// The side of the event loop: the callback of its reader.
///
/// It must not refer to its loop by itself, or the two would keep each other alive.
#[pyclass(frozen, weakref, module = "websocket_rs._core")]
pub(super) struct EventQueue {
    sender: Arc<EventSender>,
    queue: Receiver<Completion>,
    /// Held for single operations on the map, by threads that are attached.
    futures: Mutex<HashMap<Waiter, Futures>>,
    turns: Turns,
    /// What the loop reads by itself, if it can.
    poller: OnceLock<Arc<Poller>>,
}

/// The futures that wait for the same; nearly always there is one.
struct Futures {
    first: Py<PyAny>,
    others: Vec<Py<PyAny>>,
}

#[pymethods]
impl EventQueue {
    /// Raises `OSError` if the process has no descriptor left.
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (completions, queue) = unbounded();
        let wakeup = Wakeup::new().map_err(|error| failed(py, "make an eventfd", error))?;
        Ok(Self {
            sender: Arc::new(EventSender {
                queue: completions,
                is_set: AtomicBool::new(false),
                wakeup,
            }),
            queue,
            futures: Mutex::default(),
            turns: Turns::default(),
            poller: OnceLock::new(),
        })
    }

    /// The descriptor to register with `loop.add_reader`.
    fn fileno(&self) -> i32 {
        self.sender.wakeup.as_raw_fd()
    }

    /// What to do for others that wait for the loop: nothing, or, before going on, to have the loop
    /// call [`Self::note_polled`] soon (`False`), or to suspend once (`True`).
    pub(super) fn turn(&self) -> Option<bool> {
        self.turns.step().map(|step| step == Step::Suspend)
    }

    /// Notes that the loop has come to what was due. For `loop.call_soon`.
    fn note_polled(&self) {
        self.turns.note_polled();
    }

    /// Lets the loop read its connections by itself, with [`Self::read`] registered by
    /// `loop.add_reader`. Raises `OSError` if the process has no descriptor or thread left, or the
    /// loop can't wait for one more.
    fn begin_to_read(slf: &Bound<'_, Self>, add_reader: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let _inside = attached::enter(py);
        let poller = Poller::new().map_err(|error| failed(py, "make an epoll instance", error))?;
        let poller = Arc::new(poller);
        let read = slf.getattr(intern!(py, "read"))?;
        add_reader.call1((poller.as_raw_fd(), read))?;
        // Only what the loop waits for is given sockets. It is set here only, once.
        let _ = slf.get().poller.set(poller);
        Ok(())
    }

    /// Reads what has come, and completes the futures that wait for it. The callback of the reader.
    fn read(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = attached::enter(py);
        self.turns.note_polled();
        let Some(poller) = self.poller.get() else {
            return Ok(());
        };
        let mut result = Ok(());
        for connection in poller.poll() {
            let completions = collect(|| {
                if connection.reads_briefly() {
                    connection.read_in_loop();
                } else {
                    attached::detach(py, || connection.read_in_loop());
                }
            });
            for completion in completions {
                result = result.and(self.resolve(py, completion));
            }
        }
        result?;
        logging::drain(py)
    }

    /// Wakes those that wait for what has happened. The callback of the reader.
    fn dispatch(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = attached::enter(py);
        self.turns.note_polled();
        self.sender.wakeup.clear();
        // Cleared before the queue is looked at, so that nothing sent later goes unnoticed.
        self.sender.is_set.swap(false, Ordering::AcqRel);
        for _ in 0..BUDGET {
            let Ok(completion) = self.queue.try_recv() else {
                return logging::drain(py);
            };
            if let Err(error) = self.resolve(py, completion) {
                self.sender.wakeup.set();
                return Err(error);
            }
        }
        // The loop has others to serve, too. It will come back for the rest.
        self.sender.wakeup.set();
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

impl EventQueue {
    /// What the loop reads by itself, if it does.
    pub(super) fn poller(&self) -> Option<Arc<Poller>> {
        self.poller.get().cloned()
    }

    /// Whether [`Self::turn`] should be asked before anything else is done.
    pub(super) fn turn_is_due(&self) -> bool {
        self.turns.is_due()
    }

    /// The side of connection threads.
    pub(super) fn sender(&self) -> Arc<EventSender> {
        Arc::clone(&self.sender)
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
    pub(super) fn resolve(&self, py: Python<'_>, completion: Completion) -> PyResult<()> {
        let futures = self.futures().remove(&completion.waiter);
        let mut pong = completion.pong;
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
                    // A pong need not be waited for, so asyncio must not complain that the
                    // exception was never retrieved.
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

/// What the system refuses to a connection that is being opened, which is what needs it first.
fn failed(py: Python<'_>, what: &'static str, error: io::Error) -> PyErr {
    exceptions::raise(py, Error::io(what, error))
}

impl Futures {
    fn all(&self) -> impl Iterator<Item = &Py<PyAny>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// How many completions are handled before the loop gets its turn.
const BUDGET: usize = 256;
