//! The handle on a connection thread: how others start it, wake it, stop it and wait for it.
//!
//! All the threads that run are in one registry, so that the exit of the interpreter can end
//! them. Invariant: who is in the registry has a thread that will take it out.
//!
//! The number of a connection goes with all that it logs. What a connection logs may be decided
//! for it alone; that is part of its number, so that whoever logs need not look it up.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use log::{Level, LevelFilter};

use crate::{
    error::{Error, Result},
    net::wake::Wake,
    process,
};

/// The handle on a connection thread that everyone else has.
#[derive(Debug)]
pub struct Control {
    /// The number of the connection, in its thread's name and in the log; and above it, what
    /// [`admits`] looks for.
    pub id: u64,
    /// The process that the thread runs in.
    process: process::Generation,
    stopping: AtomicBool,
    /// The thread is in `poll`, or about to be.
    asleep: AtomicBool,
    /// Guards the wake-up, which is gone once the connection has ended.
    wake: Mutex<Option<Arc<Wake>>>,
    /// Guards the thread's handle until someone joins it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Control {
    /// A handle for a thread that does not run yet.
    ///
    /// The connection logs up to `log_level`; with `None`, up to the level of each target.
    pub fn new(log_level: Option<LevelFilter>) -> Result<Arc<Self>> {
        let wake = Wake::new().map_err(|error| Error::io("make an eventfd", error))?;
        let own_level = log_level.map_or(0, |level| level as u64 + 1);
        Ok(Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed) | own_level << NUMBER_BITS,
            process: process::Generation::current(),
            stopping: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wake: Mutex::new(Some(Arc::new(wake))),
            thread: Mutex::new(None),
        }))
    }

    /// Starts the thread. Fails if the system has no more of them.
    pub fn spawn(self: &Arc<Self>, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let control = Arc::clone(self);
        let body = move || {
            // A panic is a bug of ours, and must not take the program with it.
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                log::error!(target: LOG, id = control.id; "the connection thread panicked");
            }
            control.close_wake();
            live().remove(&control.id);
        };
        live().insert(self.id, Arc::clone(self));
        // The handle is stored before anyone can look for it.
        let mut thread = self.thread_slot();
        match process::spawn(self.name(), body) {
            Ok(handle) => {
                *thread = Some(handle);
                Ok(())
            }
            Err(error) => {
                live().remove(&self.id);
                Err(Error::io("start the connection's thread", error))
            }
        }
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
    pub fn wake_up(&self) -> Option<Arc<Wake>> {
        self.wake_slot().clone()
    }

    /// Wakes the thread.
    pub fn wake(&self) {
        if let Some(wake) = &*self.wake_slot() {
            wake.set();
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
    pub fn close_wake(&self) {
        self.wake_slot().take();
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

    /// Waits for the thread, which is about to end.
    pub fn join(&self) {
        let thread = self.thread_slot().take();
        if let Some(thread) = thread {
            // Its panics are caught inside.
            drop(thread.join());
        }
    }

    fn wake_slot(&self) -> MutexGuard<'_, Option<Arc<Wake>>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thread_slot(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the connection with this number.
pub fn name_of(id: u64) -> String {
    format!("websocket-{}", id & ((1 << NUMBER_BITS) - 1))
}

/// Whether the connection with this number logs at this level; `None` if the targets decide.
pub fn admits(id: u64, level: Level) -> Option<bool> {
    let own_level = (id >> NUMBER_BITS).checked_sub(1)?;
    Some(level as u64 <= own_level)
}

/// Ends every connection of the process and waits for their threads, but not for ever.
pub fn stop_all(timeout: Duration) {
    // A forked process has the handles of its parent's threads, but not the threads.
    let is_ours = |control: &Arc<Control>| control.is_in_this_process();
    let controls: Vec<_> = live()
        .values()
        .filter(|control| is_ours(control))
        .cloned()
        .collect();
    for control in &controls {
        control.stop();
    }
    let deadline = Instant::now() + timeout;
    while live().values().any(is_ours) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    for control in &controls {
        let finished = control
            .thread_slot()
            .as_ref()
            .is_some_and(JoinHandle::is_finished);
        if finished {
            control.join();
        }
    }
}

/// The connection threads that run, by the number of their connection.
fn live() -> MutexGuard<'static, HashMap<u64, Arc<Control>>> {
    static LIVE: LazyLock<Mutex<HashMap<u64, Arc<Control>>>> = LazyLock::new(Mutex::default);
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many connections can be told apart.
const NUMBER_BITS: u32 = 56;
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
const LOG: &str = "websocket_rs::connection";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_what_is_logged_and_the_name_does_not() {
        let targets_decide = Control::new(None).unwrap();
        assert_eq!(admits(targets_decide.id, Level::Error), None);
        for own in LevelFilter::iter() {
            let control = Control::new(Some(own)).unwrap();
            for level in Level::iter() {
                assert_eq!(
                    admits(control.id, level),
                    Some(level <= own),
                    "{own} {level}"
                );
            }
            assert!(control.name().len() < "websocket-".len() + 10);
        }
    }
}
