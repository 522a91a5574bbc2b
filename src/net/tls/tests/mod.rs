//! Sessions against OpenSSL's own server over a socket pair.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    thread::{self, JoinHandle},
};

use openssl::{
    ssl::{AlpnError, SslAcceptorBuilder, SslStream, SslVerifyMode, SslVersion},
    x509::store::X509StoreBuilder,
};

use self::certified::{Certified, acceptor, authority_and_server, names, trusting};
use super::*;

mod carried;
mod certificates;
pub(crate) mod certified;

fn require_client_certificate(acceptor: &mut SslAcceptorBuilder, authority: &Certified) {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(authority.certificate.clone()).unwrap();
    acceptor.set_verify_cert_store(store.build()).unwrap();
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
}

/// Runs `serve` on a thread after the server's side of the handshake, if that succeeds.
fn start(
    acceptor: SslAcceptorBuilder,
    serve: impl FnOnce(SslStream<UnixStream>) + Send + 'static,
) -> (UnixStream, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let acceptor = acceptor.build();
    let thread = thread::spawn(move || {
        if let Ok(stream) = acceptor.accept(theirs) {
            serve(stream);
        }
    });
    (ours, thread)
}

fn echo(mut stream: SslStream<UnixStream>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..length]).unwrap();
    }
}

fn open(options: &TlsOptions, name: &str, socket: &UnixStream, piece: usize) -> Result<Session> {
    Session::open(options, name, &mut |outgoing, received| {
        let mut socket = socket;
        socket.write_all(outgoing).unwrap();
        let mut buffer = vec![0; piece];
        let length = socket.read(&mut buffer).unwrap_or(0);
        received.extend_from_slice(&buffer[..length]);
        Ok(())
    })
}

/// Sends what waits, and receives until something can be read.
fn read(session: &mut Session, mut socket: &UnixStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut outgoing = Buffer::default();
        session.take_outgoing(&mut outgoing);
        socket.write_all(&outgoing)?;
        match session.read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
        let mut buffer = vec![0; 1 << 16];
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => session.receive_eof(),
            Ok(length) => session.receive(&buffer[..length])?,
        }
    }
}

fn round_trip(mut session: Session, socket: &UnixStream) {
    session.write(b"hello").unwrap();
    assert!(session.has_outgoing());
    let mut received = [0; 64];
    assert_eq!(read(&mut session, socket, &mut received).unwrap(), 5);
    assert_eq!(&received[..5], b"hello");
}

fn verification(result: Result<Session>) -> (String, String) {
    match result.unwrap_err() {
        Error::Tls(TlsError::Verification { reason, hint }) => (reason, hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

fn configuration(options: &TlsOptions) -> String {
    match options.prepare().unwrap_err() {
        Error::Tls(TlsError::Configuration(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Opens a session to a server with this certificate and expects it to be refused.
fn refused(server: &Certified, options: &TlsOptions, name: &str) -> (String, String) {
    let (socket, _) = start(acceptor(server), echo);
    verification(open(options, name, &socket, 1 << 16))
}

#[test]
fn handshake_succeeds_in_pieces_of_one_byte() {
    let (authority, server) = authority_and_server();
    for version in [Version::Tls12, Version::Tls13] {
        let (socket, _) = start(acceptor(&server), echo);
        let options = TlsOptions {
            max_version: Some(version),
            ..trusting(&authority)
        };
        let session = open(&options, "example.com", &socket, 1).unwrap();
        round_trip(session, &socket);
    }
}

#[test]
fn a_mebibyte_goes_both_ways_at_once() {
    let (authority, server) = authority_and_server();
    let (socket, thread) = start(acceptor(&server), |mut stream| {
        let mut data = vec![0; 1 << 20];
        stream.read_exact(&mut data).unwrap();
        stream.write_all(&data).unwrap();
        stream.shutdown().ok();
    });
    let mut session = open(&trusting(&authority), "example.com", &socket, 1 << 16).unwrap();
    let data: Vec<u8> = (0..251).cycle().take(1 << 20).collect();
    session.write(&data).unwrap();
    let mut received = Vec::new();
    loop {
        let mut piece = vec![0; 40_000];
        let length = read(&mut session, &socket, &mut piece).unwrap();
        received.extend_from_slice(&piece[..length]);
        if length == 0 {
            break;
        }
    }
    assert!(received == data);
    thread.join().unwrap();
}

#[test]
fn read_fills_what_is_free_and_keeps_the_rest() {
    let (authority, server) = authority_and_server();
    let (socket, _) = start(acceptor(&server), echo);
    let mut session = open(&trusting(&authority), "example.com", &socket, 1 << 16).unwrap();
    session.write(b"hello, world").unwrap();
    let mut received = [0; 12];
    let (first, rest) = received.split_at_mut(5);
    assert_eq!(read(&mut session, &socket, first).unwrap(), 5);
    let full = session.read(&mut []).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(session.read(rest).unwrap(), 7);
    assert_eq!(&received, b"hello, world");
}

#[test]
fn the_end_of_the_stream_is_zero_announced_or_not() {
    let (authority, server) = authority_and_server();
    for announced in [true, false] {
        let (socket, _) = start(acceptor(&server), move |mut stream| {
            stream.write_all(b"last").unwrap();
            if announced {
                stream.shutdown().unwrap();
            }
        });
        let mut session = open(&trusting(&authority), "example.com", &socket, 1 << 16).unwrap();
        let mut received = [0; 64];
        assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 4);
        assert_eq!(&received[..4], b"last");
        for _ in 0..3 {
            assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 0);
        }
    }
}

#[test]
fn close_notify_is_what_the_peer_reads_as_the_end() {
    let (authority, server) = authority_and_server();
    let (socket, thread) = start(acceptor(&server), |mut stream| {
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    });
    let mut session = open(&trusting(&authority), "example.com", &socket, 1 << 16).unwrap();
    session.close_notify();
    let mut outgoing = Buffer::default();
    session.take_outgoing(&mut outgoing);
    (&socket).write_all(&outgoing).unwrap();
    thread.join().unwrap();
    assert!(session.write(b"more").is_err());
}

#[test]
fn damaged_ciphertext_is_an_error_for_ever() {
    let (authority, server) = authority_and_server();
    let (socket, _) = start(acceptor(&server), echo);
    let mut session = open(&trusting(&authority), "example.com", &socket, 1 << 16).unwrap();
    session.receive(&[23, 3, 3, 0, 32]).unwrap();
    session.receive(&[7; 32]).unwrap();
    let mut into = [0; 64];
    let first = session.read(&mut into).unwrap_err();
    assert_eq!(first.kind(), io::ErrorKind::InvalidData);
    assert!(first.to_string().contains("bad record mac"), "{first}");
    let second = session.read(&mut into).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    assert!(session.write(b"x").is_err());
    // The alert that tells the peer is there to be sent.
    assert!(session.has_outgoing());
}

#[test]
fn an_error_of_exchange_is_returned_untouched() {
    let outcome = Session::open(
        &trusting(&authority_and_server().0),
        "example.com",
        &mut |_, _| Err(Error::Cancelled),
    );
    assert!(matches!(outcome, Err(Error::Cancelled)));
}

#[test]
fn alpn_offers_http_1_1_and_nothing_else() {
    let (authority, server) = authority_and_server();
    let options = TlsOptions {
        alpn: vec!["http/1.1".into()],
        ..trusting(&authority)
    };
    let mut acceptor = acceptor(&server);
    acceptor.set_alpn_select_callback(|_, offered| {
        if offered == b"\x08http/1.1" {
            Ok(b"http/1.1")
        } else {
            Err(AlpnError::ALERT_FATAL)
        }
    });
    let (socket, _) = start(acceptor, echo);
    round_trip(
        open(&options, "example.com", &socket, 1 << 16).unwrap(),
        &socket,
    );

    for alpn in [&["h2"][..], &["h2", "http/1.1"], &["http/1.1", ""]] {
        let options = TlsOptions {
            alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
            ..trusting(&authority)
        };
        assert!(configuration(&options).contains("cannot be offered"));
    }
}

#[test]
fn versions_out_of_range_are_told() {
    let (authority, server) = authority_and_server();
    let mut acceptor = acceptor(&server);
    acceptor
        .set_max_proto_version(Some(SslVersion::TLS1_2))
        .unwrap();
    let (socket, _) = start(acceptor, echo);
    let options = TlsOptions {
        min_version: "TLSv1.3".parse().ok(),
        ..trusting(&authority)
    };
    let error = open(&options, "example.com", &socket, 1 << 16).unwrap_err();
    assert!(error.to_string().contains("protocol version"), "{error}");

    let reversed = TlsOptions {
        max_version: Some(Version::Tls12),
        ..options
    };
    assert!(configuration(&reversed).contains("above the maximum"));
    assert!("TLSv1.1".parse::<Version>().is_err());
}

#[test]
fn a_peer_that_does_not_speak_tls_is_told_apart_from_one_that_leaves() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "does not speak TLS",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"),
        (b"", "closed the connection during the TLS handshake"),
        (
            b"\x16\x03\x03",
            "closed the connection during the TLS handshake",
        ),
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answer).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let outcome = open(&TlsOptions::default(), "example.com", &ours, 1 << 16);
        match outcome.unwrap_err() {
            Error::Tls(TlsError::Protocol(text)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
