//! A connection over a pair of sockets, whose other end the test plays by hand.

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

use super::{Connection, Observer, receiving::Reading};
use crate::{
    connection_thread::{Role, serve},
    control::Control,
    deadline::Deadline,
    error::{Error, Phase},
    net::stream::Stream,
    net::wait::Wait,
    opening::{Established, Handshake},
    options::ConnectOptions,
    outbox::Part,
    protocol::{
        close::{
            Cause, CloseFrame, Closure, GOING_AWAY, INTERNAL_ERROR, NORMAL, PROTOCOL_ERROR, State,
            TOO_BIG,
        },
        handshake::{
            request::{Agreed, Request, RequestOptions},
            response::Response,
        },
        message::Kind,
        uri::Uri,
    },
};

#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn arrived(&self) {}
    fn drained(&self) {}
    fn ended(&self) {}
}

/// An opening handshake that says nothing.
fn handshake() -> Box<Handshake> {
    let uri = Uri::parse("ws://localhost").unwrap();
    Box::new(Handshake {
        request: Request::new(&uri, &RequestOptions::default()),
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
    let control = Control::new(None).unwrap();
    let (connection, stream) = Connection::new(
        established,
        &options,
        Arc::clone(&control),
        Box::new(Nobody),
    )
    .unwrap();
    let connection = Arc::new(connection);
    if let Some(role) = role {
        let served = Arc::clone(&connection);
        control.spawn(move || serve(&served, stream, role)).unwrap();
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
        .inbox
        .pop(|message| Ok::<_, Infallible>(message.first.to_vec()))
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
fn receive_keeps_what_came_before_its_deadline() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.0.write_all(&[0x82, 3, b'a']).unwrap();
    assert!(matches!(
        connection.receive(&within(20)),
        Err(Error::Timeout {
            phase: Phase::Receive,
            ..
        })
    ));
    peer.0.write_all(b"bc").unwrap();
    connection.receive(&within(5000)).unwrap();
    assert_eq!(take(&connection), Some(b"abc".to_vec()));
}

#[test]
fn receive_answers_pings() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0x89, b"are you there?");
    assert!(connection.receive(&within(20)).is_err());
    assert_eq!(peer.receive(), (0x8a, b"are you there?".to_vec()));
}

#[test]
fn receive_answers_the_close_frame_and_delivers_what_came_before() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0x81, b"last");
    peer.send(0x88, &4000_u16.to_be_bytes());
    connection.receive(&within(5000)).unwrap();
    while connection.state() == State::Open {
        assert_eq!(connection.read_ahead(), Reading::Some);
    }
    assert_eq!(peer.receive(), (0x88, 4000_u16.to_be_bytes().to_vec()));
    connection.receive(&within(5000)).unwrap();
    assert_eq!(take(&connection), Some(b"last".to_vec()));
    match connection.receive(&within(5000)) {
        Err(Error::Closed(closure)) => {
            assert_eq!(closure.rcvd.map(|frame| frame.code), Some(4000));
            assert_eq!(closure.rcvd_then_sent, Some(true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn violation_fails_the_connection_and_nothing_more_is_delivered() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0xf1, b"reserved bits");
    peer.send(0x81, b"fine");
    for _ in 0..2 {
        match connection.receive(&within(5000)) {
            Err(Error::Closed(closure)) => {
                assert!(matches!(closure.cause, Some(Cause::Protocol(_))));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.receive().1[..2], PROTOCOL_ERROR.to_be_bytes());
    assert_eq!(take(&connection), None);
}

#[test]
fn message_over_the_limit_is_refused_from_its_header() {
    let (connection, mut peer) = connect(None, |options| options.limits.message = 100);
    peer.0.write_all(&[0x82, 101]).unwrap();
    assert!(matches!(
        connection.receive(&within(5000)),
        Err(Error::Closed(_))
    ));
    assert_eq!(peer.receive().1[..2], TOO_BIG.to_be_bytes());
}

#[test]
fn end_of_stream_without_close_frame_is_a_failure() {
    let (connection, peer) = connect(None, |_| ());
    drop(peer);
    match connection.receive(&within(5000)) {
        Err(Error::Closed(closure)) => {
            assert!(!closure.is_ok());
            assert!(matches!(closure.cause, Some(Cause::Eof)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        connection.send(Kind::Text, b"late", &within(5000)),
        Err(Error::Closed(_))
    ));
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
    connection.control.stop();
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
    connection.control.stop();
}

#[test]
fn thread_stands_in_for_a_reader_who_is_absent() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    peer.send(0x89, b"ping");
    assert_eq!(peer.receive(), (0x8a, b"ping".to_vec()));
    peer.send(0x81, b"ahead");
    until("the thread reads ahead", || !connection.inbox.is_empty());
    assert_eq!(take(&connection), Some(b"ahead".to_vec()));
    connection.control.stop();
}

#[test]
fn thread_stops_reading_while_the_inbox_is_full() {
    let (connection, mut peer) = connect(Some(Role::Reads), |options| options.marks.bytes = 1000);
    peer.0
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let frame = [&[0x82, 100][..], &[0; 100]].concat();
    let mut sent = 0;
    while peer.0.write_all(&frame).is_ok() {
        sent += 1;
    }
    peer.0.set_write_timeout(None).unwrap();
    assert!(sent > 10);
    let mut taken = 0;
    until("all that was sent arrives", || {
        while take(&connection).is_some() {
            taken += 1;
            if connection.inbox.resumes() {
                connection.control.wake();
            }
        }
        taken >= sent
    });
    connection.control.stop();
}

#[test]
fn close_waits_for_the_answer_and_the_end_of_the_stream() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    let closing = {
        let connection = Arc::clone(&connection);
        thread::spawn(move || {
            connection.begin_close(CloseFrame::new(NORMAL, "done").unwrap());
            connection.wait_ended(&within(5000))
        })
    };
    assert_eq!(
        peer.receive().1,
        [&NORMAL.to_be_bytes()[..], b"done"].concat()
    );
    peer.send(0x88, &NORMAL.to_be_bytes());
    peer.0
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        peer.0.read(&mut [0]).ok(),
        None,
        "the client waits for the server to end"
    );
    drop(peer);
    closing.join().unwrap().unwrap();
    assert!(connection.closure().is_ok());
    assert_eq!(connection.closure().rcvd_then_sent, Some(false));
    assert_eq!(connection.state(), State::Closed);
}

#[test]
fn close_ends_by_its_timeout_and_a_blocked_receiver_long_before() {
    let timeout = Duration::from_millis(400);
    let (connection, _peer) = connect(Some(Role::StandsIn), |options| {
        options.close_timeout = Some(timeout);
    });
    let started = Instant::now();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let result = connection.receive(&within(5000));
            (result, started.elapsed())
        });
        until("the receiver is inside", || {
            connection.attendance.is_attended()
        });
        connection.begin_close(CloseFrame::new(NORMAL, "").unwrap());
        connection.wait_ended(&within(5000)).unwrap();
        let (result, elapsed) = receiving.join().unwrap();
        assert!(matches!(result, Err(Error::Closed(_))), "{result:?}");
        assert!(elapsed < timeout, "{elapsed:?}");
    });
    assert!(started.elapsed() >= timeout);
    assert!(!connection.closure().is_ok(), "the peer has not answered");
}

#[test]
fn stop_says_goodbye_and_frees_the_halves() {
    let (connection, mut peer) = connect(Some(Role::Reads), |_| ());
    connection.control.stop();
    connection.wait_ended(&within(5000)).unwrap();
    assert_eq!(peer.receive(), (0x88, GOING_AWAY.to_be_bytes().to_vec()));
    assert_eq!(
        peer.0.read(&mut [0]).unwrap(),
        0,
        "no one holds the socket any more"
    );
    assert!(connection.has_ended());
}

/// What reaches the peer, and what the connection says of it, where two threads call at about the
/// same time: the one so many turns of a loop after the other.
fn race(delays: [usize; 2], calls: [fn(&Connection); 2]) -> (Vec<(u8, Vec<u8>)>, Closure) {
    let (connection, mut peer) = connect(None, |_| ());
    let ready = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (delay, call) in delays.into_iter().zip(calls) {
            let (connection, ready) = (&connection, &ready);
            scope.spawn(move || {
                ready.fetch_add(1, Ordering::SeqCst);
                // A lock would wake one after the other.
                while ready.load(Ordering::SeqCst) < 2 {
                    hint::spin_loop();
                }
                (0..delay).for_each(|_| hint::spin_loop());
                call(connection);
            });
        }
    });
    connection.try_write();
    let closure = connection.closure();
    drop(connection);
    (iter::from_fn(|| peer.next()).collect(), closure)
}

fn close(connection: &Connection) {
    connection.begin_close(CloseFrame::new(NORMAL, "").unwrap());
}

#[test]
fn close_frame_goes_out_in_a_fragmented_message_only_to_fail_the_connection() {
    let send = |connection: &Connection| {
        // It fails if the connection has been closed.
        let _ = connection.post(Kind::Text, Part::First, b"a");
    };
    for delays in delays() {
        let (frames, closure) = race(delays, [send, close]);
        let code = if frames.len() == 1 {
            NORMAL
        } else {
            assert_eq!(frames[0].0, 0x01);
            INTERNAL_ERROR
        };
        let (first, payload) = frames.last().unwrap();
        assert_eq!((*first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        assert_eq!(closure.sent.map(|frame| frame.code), Some(code));
    }
}

#[test]
fn close_frame_that_is_reported_as_sent_is_sent() {
    let fail = |connection: &Connection| connection.fail(Cause::KeepaliveTimeout);
    for delays in delays() {
        let (frames, closure) = race(delays, [close, fail]);
        assert_eq!(frames, [(0x88, closure.sent.unwrap().payload())]);
    }
}

/// Delays by which two threads are likely to meet.
fn delays() -> impl Iterator<Item = [usize; 2]> {
    (0..1000).map(|number| match number % 100 {
        delay @ 0..50 => [delay, 0],
        delay => [0, delay - 50],
    })
}
