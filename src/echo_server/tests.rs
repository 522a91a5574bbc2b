//! The server against tungstenite's own client, and against rude peers.

use std::{
    io::{Read, Write},
    time::Instant,
};

use openssl::{
    ssl::{SslConnector, SslMethod, SslStream, SslVersion},
    x509::X509,
};
use tungstenite::{Bytes, Message, WebSocket, client::client};

use super::*;

/// Longer than anything on loopback takes; a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn socket(server: &EchoServer) -> TcpStream {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn websocket(server: &EchoServer, path: &str) -> WebSocket<TcpStream> {
    client(format!("ws://localhost{path}"), socket(server))
        .unwrap()
        .0
}

fn secure_websocket(
    server: &EchoServer,
    host: &str,
    newest: SslVersion,
) -> WebSocket<SslStream<TcpStream>> {
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    let certificate = X509::from_pem(server.certificate_pem().unwrap().as_bytes()).unwrap();
    connector.cert_store_mut().add_cert(certificate).unwrap();
    connector.set_max_proto_version(Some(newest)).unwrap();
    let session = connector.build().connect(host, socket(server)).unwrap();
    client("wss://localhost/", session).unwrap().0
}

fn echoes<S: Read + Write>(websocket: &mut WebSocket<S>) {
    for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        for message in [
            Message::text("\u{e9}".repeat(size / 2)),
            Message::binary(vec![7; size]),
        ] {
            websocket.send(message.clone()).unwrap();
            assert!(
                websocket.read().unwrap() == message,
                "{size} bytes came back changed"
            );
        }
    }
}

/// Reads until the connection has ended, and returns the code the server closed it with.
fn closed_with(websocket: &mut WebSocket<TcpStream>) -> Option<CloseCode> {
    let mut code = None;
    loop {
        match websocket.read() {
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return code,
            Err(error) => panic!("not closed but failed: {error}"),
        }
    }
}

#[test]
fn messages_are_echoed_over_ws() {
    let server = EchoServer::start("localhost", 0, false).unwrap();
    assert_eq!(server.certificate_pem(), None);
    echoes(&mut websocket(&server, "/"));
    echoes(&mut websocket(&server, "/any/other?path"));
}

#[test]
fn messages_are_echoed_over_wss_to_clients_that_verify() {
    let server = EchoServer::start("127.0.0.1", 0, true).unwrap();
    for host in ["localhost", "127.0.0.1", "::1"] {
        for newest in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            echoes(&mut secure_websocket(&server, host, newest));
        }
    }
}

#[test]
fn many_messages_are_echoed_in_order_before_any_is_received() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let mut websocket = websocket(&server, "/");
    for number in 0..1000_u32 {
        websocket
            .write(Message::binary(number.to_be_bytes().to_vec()))
            .unwrap();
    }
    websocket.flush().unwrap();
    for number in 0..1000_u32 {
        assert_eq!(
            websocket.read().unwrap(),
            Message::binary(number.to_be_bytes().to_vec())
        );
    }
}

#[test]
fn pings_are_answered_at_once() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    for path in ["/", "/flood", "/sink"] {
        let mut websocket = websocket(&server, path);
        websocket
            .send(Message::Ping(Bytes::from_static(b"?")))
            .unwrap();
        assert_eq!(
            websocket.read().unwrap(),
            Message::Pong(Bytes::from_static(b"?"))
        );
    }
}

#[test]
fn a_close_is_answered_with_its_code_and_ends_the_connection() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    for path in ["/", "/flood", "/sink"] {
        let mut websocket = websocket(&server, path);
        let frame = CloseFrame {
            code: CloseCode::Away,
            reason: "bye".into(),
        };
        websocket.close(Some(frame)).unwrap();
        assert_eq!(closed_with(&mut websocket), Some(CloseCode::Away));
    }
}

#[test]
fn flood_pushes_what_was_asked_for_again_and_again() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let mut websocket = websocket(&server, "/flood");
    for (count, size) in [(100_000_usize, 10), (3, 1 << 20), (0, 1), (1, 0)] {
        for (suffix, text) in [("", false), (" text", true)] {
            websocket
                .send(Message::text(format!("{count} {size}{suffix}")))
                .unwrap();
            for _ in 0..count {
                let message = websocket.read().unwrap();
                assert_eq!((message.len(), message.is_text()), (size, text));
            }
        }
    }
    websocket.send(Message::Ping(Bytes::new())).unwrap();
    assert!(
        websocket.read().unwrap().is_pong(),
        "more than was asked for"
    );
}

#[test]
fn flood_refuses_what_is_not_a_command() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    for command in [
        "",
        "1",
        "one 2",
        "1 2 3",
        "1 2 text 3",
        "-1 2",
        "1 99999999999",
    ] {
        let mut websocket = websocket(&server, "/flood");
        websocket.send(Message::text(command)).unwrap();
        assert_eq!(
            closed_with(&mut websocket),
            Some(CloseCode::Policy),
            "{command:?}"
        );
    }
}

#[test]
fn sink_counts_since_the_last_report() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let mut websocket = websocket(&server, "/sink");
    for report in ["1001 6000", "1001 6000"] {
        for _ in 0..1000 {
            websocket.write(Message::binary(vec![0; 5])).unwrap();
        }
        websocket.write(Message::text("x".repeat(1000))).unwrap();
        websocket.send(Message::text("report")).unwrap();
        assert_eq!(websocket.read().unwrap(), Message::text(report));
    }
    websocket.send(Message::text("report")).unwrap();
    assert_eq!(websocket.read().unwrap(), Message::text("0 0"));
}

#[test]
fn a_peer_that_breaks_a_rule_is_told_by_the_close_code() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let cases: [(&[u8], CloseCode); 4] = [
        // An unmasked frame, a reserved bit, text that is not UTF-8, a frame of 2^62 bytes.
        (b"\x82\x00", CloseCode::Protocol),
        (b"\xc2\x80\0\0\0\0", CloseCode::Protocol),
        (b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", CloseCode::Size),
    ];
    for (bytes, code) in cases {
        let mut websocket = websocket(&server, "/");
        websocket.get_mut().write_all(bytes).unwrap();
        assert_eq!(closed_with(&mut websocket), Some(code), "{bytes:x?}");
    }
}

#[test]
fn peers_that_leave_without_a_word_do_no_harm() {
    let server = EchoServer::start("127.0.0.1", 0, true).unwrap();
    drop(socket(&server));
    socket(&server)
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .unwrap();
    drop(secure_websocket(&server, "localhost", SslVersion::TLS1_3));
    echoes(&mut secure_websocket(
        &server,
        "localhost",
        SslVersion::TLS1_3,
    ));
}

#[test]
fn stop_ends_connections_in_every_state() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let address = server.address();
    let mut idle = websocket(&server, "/");
    let mut flooded = websocket(&server, "/flood");
    flooded.send(Message::text("1000000000 65536")).unwrap();
    flooded.read().unwrap();
    let mut silent = socket(&server);
    let started = Instant::now();
    server.stop();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "took {:?}",
        started.elapsed()
    );
    assert!(idle.read().is_err());
    assert!(!matches!(silent.read(&mut [0]), Ok(1..)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_port_in_use_is_an_error() {
    let server = EchoServer::start("127.0.0.1", 0, false).unwrap();
    let error = EchoServer::start("127.0.0.1", server.address().port(), false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
