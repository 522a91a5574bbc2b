//! A session that another one carries.

use super::*;

/// A session to "example.com" that is carried by one to "proxy", over a socket to a server that
/// has both, and what runs in it.
fn carried(
    serve: impl FnOnce(SslStream<SslStream<UnixStream>>) + Send + 'static,
    versions: (Version, Version),
    piece: usize,
) -> (Session, UnixStream, JoinHandle<()>) {
    let (authority, server) = authority_and_server();
    let proxy = Certified::issue("proxy", (-1, 1), Some(&authority));
    let inner = acceptor(&server).build();
    let (socket, thread) = start(acceptor(&proxy), move |stream| {
        if let Ok(stream) = inner.accept(stream) {
            serve(stream);
        }
    });
    let speaking = |version| TlsOptions {
        max_version: Some(version),
        ..trusting(&authority)
    };
    let mut carrier = open(&speaking(versions.0), "proxy", &socket, piece).unwrap();
    let options = speaking(versions.1);
    let session = Session::open(&options, "example.com", &mut |outgoing, received| {
        carrier.write(outgoing).unwrap();
        let mut space = vec![0; piece];
        let count = read(&mut carrier, &socket, &mut space).unwrap();
        received.extend_from_slice(&space[..count]);
        Ok(())
    });
    (session.unwrap().over(carrier).unwrap(), socket, thread)
}

#[test]
fn a_session_is_carried_by_another() {
    for versions in [
        (Version::Tls13, Version::Tls13),
        (Version::Tls13, Version::Tls12),
        (Version::Tls12, Version::Tls13),
    ] {
        for piece in [1, 1 << 16] {
            let serve = |mut stream: SslStream<SslStream<UnixStream>>| {
                let mut buffer = [0; 5];
                stream.read_exact(&mut buffer).unwrap();
                stream.write_all(&buffer).unwrap();
            };
            let (session, socket, _) = carried(serve, versions, piece);
            round_trip(session, &socket);
        }
    }
}

#[test]
fn a_mebibyte_is_carried_both_ways_at_once() {
    let serve = |mut stream: SslStream<SslStream<UnixStream>>| {
        let mut data = vec![0; 1 << 20];
        stream.read_exact(&mut data).unwrap();
        stream.write_all(&data).unwrap();
        stream.shutdown().ok();
        stream.get_mut().shutdown().ok();
    };
    let (mut session, socket, thread) = carried(serve, (Version::Tls13, Version::Tls13), 1 << 16);
    let data: Vec<u8> = (0..251).cycle().take(1 << 20).collect();
    session.write(&data).unwrap();
    let mut received = Vec::new();
    loop {
        let mut piece = vec![0; 40_000];
        let count = read(&mut session, &socket, &mut piece).unwrap();
        if count == 0 {
            break;
        }
        received.extend_from_slice(&piece[..count]);
    }
    assert!(received == data);
    thread.join().unwrap();
}

#[test]
fn what_came_with_the_end_of_a_carried_handshake_is_read() {
    // The server does not wait for our part of the handshake to be complete.
    let serve = |mut stream: SslStream<SslStream<UnixStream>>| stream.write_all(b"first").unwrap();
    let (mut session, socket, _) = carried(serve, (Version::Tls13, Version::Tls12), 1 << 16);
    let mut received = [0; 64];
    assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 5);
    assert_eq!(&received[..5], b"first");
}

#[test]
fn the_end_of_the_carrier_is_the_end() {
    for announced in [true, false] {
        let serve = move |mut stream: SslStream<SslStream<UnixStream>>| {
            stream.write_all(b"last").unwrap();
            if announced {
                stream.get_mut().shutdown().unwrap();
            }
        };
        let versions = (Version::Tls13, Version::Tls13);
        let (mut session, socket, _) = carried(serve, versions, 1 << 16);
        let mut received = [0; 64];
        assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 4);
        assert_eq!(&received[..4], b"last");
        for _ in 0..3 {
            assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 0);
        }
    }
}

#[test]
fn both_sessions_say_goodbye() {
    let serve = |mut stream: SslStream<SslStream<UnixStream>>| {
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(stream.get_mut().read(&mut [0; 8]).unwrap(), 0);
    };
    let (mut session, socket, thread) = carried(serve, (Version::Tls13, Version::Tls13), 1 << 16);
    session.close_notify();
    let mut outgoing = Buffer::default();
    session.take_outgoing(&mut outgoing);
    assert!(!session.has_outgoing());
    (&socket).write_all(&outgoing).unwrap();
    thread.join().unwrap();
    assert!(session.write(b"more").is_err());
}

#[test]
fn a_carrier_that_fails_fails_what_it_carries_after_what_it_brought() {
    let serve = |mut stream: SslStream<SslStream<UnixStream>>| {
        stream.write_all(b"last").unwrap();
        let socket = stream.get_mut().get_mut();
        socket.write_all(&[23, 3, 3, 0, 32]).unwrap();
        socket.write_all(&[7; 32]).unwrap();
    };
    let (mut session, mut socket, thread) =
        carried(serve, (Version::Tls13, Version::Tls13), 1 << 16);
    // Its last flight lets the server begin.
    let mut outgoing = Buffer::default();
    session.take_outgoing(&mut outgoing);
    socket.write_all(&outgoing).unwrap();
    thread.join().unwrap();
    let mut everything = Vec::new();
    socket.read_to_end(&mut everything).unwrap();
    session.receive(&everything).unwrap();
    assert!(session.has_stopped());

    let mut received = [0; 64];
    assert_eq!(session.read(&mut received).unwrap(), 4);
    let first = session.read(&mut received).unwrap_err();
    assert_eq!(first.kind(), io::ErrorKind::InvalidData);
    let second = session.read(&mut received).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    assert!(session.write(b"x").is_err());
    // The alert that tells the proxy is there to be sent.
    assert!(session.has_outgoing());
}
