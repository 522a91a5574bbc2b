//! From the `log` crate to Python's `logging`, without ever entering the interpreter to log.
//!
//! Whatever is logged goes to a bounded ring first, on whichever thread. A Python thread that is
//! in our code hands the records on, through pyo3-log, where a handler that raises can break
//! nothing. So connection threads never attach, and no log call can deadlock with a lock of ours
//! or of `logging`. When the ring is full, the oldest records go, and their number is logged.
//!
//! The levels are read from Python at every `connect`, and then cost two atomic loads. A connection
//! may have a logger of its own, whose level is read when the connection is made; the others do not
//! pay for it.

mod own;
mod ring;

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use pyo3::{
    exceptions::{PyException, PyImportError},
    intern,
    prelude::*,
    sync::PyOnceLock,
};
use pyo3_log::{Caching, Logger};

pub(super) use self::own::Stake;
use self::ring::{Entry, Ring};
use crate::control;

/// To be called after a fork, in the new process.
pub(super) fn forked() {
    // The thread that was handing records on is not there.
    DRAINING.store(false, Ordering::SeqCst);
    EMITTING.set(false);
    // The parent hands its records on itself.
    let inherited = ring::forked();
    own::part(inherited.partings);
    own::forked();
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
/// The interpreter exits, and no more records are handed to it.
static FINISHED: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// This thread is inside a handler.
    static EMITTING: Cell<bool> = const { Cell::new(false) };
}
/// The way into Python.
static PYTHON: PyOnceLock<Logger> = PyOnceLock::new();

/// Makes this the logger of the crate.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    PYTHON.get_or_try_init(py, || {
        Logger::new(py, Caching::Loggers).map(|logger| logger.filter(LevelFilter::Trace))
    })?;
    // A module may be initialised twice in one process; the logger stays.
    if log::set_logger(&Collector).is_err() && log::logger().enabled(&Metadata::builder().build()) {
        return Err(PyImportError::new_err("another logger is installed"));
    }
    Ok(())
}

/// What is decided of the log of a connection before there is one.
pub(super) struct Plan<'py> {
    logger: Option<Bound<'py, PyAny>>,
    /// Up to which level it logs; `None` if the targets decide.
    pub(super) level: Option<LevelFilter>,
}

impl<'py> Plan<'py> {
    /// The plan for a connection that is given this logger.
    ///
    /// Reads the levels afresh, so that a `setLevel` before a `connect` is honoured by it. Raises
    /// `TypeError` for what is no logger.
    pub(super) fn new(py: Python<'py>, logger: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let level = logger.map(own::check).transpose()?;
        refresh(py)?;
        Ok(Self {
            logger: logger.cloned(),
            // What a connection logs that a handler opens would be handled by the same handler,
            // for ever.
            level: if EMITTING.get() {
                Some(LevelFilter::Off)
            } else {
                level
            },
        })
    }

    /// Makes the logger that of a connection, until both the connection's object and its thread
    /// have dropped their stakes; `None` if it has no logger of its own.
    pub(super) fn enter(self, id: u64) -> PyResult<Option<(Stake, Stake)>> {
        let Some(logger) = self.logger else {
            return Ok(None);
        };
        let level = self.level.unwrap_or(LevelFilter::Off);
        let stakes = own::register(id, &logger, level)?;
        settle_max_level();
        Ok(Some(stakes))
    }
}

/// Lets the records that a connection's own logger gets refer to the object, if it has one.
pub(super) fn introduce(id: u64, object: &Bound<'_, PyAny>) -> PyResult<()> {
    own::introduce(id, object)
}

fn refresh(py: Python<'_>) -> PyResult<()> {
    let logging = py.import(intern!(py, "logging"))?;
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
    let py = logger.py();
    for level in TALKATIVE_FIRST {
        let enabled = logger.call_method1(intern!(py, "isEnabledFor"), (number_of(level),))?;
        if enabled.is_truthy()? {
            return Ok(level.to_level_filter());
        }
    }
    Ok(LevelFilter::Off)
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
    let targets = LEVELS.iter().map(|level| level.load(Ordering::Relaxed));
    let highest = targets.max().unwrap_or_default();
    let level = LevelFilter::iter().nth(highest);
    log::set_max_level(level.unwrap_or(LevelFilter::Off).max(own::highest_level()));
}

/// Hands the records collected so far to Python.
///
/// What a handler raises is shown as `logging` shows such errors, and goes no further, except
/// for what is not an `Exception`, such as `KeyboardInterrupt`.
pub(super) fn drain(py: Python<'_>) -> PyResult<()> {
    if !ring::has_any() {
        return Ok(());
    }
    drain_all(py)
}

/// Hands on the last records. From now on no other thread will run a handler: the interpreter is
/// about to stop them all, and must not find our code on the stack of one.
pub(super) fn finish(py: Python<'_>) -> PyResult<()> {
    py.detach(|| {
        FINISHED.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + HANDLER_TIMEOUT;
        while DRAINING.load(Ordering::SeqCst) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    });
    FINISHED.store(false, Ordering::SeqCst);
    let result = drain(py);
    FINISHED.store(true, Ordering::SeqCst);
    result
}

#[cold]
fn drain_all(py: Python<'_>) -> PyResult<()> {
    let Some(logger) = PYTHON.get(py) else {
        return Ok(());
    };
    // Another thread is at it, or this one is: a handler may use a connection.
    if FINISHED.load(Ordering::SeqCst) || DRAINING.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    EMITTING.set(true);
    // One batch: connection threads may log faster than a handler can take it.
    let batch = ring::take();
    let result = emit_all(py, logger, &batch);
    if !batch.partings.is_empty() {
        own::part(batch.partings);
        settle_max_level();
    }
    EMITTING.set(false);
    DRAINING.store(false, Ordering::SeqCst);
    result
}

fn emit_all(py: Python<'_>, logger: &Logger, batch: &Ring) -> PyResult<()> {
    for (connection, count) in &batch.dropped {
        let note = Entry {
            target: 0,
            level: Level::Warn,
            file: None,
            line: None,
            connection: *connection,
            text: format!("{count} log records were dropped: they came too fast"),
        };
        emit(py, logger, &note)?;
    }
    for entry in &batch.entries {
        emit(py, logger, entry)?;
    }
    Ok(())
}

fn emit(py: Python<'_>, logger: &Logger, entry: &Entry) -> PyResult<()> {
    if let Some(id) = entry.own_logger() {
        return own::emit(py, id, entry);
    }
    let name = entry.connection.map(control::name_of);
    let pairs: Vec<(&str, kv::Value<'_>)> = name
        .iter()
        .map(|name| (EXTRA, kv::Value::from(name.as_str())))
        .collect();
    logger.log(
        &Record::builder()
            .target(TARGETS[entry.target])
            .level(entry.level)
            .file_static(entry.file)
            .line(entry.line)
            .key_values(&pairs.as_slice())
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
            let logging = py.import(intern!(py, "logging"))?;
            if logging
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

/// Collects records in the ring.
struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        index(metadata.target()).is_some_and(|target| {
            metadata.level() as usize <= LEVELS[target].load(Ordering::Relaxed)
        })
    }

    fn log(&self, record: &Record<'_>) {
        let Some(target) = index(record.target()) else {
            return;
        };
        let connection = record
            .key_values()
            .get(kv::Key::from_str("id"))
            .and_then(|id| id.to_u64());
        let is_wanted = connection
            .and_then(|id| control::admits(id, record.level()))
            .unwrap_or_else(|| self.enabled(record.metadata()));
        if !is_wanted || EMITTING.get() {
            return;
        }
        ring::push(Entry {
            target,
            level: record.level(),
            file: record.file_static(),
            line: record.line(),
            connection,
            text: record.args().to_string(),
        });
    }

    fn flush(&self) {}
}

/// Which target this is; `None` for the records of other crates, which may hold payloads.
fn index(target: &str) -> Option<usize> {
    TARGETS.iter().position(|own| *own == target)
}

/// All levels.
const TALKATIVE_FIRST: [Level; 5] = [
    Level::Trace,
    Level::Debug,
    Level::Info,
    Level::Warn,
    Level::Error,
];
/// The attribute of a log record that names the connection.
const EXTRA: &str = "websocket_name";
/// How long the interpreter's exit waits for a handler that runs on another thread.
const HANDLER_TIMEOUT: Duration = Duration::from_millis(300);
