//! The loggers that connections were given for themselves.
//!
//! They are looked up when records are handed to Python, by the number of the connection; what is
//! logged at all is part of that number ([`crate::control::admits`]), and needs no look-up.
//!
//! A logger is needed while there is a connection object, or a connection thread, or a record of
//! either that has not been handed on. So both take part in it by a [`Stake`]; giving one up is
//! noted behind the last records, in the ring. While the thread runs, the logger is kept here.
//! After that only the object keeps it: the logger may well lead to the object, and the collector
//! of cycles sees the one but not what is kept here.
//!
//! Invariants: no Python code runs under the lock; nothing here is touched without the interpreter,
//! except that stakes are given up.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use log::LevelFilter;
use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    types::{PyWeakrefMethods, PyWeakrefReference},
};

use super::{
    level_of, number_of,
    ring::{self, Entry},
    survive,
};
use crate::control;

/// The loggers of connections.
struct Registry {
    /// By the number of the connection.
    loggers: BTreeMap<u64, Own>,
    /// How many of them there are of each level.
    levels: [usize; LEVELS],
}

/// The logger of one connection.
struct Own {
    level: LevelFilter,
    logger: Py<PyWeakrefReference>,
    /// The logger, while there is a thread.
    kept: Option<Py<PyAny>>,
    /// The connection object, once there is one.
    object: Option<Py<PyWeakrefReference>>,
    has_object: bool,
    has_thread: bool,
}

/// Who needs a logger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Object,
    Thread,
}

/// The need for the logger of a connection, until it is dropped.
pub(in crate::python) struct Stake {
    id: u64,
    holder: Holder,
    /// The object's reference to the logger.
    logger: Option<Py<PyAny>>,
}

/// A stake that was given up.
pub(super) struct Parting {
    id: u64,
    holder: Holder,
    /// Alive until the last records have been handed on.
    _logger: Option<Py<PyAny>>,
}

impl Stake {
    /// The logger, of the object's stake.
    pub(in crate::python) fn logger(&self) -> Option<&Py<PyAny>> {
        self.logger.as_ref()
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        ring::note_parting(Parting {
            id: self.id,
            holder: self.holder,
            _logger: self.logger.take(),
        });
    }
}

/// The level of what may be used as a logger.
///
/// Raises `TypeError`, naming the value, if it is none.
pub(super) fn check(logger: &Bound<'_, PyAny>) -> PyResult<LevelFilter> {
    let py = logger.py();
    let logging = py.import(intern!(py, "logging"))?;
    let is_a = |class| logger.is_instance(&logging.getattr(class)?);
    if is_a(intern!(py, "Logger"))? || is_a(intern!(py, "LoggerAdapter"))? {
        return level_of(logger);
    }
    Err(PyTypeError::new_err(format!(
        "logger must be a logging.Logger or a logging.LoggerAdapter, not {}",
        logger.repr()?
    )))
}

/// Makes this the logger of a connection. Returns the stakes of its object and of its thread.
pub(super) fn register(
    id: u64,
    logger: &Bound<'_, PyAny>,
    level: LevelFilter,
) -> PyResult<(Stake, Stake)> {
    // What can't be found when it is needed is better known now.
    logger.py().import(EMITTER)?;
    let own = Own {
        level,
        logger: PyWeakrefReference::new(logger)?.unbind(),
        kept: Some(logger.clone().unbind()),
        object: None,
        has_object: true,
        has_thread: true,
    };
    registry().insert(id, own);
    let stake = |holder, logger| Stake { id, holder, logger };
    Ok((
        stake(Holder::Object, Some(logger.clone().unbind())),
        stake(Holder::Thread, None),
    ))
}

/// Lets the records of a connection refer to its object, for as long as there is one.
pub(super) fn introduce(id: u64, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let reference = PyWeakrefReference::new(object)?.unbind();
    if let Some(own) = registry().loggers.get_mut(&id) {
        own.object = Some(reference);
    }
    Ok(())
}

/// The level of the most talkative of these loggers.
pub(super) fn highest_level() -> LevelFilter {
    let registry = registry();
    let found = LevelFilter::iter().filter(|level| registry.levels[*level as usize] > 0);
    found.max().unwrap_or(LevelFilter::Off)
}

/// Hands a record to the logger of its connection.
pub(super) fn emit(py: Python<'_>, id: u64, entry: &Entry) -> PyResult<()> {
    let found = registry().loggers.get(&id).map(|own| {
        let object = own.object.as_ref();
        (
            own.logger.clone_ref(py),
            object.map(|object| object.clone_ref(py)),
        )
    });
    let Some((logger, object)) = found else {
        return Ok(());
    };
    // It is gone if it was part of a cycle with the object, and that was collected.
    let Some(logger) = logger.bind(py).upgrade() else {
        return Ok(());
    };
    let arguments = (
        logger,
        number_of(entry.level),
        entry.text.as_str(),
        control::name_of(id),
        object,
    );
    let emitter = py.import(intern!(py, EMITTER))?;
    let result = emitter.call_method1(intern!(py, "emit"), arguments);
    survive(py, result.map(drop))
}

/// Notes who needs no logger any more, and forgets the loggers that nobody needs.
pub(super) fn part(partings: Vec<Parting>) {
    let mut registry = registry();
    let released: Vec<_> = partings
        .iter()
        .map(|parting| registry.part(parting.id, parting.holder))
        .collect();
    drop(registry);
    // What this ends may run Python code.
    drop((released, partings));
}

/// In a forked process there are no connection threads.
pub(super) fn forked() {
    let mut registry = registry();
    let ids: Vec<u64> = registry.loggers.keys().copied().collect();
    let released: Vec<_> = ids
        .into_iter()
        .map(|id| registry.part(id, Holder::Thread))
        .collect();
    drop(registry);
    drop(released);
}

/// What may be dropped once the registry is unlocked.
type Released = (Option<Py<PyAny>>, Option<Own>);

impl Registry {
    const fn new() -> Self {
        Self {
            loggers: BTreeMap::new(),
            levels: [0; LEVELS],
        }
    }

    fn insert(&mut self, id: u64, own: Own) {
        self.levels[own.level as usize] += 1;
        self.loggers.insert(id, own);
    }

    fn part(&mut self, id: u64, holder: Holder) -> Released {
        let Some(own) = self.loggers.get_mut(&id) else {
            return (None, None);
        };
        let kept = match holder {
            Holder::Object => {
                own.has_object = false;
                None
            }
            Holder::Thread => {
                own.has_thread = false;
                own.kept.take()
            }
        };
        if own.has_object || own.has_thread {
            return (kept, None);
        }
        self.levels[own.level as usize] -= 1;
        (kept, self.loggers.remove(&id))
    }
}

/// Locked for single operations, by threads that have the interpreter and keep it. So nobody has
/// it while a process forks.
fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many levels there are, `Off` included.
const LEVELS: usize = LevelFilter::Trace as usize + 1;
/// The module that hands records to a logger or an adapter of one.
const EMITTER: &str = "websocket_rs._logging";
