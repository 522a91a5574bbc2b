//! What `ping` of the sync client returns: something to wait for the Pong with.

use std::{sync::Arc, time::Duration};

use pyo3::prelude::*;

use super::{
    attached, exceptions, interrupt,
    numbers::{self, Seconds},
};
use crate::{
    deadline::Deadline,
    error::{Error, Phase, Result},
    net::outcome::Outcome,
};

/// What comes of a ping: the time until its Pong, or why none has come.
pub(super) type PingOutcome = Outcome<Result<Duration>>;

/// Waits for the pong that answers a ping, as `WebSocket.ping` returns it.
///
/// It has the methods of `threading.Event` that are of use here.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct PongWaiter {
    outcome: Arc<PingOutcome>,
    /// Whether the end of the connection counts as an answer.
    ack_on_close: bool,
}

impl PongWaiter {
    pub(super) fn new(outcome: Arc<PingOutcome>, ack_on_close: bool) -> Self {
        Self {
            outcome,
            ack_on_close,
        }
    }
}

#[pymethods]
impl PongWaiter {
    /// Wait for the pong. Return whether it has come.
    ///
    /// Args:
    ///     timeout: Seconds to wait; `None` waits until the pong has come or the connection has
    ///         ended.
    ///
    /// Returns:
    ///     `False` if the time has passed, or if the connection has ended; but for the latter
    ///     `True` with `ack_on_close`.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<bool> {
        let _inside = attached::enter(py);
        let deadline = Deadline::after(numbers::timeout("timeout", timeout)?);
        interrupt::wait(py, deadline, |wait| {
            match self.outcome.wait(wait, Phase::Pong) {
                Ok(outcome) => Ok(outcome.is_ok() || self.ack_on_close),
                Err(Error::Timeout { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Whether the pong has come; with `ack_on_close`, also whether the connection has ended.
    fn is_set(&self) -> bool {
        match self.outcome.get() {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(_)) => self.ack_on_close,
        }
    }

    /// Wait for the pong. Return the seconds between the ping and its pong.
    ///
    /// Args:
    ///     timeout: Seconds to wait; `None` waits until the pong has come or the connection has
    ///         ended.
    ///
    /// Raises:
    ///     TimeoutError: If the time has passed.
    ///     ConnectionClosed: If the connection has ended before the pong has come.
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<f64> {
        let _inside = attached::enter(py);
        let deadline = Deadline::after(numbers::timeout("timeout", timeout)?);
        interrupt::wait(py, deadline, |wait| self.outcome.wait(wait, Phase::Pong))?
            .map(|latency| latency.as_secs_f64())
            .map_err(|error| exceptions::raise(py, error))
    }

    /// The seconds between the ping and its pong; `None` if it has not come.
    #[getter]
    fn latency(&self) -> Option<f64> {
        let latency = self.outcome.get()?.ok()?;
        Some(latency.as_secs_f64())
    }
}
