//! A connected socket, plain or under TLS, read and written by different threads at once.
//!
//! The socket stays in blocking mode. A caller with time blocks in `recv` itself, which is the
//! cheapest wait there is; a caller that must not block passes `MSG_DONTWAIT`; a caller with a
//! short or exact deadline, or one that another thread must be able to wake, uses `poll`.
//!
//! TLS cannot be split into two directions, so its session does no I/O: it turns ciphertext into
//! plaintext and back in memory, under a lock that is held for that only. Ciphertext is written
//! to the socket by the holder of the writing half alone, so that its order is kept.
//!
//! On a Unix socket, shutting the read side down would take the peer's right to send away, and
//! with it the answer that is still to come. A reader waits in `poll` there, on an eventfd too.

use std::{
    io,
    net::SocketAddr,
    os::{fd::AsFd, unix::ffi::OsStrExt as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use socket2::{Domain, SockAddr, Socket};

use super::{
    tls::{self, Session},
    wait::{Wait, wait_once},
    wakeup::Wakeup,
};
use crate::{
    buffer::{Buffer, OutOfMemory},
    error::{Error, Phase, Result},
};

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// Held only while bytes are turned into other bytes, never while waiting.
    session: Option<Mutex<Session>>,
    /// The socket's receive timeout as last set. Used by the holder of the reading half only.
    armed: Mutex<Option<Duration>>,
    /// The session may have more plaintext than the last read took.
    buffered: AtomicBool,
    /// The reader was sent away, so an end of stream means nothing.
    dismissed: AtomicBool,
    /// Wakes the reader of a Unix socket when it is sent away.
    dismissal: Option<Wakeup>,
    /// How many bytes the system has taken; it wraps around. Written by the holder of the writing
    /// half only.
    taken: AtomicUsize,
}

/// The address of an end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Of TCP.
    Inet(SocketAddr),
    /// The path of a Unix socket, or an abstract name, which begins with a zero byte. Empty if it
    /// has neither.
    Unix(Vec<u8>),
}

/// How long an operation may take.
#[derive(Debug, Clone, Copy)]
pub enum Patience<'a> {
    /// It must not wait at all.
    None,
    /// It may wait, for this phase of the connection.
    Until(&'a Wait<'a>, Phase),
}

/// Why an operation on a stream came to nothing.
#[derive(Debug)]
pub enum Halt {
    /// It would have to wait, and must not.
    WouldBlock,
    /// A signal has come, or the wake-up of the wait was set. Whoever waits lets go of what
    /// others may need, calls [`Wait::interrupt`], and may then try again.
    Interrupted,
    /// Its deadline has passed, or a signal handler raised. The stream is as it was.
    Stopped(Error),
    /// The stream has failed.
    Failed(io::Error),
}

impl From<OutOfMemory> for Halt {
    fn from(error: OutOfMemory) -> Self {
        Self::Failed(error.into())
    }
}

impl Stream {
    /// A plain stream.
    pub fn plain(socket: Socket) -> Result<Self> {
        let failed = |error| Error::io("set up the socket", error);
        let is_unix = socket.domain().map_err(failed)? == Domain::UNIX;
        let dismissal = is_unix.then(Wakeup::new).transpose().map_err(failed)?;
        Ok(Self {
            socket,
            session: None,
            armed: Mutex::new(None),
            buffered: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            dismissal,
            taken: AtomicUsize::new(0),
        })
    }

    /// The stream under TLS, or under a second TLS if it is under one already.
    pub fn with_tls(mut self, session: Session) -> Result<Self> {
        self.session = Some(Mutex::new(match self.session.take() {
            None => session,
            Some(carrier) => session
                .over(carrier.into_inner().unwrap_or_else(PoisonError::into_inner))
                .map_err(|OutOfMemory| Error::OutOfMemory)?,
        }));
        Ok(self)
    }

    /// Reads what there is into `into`, which must not be empty. `Ok(0)` is the end of stream.
    ///
    /// `ciphertext` is a buffer that the reading half keeps for TLS between calls. `speak` is
    /// called when TLS has something to say before it can read on. Only the holder of the reading
    /// half may call this.
    pub fn read(
        &self,
        into: &mut [u8],
        ciphertext: &mut Buffer,
        patience: Patience<'_>,
        speak: &dyn Fn(),
    ) -> Result<usize, Halt> {
        let Some(session) = &self.session else {
            return self.recv(into, patience);
        };
        loop {
            let has_outgoing = {
                let mut session = lock(session);
                match session.read(into) {
                    Ok(count) => {
                        let has_more = count == into.len() || session.has_stopped();
                        self.buffered.store(has_more, Ordering::SeqCst);
                        return Ok(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(Halt::Failed(error)),
                }
                session.has_outgoing()
            };
            self.buffered.store(false, Ordering::SeqCst);
            if has_outgoing {
                speak();
            }
            if ciphertext.capacity() == 0 {
                ciphertext.grow(CIPHERTEXT)?;
            }
            let space = ciphertext.space(usize::MAX);
            let count = self.recv(space, patience)?;
            if count == 0 && self.reader_is_dismissed() {
                return Ok(0);
            }
            let mut session = lock(session);
            if count == 0 {
                session.receive_eof();
            } else {
                session.receive(&space[..count])?;
            }
            if count == ciphertext.capacity() && count < CIPHERTEXT_IN_BULK {
                ciphertext.grow(count)?;
            }
        }
    }

    /// Gives the buffers of TLS back that are empty.
    pub fn give_back(&self) {
        if let Some(session) = &self.session {
            lock(session).give_back();
        }
    }

    /// Whether there is TLS on it.
    pub fn is_under_tls(&self) -> bool {
        self.session.is_some()
    }

    /// Whether a read may find something though the socket has nothing.
    pub fn has_buffered(&self) -> bool {
        self.buffered.load(Ordering::SeqCst)
    }

    /// Turns `plaintext` into what goes over the wire, appended to `wire`, which is empty.
    /// `plaintext` is empty afterwards.
    pub fn seal(&self, plaintext: &mut Buffer, wire: &mut Buffer) -> Result<(), Halt> {
        match &self.session {
            None => std::mem::swap(plaintext, wire),
            Some(session) => {
                let mut session = lock(session);
                if !plaintext.is_empty() {
                    session.write(plaintext).map_err(Halt::Failed)?;
                    plaintext.clear();
                }
                session.take_outgoing(wire);
            }
        }
        Ok(())
    }

    /// Whether TLS has something to say by itself, such as the answer to a key update.
    pub fn has_outgoing(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| lock(session).has_outgoing())
    }

    /// Writes some of `wire`. Only the holder of the writing half may call this.
    pub fn send(&self, wire: &[u8], patience: Patience<'_>) -> Result<usize, Halt> {
        loop {
            match send(
                &self.socket,
                wire,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(count) => {
                    let taken = self.taken.load(Ordering::Relaxed).wrapping_add(count);
                    self.taken.store(taken, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => match patience {
                    Patience::None => return Err(Halt::WouldBlock),
                    Patience::Until(wait, phase) => self.ready(PollFlags::OUT, wait, phase)?,
                },
                Err(error) => return Err(Halt::Failed(error.into())),
            }
        }
    }

    /// How many bytes the system has taken for sending. Only differences mean anything.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Reads what the socket has into `into`. `Ok(0)` is the end of the TCP stream.
    fn recv(&self, into: &mut [u8], patience: Patience<'_>) -> Result<usize, Halt> {
        loop {
            let flags = match patience {
                Patience::None => RecvFlags::DONTWAIT,
                Patience::Until(wait, phase) => self.prepare_recv(wait, phase)?,
            };
            match (recv(&self.socket, &mut *into, flags), patience) {
                (Ok((_, count)), _) => return Ok(count),
                (Err(Errno::INTR), Patience::Until(..)) => return Err(Halt::Interrupted),
                (Err(Errno::INTR), Patience::None) => {}
                // What a socket whose read side is shut down would say.
                (Err(Errno::AGAIN), _)
                    if self.dismissal.is_some() && self.reader_is_dismissed() =>
                {
                    return Ok(0);
                }
                (Err(Errno::AGAIN), Patience::None) => return Err(Halt::WouldBlock),
                // The socket's own timeout; what it has to say about the deadline comes next.
                (Err(Errno::AGAIN), Patience::Until(wait, phase)) => {
                    wait.deadline.check(phase).map_err(Halt::Stopped)?;
                }
                (Err(error), _) => return Err(Halt::Failed(error.into())),
            }
        }
    }

    /// Makes sure that a `recv` with the flags returned ends by the deadline.
    ///
    /// The timeout of a socket costs no system call as long as it stays the same, but it is only
    /// as exact as the kernel's tick, and it starts anew with every byte. So it is used where a
    /// second or more is left, and set anew where the time left has moved.
    fn prepare_recv(&self, wait: &Wait<'_>, phase: Phase) -> Result<RecvFlags, Halt> {
        if let Some(dismissal) = &self.dismissal {
            if !self.reader_is_dismissed() {
                let wake = wait.wake.or(Some(dismissal));
                self.ready(PollFlags::IN, &Wait { wake, ..*wait }, phase)?;
            }
            return Ok(RecvFlags::DONTWAIT);
        }
        let left = wait.deadline.remaining();
        if wait.wake.is_some() || left.is_some_and(|left| left < COARSE) {
            self.ready(PollFlags::IN, wait, phase)?;
            return Ok(RecvFlags::DONTWAIT);
        }
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = match (*armed, left) {
            (None, None) => true,
            // A little early is put right by another round, so the time left may have moved on
            // by a little since it was set, and may be longer than what is set by any amount.
            (Some(armed), Some(left)) => armed <= left + TOLERANCE && armed + TOLERANCE >= left,
            _ => false,
        };
        if !fits {
            self.socket.set_read_timeout(left).map_err(Halt::Failed)?;
            *armed = left;
        }
        Ok(RecvFlags::empty())
    }

    /// Waits until the socket is ready.
    fn ready(&self, flags: PollFlags, wait: &Wait<'_>, phase: Phase) -> Result<(), Halt> {
        match wait_once(&self.socket, flags, wait, phase) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Halt::Interrupted),
            Err(Error::Io { source, .. }) => Err(Halt::Failed(source.kind().into())),
            Err(error) => Err(Halt::Stopped(error)),
        }
    }

    /// Ends both directions. A thread that is blocked in the stream returns.
    pub fn shutdown(&self) {
        // It fails only if the connection has ended already.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// Sends a blocked reader back to its caller, which sees an end of stream. What the peer
    /// sends afterwards can still be read, but no longer be waited for.
    pub fn dismiss_reader(&self) {
        self.dismissed.store(true, Ordering::SeqCst);
        if let Some(dismissal) = &self.dismissal {
            return dismissal.set();
        }
        // It fails only if the connection has ended already.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }

    /// Whether [`Self::dismiss_reader`] has been called.
    pub fn reader_is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::SeqCst)
    }

    /// Says goodbye in TLS, so that the peer can tell the end from a truncation.
    pub fn close_notify(&self) {
        if let Some(session) = &self.session {
            let mut wire = Buffer::default();
            let mut session = lock(session);
            session.close_notify();
            session.take_outgoing(&mut wire);
            drop(session);
            // The peer may be gone; it has been told what matters by the Close frame.
            drop(self.send(&wire, Patience::None));
        }
    }

    /// The addresses of this end and of the peer.
    pub fn addresses(&self) -> (Option<Address>, Option<Address>) {
        let address = |result: io::Result<SockAddr>| Address::of(&result.ok()?);
        (
            address(self.socket.local_addr()),
            address(self.socket.peer_addr()),
        )
    }
}

impl Address {
    fn of(address: &SockAddr) -> Option<Self> {
        if let Some(address) = address.as_socket() {
            return Some(Self::Inet(address));
        }
        if !address.is_unix() {
            return None;
        }
        let path = match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => path.as_os_str().as_bytes().to_vec(),
            (None, Some(name)) => [b"\0", name].concat(),
            (None, None) => Vec::new(),
        };
        Some(Self::Unix(path))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Repeats an operation that signals interrupt, where nobody else needs what its caller holds.
pub fn persist<R>(
    wait: &Wait<'_>,
    attempt: &str,
    mut operation: impl FnMut() -> Result<R, Halt>,
) -> Result<R> {
    loop {
        match operation() {
            Ok(value) => return Ok(value),
            Err(Halt::Interrupted) => (wait.interrupt)()?,
            Err(Halt::Stopped(error)) => return Err(error),
            Err(Halt::Failed(error)) => {
                // In TLS 1.3, what the server thinks of a client's certificate comes after the
                // handshake.
                return Err(match tls::of_stream(&error) {
                    Some(error) => Error::Tls(error),
                    None => Error::io(attempt, error),
                });
            }
            Err(Halt::WouldBlock) => {
                return Err(Error::io(attempt, io::ErrorKind::WouldBlock.into()));
            }
        }
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much ciphertext is read at once at first.
const CIPHERTEXT: usize = 8 * 1024;
/// The same while the peer sends in bulk: four full records of TLS.
const CIPHERTEXT_IN_BULK: usize = 64 * 1024;
/// Below this, the timeout of the socket is too coarse.
const COARSE: Duration = Duration::from_secs(1);
/// How far the socket's timeout may be from the time left.
const TOLERANCE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::{fd::OwnedFd, unix::net::UnixStream},
        thread,
    };

    use super::*;

    fn read(stream: &Stream, patience: Patience<'_>) -> Result<Vec<u8>, Halt> {
        let mut into = vec![0; 64];
        let mut ciphertext = Buffer::default();
        let read = stream.read(&mut into, &mut ciphertext, patience, &|| ());
        read.map(|count| into[..count].to_vec())
    }

    #[test]
    fn the_reader_of_a_unix_socket_is_dismissed_and_the_peer_can_still_send() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::plain(Socket::from(OwnedFd::from(ours))).unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let wait = Wait::FOR_EVER;
                let patience = Patience::Until(&wait, Phase::Receive);
                persist(&wait, "read", || read(&stream, patience))
            });
            stream.dismiss_reader();
            assert_eq!(reader.join().unwrap().unwrap(), b"");
        });
        let wait = Wait::FOR_EVER;
        for patience in [Patience::None, Patience::Until(&wait, Phase::Receive)] {
            // Nothing is there, and nothing is waited for.
            assert_eq!(read(&stream, patience).unwrap(), b"");
            theirs.write_all(b"late").unwrap();
            assert_eq!(read(&stream, patience).unwrap(), b"late");
        }
        drop(stream);
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
