//! What the connections of both clients report about themselves, and how abandoned ones end.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use pyo3::{PyTraverseError, PyVisit, prelude::*};

use super::{
    attached,
    convert::{self, Code, Reason},
    exceptions,
    logging::{self, ConnectionLogger},
};
use crate::{
    connection::{Connection, handle::ThreadHandle, options::ConnectOptions},
    error::Error,
    protocol::close::{ABNORMAL, State},
};

/// Names and values in the order sent.
type Headers<'a> = &'a [(String, String)];

/// The base class of the connections of both clients. It never waits.
#[pyclass(frozen, subclass, name = "Connection", module = "websocket_rs._core")]
pub(super) struct BaseConnection {
    thread: Arc<ThreadHandle>,
    /// Set once the connection is open.
    connection: OnceLock<Arc<Connection>>,
    target: String,
    settings: Settings,
    /// If it has a logger of its own.
    logger: Option<Arc<ConnectionLogger>>,
}

/// What a connection was opened with, for programs that ask.
struct Settings {
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    close_timeout: Option<Duration>,
    max_size: usize,
}

impl Settings {
    fn of(options: &ConnectOptions) -> Self {
        Self {
            ping_interval: options.ping_interval,
            ping_timeout: options.ping_timeout,
            close_timeout: options.close_timeout,
            max_size: options.limits.message,
        }
    }
}

impl BaseConnection {
    /// A connection that is being opened.
    pub(super) fn new(
        thread: Arc<ThreadHandle>,
        options: &ConnectOptions,
        logger: Option<Arc<ConnectionLogger>>,
    ) -> Self {
        Self {
            thread,
            connection: OnceLock::new(),
            target: options.uri.to_string(),
            settings: Settings::of(options),
            logger,
        }
    }

    /// The connection is open.
    pub(super) fn set_open(&self, connection: Arc<Connection>) {
        // It is opened once.
        let _ = self.connection.set(connection);
    }

    /// The connection, if it was opened by this process: asking one of a parent process could
    /// mean waiting for a thread that is not there.
    fn own(&self) -> Option<&Connection> {
        let connection = self.connection.get()?;
        connection.check_process().ok()?;
        Some(connection)
    }

    /// Ends a connection that nobody can use any more. One that is being closed is left to its
    /// thread, which sees that through.
    fn give_up(&self) {
        if !self.thread.is_in_this_process() {
            return;
        }
        let state = self.own().map(Connection::state);
        if state != Some(State::Closing) {
            self.thread.stop();
        }
    }
}

#[pymethods]
impl BaseConnection {
    /// Give the connection up without the closing handshake and without waiting.
    fn abandon(&self, py: Python<'_>) {
        let _inside = attached::enter(py);
        attached::detach(py, || self.give_up());
    }

    /// End the connection at once, without the closing handshake and without waiting.
    ///
    /// What waits to be written is dropped. Whoever waits for a message or for room gets
    /// `ConnectionClosedError`, with code 1006. Does nothing if the connection is closed.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = attached::enter(py);
        attached::detach(py, || {
            let Some(connection) = self.connection.get() else {
                self.give_up();
                return Ok(());
            };
            connection.check_process()?;
            connection.abort();
            Ok(())
        })
        .map_err(|error| exceptions::raise(py, error))
    }

    /// Starts the closing handshake, without waiting.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "arguments are passed by value"
    )]
    fn begin_close(&self, py: Python<'_>, code: Code, reason: Reason) -> PyResult<()> {
        let _inside = attached::enter(py);
        let frame = convert::close_frame(py, &code, &reason)?;
        let raise = |error| exceptions::raise(py, error);
        let connection = self
            .connection
            .get()
            .ok_or(Error::Cancelled)
            .map_err(raise)?;
        connection.check_process().map_err(raise)?;
        attached::detach(py, || connection.begin_close(frame));
        Ok(())
    }

    /// What `recv` raises once the connection is closed; `None` before.
    #[getter]
    fn closed_error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let _inside = attached::enter(py);
        let connection = self.own()?;
        if connection.reported_state() != State::Closed {
            return None;
        }
        let error = exceptions::raise(py, connection.closed());
        Some(error.into_value(py).into_bound(py).into_any())
    }

    /// Seconds between pings, as given to `connect`; `None` if none are sent.
    #[getter]
    fn ping_interval(&self) -> Option<f64> {
        self.settings.ping_interval.map(|time| time.as_secs_f64())
    }

    /// Seconds to wait for a pong, as given to `connect`; `None` is no limit.
    #[getter]
    fn ping_timeout(&self) -> Option<f64> {
        self.settings.ping_timeout.map(|time| time.as_secs_f64())
    }

    /// Seconds for the closing handshake, as given to `connect`; `None` is no limit.
    #[getter]
    fn close_timeout(&self) -> Option<f64> {
        self.settings.close_timeout.map(|time| time.as_secs_f64())
    }

    /// The largest message accepted, as given to `connect`; `None` is no limit.
    #[getter]
    fn max_size(&self) -> Option<usize> {
        Some(self.settings.max_size).filter(|size| *size != usize::MAX)
    }

    /// Lets the records that the connection's own logger gets refer to this object, and hands on
    /// those that wait. To be called once, when the object is made.
    fn introduce(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let _inside = attached::enter(py);
        let Some(logger) = &slf.get().logger else {
            return Ok(());
        };
        logger.introduce(slf)?;
        logging::drain(py)
    }

    /// The connection's own logger, as it was given.
    #[getter]
    fn own_logger(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let _inside = attached::enter(py);
        self.logger.as_ref()?.logger(py)
    }

    /// Whether the connection's thread and descriptors are free, or it was never open.
    #[getter]
    fn has_ended(&self, py: Python<'_>) -> bool {
        let _inside = attached::enter(py);
        self.own()
            .is_none_or(|connection| attached::detach(py, || connection.has_ended()))
    }

    /// Whether the connection is open, and nobody will close it but whoever drops it.
    #[getter]
    fn is_left_open(&self) -> bool {
        // At the exit of the interpreter, that is how connections are meant to end.
        !attached::is_exiting()
            && self
                .own()
                .is_some_and(|connection| connection.reported_state() == State::Open)
    }

    /// The number of the state: 0 CONNECTING, 1 OPEN, 2 CLOSING, 3 CLOSED.
    #[getter]
    fn state_number(&self, py: Python<'_>) -> PyResult<u8> {
        let _inside = attached::enter(py);
        logging::drain(py)?;
        Ok(match (self.connection.get(), self.own()) {
            (None, _) => 0,
            (Some(_), Some(connection)) => connection.reported_state() as u8,
            // In a forked process, a connection of the parent is closed.
            (Some(_), None) => State::Closed as u8,
        })
    }

    /// The close code and reason as `websockets` reports them: the peer's, or 1006; once the
    /// connection is closed.
    #[getter]
    fn close_frame(&self) -> Option<(u16, String)> {
        let connection = self.own()?;
        if connection.reported_state() != State::Closed {
            return None;
        }
        let rcvd = connection.closure().rcvd;
        Some(rcvd.map_or_else(
            || (ABNORMAL, String::new()),
            |frame| (frame.code, frame.reason),
        ))
    }

    /// The seconds between the last ping that was answered and its pong; 0 before the first.
    #[getter]
    fn latency(&self) -> f64 {
        self.own()
            .map_or(0.0, |connection| connection.latency().as_secs_f64())
    }

    /// The name of the connection and of its thread.
    #[getter]
    fn name(&self) -> String {
        self.thread.name()
    }

    /// The URI without credentials and query.
    #[getter]
    fn target(&self) -> &str {
        &self.target
    }

    /// The subprotocol agreed upon, if any.
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.connection.get()?.agreed.subprotocol.as_deref()
    }

    /// Path and query of the opening handshake's request, and its headers.
    #[getter]
    fn request_parts(&self) -> Option<(&str, Headers<'_>)> {
        let request = &self.connection.get()?.handshake.request;
        Some((&request.resource, &request.headers))
    }

    /// Status, reason and headers of the response to it.
    #[getter]
    fn response_parts(&self) -> Option<(u16, &str, Headers<'_>)> {
        let response = &self.connection.get()?.handshake.response;
        Some((response.status, &response.reason, &response.headers))
    }

    /// The address of this end.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _inside = attached::enter(py);
        let connection = self.connection.get();
        convert::address(py, connection.and_then(|open| open.addresses.0.as_ref()))
    }

    /// The address of the server.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _inside = attached::enter(py);
        let connection = self.connection.get();
        convert::address(py, connection.and_then(|open| open.addresses.1.as_ref()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.logger {
            // Before that the thread needs the logger, whoever has the object.
            Some(logger) if self.thread.is_over() => logger.traverse(&visit),
            _ => Ok(()),
        }
    }
}

impl Drop for BaseConnection {
    fn drop(&mut self) {
        self.give_up();
        if let Some(logger) = &self.logger
            && !self.thread.is_in_this_process()
        {
            // The thread that shares it is not there to let go of it.
            logger.release();
        }
    }
}
