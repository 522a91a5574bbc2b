//! What `ping` of the sync client returns: something to wait for the Pong with.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pyo3::prelude::*;
use rustix::event::PollFlags;

use super::{convert, exceptions, interrupt};
use crate::{
    deadline::Deadline,
    error::{Error, Phase, Result},
    net::{
        wait::{Wait, wait_ready},
        wake::Wake,
    },
};

/// Waits for the pong that answers a ping, as `WebSocket.ping` returns it.
///
/// It has the methods of `threading.Event` that are of use here.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct PongWaiter {
    answer: Arc<Answer>,
    /// Whether the end of the connection counts as an answer.
    ack_on_close: bool,
}

/// What comes of a ping.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Guards the outcome, and who waits for it.
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    outcome: Option<Result<Duration>>,
    waiting: Vec<Arc<Wake>>,
}

impl Answer {
    /// The pong has come, or none will.
    pub(super) fn set(&self, outcome: Result<Duration>) {
        let mut slot = self.slot();
        slot.outcome = Some(outcome);
        for wake in slot.waiting.drain(..) {
            wake.set();
        }
    }

    fn outcome(&self) -> Option<Result<Duration>> {
        self.slot().outcome.clone()
    }

    /// Waits for the outcome.
    fn wait(&self, wait: &Wait<'_>) -> Result<Result<Duration>> {
        let wake = {
            let mut slot = self.slot();
            if let Some(outcome) = &slot.outcome {
                return Ok(outcome.clone());
            }
            let wake = Wake::new().map_err(|error| Error::io("make an eventfd", error))?;
            let wake = Arc::new(wake);
            slot.waiting.push(Arc::clone(&wake));
            wake
        };
        let result = wait_ready(&wake, PollFlags::IN, wait, Phase::Pong);
        let mut slot = self.slot();
        slot.waiting.retain(|other| !Arc::ptr_eq(other, &wake));
        match slot.outcome.clone() {
            Some(outcome) => Ok(outcome),
            None => Err(result.err().unwrap_or(Error::Cancelled)),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PongWaiter {
    pub(super) fn new(answer: Arc<Answer>, ack_on_close: bool) -> Self {
        Self {
            answer,
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
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = Deadline::after(convert::timeout("timeout", timeout)?);
        interrupt::wait(py, deadline, |wait| match self.answer.wait(wait) {
            Ok(outcome) => Ok(outcome.is_ok() || self.ack_on_close),
            Err(Error::Timeout { .. }) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Whether the pong has come; with `ack_on_close`, also whether the connection has ended.
    fn is_set(&self) -> bool {
        match self.answer.outcome() {
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
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<f64> {
        let deadline = Deadline::after(convert::timeout("timeout", timeout)?);
        interrupt::wait(py, deadline, |wait| self.answer.wait(wait))?
            .map(|latency| latency.as_secs_f64())
            .map_err(|error| exceptions::raise(py, error))
    }

    /// The seconds between the ping and its pong; `None` if it has not come.
    #[getter]
    fn latency(&self) -> Option<f64> {
        let latency = self.answer.outcome()?.ok()?;
        Some(latency.as_secs_f64())
    }
}
