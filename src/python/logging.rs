//! From the `log` crate to Python's `logging`, without ever entering the interpreter to log.
//!
//! Whatever is logged goes to a bounded ring first, on whichever thread. A Python thread that is
//! in our code hands the records on, through pyo3-log, where a handler that raises can break
//! nothing. So connection threads never attach, and no log call can deadlock with a lock of ours
//! or of `logging`. When the ring is full, the oldest records go, and their number is logged.
//!
//! The levels are read from Python at every `connect`, and then cost one atomic load.

use std::{
    cell::{Cell, RefCell},
    collections::{HashSet, VecDeque},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
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

/// The locks that a fork must not catch in the hands of another thread.
type Locks = (MutexGuard<'static, Ring>, MutexGuard<'static, HashSet<u64>>);

thread_local! {
    /// Held by the thread that forks, while it does.
    static FORKING: RefCell<Option<Locks>> = const { RefCell::new(None) };
}

/// To be called before a fork, by the thread that forks.
pub(super) fn before_fork() {
    FORKING.replace(Some((ring(), quiet())));
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
});
/// A thread is handing records to Python.
static DRAINING: AtomicBool = AtomicBool::new(false);
/// The interpreter exits, and no more records are handed to it.
static FINISHED: AtomicBool = AtomicBool::new(false);
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
    log::set_max_level(highest);
    Ok(())
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
    let (entries, dropped) = {
        let mut ring = ring();
        ANY.store(false, Ordering::Release);
        (
            std::mem::take(&mut ring.entries),
            std::mem::take(&mut ring.dropped),
        )
    };
    let result = emit_all(py, logger, &entries, dropped);
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
    match PyErr::take(py) {
        Some(error) if error.is_instance_of::<PyException>(py) => {
            let logging = py.import(intern!(py, "logging"))?;
            if logging
                .getattr(intern!(py, "raiseExceptions"))?
                .is_truthy()?
            {
                error.display(py);
            }
            Ok(())
        }
        Some(error) => Err(error),
        None => Ok(()),
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
        if !self.enabled(record.metadata()) {
            return;
        }
        let connection = record
            .key_values()
            .get(kv::Key::from_str("id"))
            .and_then(|id| id.to_u64());
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
