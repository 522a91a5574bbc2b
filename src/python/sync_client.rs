//! The sync face: every call does its I/O in the calling thread, detached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pyo3::{exceptions::PyStopIteration, prelude::*};

use super::{
    convert::{self, Code, Outgoing, Reason},
    exceptions, interrupt, logging,
    options::ConnectOptions,
};
use crate::{
    connection::{Connection, Observer},
    connection_thread::{Role, serve},
    control::Control,
    deadline::Deadline,
    error::Error,
    opening::open,
    protocol::close::{NORMAL, State},
};

/// A connection whose methods block. The base class of `websocket_rs.sync_client.WebSocket`.
#[pyclass(frozen, subclass, module = "websocket_rs._core")]
pub(super) struct SyncConnection {
    connection: Arc<Connection>,
    receive_timeout: Option<Duration>,
    /// Whether a thread is in `recv`.
    receiving: AtomicBool,
    target: String,
}

/// Nobody waits for a sync connection outside of its calls.
#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn arrived(&self) {}
    fn drained(&self) {}
    fn ended(&self) {}
}

/// A thread's stay in `recv`.
struct Receiving<'a>(&'a AtomicBool);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[pymethods]
impl SyncConnection {
    /// Opens a connection. Blocks until it is open.
    #[new]
    fn new(
        py: Python<'_>,
        options: &ConnectOptions,
        receive_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let receive_timeout = convert::timeout("receive_timeout", receive_timeout)?;
        logging::refresh(py)?;
        exceptions::load(py)?;
        let options = &options.inner;
        let deadline = Deadline::after(options.connect_timeout);
        let connection = interrupt::wait(py, deadline, |wait| {
            let control = Control::new()?;
            logging::note_connection(control.id);
            let established = open(options, control.id, wait)?;
            let (connection, stream) =
                Connection::new(established, options, Arc::clone(&control), Box::new(Nobody))?;
            let connection = Arc::new(connection);
            let served = Arc::clone(&connection);
            let (started, starts) = crossbeam_channel::bounded(1);
            control.spawn(move || {
                // Nobody listens if the caller was interrupted.
                let _ = started.send(());
                serve(&served, stream, Role::StandsIn);
            })?;
            // The thread names itself when it starts, and is to be seen by its name.
            let _ = starts.recv();
            Ok(connection)
        })?;
        let this = Self {
            connection,
            receive_timeout,
            receiving: AtomicBool::new(false),
            target: options.uri.to_string(),
        };
        logging::drain(py)?;
        Ok(this)
    }

    /// Send a message: text if it is a `str`, binary if it is bytes-like.
    ///
    /// Returns when the operating system has all of the message. Any number of threads may
    /// send; messages of one thread go out in the order of its calls. If Ctrl-C ends the call,
    /// the message is still sent as a whole; unless more than 16 MiB of it are left, which
    /// fails the connection.
    ///
    /// Args:
    ///     message: The message.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     TypeError: If the message is of another type. The connection is as it was.
    ///     UnicodeEncodeError: If a `str` holds lone surrogates. The connection is as it was.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let outgoing = Outgoing::new(message)?;
        let (kind, payload) = outgoing.parts();
        logging::drain(py)?;
        interrupt::wait(py, Deadline::NEVER, |wait| {
            self.connection.send(kind, payload, wait)
        })
    }

    /// Receive the next message: a `str` if it is text, `bytes` if it is binary.
    ///
    /// Messages that were received before the connection was closed can still be received
    /// after. What had been received of a message when the time ran out is kept.
    ///
    /// Args:
    ///     timeout: Seconds to wait; 0 takes only what has been received already. `None` is the
    ///         connection's `receive_timeout`.
    ///     decode: `True` for `str` and `False` for `bytes`, whatever the message is.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed and no message is left; at once also
    ///         if another thread closes it meanwhile.
    ///     TimeoutError: If the time has passed. The connection stays open.
    ///     ConcurrencyError: If another thread is in `recv`.
    #[pyo3(signature = (timeout=None, decode=None))]
    fn recv<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.receiving.swap(true, Ordering::Acquire) {
            return Err(exceptions::raise(py, Error::Concurrency(BUSY)));
        }
        let _receiving = Receiving(&self.receiving);
        if let Some(message) = self.pop(py, decode) {
            return message;
        }
        logging::drain(py)?;
        let timeout = match timeout {
            None => self.receive_timeout,
            given => convert::timeout("timeout", given)?,
        };
        let deadline = Deadline::after(timeout);
        loop {
            interrupt::wait(py, deadline, |wait| self.connection.receive(wait))?;
            if let Some(message) = self.pop(py, decode) {
                return message;
            }
        }
    }

    /// Close the connection, and wait until it is closed, at most `close_timeout`.
    ///
    /// Does nothing if the connection is closed. May be called from any thread, also while
    /// others are in `recv` or `send`.
    ///
    /// Args:
    ///     code: Close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    ///     reason: Close reason, at most 123 bytes in UTF-8.
    ///
    /// Raises:
    ///     TypeError, ValueError: If the code or the reason can't be sent. The connection is as
    ///         it was.
    #[pyo3(
        signature = (code=Code(NORMAL), reason=Reason(String::new())),
        text_signature = "($self, code=1000, reason='')"
    )]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "arguments are passed by value"
    )]
    fn close(&self, py: Python<'_>, code: Code, reason: Reason) -> PyResult<()> {
        let frame = convert::close_frame(&code, &reason)?;
        interrupt::wait(py, Deadline::NEVER, |wait| {
            self.connection.check_process()?;
            self.connection.begin_close(frame);
            self.connection.wait_ended(wait)
        })?;
        logging::drain(py)
    }

    /// Give the connection up without the closing handshake and without waiting.
    fn abandon(&self, py: Python<'_>) {
        py.detach(|| self.give_up());
    }

    /// Whether the connection's thread and descriptors are free.
    #[getter]
    fn has_ended(&self, py: Python<'_>) -> bool {
        self.connection.check_process().is_err() || py.detach(|| self.connection.has_ended())
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        match this.recv(py, None, None) {
            Err(error) if exceptions::is_closed_ok(py, &error) => Err(PyStopIteration::new_err(())),
            other => other,
        }
    }

    /// The number of the state: 1 OPEN, 2 CLOSING, 3 CLOSED.
    #[getter]
    fn state_number(&self, py: Python<'_>) -> PyResult<u8> {
        logging::drain(py)?;
        Ok(state_number(&self.connection))
    }

    /// The close code and reason received, once the connection is closed.
    #[getter]
    fn close_frame(&self) -> Option<(u16, String)> {
        close_frame(&self.connection)
    }

    /// The name of the connection and of its thread.
    #[getter]
    fn name(&self) -> String {
        format!("websocket-{}", self.connection.control.id)
    }

    /// The URI without credentials and query.
    #[getter]
    fn target(&self) -> &str {
        &self.target
    }

    /// The subprotocol agreed upon, if any.
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.connection.subprotocol.as_deref()
    }

    /// The address of this end.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        convert::address(py, self.connection.addresses.0)
    }

    /// The address of the server.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        convert::address(py, self.connection.addresses.1)
    }
}

impl SyncConnection {
    /// Takes a message that has been received already.
    fn pop<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let connection = &self.connection;
        if let Err(error) = connection.check_process() {
            return Some(Err(exceptions::raise(py, error)));
        }
        let message = connection
            .inbox
            .pop(|kind, payload| convert::message(py, kind, &payload, decode))?;
        connection.attendance.note_taken();
        if connection.inbox.resumes() {
            connection.control.wake();
        }
        Some(message)
    }

    /// Ends a connection that nobody can use any more. One that is being closed is left to its
    /// thread, which sees that through.
    fn give_up(&self) {
        let connection = &self.connection;
        if connection.check_process().is_ok() && connection.state() != State::Closing {
            connection.control.stop();
        }
    }
}

impl Drop for SyncConnection {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The number of the state. In a forked process, a connection of the parent is closed: asking it
/// could mean waiting for a thread that is not there.
pub(super) fn state_number(connection: &Connection) -> u8 {
    match connection.check_process() {
        Ok(()) => connection.reported_state() as u8,
        Err(_) => State::Closed as u8,
    }
}

/// The close code and reason as `websockets` reports them: the peer's, or 1006.
pub(super) fn close_frame(connection: &Connection) -> Option<(u16, String)> {
    if connection.check_process().is_err() || connection.reported_state() != State::Closed {
        return None;
    }
    match connection.closure().rcvd {
        Some(frame) => Some((frame.code, frame.reason)),
        None => Some((1006, String::new())),
    }
}

const BUSY: &str = "cannot call recv while another thread is already running recv";
