//! From the `log` crate to Python's `logging`, without ever entering the interpreter to log.
//!
//! Whatever is logged goes to a bounded ring first, on whichever thread. A Python thread that is
//! in our code hands the records on, through pyo3-log, where a handler that raises can break
//! nothing. So connection threads never attach, and no log call can deadlock with a lock of ours
//! or of `logging`. When the ring is full, the oldest records go, and their number is logged.
//!
//! The levels are read from Python at every `connect`, and then cost one atomic load. A connection
//! may have a logger of its own, whose level is read when the connection is made.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use pyo3::{
    exceptions::{PyException, PyImportError, PyTypeError},
    intern,
    prelude::*,
    sync::PyOnceLock,
};
use pyo3_log::{Caching, Logger};

use crate::control::Control;

/// The locks that a fork must not catch in the hands of another thread.
type Locks = (
    MutexGuard<'static, Ring>,
    MutexGuard<'static, HashSet<u64>>,
    MutexGuard<'static, HashMap<u64, LevelFilter>>,
);

thread_local! {
    /// Held by the thread that forks, while it does.
    static FORKING: RefCell<Option<Locks>> = const { RefCell::new(None) };
}

/// To be called before a fork, by the thread that forks.
pub(super) fn before_fork() {
    FORKING.replace(Some((ring(), quiet(), own_levels())));
}

/// To be called after a fork, by the same thread, in either process.
pub(super) fn after_fork(is_child: bool) {
    drop(FORKING.take());
    if is_child {
        // The thread that was handing records on is not there.
        DRAINING.store(false, Ordering::SeqCst);
        EMITTING.set(false);
    }
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
/// Whether the ring holds anything.
static ANY: AtomicBool = AtomicBool::new(false);
static RING: Mutex<Ring> = Mutex::new(Ring {
    entries: VecDeque::new(),
    dropped: 0,
    gone: Vec::new(),
});
/// A thread is handing records to Python.
static DRAINING: AtomicBool = AtomicBool::new(false);
/// The interpreter exits, and no more records are handed to it.
static FINISHED: AtomicBool = AtomicBool::new(false);
/// There are connections that have a logger of their own.
static ANY_OWN: AtomicBool = AtomicBool::new(false);
/// There are connections that must not be logged.
static ANY_QUIET: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// This thread is inside a handler.
    static EMITTING: Cell<bool> = const { Cell::new(false) };
}
/// The way into Python.
static PYTHON: PyOnceLock<Logger> = PyOnceLock::new();

/// Records that wait for a Python thread.
struct Ring {
    entries: VecDeque<Entry>,
    dropped: usize,
    /// Connections with a logger of their own that log no more.
    gone: Vec<u64>,
}

struct Entry {
    target: usize,
    level: Level,
    file: Option<&'static str>,
    line: Option<u32>,
    connection: Option<u64>,
    text: String,
}

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

/// Reads the levels afresh, so that a `setLevel` before a `connect` is honoured by it.
pub(super) fn refresh(py: Python<'_>) -> PyResult<()> {
    let logging = py.import(intern!(py, "logging"))?;
    let mut highest = LevelFilter::Off;
    for (target, level) in TARGETS.iter().zip(&LEVELS) {
        let name = target.replace("::", ".");
        let logger = logging.call_method1(intern!(py, "getLogger"), (name,))?;
        let mut found = LevelFilter::Off;
        for (filter, number) in NUMBERS {
            let enabled = logger.call_method1(intern!(py, "isEnabledFor"), (number,))?;
            if enabled.is_truthy()? {
                found = filter;
                break;
            }
        }
        level.store(found as usize, Ordering::Relaxed);
        highest = highest.max(found);
    }
    let own = own_levels().values().copied().max();
    log::set_max_level(own.map_or(highest, |own| own.max(highest)));
    Ok(())
}

/// The logger of one connection, with the level that it has when the connection is made.
pub(super) struct Own {
    logger: Py<PyAny>,
    level: LevelFilter,
}

impl Own {
    /// Raises `TypeError` for what is not a logger.
    pub(super) fn new(logger: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = logger.py();
        let logging = py.import(intern!(py, "logging"))?;
        let is_one = |name| logger.is_instance(&logging.getattr(name)?);
        if !is_one("Logger")? && !is_one("LoggerAdapter")? {
            let text = format!("logger must be a logging.Logger, not {}", logger.repr()?);
            return Err(PyTypeError::new_err(text));
        }
        let mut level = LevelFilter::Off;
        for (filter, number) in NUMBERS {
            let enabled = logger.call_method1(intern!(py, "isEnabledFor"), (number,))?;
            if enabled.is_truthy()? {
                level = filter;
                break;
            }
        }
        Ok(Self {
            logger: logger.clone().unbind(),
            level,
        })
    }

    /// Makes this the logger of a connection, until it logs no more.
    pub(super) fn assign_to(self, control: &Control) {
        own_loggers().insert(control.id, self.logger);
        own_levels().insert(control.id, self.level);
        ANY_OWN.store(true, Ordering::Release);
        log::set_max_level(log::max_level().max(self.level));
        control.accompany(Tenure(control.id));
    }
}

/// The time in which a connection has a logger of its own.
struct Tenure(u64);

impl Drop for Tenure {
    fn drop(&mut self) {
        // Records of the connection may still wait.
        ring().gone.push(self.0);
        ANY.store(true, Ordering::Release);
    }
}

/// The levels of the connections that have a logger of their own.
fn own_levels() -> MutexGuard<'static, HashMap<u64, LevelFilter>> {
    static LEVELS: LazyLock<Mutex<HashMap<u64, LevelFilter>>> = LazyLock::new(Mutex::default);
    LEVELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Their loggers. Locked by threads that are attached, and for a moment only.
fn own_loggers() -> MutexGuard<'static, HashMap<u64, Py<PyAny>>> {
    static LOGGERS: LazyLock<Mutex<HashMap<u64, Py<PyAny>>>> = LazyLock::new(Mutex::default);
    LOGGERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The level of a connection's own logger.
fn own_level(id: u64) -> Option<LevelFilter> {
    if !ANY_OWN.load(Ordering::Acquire) {
        return None;
    }
    own_levels().get(&id).copied()
}

/// Forgets the loggers of connections that log no more.
fn forget(gone: &[u64]) {
    if gone.is_empty() {
        return;
    }
    let mut levels = own_levels();
    for id in gone {
        levels.remove(id);
    }
    ANY_OWN.store(!levels.is_empty(), Ordering::Release);
    drop(levels);
    let mut loggers = own_loggers();
    let forgotten: Vec<_> = gone.iter().filter_map(|id| loggers.remove(id)).collect();
    drop(loggers);
    // Dropping the last reference to a logger may run Python code.
    drop(forgotten);
}

/// Hands the records collected so far to Python.
///
/// What a handler raises is shown as `logging` shows such errors, and goes no further, except
/// for what is not an `Exception`, such as `KeyboardInterrupt`.
pub(super) fn drain(py: Python<'_>) -> PyResult<()> {
    if !ANY.load(Ordering::Acquire) {
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
    let (entries, dropped, gone) = {
        let mut ring = ring();
        ANY.store(false, Ordering::Release);
        (
            std::mem::take(&mut ring.entries),
            std::mem::take(&mut ring.dropped),
            std::mem::take(&mut ring.gone),
        )
    };
    let result = emit_all(py, logger, &entries, dropped);
    forget(&gone);
    EMITTING.set(false);
    DRAINING.store(false, Ordering::SeqCst);
    result
}

fn emit_all(
    py: Python<'_>,
    logger: &Logger,
    entries: &VecDeque<Entry>,
    dropped: usize,
) -> PyResult<()> {
    if dropped > 0 {
        let note = Entry {
            target: 0,
            level: Level::Warn,
            file: None,
            line: None,
            connection: None,
            text: format!("{dropped} log records were dropped: they came too fast"),
        };
        emit(py, logger, &note)?;
    }
    for entry in entries {
        emit(py, logger, entry)?;
    }
    Ok(())
}

fn emit(py: Python<'_>, logger: &Logger, entry: &Entry) -> PyResult<()> {
    let name = entry.connection.map(|id| format!("websocket-{id}"));
    if let Some(own) = entry.connection.and_then(|id| own_logger(py, id)) {
        let emit = py.import(intern!(py, "websocket_rs._logging"))?;
        let level = NUMBERS[Level::Trace as usize - entry.level as usize].1;
        let arguments = (own, level, entry.text.as_str(), name);
        return survive(
            py,
            emit.call_method1(intern!(py, "emit"), arguments).map(drop),
        );
    }
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

fn own_logger(py: Python<'_>, id: u64) -> Option<Py<PyAny>> {
    if !ANY_OWN.load(Ordering::Acquire) {
        return None;
    }
    own_loggers().get(&id).map(|logger| logger.clone_ref(py))
}

/// Shows what a handler raised as `logging` shows such errors, and lets only that through which
/// is not an `Exception`.
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

fn ring() -> MutexGuard<'static, Ring> {
    RING.lock().unwrap_or_else(PoisonError::into_inner)
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
        let is_wanted = match connection.and_then(own_level) {
            Some(level) => record.level() <= level,
            None => self.enabled(record.metadata()),
        };
        if !is_wanted {
            return;
        }
        if EMITTING.get() || connection.is_some_and(is_quiet) {
            return;
        }
        let entry = Entry {
            target,
            level: record.level(),
            file: record.file_static(),
            line: record.line(),
            connection,
            text: record.args().to_string(),
        };
        let mut ring = ring();
        if ring.entries.len() >= CAPACITY {
            ring.entries.pop_front();
            ring.dropped += 1;
        }
        ring.entries.push_back(entry);
        ANY.store(true, Ordering::Release);
    }

    fn flush(&self) {}
}

/// Keeps a connection that a handler opens out of the log: what it logs would be handled by the
/// same handler, for ever.
pub(super) fn note_connection(id: u64) {
    if EMITTING.get() {
        quiet().insert(id);
        ANY_QUIET.store(true, Ordering::Release);
    }
}

fn is_quiet(id: u64) -> bool {
    ANY_QUIET.load(Ordering::Acquire) && quiet().contains(&id)
}

fn quiet() -> MutexGuard<'static, HashSet<u64>> {
    static QUIET: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
    QUIET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which target this is; `None` for the records of other crates, which may hold payloads.
fn index(target: &str) -> Option<usize> {
    TARGETS.iter().position(|own| *own == target)
}

/// Python's numbers for the levels, the most talkative first.
const NUMBERS: [(LevelFilter, u8); 5] = [
    (LevelFilter::Trace, 5),
    (LevelFilter::Debug, 10),
    (LevelFilter::Info, 20),
    (LevelFilter::Warn, 30),
    (LevelFilter::Error, 40),
];
/// The attribute of a log record that names the connection.
const EXTRA: &str = "websocket_name";
/// So many records may wait.
const CAPACITY: usize = 4096;
/// How long the interpreter's exit waits for a handler that runs on another thread.
const HANDLER_TIMEOUT: Duration = Duration::from_millis(300);
