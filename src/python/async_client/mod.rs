//! The asyncio client: nothing here waits. What would have to wait takes a future of the loop, to
//! complete it when the time has come.

mod opening;
mod waiters;

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use pyo3::{PyTraverseError, PyVisit, prelude::*};

use self::{
    opening::{Opened, run},
    waiters::Waiters,
};
use super::{
    attached,
    connection::BaseConnection,
    convert::{self, BRIEF, ControlPayload, Outgoing},
    event_loop::{Completion, Event, EventQueue},
    exceptions, fragments,
    logging::{self, ConnectionLogger},
    numbers::{self, Seconds},
    options::ConnectOptions,
    streaming::Streaming,
    sync_client::UNFINISHED,
};
use crate::{
    connection::{Connection, handle::ThreadHandle, options::Reader, registry},
    error::Error,
    protocol::message::{Kind, Part},
};

/// A connection whose methods never block. The base class of
/// `websocket_rs.async_client.AsyncWebSocket`.
#[pyclass(frozen, subclass, extends = BaseConnection, module = "websocket_rs._core")]
pub(super) struct AsyncConnection {
    thread: Arc<ThreadHandle>,
    events: Py<EventQueue>,
    waiters: Arc<Waiters>,
    opened: Arc<Opened>,
    connection: OnceLock<Arc<Connection>>,
    /// Guards the message that is taken frame by frame; held by the event loop's thread only.
    streaming: Mutex<Streaming>,
    /// How many pings were sent that a future waits for.
    pings: AtomicU64,
}

#[pymethods]
impl AsyncConnection {
    /// Starts to connect, in a new connection thread.
    #[new]
    #[pyo3(signature = (options, events, receive_timeout=None, logger=None))]
    fn new(
        py: Python<'_>,
        options: &ConnectOptions,
        events: Py<EventQueue>,
        receive_timeout: Option<Seconds>,
        logger: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let _inside = attached::enter(py);
        // The event loop looks after this one.
        numbers::timeout("receive_timeout", receive_timeout)?;
        let logger = ConnectionLogger::new(py, logger)?;
        let raise = |error| exceptions::raise(py, error);
        let own = logger.clone().map(|logger| logger as _);
        let thread = ThreadHandle::new(own).map_err(raise)?;
        let waiters = Arc::new(Waiters::new(thread.id, events.get().sender()));
        let opened = Arc::new(Opened::default());
        let run = {
            let options = options.inner.clone();
            let (thread, waiters) = (Arc::clone(&thread), Arc::clone(&waiters));
            let opened = Arc::clone(&opened);
            let poller = match options.reader {
                Reader::Loop => events.get().poller(),
                Reader::Thread => None,
            };
            move || run(&options, &thread, &waiters, poller, &opened)
        };
        attached::detach(py, || registry::spawn(&thread, run)).map_err(raise)?;
        let base = BaseConnection::new(Arc::clone(&thread), &options.inner, logger);
        let this = Self {
            thread,
            events,
            waiters,
            opened,
            connection: OnceLock::new(),
            streaming: Mutex::default(),
            pings: AtomicU64::new(0),
        };
        Ok(PyClassInitializer::from(base).add_subclass(this))
    }

    /// Completes the future when the attempt to connect has ended, well or not.
    fn on_opened(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = attached::enter(py);
        let waiter = (self.thread.id, Event::Opened);
        self.events.get().wait_for(waiter, future);
        if self.opened.is_known() {
            self.events.get().resolve(py, Completion::to(waiter))?;
        }
        Ok(())
    }

    /// Takes the result of the attempt to connect: returns, or raises why it failed.
    fn finish_opening(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let _inside = attached::enter(py);
        match this.opened.take() {
            Some(Ok(connection)) => {
                slf.as_super().get().set_open(Arc::clone(&connection));
                // It is set here only, once.
                let _ = this.connection.set(connection);
                logging::drain(py)
            }
            Some(Err(error)) => {
                attached::detach(py, || this.thread.join());
                logging::drain(py)?;
                Err(exceptions::raise(py, error))
            }
            None => Err(exceptions::raise(py, Error::Cancelled)),
        }
    }

    /// Accepts a message for sending. Returns whether more may be sent without waiting; `None` if it
    /// is to be sent in fragments.
    #[pyo3(signature = (message, text=None))]
    fn post(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
    ) -> PyResult<Option<bool>> {
        let _inside = attached::enter(py);
        let Some(outgoing) = Outgoing::new(message, text)? else {
            fragments::check(message)?;
            return Ok(None);
        };
        let (kind, payload) = outgoing.parts();
        self.post_part(py, kind, Part::Whole, payload).map(Some)
    }

    /// Accepts a fragment of a message: the first one, or one that follows, of which the first was
    /// a `str` or not. Returns whether there is room for more.
    #[pyo3(signature = (fragment, text, first_is_text))]
    fn post_fragment(
        &self,
        py: Python<'_>,
        fragment: &Bound<'_, PyAny>,
        text: Option<bool>,
        first_is_text: Option<bool>,
    ) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let (_, outgoing) = fragments::fragment(fragment, text, first_is_text)?;
        let (kind, payload) = outgoing.parts();
        let part = match first_is_text {
            None => Part::First,
            Some(_) => Part::Next,
        };
        self.post_part(py, kind, part, payload)
    }

    /// Accepts the end of a message that was sent in fragments.
    fn post_end(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        // What the message carries was said by its first frame.
        self.post_part(py, Kind::Binary, Part::Last, &[])
    }

    /// Fails the connection, because the fragments of a message can't be sent to its end.
    fn give_message_up(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        attached::detach(py, || connection.give_message_up(UNFINISHED));
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
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        let payload = data.map(|data| data.0);
        let number = self.pings.fetch_add(1, Ordering::Relaxed);
        let waiter = (self.thread.id, Event::Pong(number));
        let sender = self.events.get().sender();
        let tell = Box::new(move |outcome| sender.send(Completion::pong(waiter, outcome)));
        self.events.get().wait_for(waiter, future);
        attached::detach(py, || {
            connection.ping(payload, Some(tell))?;
            connection.hand_over(true);
            Ok(())
        })
        .map_err(|error| {
            self.events.get().forget(waiter);
            exceptions::raise(py, error)
        })
    }

    /// Sends a Pong that answers no Ping.
    fn post_pong(&self, py: Python<'_>, data: ControlPayload) -> PyResult<()> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        let payload = data.0;
        attached::detach(py, || {
            connection.pong(&payload)?;
            connection.hand_over(true);
            Ok(())
        })
        .map_err(|error| exceptions::raise(py, error))
    }

    /// Completes the future when there is room again, or nothing can be sent any more.
    fn on_room(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        let waiter = (self.thread.id, Event::Drained);
        self.events.get().wait_for(waiter, future);
        self.waiters.add(Event::Drained);
        if (connection.has_room() || connection.check_sendable().is_err())
            && self.waiters.remove(Event::Drained)
        {
            self.events.get().resolve(py, Completion::to(waiter))?;
        }
        Ok(())
    }

    /// Whether there is room to send; raises if nothing can be sent any more.
    fn has_room(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        if connection.has_room() {
            return Ok(true);
        }
        connection
            .check_sendable()
            .map_err(|error| exceptions::raise(py, error))?;
        Ok(false)
    }

    /// Takes a message that has been received; `None` if there is none, or others should get their
    /// turn first, see [`EventQueue::turn`].
    #[pyo3(signature = (decode=None))]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        if self.events.get().turn_is_due() {
            return Ok(None);
        }
        connection
            .take(|message| convert::message(py, message, decode))
            .transpose()
    }

    /// Takes the next frame of a message: its payload, and whether it is the last; `None` as for
    /// [`Self::pop`].
    #[pyo3(signature = (decode=None))]
    fn pop_fragment<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, bool)>> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        if self.events.get().turn_is_due() {
            return Ok(None);
        }
        self.streaming().pop(py, connection, decode).transpose()
    }

    /// Nobody waits for the next frame any more. Returns whether a message was taken in part.
    fn leave_message(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        let mut streaming = self.streaming();
        streaming.leave(connection);
        Ok(streaming.in_message)
    }

    /// Completes the future when a message has arrived. Raises if none will come any more. If it
    /// is time for others, returns what [`EventQueue::turn`] does, and does nothing.
    fn on_arrival(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        let events = self.events.get();
        if let Some(suspends) = events.turn() {
            return Ok(Some(suspends));
        }
        logging::drain(py)?;
        let waiter = (self.thread.id, Event::Arrived);
        events.wait_for(waiter, future);
        connection.note_waiting();
        self.waiters.add(Event::Arrived);
        // An event that came before the flag was set has woken nobody, so look again.
        let receivable = connection.check_receivable();
        if connection.is_drained() {
            if let Err(error) = receivable {
                self.waiters.remove(Event::Arrived);
                events.forget(waiter);
                logging::drain(py)?;
                return Err(exceptions::raise(py, error));
            }
        } else if self.waiters.remove(Event::Arrived) {
            events.resolve(py, Completion::to(waiter))?;
        }
        connection.read_by_loop();
        Ok(None)
    }

    /// Forgets the future given to [`Self::on_arrival`].
    fn forget_arrival(&self, py: Python<'_>) {
        let _inside = attached::enter(py);
        self.waiters.remove(Event::Arrived);
        self.events.get().forget((self.thread.id, Event::Arrived));
    }

    /// Completes the future when the connection has ended. Returns whether it has ended already.
    fn on_end(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let connection = self.connection(py)?;
        logging::drain(py)?;
        let waiter = (self.thread.id, Event::Ended);
        self.events.get().wait_for(waiter, future);
        self.waiters.add(Event::Ended);
        let ended = attached::detach(py, || connection.has_ended());
        if ended {
            // Others may wait for the same.
            self.events.get().resolve(py, Completion::to(waiter))?;
            // The thread is past its last line.
            attached::detach(py, || self.thread.join());
        }
        Ok(ended)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.events)
    }
}

impl AsyncConnection {
    fn connection(&self, py: Python<'_>) -> PyResult<&Arc<Connection>> {
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
        if payload.len() > BRIEF || connection.compresses() {
            return attached::detach(py, || {
                let is_first = connection.post(kind, part, payload)?;
                connection.hand_over(is_first);
                Ok(self.may_go_on(connection))
            })
            .map_err(raise);
        }
        let is_first = connection.post(kind, part, payload).map_err(raise)?;
        connection.hand_over(is_first);
        Ok(self.may_go_on(connection))
    }

    /// Whether more may be sent without waiting: there is room, and nobody else's turn.
    fn may_go_on(&self, connection: &Connection) -> bool {
        connection.has_room() && !self.events.get().turn_is_due()
    }

    fn streaming(&self) -> MutexGuard<'_, Streaming> {
        self.streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AsyncConnection {
    fn drop(&mut self) {
        // A future that is dropped may run Python code.
        Python::attach(|py| {
            let _inside = attached::enter(py);
            for event in [Event::Opened, Event::Arrived, Event::Drained, Event::Ended] {
                self.events.get().forget((self.thread.id, event));
            }
        });
    }
}
