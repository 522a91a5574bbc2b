//! Records that wait for a Python thread. Their number is bounded: the oldest ones go.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use log::Level;

use pyo3::prelude::*;

use crate::process::PerProcess;

/// What waits for a Python thread.
pub(super) struct Ring {
    pub(super) entries: VecDeque<Entry>,
    /// What was dropped, by the connection if it has a logger of its own.
    pub(super) dropped: BTreeMap<Option<u64>, Dropped>,
    /// Loggers that nothing needs any more.
    released: Vec<Released>,
}

/// A logger that a connection was given for itself.
pub(super) trait OwnLogger: Send + Sync {
    /// Hands a record of the connection with this name to it.
    fn emit(&self, py: Python<'_>, name: Option<&str>, entry: &Entry) -> PyResult<()>;
}

/// What only a thread that is attached may drop.
pub(super) type Released = Box<dyn Send>;

/// A record.
pub(super) struct Entry {
    pub(super) target: usize,
    pub(super) level: Level,
    pub(super) file: Option<&'static str>,
    pub(super) line: Option<u32>,
    /// The number of the connection.
    pub(super) connection: Option<u64>,
    /// The connection's own logger.
    pub(super) logger: Option<Arc<dyn OwnLogger>>,
    pub(super) text: String,
}

/// Records that came too fast for a logger.
#[derive(Default)]
pub(super) struct Dropped {
    pub(super) logger: Option<Arc<dyn OwnLogger>>,
    pub(super) count: usize,
}

/// Appends a record. The oldest one goes if there are too many.
pub(super) fn push(entry: Entry) {
    let mut ring = RING.lock();
    if ring.entries.len() >= CAPACITY
        && let Some(oldest) = ring.entries.pop_front()
    {
        let connection = oldest.connection.filter(|_| oldest.logger.is_some());
        let dropped = ring.dropped.entry(connection).or_default();
        dropped.logger = oldest.logger;
        dropped.count += 1;
    }
    ring.entries.push_back(entry);
    ANY.store(true, Ordering::Release);
}

/// Keeps a logger until a Python thread can drop it.
pub(super) fn release(logger: Released) {
    RING.lock().released.push(logger);
    ANY.store(true, Ordering::Release);
}

/// Whether there is something in the ring.
pub(super) fn has_any() -> bool {
    ANY.load(Ordering::Acquire)
}

/// Takes the records that are in the ring.
pub(super) fn take() -> Ring {
    let mut ring = RING.lock();
    ANY.store(false, Ordering::Release);
    Ring {
        entries: mem::take(&mut ring.entries),
        dropped: mem::take(&mut ring.dropped),
        released: Vec::new(),
    }
}

/// Takes the loggers that nothing needs any more.
pub(super) fn take_released() -> Vec<Released> {
    mem::take(&mut RING.lock().released)
}

/// Gives a forked process a ring of its own. Returns what its parent had in the ring, unless that
/// was being changed.
pub(super) fn forked() -> Option<Ring> {
    ANY.store(false, Ordering::SeqCst);
    RING.forked()
}

impl Ring {
    const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            dropped: BTreeMap::new(),
            released: Vec::new(),
        }
    }
}

/// Locked for single steps, and never while waiting for the interpreter or dropping a logger.
static RING: PerProcess<Ring> = PerProcess::new(Ring::new(), Ring::new);
/// Whether the ring holds anything.
static ANY: AtomicBool = AtomicBool::new(false);
/// How many records may wait.
const CAPACITY: usize = 4096;
