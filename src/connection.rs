//! A connection: where the protocol, the stream, the inbox and the outbox meet.
//!
//! There are two halves, each a [`Turn`]: the reading half belongs to whoever reads, the program's
//! thread or the connection thread, and the writing half to whoever writes. Everything else is
//! guarded by short locks that are never held while waiting. Lock order, outermost first: a half,
//! the inbox, the outbox, the closing handshake.
//!
//! Invariants: after the first failure nothing more is received; after a Close frame nothing is
//! sent but Pongs; whoever changes the state of the connection wakes its thread, which does what remains.

mod closing;
mod pinging;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

pub use self::{
    pinging::{LastPing, Waiter},
    sending::Sent,
};

use self::{closing::End, pinging::WaitingPings, receiving::Reader, sending::Writer};
use crate::{
    attendance::Attendance,
    control::Control,
    error::{Error, Result},
    inbox::Inbox,
    net::stream::{Address, Stream},
    opening::{Established, Handshake},
    options::ConnectOptions,
    outbox::Outbox,
    process,
    protocol::{
        close::{Cause, Closing, Closure, State},
        deflate::{Deflater, Inflater},
        handshake::request::Agreed,
        keepalive::Keepalive,
        message::Decoder,
    },
    turn::Turn,
};

/// An open connection, shared between the program and its connection thread.
#[derive(Debug)]
pub struct Connection {
    /// The thread that serves this connection.
    pub control: Arc<Control>,
    /// What the opening handshake has agreed upon.
    pub agreed: Agreed,
    /// The opening handshake.
    pub handshake: Box<Handshake>,
    /// The addresses of this end and of the peer.
    pub addresses: (Option<Address>, Option<Address>),
    /// Messages received and not yet taken.
    pub inbox: Inbox,
    /// Who is reading.
    pub attendance: Attendance,
    /// How long the closing handshake may take.
    pub close_timeout: Option<Duration>,
    reader: Turn<Reader>,
    writer: Turn<Writer>,
    outbox: Outbox,
    write_limit: usize,
    /// Guards the pings that wait for their Pong.
    pings: Mutex<WaitingPings>,
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    /// Guards the state of the closing handshake.
    closing: Mutex<Closing>,
    /// The program has closed the connection and receives no more, though the peer has not
    /// answered yet.
    receiving_is_over: AtomicBool,
    /// The decoder has something that it may inflate when there is room for it.
    is_behind: AtomicBool,
    /// A message has been sent since the program last waited for one.
    in_burst: AtomicBool,
    /// The writing half holds something that the socket would not take.
    unfinished: AtomicBool,
    /// The TLS session has made something to send that no writer has seen yet.
    tls_has_outgoing: AtomicBool,
    observer: Box<dyn Observer>,
    /// Guards whether the connection thread is done with the connection, and who waits for it.
    end: Mutex<End>,
    process: process::Generation,
}

/// Who wants to know what happens on a connection without waiting for it in a thread.
///
/// Called on any thread, possibly with the reading or the writing half held.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A message can be taken, or none will come any more.
    fn arrived(&self);
    /// The outbox has room again, or nothing will be sent any more.
    fn drained(&self);
    /// The connection has ended and its resources are free.
    fn ended(&self);
}

impl Connection {
    /// A connection over a stream on which the opening handshake has succeeded.
    pub fn new(
        established: Established,
        options: &ConnectOptions,
        control: Arc<Control>,
        observer: Box<dyn Observer>,
    ) -> Result<(Self, Arc<Stream>)> {
        let stream = Arc::new(established.stream);
        let agreed = established.agreed;
        let inflater = agreed.compression.as_ref().map(Inflater::new);
        let deflater = agreed.compression.as_ref().map(Deflater::new);
        let outbox =
            Outbox::new(deflater).map_err(|error| Error::io("make masking keys", error))?;
        let connection = Self {
            control,
            agreed,
            handshake: established.handshake,
            addresses: stream.addresses(),
            inbox: Inbox::new(options.marks),
            attendance: Attendance::default(),
            close_timeout: options.close_timeout,
            reader: Turn::new(Reader {
                stream: Arc::clone(&stream),
                decoder: Decoder::new(options.limits, inflater, established.arrived),
                ciphertext: Vec::new(),
                discards: false,
            }),
            writer: Turn::new(Writer::new(Arc::clone(&stream))),
            outbox,
            write_limit: options.write_limit,
            pings: Mutex::default(),
            ping_interval: options.ping_interval,
            ping_timeout: options.ping_timeout,
            closing: Mutex::default(),
            receiving_is_over: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            in_burst: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            tls_has_outgoing: AtomicBool::new(false),
            observer,
            end: Mutex::default(),
            process: process::Generation::current(),
        };
        // Frames may have come in one segment with the response.
        if let Some(mut reader) = connection.reader.try_take() {
            connection.decode(&mut reader);
        }
        Ok((connection, stream))
    }

    /// Fails in a process forked from the one that the connection belongs to.
    pub fn check_process(&self) -> Result<()> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// The keepalive of this connection, beginning now, if it has one.
    pub fn keepalive(&self) -> Option<Keepalive> {
        let interval = self.ping_interval?;
        Some(Keepalive::new(interval, self.ping_timeout, Instant::now()))
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.closing().state()
    }

    /// Whether the stream has failed, so that no Close frame can come or go any more.
    pub fn stream_has_failed(&self) -> bool {
        matches!(self.closing().closure().cause, Some(Cause::Io(_)))
    }

    /// Where the connection stands for the program.
    pub fn reported_state(&self) -> State {
        self.closing().reported_state()
    }

    /// How the connection has ended, or is ending.
    pub fn closure(&self) -> Closure {
        self.closing().closure().clone()
    }

    /// The error of an operation that the closed connection cannot carry out.
    pub fn closed(&self) -> Error {
        Error::Closed(Box::new(self.closure()))
    }

    /// Whether both Close frames have passed.
    pub fn close_is_agreed(&self) -> bool {
        self.closing().agreed()
    }

    fn closing(&self) -> MutexGuard<'_, Closing> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOG: &str = "websocket_rs::connection";
