//! What connections of both faces tell of themselves, and what becomes of lost ones.

use std::sync::{Arc, OnceLock};

use pyo3::{PyTraverseError, PyVisit, prelude::*};

use super::{
    convert,
    logging::{self, Stake},
};
use crate::{
    connection::Connection,
    control::Control,
    protocol::close::{ABNORMAL, State},
};

/// Names and values in the order sent.
type Headers<'a> = &'a [(String, String)];

/// The base class of the connections of both faces. It never waits.
#[pyclass(frozen, subclass, name = "Connection", module = "websocket_rs._core")]
pub(super) struct BaseConnection {
    control: Arc<Control>,
    /// Set once the connection is open.
    connection: OnceLock<Arc<Connection>>,
    target: String,
    /// If it has a logger of its own.
    log_stake: Option<Stake>,
}

impl BaseConnection {
    /// A connection that is being opened.
    pub(super) fn new(control: Arc<Control>, target: String, log_stake: Option<Stake>) -> Self {
        Self {
            control,
            connection: OnceLock::new(),
            target,
            log_stake,
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
        if !self.control.is_in_this_process() {
            return;
        }
        let state = self.own().map(Connection::state);
        if state != Some(State::Closing) {
            self.control.stop();
        }
    }
}

#[pymethods]
impl BaseConnection {
    /// Give the connection up without the closing handshake and without waiting.
    fn abandon(&self, py: Python<'_>) {
        py.detach(|| self.give_up());
    }

    /// Lets the records that the connection's own logger gets refer to this object, and hands on
    /// those that wait. To be called once, when the object is made.
    fn introduce(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.log_stake.is_none() {
            return Ok(());
        }
        logging::introduce(this.control.id, slf)?;
        logging::drain(slf.py())
    }

    /// The connection's own logger, as it was given.
    #[getter]
    fn own_logger(&self) -> Option<&Py<PyAny>> {
        self.log_stake.as_ref()?.logger()
    }

    /// Whether the connection's thread and descriptors are free, or it was never open.
    #[getter]
    fn has_ended(&self, py: Python<'_>) -> bool {
        self.own()
            .is_none_or(|connection| py.detach(|| connection.has_ended()))
    }

    /// The number of the state: 0 CONNECTING, 1 OPEN, 2 CLOSING, 3 CLOSED.
    #[getter]
    fn state_number(&self, py: Python<'_>) -> PyResult<u8> {
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
        self.control.name()
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
        let connection = self.connection.get();
        convert::address(py, connection.and_then(|open| open.addresses.0.as_ref()))
    }

    /// The address of the server.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let connection = self.connection.get();
        convert::address(py, connection.and_then(|open| open.addresses.1.as_ref()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.own_logger())
    }
}

impl Drop for BaseConnection {
    fn drop(&mut self) {
        self.give_up();
    }
}
