//! Sessions against OpenSSL's own server over a socket pair.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    thread::{self, JoinHandle},
};

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{
        AlpnError, SslAcceptor, SslAcceptorBuilder, SslMethod, SslStream, SslVerifyMode, SslVersion,
    },
    x509::{
        X509, X509Name,
        extension::{BasicConstraints, SubjectAlternativeName},
        store::X509StoreBuilder,
    },
};

use super::*;

mod certificates;

/// A certificate and its key.
struct Certified {
    certificate: X509,
    key: PKey<Private>,
}

impl Certified {
    /// Issues a certificate for `name` (a DNS name or an address), valid from and to so many days
    /// from now, signed by `issuer` or by itself.
    fn issue(name: &str, days: (i64, i64), issuer: Option<&Self>) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        Self::issue_for(key, name, days, issuer)
    }

    fn issue_for(key: PKey<Private>, name: &str, days: (i64, i64), issuer: Option<&Self>) -> Self {
        let at = |days: i64| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = i64::try_from(now.unwrap().as_secs()).unwrap();
            Asn1Time::from_unix(now + days * 86400).unwrap()
        };
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(rand::random()).unwrap();
        builder
            .set_serial_number(&serial.to_asn1_integer().unwrap())
            .unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_not_before(&at(days.0)).unwrap();
        builder.set_not_after(&at(days.1)).unwrap();
        builder.set_pubkey(&key).unwrap();
        let issuer_name = issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name());
        builder.set_issuer_name(issuer_name).unwrap();
        let mut constraints = BasicConstraints::new();
        if issuer.is_none() {
            constraints.ca();
        }
        builder
            .append_extension(constraints.critical().build().unwrap())
            .unwrap();
        let mut names = SubjectAlternativeName::new();
        if name.parse::<IpAddr>().is_ok() {
            names.ip(name);
        } else {
            names.dns(name);
        }
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        builder.sign(signer, MessageDigest::sha256()).unwrap();
        Self {
            certificate: builder.build(),
            key,
        }
    }

    fn trust(&self) -> Trust {
        Trust::Anchors(vec![self.certificate.to_der().unwrap()])
    }

    fn identity(&self) -> Identity {
        self.identity_with(self.key.private_key_to_pem_pkcs8().unwrap())
    }

    fn identity_with(&self, key: Vec<u8>) -> Identity {
        Identity {
            certificates: self.certificate.to_pem().unwrap(),
            key,
        }
    }
}

/// A server's certificate for "example.com" and the authority that it is from.
fn authority_and_server() -> (Certified, Certified) {
    let authority = Certified::issue("authority", (-1, 1), None);
    let server = Certified::issue("example.com", (-1, 1), Some(&authority));
    (authority, server)
}

fn acceptor(server: &Certified) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&server.certificate).unwrap();
    acceptor.set_private_key(&server.key).unwrap();
    acceptor
}

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
fn read(session: &mut Session, mut socket: &UnixStream, into: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        let mut outgoing = Vec::new();
        session.take_outgoing(&mut outgoing);
        socket.write_all(&outgoing)?;
        match session.read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
        let mut buffer = vec![0; 1 << 16];
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => session.receive_eof(),
            Ok(length) => session.receive(&buffer[..length]),
        }
    }
}

fn round_trip(mut session: Session, socket: &UnixStream) {
    session.write(b"hello").unwrap();
    assert!(session.has_outgoing());
    let mut received = Vec::with_capacity(64);
    assert_eq!(read(&mut session, socket, &mut received).unwrap(), 5);
    assert_eq!(received, b"hello");
}

fn trusting(authority: &Certified) -> TlsOptions {
    TlsOptions {
        trust: authority.trust(),
        ..TlsOptions::default()
    }
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
        let mut piece = Vec::with_capacity(40_000);
        piece.push(0);
        let capacity = piece.capacity();
        let length = read(&mut session, &socket, &mut piece).unwrap();
        assert_eq!(piece.capacity(), capacity);
        assert_eq!(piece.len(), 1 + length);
        received.extend_from_slice(&piece[1..]);
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
    let mut received = Vec::with_capacity(5);
    assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 5);
    assert_eq!(received, b"hello");
    let full = session.read(&mut received).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::InvalidInput);
    received.reserve_exact(7);
    assert_eq!(session.read(&mut received).unwrap(), 7);
    assert_eq!(received, b"hello, world");
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
        let mut received = Vec::with_capacity(64);
        assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 4);
        for _ in 0..3 {
            assert_eq!(read(&mut session, &socket, &mut received).unwrap(), 0);
        }
        assert_eq!(received, b"last");
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
    let mut outgoing = Vec::new();
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
    session.receive(&[23, 3, 3, 0, 32]);
    session.receive(&[7; 32]);
    let mut into = Vec::with_capacity(64);
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
