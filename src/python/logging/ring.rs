//! Records that wait for a Python thread. Their number is bounded: the oldest ones go.
//!
//! Each process has a ring of its own, since that of the process it was forked from may be locked
//! for ever, by a thread that is not there. No lock is held while a process forks: whoever forks
//! has the interpreter, and the others could not wait for a lock of it without having it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use log::Level;

use super::own::Parting;
use crate::control;

/// The ring.
pub(super) struct Ring {
    pub(super) entries: VecDeque<Entry>,
    /// How many were dropped, by the connection if it has a logger of its own.
    pub(super) dropped: BTreeMap<Option<u64>, usize>,
    /// Who needs a logger no more, once the entries have been handed on.
    pub(super) partings: Vec<Parting>,
}

/// A record.
pub(super) struct Entry {
    pub(super) target: usize,
    pub(super) level: Level,
    pub(super) file: Option<&'static str>,
    pub(super) line: Option<u32>,
    pub(super) connection: Option<u64>,
    pub(super) text: String,
}

/// The ring of one process, and of those forked from it.
struct Generation {
    ring: Mutex<Ring>,
    next: OnceLock<Box<Self>>,
}

/// Appends a record. The oldest one goes if there are too many.
pub(super) fn push(entry: Entry) {
    let mut ring = lock();
    if ring.entries.len() >= CAPACITY {
        let oldest = ring.entries.pop_front();
        let connection = oldest.and_then(|entry| entry.own_logger());
        *ring.dropped.entry(connection).or_default() += 1;
    }
    ring.entries.push_back(entry);
    ANY.store(true, Ordering::Release);
}

/// Notes that someone needs a logger no more. All that it has logged is in the ring already.
pub(super) fn note_parting(parting: Parting) {
    lock().partings.push(parting);
    ANY.store(true, Ordering::Release);
}

/// Whether there is something in the ring.
pub(super) fn has_any() -> bool {
    ANY.load(Ordering::Acquire)
}

/// Takes everything that is in the ring.
pub(super) fn take() -> Ring {
    let mut ring = lock();
    ANY.store(false, Ordering::Release);
    std::mem::replace(&mut *ring, Ring::new())
}

/// Gives a forked process a ring of its own. Returns what its parent had in the ring; nothing, if
/// that was being changed.
pub(super) fn forked() -> Ring {
    let inherited = generation();
    inherited.next.get_or_init(|| Box::new(Generation::new()));
    FORKS.fetch_add(1, Ordering::SeqCst);
    ANY.store(false, Ordering::SeqCst);
    inherited.ring.try_lock().map_or_else(
        |_| Ring::new(),
        |mut ring| std::mem::replace(&mut *ring, Ring::new()),
    )
}

impl Entry {
    /// The number of the connection, if it has a logger of its own.
    pub(super) fn own_logger(&self) -> Option<u64> {
        self.connection
            .filter(|id| control::admits(*id, self.level).is_some())
    }
}

impl Ring {
    const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            dropped: BTreeMap::new(),
            partings: Vec::new(),
        }
    }
}

impl Generation {
    const fn new() -> Self {
        Self {
            ring: Mutex::new(Ring::new()),
            next: OnceLock::new(),
        }
    }
}

fn generation() -> &'static Generation {
    let mut found = &FIRST;
    for _ in 0..FORKS.load(Ordering::Relaxed) {
        let Some(next) = found.next.get() else {
            unreachable!("it is made before it is counted");
        };
        found = next;
    }
    found
}

/// Held for single operations, and never while waiting for the interpreter.
fn lock() -> MutexGuard<'static, Ring> {
    generation()
        .ring
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

static FIRST: Generation = Generation::new();
/// How many forks lie between the process that imported this and this process.
static FORKS: AtomicUsize = AtomicUsize::new(0);
/// Whether the ring holds anything.
static ANY: AtomicBool = AtomicBool::new(false);
/// So many records may wait.
const CAPACITY: usize = 4096;
