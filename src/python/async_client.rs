//! The asyncio face: nothing here waits. What would have to wait takes a future of the loop, to
//! complete it when the time has come.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pyo3::{PyTraverseError, PyVisit, prelude::*};

use super::{
    connection::BaseConnection,
    convert::{self, Code, ControlPayload, Outgoing, Reason},
    event_loop::{Event, Notice, Signals, Wakeups},
    exceptions, logging,
    options::ConnectOptions,
    streaming::Streaming,
    sync_client::UNFINISHED,
};
use crate::{
    connection::{Connection, Observer},
    connection_thread::{Role, serve},
    control::Control,
    error::{Error, Result},
    net::stream::Stream,
    net::wait::Wait,
    opening::open,
    options,
    outbox::Part,
    protocol::message::Kind,
};

/// A connection whose methods never block. The base class of
/// `websocket_rs.async_client.AsyncWebSocket`.
#[pyclass(frozen, subclass, extends = BaseConnection, module = "websocket_rs._core")]
pub(super) struct AsyncConnection {
    control: Arc<Control>,
    wakeups: Py<Wakeups>,
    notices: Arc<Notices>,
    /// What the connection thread makes of the attempt to connect.
    opened: Arc<Mutex<Option<Result<Arc<Connection>>>>>,
    connection: OnceLock<Arc<Connection>>,
    /// Guards the message that is taken frame by frame; held by the event loop's thread only.
    streaming: Mutex<Streaming>,
    /// How many pings were sent that a future waits for.
    pings: AtomicU64,
}

/// What the program waits for, told to its loop as it happens.
#[derive(Debug)]
struct Notices {
    id: u64,
    signals: Arc<Signals>,
    arrival_wanted: AtomicBool,
    room_wanted: AtomicBool,
    end_wanted: AtomicBool,
}

/// The observer of the connection.
#[derive(Debug)]
struct Watcher(Arc<Notices>);

impl Notices {
    fn tell(&self, wanted: &AtomicBool, event: Event) {
        if wanted.load(Ordering::SeqCst) && wanted.swap(false, Ordering::SeqCst) {
            self.signals.send(Notice::of(self.id, event));
        }
    }
}

impl Observer for Watcher {
    fn arrived(&self) {
        self.0.tell(&self.0.arrival_wanted, Event::Arrived);
    }

    fn drained(&self) {
        self.0.tell(&self.0.room_wanted, Event::Drained);
    }

    fn ended(&self) {
        self.0.tell(&self.0.end_wanted, Event::Ended);
    }
}

#[pymethods]
impl AsyncConnection {
    /// Starts to connect, in a new connection thread.
    #[new]
    #[pyo3(signature = (options, wakeups, receive_timeout=None, logger=None))]
    fn new(
        py: Python<'_>,
        options: &ConnectOptions,
        wakeups: Py<Wakeups>,
        receive_timeout: Option<f64>,
        logger: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        // The event loop looks after this one.
        convert::timeout("receive_timeout", receive_timeout)?;
        let log = logging::Plan::new(py, logger)?;
        let raise = |error| exceptions::raise(py, error);
        exceptions::load(py)?;
        let control = Control::new(log.level).map_err(raise)?;
        let (log_stake, threads_stake) = log.enter(control.id)?.unzip();
        let notices = Arc::new(Notices {
            id: control.id,
            signals: wakeups.get().signals(),
            arrival_wanted: AtomicBool::new(false),
            room_wanted: AtomicBool::new(false),
            end_wanted: AtomicBool::new(false),
        });
        let opened = Arc::new(Mutex::new(None));
        let run = {
            let options = options.inner.clone();
            let (control, notices) = (Arc::clone(&control), Arc::clone(&notices));
            let opened = Arc::clone(&opened);
            move || {
                run(&options, &control, &notices, &opened);
                drop(threads_stake);
            }
        };
        py.detach(|| control.spawn(run)).map_err(raise)?;
        let target = options.inner.uri.to_string();
        let base = BaseConnection::new(Arc::clone(&control), target, log_stake);
        let this = Self {
            control,
            wakeups,
            notices,
            opened,
            connection: OnceLock::new(),
            streaming: Mutex::default(),
            pings: AtomicU64::new(0),
        };
        Ok(PyClassInitializer::from(base).add_subclass(this))
    }

    /// Completes the future when the attempt to connect has ended, well or not.
    fn on_opened(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let waiter = (self.control.id, Event::Opened);
        self.wakeups.get().wait_for(waiter, future);
        if self
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            self.wakeups.get().resolve(py, Notice::to(waiter))?;
        }
        Ok(())
    }

    /// Takes the result of the attempt to connect: returns, or raises why it failed.
    fn finish_opening(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let result = this
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match result {
            Some(Ok(connection)) => {
                slf.as_super().get().set_open(Arc::clone(&connection));
                // It is set here only, once.
                let _ = this.connection.set(connection);
                logging::drain(py)
            }
            Some(Err(error)) => {
                py.detach(|| this.control.join());
                logging::drain(py)?;
                Err(exceptions::raise(py, error))
            }
            None => Err(exceptions::raise(py, Error::Cancelled)),
        }
    }

    /// Accepts a message for sending. Returns whether there is room for more; `None` if it is
    /// neither `str` nor bytes-like.
    #[pyo3(signature = (message, text=None))]
    fn post(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
    ) -> PyResult<Option<bool>> {
        let Some(outgoing) = Outgoing::new(message, text)? else {
            return Ok(None);
        };
        let (kind, payload) = outgoing.parts();
        self.post_part(py, kind, Part::Whole, payload).map(Some)
    }

    /// Accepts a fragment of a message: the first one, or one of those that follow. Returns
    /// whether there is room for more; `None` if it is neither `str` nor bytes-like.
    fn post_fragment(
        &self,
        py: Python<'_>,
        fragment: &Bound<'_, PyAny>,
        text: Option<bool>,
        is_first: bool,
    ) -> PyResult<Option<bool>> {
        let Some((_, outgoing)) = Outgoing::fragment(fragment, text)? else {
            return Ok(None);
        };
        let (kind, payload) = outgoing.parts();
        let part = if is_first { Part::First } else { Part::Next };
        self.post_part(py, kind, part, payload).map(Some)
    }

    /// Accepts the end of a message that was sent in fragments.
    fn post_end(&self, py: Python<'_>) -> PyResult<bool> {
        // What the message carries was said by its first frame.
        self.post_part(py, Kind::Binary, Part::Last, &[])
    }

    /// Fails the connection, because the fragments of a message can't be sent to its end.
    fn give_message_up(&self, py: Python<'_>) -> PyResult<()> {
        let connection = self.connection(py)?;
        py.detach(|| connection.give_message_up(UNFINISHED));
        Ok(())
    }

    /// Sends a Ping. Completes the future with the seconds until its Pong, or with
    /// `ConnectionClosed`.
    fn post_ping(
        &self,
        py: Python<'_>,
        data: Option<ControlPayload>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let connection = self.connection(py)?;
        let payload = data.map(|data| data.0);
        let number = self.pings.fetch_add(1, Ordering::Relaxed);
        let waiter = (self.control.id, Event::Pong(number));
        let signals = self.wakeups.get().signals();
        let tell = Box::new(move |outcome| signals.send(Notice::pong(waiter, outcome)));
        self.wakeups.get().wait_for(waiter, future);
        py.detach(|| {
            connection.ping(payload, Some(tell))?;
            connection.hand_over(true);
            Ok(())
        })
        .map_err(|error| {
            self.wakeups.get().forget(waiter);
            exceptions::raise(py, error)
        })
    }

    /// Sends a Pong that answers no Ping.
    fn post_pong(&self, py: Python<'_>, data: ControlPayload) -> PyResult<()> {
        let connection = self.connection(py)?;
        let payload = data.0;
        py.detach(|| {
            connection.pong(&payload)?;
            connection.hand_over(true);
            Ok(())
        })
        .map_err(|error| exceptions::raise(py, error))
    }

    /// Completes the future when there is room again, or nothing can be sent any more.
    fn on_room(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let connection = self.connection(py)?;
        let waiter = (self.control.id, Event::Drained);
        self.wakeups.get().wait_for(waiter, future);
        let wanted = &self.notices.room_wanted;
        wanted.store(true, Ordering::SeqCst);
        if (connection.has_room() || connection.check_sendable().is_err())
            && wanted.swap(false, Ordering::SeqCst)
        {
            self.wakeups.get().resolve(py, Notice::to(waiter))?;
        }
        Ok(())
    }

    /// Whether there is room to send; raises if nothing can be sent any more.
    fn has_room(&self, py: Python<'_>) -> PyResult<bool> {
        let connection = self.connection(py)?;
        if connection.has_room() {
            return Ok(true);
        }
        connection
            .check_sendable()
            .map_err(|error| exceptions::raise(py, error))?;
        Ok(false)
    }

    /// Takes a message that has been received; `None` if there is none.
    #[pyo3(signature = (decode=None))]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let connection = self.connection(py)?;
        let message = connection
            .inbox
            .pop(|message| convert::message(py, message, decode));
        if message.is_some() && connection.inbox.resumes() {
            connection.control.wake();
        }
        message.transpose()
    }

    /// Takes the next frame of a message: its payload, and whether it is the last; `None` if
    /// there is none.
    #[pyo3(signature = (decode=None))]
    fn pop_fragment<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, bool)>> {
        let connection = self.connection(py)?;
        let fragment = self.streaming().pop(py, connection, decode);
        if fragment.is_some() && connection.inbox.resumes() {
            connection.control.wake();
        }
        fragment.transpose()
    }

    /// Nobody waits for the next frame any more. Returns whether a message was taken in part.
    fn leave_message(&self, py: Python<'_>) -> PyResult<bool> {
        let connection = self.connection(py)?;
        let mut streaming = self.streaming();
        streaming.leave(connection);
        Ok(streaming.in_message)
    }

    /// Completes the future when a message has arrived. Raises if none will come any more.
    fn on_arrival(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let connection = self.connection(py)?;
        logging::drain(py)?;
        let waiter = (self.control.id, Event::Arrived);
        let wakeups = self.wakeups.get();
        wakeups.wait_for(waiter, future);
        connection.note_waiting();
        let wanted = &self.notices.arrival_wanted;
        wanted.store(true, Ordering::SeqCst);
        // What happened before the flag was set has told nobody.
        let receivable = connection.check_receivable();
        if connection.inbox.is_empty() {
            if let Err(error) = receivable {
                wanted.store(false, Ordering::SeqCst);
                wakeups.forget(waiter);
                logging::drain(py)?;
                return Err(exceptions::raise(py, error));
            }
        } else if wanted.swap(false, Ordering::SeqCst) {
            wakeups.resolve(py, Notice::to(waiter))?;
        }
        Ok(())
    }

    /// Forgets the future given to [`Self::on_arrival`].
    fn forget_arrival(&self) {
        self.notices.arrival_wanted.store(false, Ordering::SeqCst);
        self.wakeups.get().forget((self.control.id, Event::Arrived));
    }

    /// Starts the closing handshake.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "arguments are passed by value"
    )]
    fn begin_close(&self, py: Python<'_>, code: Code, reason: Reason) -> PyResult<()> {
        let connection = self.connection(py)?;
        let frame = convert::close_frame(py, &code, &reason)?;
        py.detach(|| connection.begin_close(frame));
        Ok(())
    }

    /// Completes the future when the connection has ended. Returns whether it has ended already.
    fn on_end(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<bool> {
        let connection = self.connection(py)?;
        logging::drain(py)?;
        let waiter = (self.control.id, Event::Ended);
        self.wakeups.get().wait_for(waiter, future);
        self.notices.end_wanted.store(true, Ordering::SeqCst);
        let ended = py.detach(|| connection.has_ended());
        if ended {
            // Others may wait for the same.
            self.wakeups.get().resolve(py, Notice::to(waiter))?;
            // The thread is past its last line.
            py.detach(|| self.control.join());
        }
        Ok(ended)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.wakeups)
    }
}

impl AsyncConnection {
    fn connection(&self, py: Python<'_>) -> PyResult<&Connection> {
        let connection = self
            .connection
            .get()
            .ok_or_else(|| exceptions::raise(py, Error::Cancelled))?;
        connection
            .check_process()
            .map_err(|error| exceptions::raise(py, error))?;
        Ok(connection)
    }

    fn post_part(&self, py: Python<'_>, kind: Kind, part: Part, payload: &[u8]) -> PyResult<bool> {
        let connection = self.connection(py)?;
        let raise = |error| exceptions::raise(py, error);
        if payload.len() > COPIED || connection.compresses() {
            return py
                .detach(|| {
                    let is_first = connection.post(kind, part, payload)?;
                    connection.hand_over(is_first);
                    Ok(connection.has_room())
                })
                .map_err(raise);
        }
        if connection.post(kind, part, payload).map_err(raise)? {
            py.detach(|| connection.hand_over(true));
        } else {
            connection.hand_over(false);
        }
        Ok(connection.has_room())
    }

    fn streaming(&self) -> MutexGuard<'_, Streaming> {
        self.streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AsyncConnection {
    fn drop(&mut self) {
        for event in [Event::Opened, Event::Arrived, Event::Drained, Event::Ended] {
            self.wakeups.get().forget((self.control.id, event));
        }
    }
}

/// The life of the connection thread: opening, serving, ending.
fn run(
    options: &options::ConnectOptions,
    control: &Arc<Control>,
    notices: &Arc<Notices>,
    opened: &Mutex<Option<Result<Arc<Connection>>>>,
) {
    // A panic is a bug of ours, and must leave nobody waiting.
    let result = catch_unwind(AssertUnwindSafe(|| connect(options, control, notices)))
        .unwrap_or(Err(Error::Cancelled));
    let (answer, service) = match result {
        Ok((connection, stream)) => (Ok(Arc::clone(&connection)), Some((connection, stream))),
        Err(error) => (Err(error), None),
    };
    *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    notices.signals.send(Notice::of(control.id, Event::Opened));
    if let Some((connection, stream)) = service {
        serve(&connection, stream, Role::Reads);
    }
}

fn connect(
    options: &options::ConnectOptions,
    control: &Arc<Control>,
    notices: &Arc<Notices>,
) -> Result<(Arc<Connection>, Arc<Stream>)> {
    let interrupt = || {
        if control.is_stopping() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    let wake = control.wake_up();
    let wait = Wait {
        deadline: options.deadline(),
        interrupt: &interrupt,
        wake: wake.as_deref(),
    };
    let established = open(options, control.id, &wait)?;
    let observer = Box::new(Watcher(Arc::clone(notices)));
    let (connection, stream) =
        Connection::new(established, options, Arc::clone(control), observer)?;
    Ok((Arc::new(connection), stream))
}

/// Up to this size, copying a message takes less than leaving the interpreter.
const COPIED: usize = 16 * 1024;
