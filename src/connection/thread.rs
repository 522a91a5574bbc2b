//! The dedicated thread of a connection, from its opening or after it until its end.
//!
//! Rules:
//! 1. It never enters the Python interpreter and never drops a Python object.
//! 2. It waits in one place, `poll`, on the socket and on its wake-up. Nothing else blocks it before
//!    its end, and without anything to do it does not wake up.
//! 3. It writes what the outbox holds, whoever put it there.
//! 4. It reads for asyncio while the event loop does not; for the sync side only while nobody is
//!    inside a call that reads, and after a grace period, so that a request-response loop never
//!    meets it. Either way it stops reading while the inbox is full.
//! 5. It keeps the connection alive: it wakes up for each Ping of keepalive, and for its Pong if
//!    that does not come in time.
//! 6. Once a Close frame has passed, it sees the closing handshake through, within its timeout.
//! 7. It alone ends the connection and frees what it holds, and that is the last thing it does.
//! 8. No signal is delivered to it, so that they reach the program's threads.

use std::{
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{Connection, buffers::Review, pings::LastPing};
use crate::{
    net::{stream::Stream, wait::timespec, wakeup::Wakeup},
    protocol::{
        close::{CloseFrame, GOING_AWAY, State},
        keepalive::Keepalive,
    },
};

/// For whom the connection thread stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It reads while the event loop does not.
    Reads,
    /// It reads while the program does not.
    StandsIn,
}

/// Serves a connection until it ends.
pub fn serve(connection: &Connection, stream: Arc<Stream>, role: Role) {
    let handle = &connection.thread;
    let Some(wake) = handle.wakeup() else {
        unreachable!("only this thread takes the wake-up away");
    };
    let mut service = Service {
        connection,
        stream: &stream,
        wake: &wake,
        role,
        departures_seen: connection.receiving.readers.departures(),
        keepalive: connection.keepalive(),
        last_ping: LastPing::default(),
        review: Review::default(),
        closing_since: None,
    };
    // A panic is a bug of ours, and must leave nobody waiting.
    if catch_unwind(AssertUnwindSafe(|| service.run())).is_err() {
        log::error!(logger: handle.logger, target: LOG, "the connection thread panicked");
    }
    connection.end(&stream);
    // The descriptors are closed before anyone is told.
    handle.close_wakeup();
    drop((wake, stream));
    connection.announce_end();
}

/// What a connection thread has to remember.
struct Service<'a> {
    connection: &'a Connection,
    stream: &'a Stream,
    wake: &'a Wakeup,
    role: Role,
    /// How often readers had left when the grace period began.
    departures_seen: u32,
    keepalive: Option<Keepalive>,
    last_ping: LastPing,
    review: Review,
    /// When the closing handshake was first seen under way.
    closing_since: Option<Instant>,
}

/// What to wait for, besides being woken.
#[derive(Debug, Clone, Copy)]
struct Interest {
    /// Whether to read when the socket has something.
    reads: bool,
    /// When to look again at the latest.
    timeout: Option<Duration>,
}

impl Interest {
    const READ: Self = Self {
        reads: true,
        timeout: None,
    };

    /// Leave the socket alone until woken, or until this time has passed.
    fn rest(timeout: Option<Duration>) -> Self {
        Self {
            reads: false,
            timeout,
        }
    }

    /// The same, but look again at that instant at the latest.
    fn until(mut self, instant: Option<Instant>) -> Self {
        if let Some(instant) = instant {
            let left = instant.saturating_duration_since(Instant::now());
            self.timeout = Some(self.timeout.map_or(left, |timeout| timeout.min(left)));
        }
        self
    }
}

impl Service<'_> {
    fn run(&mut self) {
        let connection = self.connection;
        let handle = &connection.thread;
        loop {
            // From here on, whoever posts something wakes this thread.
            handle.note_asleep(true);
            let ping_due = self.keep_alive();
            let must_write = connection.has_unwritten() && connection.try_write();
            // While another thread reads the last of a failed stream, look again soon.
            let look_again = connection
                .finish_failed_write()
                .then(|| Instant::now() + PROBE);
            if handle.is_stopping() {
                return self.say_goodbye();
            }
            let interest = match connection.state() {
                State::Open => self.interest().until(ping_due),
                State::Closing => {
                    let since = *self.closing_since.get_or_insert_with(Instant::now);
                    match self.interest_while_closing(since) {
                        Some(interest) => interest,
                        None => return,
                    }
                }
                State::Closed => return,
            };
            let review_due = self.review.run(connection);
            let interest = interest.until(look_again).until(review_due);
            if self.sleep(interest, must_write) && !self.leave_to_reader() {
                connection.read_ahead();
            }
        }
    }

    /// Sends a Ping or fails the connection, if it is time to. Returns when to look again.
    fn keep_alive(&mut self) -> Option<Instant> {
        let keepalive = self.keepalive.as_mut()?;
        if self.connection.state() != State::Open {
            return None;
        }
        self.connection
            .keep_alive(keepalive, &mut self.last_ping, self.stream)
    }

    /// Who reads while messages flow.
    fn interest(&mut self) -> Interest {
        if self.connection.receiving.pauses() {
            return Interest::rest(None);
        }
        if self.role == Role::Reads {
            // What this thread has read of the socket and left, the loop will not hear of.
            let is_left = self.connection.has_buffered(self.stream);
            return if self.connection.receiving.by_loop.is_on() && !is_left {
                Interest::rest(None)
            } else {
                Interest::READ
            };
        }
        let readers = &self.connection.receiving.readers;
        let is_requested = readers.are_requested() || self.connection.awaits_pong();
        if is_requested && !readers.are_present() {
            return Interest::READ;
        }
        let departures = readers.departures();
        if departures != self.departures_seen {
            self.departures_seen = departures;
            return Interest::rest(Some(GRACE));
        }
        if readers.are_present() {
            // The same reader since the grace period began. It wakes this thread when it leaves;
            // if it has just left, look again.
            return Interest::rest((!readers.wake_on_departure()).then_some(Duration::ZERO));
        }
        Interest::READ
    }

    /// Who reads during the closing handshake; `None` when it is over.
    fn interest_while_closing(&self, since: Instant) -> Option<Interest> {
        let connection = self.connection;
        if connection.stream_has_failed() {
            return None;
        }
        let elapsed = since.elapsed();
        let left = connection
            .ending
            .timeout()
            .map(|timeout| timeout.saturating_sub(elapsed));
        if left.is_some_and(|left| left.is_zero()) {
            log::debug!(logger: connection.thread.logger, target: LOG, "closing handshake timed out");
            return None;
        }
        let timeout = |at_most: Duration| Some(left.map_or(at_most, |left| left.min(at_most)));
        if elapsed < ANSWER {
            let readers = &connection.receiving.readers;
            let reads = !readers.are_present() || !readers.wake_on_departure();
            return Some(Interest {
                reads,
                timeout: timeout(ANSWER.saturating_sub(elapsed)),
            });
        }
        // The answer takes long. Nobody has to wait for it but the call that closes.
        connection.dismiss_receivers(self.stream);
        if !self.stream.reader_is_dismissed() {
            return Some(Interest {
                reads: true,
                timeout: left,
            });
        }
        // For `poll`, the socket has ended. Only trying tells whether the peer has answered.
        if connection.close_is_agreed() {
            return None;
        }
        connection.read_ahead();
        Some(Interest::rest(timeout(PROBE)))
    }

    /// Whether a thread of the program reads what has come.
    fn leave_to_reader(&self) -> bool {
        self.role == Role::StandsIn && self.connection.receiving.readers.are_present()
    }

    /// Waits until there is something to do. Returns whether the socket should be read.
    fn sleep(&self, interest: Interest, must_write: bool) -> bool {
        if interest.reads && self.connection.has_buffered(self.stream) {
            // `poll` knows nothing of what has been read already.
            return true;
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.reads);
        flags.set(PollFlags::OUT, must_write);
        let mut fds = [
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.stream.as_fd(), flags),
        ];
        // A socket that nothing is wanted of would still report its end, again and again.
        let count = if flags.is_empty() { 1 } else { 2 };
        let result = poll(&mut fds[..count], interest.timeout.map(timespec).as_ref());
        let handle = &self.connection.thread;
        handle.note_asleep(false);
        if let Err(error) = result {
            // Only a lack of kernel memory can be the reason; it may pass.
            log::error!(logger: handle.logger, target: LOG, "poll failed: {error}");
            thread::sleep(PROBE);
        }
        if !fds[0].revents().is_empty() {
            self.wake.clear();
        }
        interest.reads && !fds[1].revents().is_empty()
    }

    /// Tells the peer that the program goes away, if that needs no waiting.
    fn say_goodbye(&self) {
        if let Ok(frame) = CloseFrame::new(GOING_AWAY, "") {
            self.connection.begin_close(frame);
        }
    }
}

const LOG: &str = "websocket_rs::connection";
/// How long nobody may read before this thread does.
const GRACE: Duration = Duration::from_millis(50);
/// How long the peer's answer to a Close frame is waited for by threads inside `receive`.
const ANSWER: Duration = Duration::from_millis(50);
/// How often to look where nothing can be waited for.
const PROBE: Duration = Duration::from_millis(10);
