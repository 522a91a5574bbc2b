//! The connection threads that run, so that the exit of the interpreter can end them.
//!
//! Invariant: whoever is in the registry has a thread that will take it out.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::handle::ThreadHandle;
use crate::{error::Result, process::PerProcess};

/// Starts a connection thread. Fails if the system has no more threads.
pub fn spawn(handle: &Arc<ThreadHandle>, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let id = handle.id;
    HANDLES.lock().insert(id, Arc::clone(handle));
    let remove = move || {
        HANDLES.lock().remove(&id);
    };
    let started = handle.spawn(run, remove);
    if started.is_err() {
        remove();
    }
    started
}

/// To be called after a fork, in the new process, which has none of the threads. Their handles are
/// never dropped: that waits for the threads.
pub fn forked() {
    mem::forget(HANDLES.forked());
}

/// Tells the loggers of all connections that the interpreter exits, which is the last they hear.
pub fn note_exit() {
    for handle in running() {
        log::debug!(logger: handle.logger, target: LOG, "the interpreter exits, which ends the connection");
    }
}

/// Ends every connection of the process and waits for their threads, but not for ever.
pub fn stop_all(timeout: Duration) {
    let mut stopped = HashMap::new();
    let deadline = Instant::now() + timeout;
    loop {
        let left = running();
        if left.is_empty() || Instant::now() >= deadline {
            break;
        }
        // A thread that was just opening a connection may have begun to serve it meanwhile.
        for handle in left {
            if stopped.insert(handle.id, Arc::clone(&handle)).is_none() {
                handle.stop();
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    for handle in stopped.values().filter(|handle| handle.is_finished()) {
        handle.join();
    }
}

fn running() -> Vec<Arc<ThreadHandle>> {
    HANDLES.lock().values().cloned().collect()
}

/// By the number of the connection. Locked for single operations.
static HANDLES: PerProcess<BTreeMap<u64, Arc<ThreadHandle>>> =
    PerProcess::new(BTreeMap::new(), BTreeMap::new);

const LOG: &str = "websocket_rs::connection";
