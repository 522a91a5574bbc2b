//! One TLS session, kept free of I/O.
//!
//! native-tls runs over an in-memory [`Pipe`]: ciphertext from the peer goes in with
//! [`Session::receive`], ciphertext for the peer comes out with [`Session::take_outgoing`]. Whoever
//! owns the socket moves the bytes between the two. So a session never waits, EINTR and deadlines
//! never reach OpenSSL, and the lock around a session is held only for as long as a cipher runs.
//!
//! A session can be carried by another one, that of a proxy: its ciphertext is the other's
//! plaintext. What is said here about ciphertext is then about the other's.
//!
//! Must not know: sockets, deadlines, WebSocket, Python.
//!
//! Invariants:
//! * A session that has failed stays failed: the first error is kept and returned again.
//! * Everything that OpenSSL wants to say (an answer to a key update, an alert) ends up in the
//!   outgoing ciphertext, also when it arises inside [`Session::read`].
//! * A carrier is always read empty: all that it can decrypt lies in the pipe of the session that
//!   it carries.
//! * Building a connector parses the system's trust store, which takes tens of milliseconds. It
//!   happens once per set of options and process (see [`connector`]), never with a lock held that
//!   another set of options needs.

mod connector;
mod failure;
mod identity;
mod options;
mod pipe;
#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, io, io::Read as _, io::Write as _, net::IpAddr};

use native_tls::{HandshakeError, TlsStream};

pub use self::{
    connector::{forked, initialise},
    failure::of_stream,
    identity::Identity,
    options::{TlsOptions, Trust, Verify, Version},
};
use self::{failure::Failure, pipe::Pipe};
use crate::{
    buffer::{Buffer, OutOfMemory},
    error::{Error, Result, TlsError},
};

/// Sends all of the first, then appends what is received to the second; see [`Session::open`].
pub type Exchange<'a> = dyn FnMut(&[u8], &mut Vec<u8>) -> Result<()> + 'a;

/// An established TLS session.
pub struct Session {
    stream: TlsStream<Pipe>,
    /// Plaintext that OpenSSL did not take because the server (of TLS 1.2) had asked for a
    /// renegotiation, during which no data may be sent. Empty otherwise.
    backlog: Buffer,
    /// The error that ended the session.
    failure: Option<Failure>,
    /// The end of what the peer sends has been met. It is met again by every read: OpenSSL would
    /// not be asked again without more ciphertext.
    ended: bool,
    /// Whether a client certificate was given, for the text of errors.
    has_identity: bool,
    /// The session that carries this one.
    carrier: Option<Box<Self>>,
}

impl Session {
    /// Does the TLS handshake.
    ///
    /// `exchange(ciphertext, &mut received)` sends all of `ciphertext` (which is empty if only
    /// input is needed) and then appends at least one received byte, or nothing at the end of the
    /// stream. Its errors (deadline, signal, I/O) are returned untouched.
    ///
    /// The last flight of the handshake is left in the outgoing ciphertext: nothing is to be waited
    /// for after it, and it travels with the first data.
    pub fn open(
        options: &TlsOptions,
        server_name: &str,
        exchange: &mut Exchange<'_>,
    ) -> Result<Self> {
        let server_name = checked_server_name(server_name).map_err(Error::Tls)?;
        let connector = connector::connector(options)?;
        let mut outgoing = Buffer::default();
        let mut received = Vec::new();
        let mut attempt = connector.connect(server_name, Pipe::default());
        let stream = loop {
            attempt = match attempt {
                Ok(stream) => break stream,
                Err(HandshakeError::Failure(error)) => {
                    let error = failure::of_handshake(&error, options, server_name);
                    return Err(Error::Tls(error));
                }
                Err(HandshakeError::WouldBlock(mut handshake)) => {
                    outgoing.clear();
                    received.clear();
                    handshake.get_mut().take_outgoing(&mut outgoing);
                    exchange(&outgoing, &mut received)?;
                    if received.is_empty() {
                        handshake.get_mut().receive_eof();
                    } else {
                        let taken = handshake.get_mut().receive(&received);
                        taken.map_err(|_| Error::OutOfMemory)?;
                    }
                    handshake.handshake()
                }
            };
        };
        check_alpn(&stream, options).map_err(Error::Tls)?;
        Ok(Self {
            stream,
            backlog: Buffer::default(),
            failure: None,
            ended: false,
            has_identity: options.identity.is_some(),
            carrier: None,
        })
    }

    /// The session as carried by another one, over which it was opened.
    ///
    /// Fails if there is no memory for what the carrier has for it already.
    pub fn over(mut self, carrier: Self) -> Result<Self, OutOfMemory> {
        self.carrier = Some(Box::new(carrier));
        self.unload()?;
        Ok(self)
    }

    /// Takes bytes that came from the socket. Fails if there is no memory for them.
    pub fn receive(&mut self, ciphertext: &[u8]) -> Result<(), OutOfMemory> {
        match &mut self.carrier {
            None => self.stream.get_mut().receive(ciphertext),
            Some(carrier) => {
                carrier.receive(ciphertext)?;
                self.unload()
            }
        }
    }

    /// Takes note that nothing more comes from the socket.
    pub fn receive_eof(&mut self) {
        match &mut self.carrier {
            None => self.stream.get_mut().receive_eof(),
            Some(carrier) => {
                carrier.receive_eof();
                // What there is no memory for is missed, and so is found to be cut short.
                let _ = self.unload();
            }
        }
    }

    /// Decrypts as much as there is into `into`, which must not be empty.
    ///
    /// `Ok(0)` is the end of the stream, announced (`close_notify`) or not; an error of kind
    /// `WouldBlock` says that more ciphertext is needed.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no room to decrypt into",
            ));
        }
        let mut filled = 0;
        let stop = loop {
            if let Some(failure) = &self.failure {
                break Err(failure.to_io_error());
            }
            if self.ended || filled == into.len() {
                break Ok(());
            }
            match self.stream.read(&mut into[filled..]) {
                Ok(0) => self.ended = true,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    break Err(self.starved());
                }
                Err(error) => match self.fail(&error) {
                    // The end without `close_notify` is still the end. Whether the peer meant it
                    // is for WebSocket to judge, which has a closing handshake of its own.
                    Failure::EndOfStream => self.ended = true,
                    failure => break Err(failure.to_io_error()),
                },
            }
        };
        self.send_backlog();
        match filled {
            0 => stop.map(|()| 0),
            // A stop that came after some data is met again by the next call.
            count => Ok(count),
        }
    }

    /// Gives the buffers back that are empty.
    pub fn give_back(&mut self) {
        self.stream.get_mut().give_back();
        if let Some(carrier) = &mut self.carrier {
            carrier.give_back();
        }
    }

    /// Whether the end or a failure has been met, which the next `read` reports if the last one
    /// returned data.
    pub fn has_stopped(&self) -> bool {
        self.ended || self.failed().is_some()
    }

    /// Encrypts all of `plaintext`.
    ///
    /// An error of kind `WouldBlock` says that nothing was taken because the server has asked for
    /// a renegotiation (TLS 1.2) and much is waiting for its end; it ends inside a later `read`.
    pub fn write(&mut self, plaintext: &[u8]) -> io::Result<()> {
        if let Some(failure) = self.failed() {
            return Err(failure.to_io_error());
        }
        if self.is_clogged() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stream.get_mut().reserve_outgoing(plaintext.len())?;
        let taken = if self.backlog.is_empty() {
            self.encrypt(plaintext)?
        } else {
            0
        };
        Ok(self.backlog.append(&plaintext[taken..])?)
    }

    /// Whether ciphertext waits to be sent.
    pub fn has_outgoing(&self) -> bool {
        let own = self.stream.get_ref().has_outgoing();
        match &self.carrier {
            None => own,
            Some(carrier) => carrier.has_outgoing() || own && !carrier.is_clogged(),
        }
    }

    /// Moves the ciphertext to be sent to `into`, which is empty.
    pub fn take_outgoing(&mut self, into: &mut Buffer) {
        self.load();
        match &mut self.carrier {
            None => self.stream.get_mut().take_outgoing(into),
            Some(carrier) => carrier.take_outgoing(into),
        }
    }

    /// Announces the end of what we send, if the session still works.
    pub fn close_notify(&mut self) {
        if self.failure.is_none() {
            // A session that cannot say goodbye any more is closed all the same.
            self.stream.shutdown().ok();
        }
        self.load();
        if let Some(carrier) = &mut self.carrier {
            carrier.close_notify();
        }
    }

    /// Hands what there is to send to the carrier, if there is one.
    fn load(&mut self) {
        let Some(carrier) = &mut self.carrier else {
            return;
        };
        let pipe = self.stream.get_mut();
        if pipe.has_outgoing() && !carrier.is_clogged() {
            let mut ciphertext = Buffer::default();
            pipe.take_outgoing(&mut ciphertext);
            // A failure is kept by the carrier, and met by the next call.
            carrier.write(&ciphertext).ok();
        }
    }

    /// Takes all that the carrier can decrypt.
    fn unload(&mut self) -> Result<(), OutOfMemory> {
        let Some(carrier) = &mut self.carrier else {
            return Ok(());
        };
        let mut ciphertext = vec![0; RECORD];
        loop {
            match carrier.read(&mut ciphertext) {
                Ok(0) => {
                    self.stream.get_mut().receive_eof();
                    return Ok(());
                }
                Ok(count) => self.stream.get_mut().receive(&ciphertext[..count])?,
                // More is needed; or it has failed, which is met when this session needs more.
                Err(_) => return Ok(()),
            }
        }
    }

    /// The error that ended this session or its carrier.
    fn failed(&self) -> Option<&Failure> {
        let of_carrier = || self.carrier.as_ref().and_then(|carrier| carrier.failed());
        self.failure.as_ref().or_else(of_carrier)
    }

    /// The error of a read for which there is not enough ciphertext.
    fn starved(&self) -> io::Error {
        self.failed()
            .map_or_else(|| io::ErrorKind::WouldBlock.into(), Failure::to_io_error)
    }

    /// Whether too much waits for the end of a renegotiation, so that nothing more is taken.
    fn is_clogged(&self) -> bool {
        self.backlog.len() > BACKLOG_LIMIT
            || self
                .carrier
                .as_ref()
                .is_some_and(|carrier| carrier.is_clogged())
    }

    /// Encrypts up to all of `plaintext` and returns how much of it was taken.
    fn encrypt(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < plaintext.len() {
            // OpenSSL takes one record (16 KiB) at a time.
            match self.stream.write(&plaintext[taken..]) {
                Ok(length) => taken += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.fail(&error).to_io_error()),
            }
        }
        Ok(taken)
    }

    /// Encrypts what had to wait for the end of a renegotiation.
    fn send_backlog(&mut self) {
        if self.backlog.is_empty() || self.failure.is_some() {
            return;
        }
        let mut backlog = std::mem::take(&mut self.backlog);
        // A failure is kept, and met by the next call.
        if let Ok(taken) = self.encrypt(&backlog) {
            backlog.keep(taken..backlog.len());
            self.backlog = backlog;
        }
    }

    fn fail(&mut self, error: &io::Error) -> Failure {
        let failure = failure::of_session(error, self.has_identity);
        if failure != Failure::EndOfStream {
            self.failure = Some(failure.clone());
        }
        failure
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("pipe", self.stream.get_ref())
            .field("backlog", &self.backlog.len())
            .field("failure", &self.failure)
            .field("carrier", &self.carrier)
            .finish_non_exhaustive()
    }
}

/// Brings a server's name into the form that certificates carry: an address without brackets and
/// zone, a name without the dot of the root.
fn checked_server_name(name: &str) -> Result<&str, TlsError> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    if let Some((address, _zone)) = bare.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        return Ok(address);
    }
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.is_empty() || bare.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(TlsError::Configuration(format!(
            "{name:?} cannot be the name of a TLS server"
        )));
    }
    Ok(bare)
}

/// Refuses a server that answers in a protocol that was not offered.
fn check_alpn(stream: &TlsStream<Pipe>, options: &TlsOptions) -> Result<(), TlsError> {
    match stream.negotiated_alpn() {
        Ok(Some(chosen)) if !options.alpn.iter().any(|name| *name.as_bytes() == *chosen) => {
            Err(TlsError::Protocol(format!(
                "the server chose the protocol {:?} (ALPN), which was not offered",
                String::from_utf8_lossy(&chosen)
            )))
        }
        _ => Ok(()),
    }
}

/// The plaintext of a full record (RFC 8446, section 5.1).
const RECORD: usize = 1 << 14;
/// How much plaintext may wait for the end of a renegotiation before `write` refuses more.
const BACKLOG_LIMIT: usize = 1 << 20;
