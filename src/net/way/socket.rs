//! A connected socket that the program has opened itself.
//!
//! We only know the number of a descriptor that somebody else owns. Passing it through a socket
//! pair (`SCM_RIGHTS`) makes the system duplicate it for us, which needs no `unsafe` and, unlike
//! `pidfd_getfd`, no permission that containers withhold.
//!
//! Invariants: our descriptor is closed in programs that this one executes; the socket is used
//! for one attempt to connect; whatever becomes of that, it is closed in the end.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, PoisonError},
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags,
        SocketType, recvmsg, socketpair,
    },
};
use socket2::{Domain, Socket, Type};

use crate::error::{Error, Result};

/// A socket for one attempt to connect.
#[derive(Debug, Clone)]
pub struct ConnectedSocket(Arc<Mutex<Option<Socket>>>);

impl ConnectedSocket {
    /// Takes a descriptor of its own for the socket with this number.
    pub fn new(fd: RawFd) -> Result<Self> {
        let socket = duplicate(fd).map_err(|error| Error::io(ATTEMPT, error))?;
        if socket.r#type().ok() != Some(Type::STREAM) {
            let text = format!("descriptor {fd} isn't a stream socket");
            return Err(Error::InvalidArgument(text));
        }
        Ok(Self(Arc::new(Mutex::new(Some(socket)))))
    }

    /// Takes the socket out, in blocking mode. Fails if that was done before.
    pub fn take(&self) -> Result<Socket> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = slot.take().ok_or_else(|| {
            Error::InvalidArgument("the socket has been used by another attempt to connect".into())
        })?;
        set_up(&socket).map_err(|error| Error::io(ATTEMPT, error))?;
        Ok(socket)
    }
}

/// Brings a socket into the state that streams rely on.
fn set_up(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(None)?;
    if matches!(socket.domain()?, Domain::IPV4 | Domain::IPV6) {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(())
}

fn duplicate(fd: RawFd) -> io::Result<Socket> {
    let (sender, receiver) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // A descriptor travels only along with data.
    sendmsg::<()>(
        sender.as_raw_fd(),
        &[IoSlice::new(&[0])],
        &[ControlMessage::ScmRights(&[fd])],
        MsgFlags::empty(),
        None,
    )?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(
        &receiver,
        &mut [IoSliceMut::new(&mut [0])],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let arrived: Option<OwnedFd> = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    // If the process has no descriptor left, the system drops what was on its way.
    let arrived = arrived.ok_or(rustix::io::Errno::MFILE)?;
    Ok(Socket::from(arrived))
}

const ATTEMPT: &str = "use the socket";

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        os::unix::net::{UnixDatagram, UnixStream},
    };

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn a_socket_outlives_the_descriptor_it_was_given_by() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = ConnectedSocket::new(ours.as_raw_fd()).unwrap();
        drop(ours);
        let mut socket = socket.take().unwrap();
        assert!(!socket.nonblocking().unwrap());
        assert!(fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
        socket.write_all(b"hello").unwrap();
        let mut received = [0; 5];
        theirs.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        drop(socket);
        assert_eq!(theirs.read(&mut received).unwrap(), 0);
    }

    #[test]
    fn tcp_does_not_wait_for_more_to_send() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = ConnectedSocket::new(client.as_raw_fd()).unwrap();
        assert!(socket.take().unwrap().tcp_nodelay().unwrap());
    }

    #[test]
    fn a_socket_is_used_once() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let socket = ConnectedSocket::new(ours.as_raw_fd()).unwrap();
        let other = socket.clone();
        socket.take().unwrap();
        match other.take() {
            Err(Error::InvalidArgument(text)) => assert!(text.contains("has been used"), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_that_is_not_used_is_closed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = ConnectedSocket::new(ours.as_raw_fd()).unwrap();
        drop(ours);
        drop(socket);
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_no_stream_socket_is_refused() {
        let file = File::open("/dev/null").unwrap();
        let (datagrams, _) = UnixDatagram::pair().unwrap();
        for fd in [file.as_raw_fd(), datagrams.as_raw_fd()] {
            assert!(matches!(
                ConnectedSocket::new(fd),
                Err(Error::InvalidArgument(_))
            ));
        }
        for fd in [-1, i32::MAX] {
            match ConnectedSocket::new(fd) {
                Err(Error::Io { source, .. }) => {
                    let expected = rustix::io::Errno::BADF.raw_os_error();
                    assert_eq!(source.raw_os_error(), Some(expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
