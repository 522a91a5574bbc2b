//! The logger that a connection was given for itself.
//!
//! The connection's object, its thread and its records that wait share it, and whoever is the last
//! leaves the Python logger in the ring, since only a thread that is attached may drop it. While
//! the connection thread runs, it needs the logger, though nothing in Python leads there. After
//! that, the object shows the logger to the garbage collector: it may well lead back to the object.
//!
//! Invariant: the lock is held for single steps that run no Python code, by threads that are
//! attached and stay so. So nobody holds it while a process forks.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use log::{LevelFilter, Log, Metadata, Record};
use pyo3::{PyTraverseError, PyVisit, prelude::*, types::PyWeakrefReference};

use super::{
    EMITTING, collect, level_of, number_of, refresh,
    ring::{self, Entry, OwnLogger},
    settle_max_level,
};
use crate::python::imports;

/// The logger of one connection.
pub(in crate::python) struct ConnectionLogger {
    /// What it was when the connection was made.
    level: LevelFilter,
    /// Guards the logger in Python, until it is released.
    python: Mutex<Option<PythonLogger>>,
    /// For the records, which share this.
    this: Weak<Self>,
}

/// The logger in Python.
pub(super) struct PythonLogger {
    logger: Py<PyAny>,
    /// Refers to the logger, unless that was collected as garbage.
    logger_ref: Py<PyWeakrefReference>,
    /// Refers to the connection's object, once there is one.
    connection_ref: Option<Py<PyWeakrefReference>>,
}

impl ConnectionLogger {
    /// Makes this the logger of a connection; `None` if it has none of its own.
    ///
    /// Reads all levels afresh, so that a `setLevel` before a `connect` is honoured by it.
    pub(in crate::python) fn new(
        py: Python<'_>,
        logger: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Arc<Self>>> {
        refresh(py)?;
        let level = match logger {
            // What a connection logs that a handler opens would be handled by the same handler,
            // for ever.
            _ if EMITTING.get() => LevelFilter::Off,
            Some(logger) => level_of(logger)?,
            None => return Ok(None),
        };
        let python = logger.map(PythonLogger::new).transpose()?;
        LEVELS[level as usize].fetch_add(1, Ordering::Relaxed);
        settle_max_level();
        Ok(Some(Arc::new_cyclic(|this| Self {
            level,
            python: Mutex::new(python),
            this: Weak::clone(this),
        })))
    }

    /// Lets the records refer to the connection's object, for as long as there is one.
    pub(in crate::python) fn introduce(&self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let connection_ref = PyWeakrefReference::new(object)?.unbind();
        if let Some(python) = &mut *self.python() {
            python.connection_ref = Some(connection_ref);
        }
        Ok(())
    }

    /// The logger, as it was given.
    pub(in crate::python) fn logger(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.python().as_ref().map(|own| own.logger.clone_ref(py))
    }

    /// Shows the logger to the garbage collector.
    pub(in crate::python) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.python().as_ref().map(|own| &own.logger))
    }

    /// Lets go of the logger, whoever else shares this.
    pub(in crate::python) fn release(&self) {
        let python = self.python().take();
        if let Some(python) = python {
            LEVELS[self.level as usize].fetch_sub(1, Ordering::Relaxed);
            ring::release(Box::new(python));
        }
    }

    fn python(&self) -> MutexGuard<'_, Option<PythonLogger>> {
        self.python.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnLogger for ConnectionLogger {
    fn emit(&self, py: Python<'_>, name: Option<&str>, entry: &Entry) -> PyResult<()> {
        let references = self.python().as_ref().map(|own| {
            let connection_ref = own.connection_ref.as_ref();
            let connection_ref = connection_ref.map(|object| object.clone_ref(py));
            (own.logger_ref.clone_ref(py), connection_ref)
        });
        let Some((logger, connection)) = references else {
            return Ok(());
        };
        let level = number_of(entry.level);
        imports::get(py, "emit")?.call1((logger, level, entry.text.as_str(), name, connection))?;
        Ok(())
    }
}

impl Log for ConnectionLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some(this) = self.this.upgrade()
        {
            collect(record, Some(this));
        }
    }

    fn flush(&self) {}
}

impl Drop for ConnectionLogger {
    fn drop(&mut self) {
        self.release();
    }
}

impl PythonLogger {
    fn new(logger: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            logger: logger.clone().unbind(),
            logger_ref: PyWeakrefReference::new(logger)?.unbind(),
            connection_ref: None,
        })
    }
}

/// Whether there is a logger of a connection with this level.
pub(super) fn any_has(level: LevelFilter) -> bool {
    LEVELS[level as usize].load(Ordering::Relaxed) > 0
}

/// How many of these loggers there are of each level.
static LEVELS: [AtomicUsize; LevelFilter::Trace as usize + 1] =
    [const { AtomicUsize::new(0) }; LevelFilter::Trace as usize + 1];
