//! A connection: where the protocol and the stream meet.
//!
//! It has four parts, each of which alone changes its fields: [`receiving`], [`sending`], pings and
//! the end. There are two halves, each behind a [`lock`]: the reading half belongs to whoever reads,
//! a thread of the program or the connection thread, and the writing half to whoever writes.
//! Everything else is guarded by short locks that are never held while waiting. Lock order,
//! outermost first: a half, the inbox, the pings, the outbox, the closing handshake.
//!
//! Invariants: after the first failure nothing more is received; after a Close frame nothing is
//! sent but Pongs; whoever changes the state of the connection wakes its thread, which does what
//! remains.

mod buffers;
mod closing;
pub mod handle;
mod lock;
pub mod logger;
pub mod opening;
pub mod options;
mod pings;
pub mod receiving;
pub mod registry;
pub mod sending;
#[cfg(test)]
mod tests;
pub mod thread;

use std::sync::Arc;

pub use self::pings::Waiter;
use self::{
    buffers::Buffers,
    closing::Ending,
    handle::ThreadHandle,
    opening::{Established, Handshake},
    options::ConnectOptions,
    pings::Pinging,
    receiving::Receiving,
    sending::Sending,
};
use crate::{
    error::{Error, Result},
    net::stream::{Address, Stream},
    process,
    protocol::{
        decoder::Decoder,
        deflate::{Deflater, Inflater},
        handshake::request::Agreed,
    },
};

/// An open connection, shared between the program and its connection thread.
#[derive(Debug)]
pub struct Connection {
    /// The thread that serves this connection.
    pub thread: Arc<ThreadHandle>,
    /// What the opening handshake has agreed upon.
    pub agreed: Agreed,
    /// The opening handshake.
    pub handshake: Box<Handshake>,
    /// The addresses of this end and of the peer.
    pub addresses: (Option<Address>, Option<Address>),
    /// Neither TLS nor compression make reading take long.
    is_plain: bool,
    receiving: Receiving,
    sending: Sending,
    buffers: Buffers,
    pinging: Pinging,
    ending: Ending,
    waker: Arc<dyn Waker>,
    process: process::Generation,
}

/// Wakes those that wait for a connection elsewhere than in a thread, such as in an event loop.
///
/// Called on any thread, possibly with the reading or the writing half held.
pub trait Waker: Send + Sync + std::fmt::Debug {
    /// A message can be taken, or none will come any more.
    fn wake_receiver(&self);
    /// There is room to send again, or nothing will be sent any more.
    fn wake_sender(&self);
    /// The connection has ended and its resources are free.
    fn wake_closer(&self);
}

impl Connection {
    /// A connection over a stream on which the opening handshake has succeeded.
    pub fn new(
        established: Established,
        options: &ConnectOptions,
        thread: Arc<ThreadHandle>,
        waker: Arc<dyn Waker>,
    ) -> Result<(Self, Arc<Stream>)> {
        let stream = Arc::new(established.stream);
        let agreed = established.agreed;
        let inflater = agreed.compression.as_ref().map(Inflater::new);
        let deflater = agreed.compression.as_ref().map(Deflater::new);
        let decoder = Decoder::new(options.limits, inflater, established.arrived);
        let sending = Sending::new(Arc::clone(&stream), deflater, options.write_limit)
            .map_err(|error| Error::io("make masking keys", error))?;
        let connection = Self {
            is_plain: agreed.compression.is_none() && !stream.is_under_tls(),
            thread,
            agreed,
            handshake: established.handshake,
            addresses: stream.addresses(),
            receiving: Receiving::new(Arc::clone(&stream), decoder, options.marks),
            sending,
            buffers: Buffers::default(),
            pinging: Pinging::new(options.ping_interval, options.ping_timeout),
            ending: Ending::new(options.close_timeout),
            waker,
            process: process::Generation::current(),
        };
        connection.decode_arrived();
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
}

const LOG: &str = "websocket_rs::connection";
