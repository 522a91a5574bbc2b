//! From the `log` crate to Python's `logging`, without ever entering the interpreter to log.
//!
//! Whatever is logged goes to a bounded ring first, on whichever thread. A Python thread that is
//! in our code hands the records on, through pyo3-log, where a handler that raises can break
//! nothing. So connection threads never attach, and no log call can deadlock with a lock of ours
//! or of `logging`. When the ring is full, the oldest records go, and their number is logged.
//!
//! The levels are read from Python at every `connect`, and then cost two atomic loads. A connection
//! may have a logger of its own, which its records refer to in the ring.

mod connection_logger;
mod ring;

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use pyo3::{
    exceptions::{PyException, PyImportError},
    intern,
    prelude::*,
    sync::PyOnceLock,
};
use pyo3_log::{Caching, Logger};

pub(super) use self::connection_logger::ConnectionLogger;
use self::ring::{Entry, OwnLogger, Ring};
use super::{attached, imports};
use crate::connection::handle;

/// To be called after a fork, in the new process.
pub(super) fn forked() {
    // The thread that was handing records on is not there.
    DRAINING.store(false, Ordering::SeqCst);
    EMITTING.set(false);
    // The parent hands its records on itself.
    drop(ring::forked());
    settle_max_level();
}

/// Where everything is logged to. `::` becomes `.` in the name of the Python logger.
const TARGETS: [&str; 5] = [
    "websocket_rs::client",
    "websocket_rs::handshake",
    "websocket_rs::connection",
    "websocket_rs::tls",
    "websocket_rs::keepalive",
];

/// The level of each target, as a number of `LevelFilter`.
static LEVELS: [AtomicUsize; TARGETS.len()] = [const { AtomicUsize::new(0) }; TARGETS.len()];
/// A thread is handing records to Python.
static DRAINING: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// This thread is inside a handler.
    static EMITTING: Cell<bool> = const { Cell::new(false) };
}
/// The way into Python.
static PYTHON: PyOnceLock<Logger> = PyOnceLock::new();

/// Makes this the logger of the crate.
pub(super) fn install() -> PyResult<()> {
    // A module may be initialised twice in one process; the logger stays.
    if log::set_logger(&Collector).is_err() && log::logger().enabled(&Metadata::builder().build()) {
        return Err(PyImportError::new_err("another logger is installed"));
    }
    Ok(())
}

/// Reads the levels of the targets afresh, and opens the way into Python.
fn refresh(py: Python<'_>) -> PyResult<()> {
    PYTHON.get_or_try_init(py, || {
        Logger::new(py, Caching::Loggers).map(|logger| logger.filter(LevelFilter::Trace))
    })?;
    let logging = imports::get(py, "logging")?;
    for (target, level) in TARGETS.iter().zip(&LEVELS) {
        let name = target.replace("::", ".");
        let logger = logging.call_method1(intern!(py, "getLogger"), (name,))?;
        level.store(level_of(&logger)? as usize, Ordering::Relaxed);
    }
    settle_max_level();
    Ok(())
}

/// The most talkative level that a logger is enabled for.
fn level_of(logger: &Bound<'_, PyAny>) -> PyResult<LevelFilter> {
    let mut most = LevelFilter::Off;
    for level in Level::iter() {
        let arguments = (number_of(level),);
        let enabled = logger.call_method1(intern!(logger.py(), "isEnabledFor"), arguments)?;
        if enabled.is_truthy()? {
            most = level.to_level_filter();
        }
    }
    Ok(most)
}

/// Python's number for a level.
fn number_of(level: Level) -> u8 {
    match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug => 10,
        Level::Trace => 5,
    }
}

/// Lets through what any logger wants. To be called after each change of what that is, without
/// leaving the interpreter in between.
fn settle_max_level() {
    let is_wanted = |level: &LevelFilter| {
        let is_it = |target: &AtomicUsize| target.load(Ordering::Relaxed) == *level as usize;
        LEVELS.iter().any(is_it) || connection_logger::any_has(*level)
    };
    let highest = LevelFilter::iter().filter(is_wanted).max();
    log::set_max_level(highest.unwrap_or(LevelFilter::Off));
}

/// Hands the records collected so far to Python.
///
/// What a handler raises is shown as `logging` shows such errors, and goes no further, except
/// for what is not an `Exception`, such as `KeyboardInterrupt`.
pub(super) fn drain(py: Python<'_>) -> PyResult<()> {
    // At the exit of the interpreter, handlers may be gone already.
    if !ring::has_any() || attached::is_exiting() {
        return Ok(());
    }
    hand_on(py)
}

#[cold]
fn hand_on(py: Python<'_>) -> PyResult<()> {
    let Some(logger) = PYTHON.get(py) else {
        return Ok(());
    };
    // Another thread is at it, or this one is: a handler may use a connection.
    if DRAINING.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    EMITTING.set(true);
    // One batch: connection threads may log faster than a handler can take it.
    let batch = ring::take();
    let result = emit_all(py, logger, &batch);
    // These records may have been the last that needed a logger.
    drop(batch);
    drop(ring::take_released());
    settle_max_level();
    EMITTING.set(false);
    DRAINING.store(false, Ordering::SeqCst);
    result
}

fn emit_all(py: Python<'_>, logger: &Logger, batch: &Ring) -> PyResult<()> {
    for (connection, dropped) in &batch.dropped {
        let note = Entry {
            target: 0,
            level: Level::Warn,
            file: None,
            line: None,
            connection: *connection,
            logger: dropped.logger.clone(),
            text: format!(
                "{} log records were dropped: they came too fast",
                dropped.count
            ),
        };
        emit(py, logger, &note)?;
    }
    for entry in &batch.entries {
        emit(py, logger, entry)?;
    }
    Ok(())
}

fn emit(py: Python<'_>, package: &Logger, entry: &Entry) -> PyResult<()> {
    let name = entry.connection.map(handle::name_of);
    if let Some(logger) = &entry.logger {
        return survive(py, logger.emit(py, name.as_deref(), entry));
    }
    let extra = name.map(|name| (EXTRA, name));
    package.log(
        &Record::builder()
            .target(TARGETS[entry.target])
            .level(entry.level)
            .file_static(entry.file)
            .line(entry.line)
            .key_values(&extra)
            .args(format_args!("{}", entry.text))
            .build(),
    );
    survive(py, PyErr::take(py).map_or(Ok(()), Err))
}

/// Shows what a handler raised as `logging` shows such errors. Only what is no `Exception` goes
/// further.
fn survive(py: Python<'_>, result: PyResult<()>) -> PyResult<()> {
    match result {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            if imports::get(py, "logging")?
                .getattr(intern!(py, "raiseExceptions"))?
                .is_truthy()?
            {
                error.display(py);
            }
            Ok(())
        }
        result => result,
    }
}

/// The logger of the crate. It collects records in the ring.
struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        index(metadata.target()).is_some_and(|target| {
            metadata.level() as usize <= LEVELS[target].load(Ordering::Relaxed)
        })
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            collect(record, None);
        }
    }

    fn flush(&self) {}
}

/// Puts a record into the ring, for a connection's own logger or for those of the package.
fn collect(record: &Record<'_>, logger: Option<Arc<dyn OwnLogger>>) {
    let Some(target) = index(record.target()) else {
        return;
    };
    if EMITTING.get() {
        return;
    }
    let id = record.key_values().get(kv::Key::from_str("id"));
    ring::push(Entry {
        target,
        level: record.level(),
        file: record.file_static(),
        line: record.line(),
        connection: id.and_then(|id| id.to_u64()),
        logger,
        text: record.args().to_string(),
    });
}

/// Which target this is; `None` for the records of other crates, which may hold payloads.
fn index(target: &str) -> Option<usize> {
    TARGETS.iter().position(|own| *own == target)
}

/// The attribute of a log record that names the connection.
const EXTRA: &str = "websocket_name";
