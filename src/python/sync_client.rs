//! The blocking client: every call does its I/O in the calling thread, detached.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pyo3::{exceptions::PyStopIteration, prelude::*};

use super::{
    attached,
    connection::BaseConnection,
    convert::{self, BRIEF, Code, ControlPayload, Outgoing, Reason},
    exceptions,
    fragments::Fragments,
    interrupt,
    logging::{self, ConnectionLogger},
    numbers::{self, Seconds},
    options::ConnectOptions,
    pong::{PingOutcome, PongWaiter},
    streaming::Streaming,
};
use crate::{
    connection::{
        Connection, Waker,
        handle::ThreadHandle,
        opening::open,
        registry,
        thread::{Role, serve},
    },
    deadline::Deadline,
    error::Error,
    protocol::{close::NORMAL, message::Part},
};

/// A connection whose methods block. The base class of `websocket_rs.sync_client.WebSocket`.
#[pyclass(frozen, subclass, extends = BaseConnection, module = "websocket_rs._core")]
pub(super) struct SyncConnection {
    connection: Arc<Connection>,
    receive_timeout: Option<Duration>,
    /// Whether a thread is in `recv`, or about to take a frame of a message.
    receiving: AtomicBool,
    /// Guards the message that is taken frame by frame; held by the thread that is receiving.
    streaming: Mutex<Streaming>,
    /// Whether that message has begun, so that `recv` can't take the rest of it.
    in_message: AtomicBool,
}

/// Whoever waits for a sync connection is inside of a call, which the connection itself wakes.
#[derive(Debug)]
struct NoWaiters;

impl Waker for NoWaiters {
    fn wake_receiver(&self) {}
    fn wake_sender(&self) {}
    fn wake_closer(&self) {}
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
    ///
    /// What it logs meanwhile to a logger of its own is handed on by `introduce`.
    #[new]
    #[pyo3(signature = (options, receive_timeout=None, logger=None))]
    fn new(
        py: Python<'_>,
        options: &ConnectOptions,
        receive_timeout: Option<Seconds>,
        logger: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let _inside = attached::enter(py);
        let receive_timeout = numbers::timeout("receive_timeout", receive_timeout)?;
        let logger = ConnectionLogger::new(py, logger)?;
        let thread = ThreadHandle::new(logger.clone().map(|logger| logger as _))
            .map_err(|error| exceptions::raise(py, error))?;
        let options = &options.inner;
        let deadline = options.deadline();
        let opened = interrupt::wait(py, deadline, |wait| {
            let established = open(options, &thread.logger, wait)?;
            let (connection, stream) = Connection::new(
                established,
                options,
                Arc::clone(&thread),
                Arc::new(NoWaiters),
            )?;
            let connection = Arc::new(connection);
            let served = Arc::clone(&connection);
            let (started, starts) = crossbeam_channel::bounded(1);
            registry::spawn(&thread, move || {
                // Nobody listens if the caller was interrupted.
                let _ = started.send(());
                serve(&served, stream, Role::StandsIn);
            })?;
            // The thread names itself when it starts, and is to be seen by its name.
            let _ = starts.recv();
            Ok(connection)
        });
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                drop((thread, logger));
                logging::drain(py)?;
                return Err(error);
            }
        };
        let this = Self {
            connection,
            receive_timeout,
            receiving: AtomicBool::new(false),
            streaming: Mutex::default(),
            in_message: AtomicBool::new(false),
        };
        if logger.is_none() {
            logging::drain(py)?;
        }
        let base = BaseConnection::new(thread, options, logger);
        base.set_open(Arc::clone(&this.connection));
        Ok(PyClassInitializer::from(base).add_subclass(this))
    }

    /// Send a message: text if it is a `str`, binary if it is bytes-like.
    ///
    /// Returns when the operating system has all of the message. Any number of threads may
    /// send; messages of one thread go out in the order of its calls. If Ctrl-C ends the call,
    /// the message is still sent as a whole; unless more than 16 MiB of it are left, which
    /// fails the connection. With compression, Ctrl-C is noticed when the message has been
    /// compressed, which takes some 5 ms per MiB.
    ///
    /// An iterable of such objects is sent as one message in fragments (RFC 6455, section 5.4),
    /// each as soon as the iterable yields it, and an empty one at the end. If the iterable
    /// raises after the first, the connection is failed with code 1011.
    ///
    /// Args:
    ///     message: The message, or an iterable of its fragments, all `str` or all bytes-like.
    ///     text: `True` to send bytes-like objects, which hold UTF-8, as text; `False` to send
    ///         `str` as binary.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     ConcurrencyError: If a message is being sent in fragments.
    ///     TypeError: If the message is of another type. The connection is as it was, unless
    ///         that is so of a fragment after the first.
    ///     UnicodeEncodeError: If a `str` holds lone surrogates. The connection is as it was.
    ///     UnicodeDecodeError: If `text` is `True` and the message is not UTF-8.
    #[pyo3(signature = (message, *, text=None))]
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>, text: Option<bool>) -> PyResult<()> {
        let _inside = attached::enter(py);
        let Some(outgoing) = Outgoing::new(message, text)? else {
            return self.send_fragments(py, Fragments::new(message, text)?);
        };
        let (kind, payload) = outgoing.parts();
        logging::drain(py)?;
        let connection = &self.connection;
        if payload.len() > BRIEF || connection.compresses() {
            return interrupt::wait(py, Deadline::NEVER, |wait| {
                connection.send(kind, payload, wait)
            });
        }
        let sent = connection.try_send(kind, payload);
        match sent.map_err(|error| exceptions::raise(py, error))? {
            None => Ok(()),
            Some(end) => interrupt::wait(py, Deadline::NEVER, |wait| {
                connection.write_until(end, wait)
            }),
        }
    }

    /// Receive the next message: a `str` if it is text, `bytes` if it is binary.
    ///
    /// Messages that were received before the connection was closed can still be received
    /// after. What had been received of a message when the time ran out is kept.
    ///
    /// Args:
    ///     timeout: Seconds to wait; 0 or less takes only what has been received already. `None`
    ///         is the connection's `receive_timeout`.
    ///     decode: `True` for `str` and `False` for `bytes`, whatever the message is.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed and no message is left; at once also
    ///         if another thread closes it meanwhile.
    ///     TimeoutError: If the time has passed. The connection stays open.
    ///     ConcurrencyError: If another thread is in `recv` or `recv_streaming`, or if a message
    ///         has been taken in part by `recv_streaming`.
    #[pyo3(signature = (timeout=None, decode=None))]
    fn recv<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<Seconds>,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _inside = attached::enter(py);
        let _receiving = self.enter(py, BUSY)?;
        if self.in_message.load(Ordering::Relaxed) {
            return Err(exceptions::raise(py, Error::Concurrency(BUSY)));
        }
        if let Some(message) = self.pop(py, decode) {
            return message;
        }
        logging::drain(py)?;
        let timeout = match timeout {
            None => self.receive_timeout,
            Some(Seconds(seconds)) => numbers::waiting("timeout", seconds)?,
        };
        let deadline = Deadline::after(timeout);
        loop {
            interrupt::wait(py, deadline, |wait| self.connection.receive(wait))?;
            if let Some(message) = self.pop(py, decode) {
                return message;
            }
        }
    }

    /// Takes the next frame of a message: its payload, and whether it is the last.
    #[pyo3(signature = (decode=None))]
    fn recv_fragment<'py>(
        &self,
        py: Python<'py>,
        decode: Option<bool>,
    ) -> PyResult<(Bound<'py, PyAny>, bool)> {
        let _inside = attached::enter(py);
        let _receiving = self.enter(py, BUSY_STREAMING)?;
        // Nobody else is receiving, so this never waits.
        let mut streaming = self
            .streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let deadline = Deadline::after(self.receive_timeout);
        let connection = &self.connection;
        let result = loop {
            if let Err(error) = connection.check_process() {
                break Err(exceptions::raise(py, error));
            }
            if let Some(fragment) = streaming.pop(py, connection, decode) {
                break fragment;
            }
            logging::drain(py)?;
            if let Err(error) = interrupt::wait(py, deadline, |wait| connection.receive(wait)) {
                break Err(error);
            }
        };
        streaming.leave(connection);
        self.in_message
            .store(streaming.in_message, Ordering::Relaxed);
        result
    }

    /// Send a ping (RFC 6455, section 5.5.2).
    ///
    /// Args:
    ///     data: At most 125 bytes; a `str` is sent as UTF-8. `None` sends four random bytes.
    ///     ack_on_close: Whether the end of the connection counts as an answer for
    ///         `PongWaiter.wait` and `PongWaiter.is_set`.
    ///
    /// Returns:
    ///     Something to wait for the pong with. It need not be waited for.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     ConcurrencyError: If a ping with the same data waits for its pong.
    ///     TypeError, ValueError: If the data can't be sent. The connection is as it was.
    #[pyo3(signature = (data=None, *, ack_on_close=false))]
    fn ping(
        &self,
        py: Python<'_>,
        data: Option<ControlPayload>,
        ack_on_close: bool,
    ) -> PyResult<PongWaiter> {
        let _inside = attached::enter(py);
        let payload = data.map(|data| data.0);
        let outcome = Arc::new(PingOutcome::default());
        let waiter = {
            let outcome = Arc::clone(&outcome);
            Box::new(move |pong| outcome.set(pong))
        };
        logging::drain(py)?;
        interrupt::wait(py, Deadline::NEVER, |wait| {
            self.connection.check_process()?;
            let sent = self.connection.ping(payload, Some(waiter))?;
            // Nobody may be reading, and the pong should not wait for that.
            self.connection.thread.wake();
            self.connection.write_until(sent, wait)
        })?;
        Ok(PongWaiter::new(outcome, ack_on_close))
    }

    /// Send a pong that answers no ping (RFC 6455, section 5.5.3).
    ///
    /// Args:
    ///     data: At most 125 bytes; a `str` is sent as UTF-8.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     TypeError, ValueError: If the data can't be sent. The connection is as it was.
    #[pyo3(signature = (data=ControlPayload(Vec::new())), text_signature = "($self, data=b'')")]
    fn pong(&self, py: Python<'_>, data: ControlPayload) -> PyResult<()> {
        let _inside = attached::enter(py);
        let payload = data.0;
        logging::drain(py)?;
        interrupt::wait(py, Deadline::NEVER, |wait| {
            self.connection.check_process()?;
            let sent = self.connection.pong(&payload)?;
            self.connection.write_until(sent, wait)
        })
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
        let _inside = attached::enter(py);
        let frame = convert::close_frame(py, &code, &reason)?;
        interrupt::wait(py, Deadline::NEVER, |wait| {
            self.connection.check_process()?;
            self.connection.begin_close(frame);
            self.connection.wait_ended(wait)
        })?;
        logging::drain(py)
    }

    /// Wait until the connection is closed, by whomever.
    ///
    /// Args:
    ///     timeout: Seconds to wait; `None` is no limit.
    ///
    /// Returns:
    ///     Whether it is closed, and its thread and descriptors are free.
    #[pyo3(signature = (timeout=None))]
    fn wait_closed(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let timeout = match timeout {
            None => None,
            Some(Seconds(seconds)) => numbers::waiting("timeout", seconds)?,
        };
        let deadline = Deadline::after(timeout);
        interrupt::wait(py, deadline, |wait| {
            match self.connection.wait_ended(wait) {
                Err(Error::Timeout { .. }) => Ok(false),
                result => result.map(|()| true),
            }
        })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let _inside = attached::enter(py);
        let this = slf.get();
        match this.recv(py, None, None) {
            Err(error) if exceptions::is_closed_ok(py, &error) => Err(PyStopIteration::new_err(())),
            other => other,
        }
    }
}

impl SyncConnection {
    /// Notes that the calling thread is receiving, until the value is dropped.
    fn enter(&self, py: Python<'_>, refusal: &'static str) -> PyResult<Receiving<'_>> {
        if self.receiving.swap(true, Ordering::Acquire) {
            return Err(exceptions::raise(py, Error::Concurrency(refusal)));
        }
        Ok(Receiving(&self.receiving))
    }

    fn send_fragments(&self, py: Python<'_>, fragments: Fragments<'_>) -> PyResult<()> {
        // A fragment that was accepted goes out even if the wait for it ends early.
        let mut is_unfinished = false;
        let sent = fragments.each(|kind, part, payload| {
            logging::drain(py)?;
            interrupt::wait(py, Deadline::NEVER, |wait| {
                self.connection.check_process()?;
                let end = self.connection.accept(kind, part, payload)?;
                is_unfinished = part != Part::Last;
                self.connection.write_until(end, wait)
            })
        });
        if is_unfinished {
            attached::detach(py, || self.connection.give_message_up(UNFINISHED));
        }
        sent
    }

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
        connection.take(|message| convert::message(py, message, decode))
    }
}

const BUSY: &str =
    "cannot call recv while another thread is already running recv or recv_streaming";
const BUSY_STREAMING: &str =
    "cannot call recv_streaming while another thread is already running recv or recv_streaming";
/// Why a connection fails whose message can't be sent to its end.
pub(super) const UNFINISHED: &str = "error in fragmented message";
