//! Opening a connection on its own thread, which then serves it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::waiters::Waiters;
use crate::{
    connection::{
        Connection,
        handle::ThreadHandle,
        opening::open,
        options,
        receiving::poller::Poller,
        thread::{Role, serve},
    },
    error::{Error, Result},
    net::{stream::Stream, wait::Wait},
    python::event_loop::Event,
};

/// What the connection thread makes of the attempt to connect.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<Option<Result<Arc<Connection>>>>);

impl Opened {
    /// Whether the attempt has come to an end that nobody has taken yet.
    pub(super) fn is_known(&self) -> bool {
        self.slot().is_some()
    }

    /// Takes what has come of the attempt.
    pub(super) fn take(&self) -> Option<Result<Arc<Connection>>> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Result<Arc<Connection>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of the connection thread: opening, serving, ending.
pub(super) fn run(
    options: &options::ConnectOptions,
    thread: &Arc<ThreadHandle>,
    waiters: &Arc<Waiters>,
    poller: Option<Arc<Poller>>,
    opened: &Opened,
) {
    // A panic is a bug of ours, and must leave nobody waiting.
    let result = catch_unwind(AssertUnwindSafe(|| connect(options, thread, waiters)))
        .unwrap_or(Err(Error::Cancelled));
    let (answer, service) = match result {
        Ok((connection, stream)) => (Ok(Arc::clone(&connection)), Some((connection, stream))),
        Err(error) => (Err(error), None),
    };
    if let (Some(poller), Some((connection, stream))) = (poller, &service) {
        connection.set_poller(poller, Arc::clone(stream));
    }
    *opened.slot() = Some(answer);
    waiters.send(Event::Opened);
    if let Some((connection, stream)) = service {
        serve(&connection, stream, Role::Reads);
    }
}

fn connect(
    options: &options::ConnectOptions,
    thread: &Arc<ThreadHandle>,
    waiters: &Arc<Waiters>,
) -> Result<(Arc<Connection>, Arc<Stream>)> {
    let interrupt = || {
        if thread.is_stopping() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    let wakeup = thread.wakeup();
    let wait = Wait {
        deadline: options.deadline(),
        interrupt: &interrupt,
        wake: wakeup.as_deref(),
    };
    let established = open(options, &thread.logger, &wait)?;
    let waker = Arc::clone(waiters);
    let (connection, stream) = Connection::new(established, options, Arc::clone(thread), waker)?;
    Ok((Arc::new(connection), stream))
}
