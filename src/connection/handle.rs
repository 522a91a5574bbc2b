//! The handle on a connection thread: how others start it, wake it, stop it and wait for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use log::Log;

use super::logger::Logger;
use crate::{
    error::{Error, Result},
    net::wakeup::Wakeup,
    process,
};

/// The handle on a connection thread that everyone else has.
#[derive(Debug)]
pub struct ThreadHandle {
    /// The number of the connection, in its thread's name and in the log.
    pub id: u64,
    /// Where the connection and its thread log to.
    pub logger: Logger,
    /// The process that the thread runs in.
    process: process::Generation,
    stopping: AtomicBool,
    /// The thread has ended, or is about to with nothing left to do.
    is_over: AtomicBool,
    /// The thread is in `poll`, or about to be.
    asleep: AtomicBool,
    /// Guards the wake-up, which is gone once the connection has ended.
    wakeup: Mutex<Option<Arc<Wakeup>>>,
    /// Guards the thread's handle until someone joins it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ThreadHandle {
    /// A handle for a thread that does not run yet, of a connection that may have a logger of its
    /// own.
    pub fn new(logger: Option<Arc<dyn Log>>) -> Result<Arc<Self>> {
        let wakeup = Wakeup::new().map_err(|error| Error::io("make an eventfd", error))?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Self {
            id,
            logger: Logger::new(id, logger),
            process: process::Generation::current(),
            stopping: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wakeup: Mutex::new(Some(Arc::new(wakeup))),
            thread: Mutex::new(None),
        }))
    }

    /// Starts the thread, which calls `end` when it is done with all else. Fails if the system has
    /// no more threads.
    pub(super) fn spawn(
        self: &Arc<Self>,
        run: impl FnOnce() + Send + 'static,
        end: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let handle = Arc::clone(self);
        let body = move || {
            // A panic is a bug of ours, and must not take the program with it.
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                log::error!(logger: handle.logger, target: LOG, "the connection thread panicked");
            }
            handle.close_wakeup();
            handle.is_over.store(true, Ordering::Release);
            end();
        };
        // The handle is stored before anyone can look for it.
        let mut thread = self.thread_slot();
        let started = process::spawn(self.name(), body)
            .map_err(|error| Error::io("start the connection's thread", error))?;
        *thread = Some(started);
        Ok(())
    }

    /// The name of the thread, and of the connection.
    pub fn name(&self) -> String {
        name_of(self.id)
    }

    /// Whether the thread is one of this process, not of one that this was forked from.
    pub fn is_in_this_process(&self) -> bool {
        self.process.is_current()
    }

    /// The wake-up itself, for the thread to wait on.
    pub fn wakeup(&self) -> Option<Arc<Wakeup>> {
        self.wakeup_slot().clone()
    }

    /// Wakes the thread.
    pub fn wake(&self) {
        if let Some(wakeup) = &*self.wakeup_slot() {
            wakeup.set();
        }
    }

    /// Wakes the thread if it sleeps. Enough after a change that it looks for before it sleeps.
    pub fn wake_if_asleep(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Notes that the thread is about to sleep, or is awake.
    pub fn note_asleep(&self, is_asleep: bool) {
        self.asleep.store(is_asleep, Ordering::SeqCst);
    }

    /// Closes the wake-up. Waking the thread does nothing any more.
    pub fn close_wakeup(&self) {
        self.wakeup_slot().take();
    }

    /// Asks the thread to end its connection at once, without the closing handshake.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether [`Self::stop`] has been called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether the thread has ended, and [`Self::join`] would not wait.
    pub(super) fn is_finished(&self) -> bool {
        self.thread_slot()
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
    }

    /// Whether the thread has ended, or was one of another process: it logs nothing any more.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire) || !self.is_in_this_process()
    }

    /// Waits for the thread, which is about to end.
    pub fn join(&self) {
        let thread = self.thread_slot().take();
        if let Some(thread) = thread {
            // Its panics are caught inside.
            drop(thread.join());
        }
    }

    fn wakeup_slot(&self) -> MutexGuard<'_, Option<Arc<Wakeup>>> {
        self.wakeup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thread_slot(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the connection with this number.
pub fn name_of(id: u64) -> String {
    format!("websocket-{id}")
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
const LOG: &str = "websocket_rs::connection";
