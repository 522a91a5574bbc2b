//! A connection over a pair of sockets, whose other end the test plays by hand.

mod closing;
mod receiving;

use std::{
    convert::Infallible,
    hint,
    io::{ErrorKind, Read, Write},
    iter,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::Socket;

use super::{Connection, Waker, receiving::Reading};
use super::{
    handle::ThreadHandle,
    opening::{Established, Handshake},
    options::ConnectOptions,
    registry::spawn,
    thread::{Role, serve},
};
use crate::{
    deadline::Deadline,
    error::{Error, Phase},
    net::{stream::Stream, wait::Wait},
    protocol::{
        close::{
            Cause, CloseFrame, Closure, GOING_AWAY, INTERNAL_ERROR, NORMAL, PROTOCOL_ERROR, State,
            TOO_BIG,
        },
        handshake::request::{Agreed, Request, RequestOptions},
        http::Response,
        message::{Kind, Part},
        uri::Uri,
    },
};

#[derive(Debug)]
struct NoWaiters;

impl Waker for NoWaiters {
    fn wake_receiver(&self) {}
    fn wake_sender(&self) {}
    fn wake_closer(&self) {}
}

/// An opening handshake that says nothing.
fn handshake() -> Box<Handshake> {
    let uri = Uri::parse("ws://localhost").unwrap();
    Box::new(Handshake {
        request: Request::new(&uri, &RequestOptions::default()).unwrap(),
        response: Response {
            status: 101,
            reason: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
        },
    })
}

/// The server's end, which speaks in bytes.
struct Peer(UnixStream);

impl Peer {
    fn send(&mut self, first: u8, payload: &[u8]) {
        let len = u8::try_from(payload.len()).unwrap();
        assert!(len < 126);
        self.0
            .write_all(&[&[first, len], payload].concat())
            .unwrap();
    }

    /// The next frame, which has to come.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        self.next().unwrap()
    }

    /// The next frame, if there is one: its first byte and its payload, unmasked.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.0.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            result => result.unwrap(),
        }
        assert_eq!(head[1] & 0x80, 0x80, "a client masks its frames");
        let len = match head[1] & 0x7f {
            126 => {
                let mut len = [0; 2];
                self.0.read_exact(&mut len).unwrap();
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.0.read_exact(&mut len).unwrap();
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        let mut mask = [0; 4];
        self.0.read_exact(&mut mask).unwrap();
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.0.read_exact(&mut payload).unwrap();
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Some((head[0], payload))
    }
}

/// A connection and its peer; with a connection thread, if it has a role.
fn connect(
    role: Option<Role>,
    change: impl FnOnce(&mut ConnectOptions),
) -> (Arc<Connection>, Peer) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut options = ConnectOptions::new("ws://peer/").unwrap();
    change(&mut options);
    let established = Established {
        stream: Stream::plain(Socket::from(std::os::fd::OwnedFd::from(ours))).unwrap(),
        agreed: Agreed::default(),
        handshake: handshake(),
        arrived: Vec::new(),
    };
    let thread = ThreadHandle::new(None).unwrap();
    let (connection, stream) = Connection::new(
        established,
        &options,
        Arc::clone(&thread),
        Arc::new(NoWaiters),
    )
    .unwrap();
    let connection = Arc::new(connection);
    if let Some(role) = role {
        let served = Arc::clone(&connection);
        spawn(&thread, move || serve(&served, stream, role)).unwrap();
    }
    (connection, Peer(theirs))
}

fn within(milliseconds: u64) -> Wait<'static> {
    Wait {
        deadline: Deadline::after(Some(Duration::from_millis(milliseconds))),
        ..Wait::FOR_EVER
    }
}

fn take(connection: &Connection) -> Option<Vec<u8>> {
    connection
        .take(|message| Ok::<_, Infallible>(message.first.to_vec()))
        .map(|taken| taken.unwrap())
}

/// Waits for something that another thread brings about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn large_message_arrives_whole_while_others_are_sent() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    let large: Vec<u8> = (0..=255).cycle().take(5_000_000).collect();
    thread::scope(|scope| {
        let sending = scope.spawn(|| connection.send(Kind::Binary, &large, &within(5000)));
        let others = scope.spawn(|| {
            (0..100).try_for_each(|_| connection.send(Kind::Text, b"small", &within(5000)))
        });
        let mut small = 0;
        let mut whole = 0;
        while small < 100 || whole < 1 {
            match peer.receive() {
                (0x81, payload) => {
                    assert_eq!(payload, b"small");
                    small += 1;
                }
                (0x82, payload) => {
                    assert!(payload == large);
                    whole += 1;
                }
                (first, _) => panic!("{first:x}"),
            }
        }
        sending.join().unwrap().unwrap();
        others.join().unwrap().unwrap();
    });
    connection.thread.stop();
}

#[test]
fn send_gives_up_at_its_deadline_and_the_message_is_finished_later() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    let message = vec![7; 4_000_000];
    assert!(matches!(
        connection.send(Kind::Binary, &message, &within(50)),
        Err(Error::Timeout {
            phase: Phase::Send,
            ..
        })
    ));
    assert!(peer.receive().1 == message);
    connection.send(Kind::Text, b"next", &within(5000)).unwrap();
    assert_eq!(peer.receive(), (0x81, b"next".to_vec()));
    connection.thread.stop();
}
