//! Proxies that follow a script, over TCP on this host.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::*;
use crate::{
    deadline::Deadline,
    net::{
        route::{Destination, Route},
        tls::tests::certified::{Certified, acceptor, authority_and_server, trusting},
    },
};

const TARGET: Target<'_> = Target {
    host: "example.com",
    port: 443,
    authority: "example.com",
};
const CONNECT: &str = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n";
const ASKED_V5: &[u8] = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb";
const CONNECTED_V5: &[u8] = b"\x05\x00\x00\x03\x02hi\x00\x50";

fn within(milliseconds: u64) -> Wait<'static> {
    Wait {
        deadline: Deadline::after(Some(Duration::from_millis(milliseconds))),
        ..Wait::FOR_EVER
    }
}

/// Starts a server that follows a script with one connection.
fn serve<R: Send + 'static>(
    script: impl FnOnce(TcpStream) -> R + Send + 'static,
) -> (SocketAddr, JoinHandle<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || script(listener.accept().unwrap().0));
    (address, thread)
}

/// A proxy that reads what it expects and gives the answer to that, step by step, and then ends.
fn steps(script: Vec<(Vec<u8>, Vec<u8>)>) -> (SocketAddr, JoinHandle<()>) {
    serve(move |mut stream| {
        for (expected, answer) in script {
            expect(&mut stream, &expected);
            stream.set_nodelay(true).unwrap();
            stream.write_all(&answer).unwrap();
        }
    })
}

fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, expected);
}

fn proxy(scheme: &str, address: SocketAddr) -> Proxy {
    let host = address.ip().to_string();
    Proxy::new(scheme.parse().unwrap(), &host, address.port(), None, None).unwrap()
}

fn connect(proxy: &Proxy, target: Target<'_>) -> Result<(Stream, Vec<u8>)> {
    proxy.connect(&target, &Dialing::default(), &within(5000))
}

/// Connects, and reads until so much has come behind the answer.
fn read_behind(proxy: &Proxy, target: Target<'_>, len: usize) -> Vec<u8> {
    let (stream, arrived) = connect(proxy, target).unwrap();
    let wait = within(5000);
    let mut exchange = Exchange::new(&stream, &wait, Phase::OpeningHandshake, "read", arrived);
    while exchange.received.len() < len {
        assert_ne!(exchange.receive().unwrap(), 0);
    }
    exchange.received
}

fn refusal(outcome: Result<(Stream, Vec<u8>)>) -> ProxyError {
    match outcome {
        Err(Error::Proxy(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn http_proxies_connect_and_what_follows_is_handed_on() {
    for head in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let answer = format!("{head}first words");
        let (address, thread) = steps(vec![(CONNECT.into(), answer.into())]);
        assert_eq!(
            read_behind(&proxy("http", address), TARGET, 11),
            b"first words"
        );
        thread.join().unwrap();
    }
}

#[test]
fn http_proxies_are_told_who_asks() {
    let expected = "CONNECT [::1]:8000 HTTP/1.1\r\nHost: [::1]:8000\r\nUser-Agent: agent\r\n\
                    Proxy-Authorization: Basic dXNlcjpwOnc=\r\n\r\n";
    let (address, thread) = steps(vec![(expected.into(), b"HTTP/1.1 200 OK\r\n\r\n".into())]);
    let credentials = Some(("user".to_owned(), "p:w".to_owned()));
    let agent = Some("agent".to_owned());
    let proxy = Proxy::new(
        Scheme::Http,
        "localhost",
        address.port(),
        credentials,
        agent,
    )
    .unwrap();
    let target = Target {
        host: "::1",
        port: 8000,
        authority: "[::1]:8000",
    };
    connect(&proxy, target).unwrap();
    thread.join().unwrap();
}

#[test]
fn the_refusal_of_an_http_proxy_is_kept() {
    let answer = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nwhy?";
    let (address, _) = steps(vec![(CONNECT.into(), answer.into())]);
    match refusal(connect(&proxy("http", address), TARGET)) {
        ProxyError::Status(response) => {
            assert_eq!((response.status, &response.body[..]), (407, &b"why?"[..]));
            assert_eq!(response.header_values("proxy-authenticate"), ["Basic"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_answer_of_an_http_proxy_is_told() {
    let head = "HTTP/1.1 200 OK\r\nVia: proxy\r\n\r\n";
    for end in 0..head.len() {
        let (address, _) = steps(vec![(CONNECT.into(), head[..end].into())]);
        let error = refusal(connect(&proxy("http", address), TARGET));
        assert_eq!(error, ProxyError::MessageEof, "end at {end}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    for junk in ["SSH-2.0-OpenSSH_9.2\r\n", "\x05\x00", &endless] {
        let (address, _) = steps(vec![(CONNECT.into(), junk.into())]);
        let error = refusal(connect(&proxy("http", address), TARGET));
        assert!(matches!(error, ProxyError::Message(_)), "{error:?}");
    }
}

#[test]
fn socks_proxies_connect_byte_by_byte_and_what_follows_is_handed_on() {
    let by_address = b"\x05\x01\x00\x01\x7f\x00\x00\x01\x01\xbb".to_vec();
    let local = Target {
        host: "127.0.0.1",
        ..TARGET
    };
    let greeting = (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec());
    for (scheme, target, script) in [
        (
            "socks5h",
            TARGET,
            vec![greeting.clone(), (ASKED_V5.to_vec(), CONNECTED_V5.to_vec())],
        ),
        (
            "socks5",
            local,
            vec![
                greeting.clone(),
                (by_address.clone(), CONNECTED_V5.to_vec()),
            ],
        ),
        (
            "socks5h",
            local,
            vec![greeting, (by_address, CONNECTED_V5.to_vec())],
        ),
        (
            "socks4",
            local,
            vec![(
                b"\x04\x01\x01\xbb\x7f\x00\x00\x01\x00".to_vec(),
                b"\x00\x5a\x00\x00\x00\x00\x00\x00".to_vec(),
            )],
        ),
        (
            "socks4a",
            TARGET,
            vec![(
                b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00example.com\x00".to_vec(),
                b"\x00\x5a\x00\x00\x00\x00\x00\x00".to_vec(),
            )],
        ),
    ] {
        for in_pieces in [false, true] {
            let script = script.clone();
            let (address, thread) = serve(move |mut stream| {
                stream.set_nodelay(true).unwrap();
                let last = script.len() - 1;
                for (index, (expected, mut answer)) in script.into_iter().enumerate() {
                    expect(&mut stream, &expected);
                    if index == last {
                        answer.extend(b"first words");
                    }
                    let size = if in_pieces { 1 } else { answer.len() };
                    for piece in answer.chunks(size) {
                        stream.write_all(piece).unwrap();
                    }
                }
                stream
            });
            let behind = read_behind(&proxy(scheme, address), target, 11);
            assert_eq!(behind, b"first words", "{scheme}");
            thread.join().unwrap();
        }
    }
}

#[test]
fn names_are_resolved_here_for_some_schemes() {
    let target = Target {
        host: "localhost",
        ..TARGET
    };
    let (address, thread) = serve(|mut stream| {
        let mut asked = [0; 9];
        stream.read_exact(&mut asked).unwrap();
        stream
            .write_all(b"\x00\x5a\x00\x00\x00\x00\x00\x00")
            .unwrap();
        asked
    });
    connect(&proxy("socks4", address), target).unwrap();
    assert_eq!(
        &thread.join().unwrap(),
        b"\x04\x01\x01\xbb\x7f\x00\x00\x01\x00"
    );

    let unknown = Target {
        host: "host.invalid",
        ..TARGET
    };
    for scheme in ["socks4", "socks5"] {
        // Nothing is dialled before the name is known.
        let nowhere = "127.0.0.1:1".parse().unwrap();
        match connect(&proxy(scheme, nowhere), unknown) {
            Err(Error::Resolve { host, .. }) => assert_eq!(host, "host.invalid"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn socks_proxies_are_given_credentials() {
    let credentials = || Some(("user".to_owned(), "secret".to_owned()));
    let connect_with = |scheme: Scheme, script| {
        let (address, _) = steps(script);
        let proxy = Proxy::new(scheme, "127.0.0.1", address.port(), credentials(), None);
        connect(&proxy.unwrap(), TARGET)
    };
    let greeting = (b"\x05\x02\x00\x02".to_vec(), b"\x05\x02".to_vec());
    let password = b"\x01\x04user\x06secret".to_vec();
    connect_with(
        Scheme::Socks5h,
        vec![
            greeting.clone(),
            (password.clone(), b"\x01\x00".to_vec()),
            (ASKED_V5.to_vec(), CONNECTED_V5.to_vec()),
        ],
    )
    .unwrap();
    let outcome = connect_with(
        Scheme::Socks5h,
        vec![greeting, (password, b"\x01\x01".to_vec())],
    );
    assert_eq!(refusal(outcome).to_string(), "authentication failed");
    connect_with(
        Scheme::Socks4a,
        vec![(
            b"\x04\x01\x01\xbb\x00\x00\x00\x01user\x00example.com\x00".to_vec(),
            b"\x00\x5a\x00\x00\x00\x00\x00\x00".to_vec(),
        )],
    )
    .unwrap();
}

#[test]
fn the_end_at_any_byte_of_a_socks_reply_is_told() {
    for end in 0..CONNECTED_V5.len() {
        let (address, _) = steps(vec![
            (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()),
            (ASKED_V5.to_vec(), CONNECTED_V5[..end].to_vec()),
        ]);
        let error = refusal(connect(&proxy("socks5h", address), TARGET));
        assert_eq!(error, ProxyError::Eof, "end at {end}");
    }
}

#[test]
fn refusals_of_socks_proxies_are_told() {
    let (address, _) = steps(vec![
        (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()),
        (ASKED_V5.to_vec(), b"\x05\x05\x00\x01\0\0\0\0\0\0".to_vec()),
    ]);
    match refusal(connect(&proxy("socks5h", address), TARGET)) {
        ProxyError::Refusal { reason, code } => {
            assert_eq!(reason, "connection refused");
            let code = std::io::Error::from_raw_os_error(code.unwrap());
            assert_eq!(code.kind(), ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
    let (address, _) = steps(vec![(b"\x05\x01\x00".to_vec(), b"HTTP/1.1 400".to_vec())]);
    let error = refusal(connect(&proxy("socks5h", address), TARGET));
    assert!(matches!(error, ProxyError::Protocol(_)), "{error:?}");
}

#[test]
fn what_can_not_be_said_is_found_before_anything_is_sent() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let long = "x".repeat(256);
    let target = Target {
        host: &long,
        ..TARGET
    };
    for scheme in ["socks4a", "socks5h"] {
        let outcome = connect(&proxy(scheme, nowhere), target);
        assert!(
            matches!(outcome, Err(Error::InvalidArgument(_))),
            "{outcome:?}"
        );
    }
    let target = Target {
        host: "::1",
        ..TARGET
    };
    for scheme in ["socks4", "socks4a"] {
        let error = refusal(connect(&proxy(scheme, nowhere), target));
        assert!(error.to_string().contains("IPv6"), "{error}");
    }
    let new = |scheme, host, username: &str, user_agent: &str| {
        let credentials = Some((username.to_owned(), String::new()));
        Proxy::new(scheme, host, 1, credentials, Some(user_agent.to_owned()))
    };
    assert!(new(Scheme::Http, "a", "b", "c").is_ok());
    assert!(new(Scheme::Http, "a", "b:", "c").is_err());
    assert!(new(Scheme::Http, "a", "b", "c\r\nX: y").is_err());
    assert!(new(Scheme::Http, "a\r\nX: y", "b", "c").is_err());
    assert!(new(Scheme::Socks5, "a", &long, "c").is_err());
    assert!("socks".parse::<Scheme>().is_err());
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https", "socks5h"] {
        match connect(&proxy(scheme, address), TARGET) {
            Err(error @ Error::Io { .. }) => assert_eq!(
                error.to_string(),
                format!(
                    "cannot connect to {address} (proxy {scheme}://{address}): \
                     Connection refused"
                )
            ),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_proxy_that_hangs_is_told_from_a_server_that_hangs() {
    for scheme in ["http", "https", "socks4a", "socks5h"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = proxy(scheme, listener.local_addr().unwrap());
        match proxy.connect(&TARGET, &Dialing::default(), &within(50)) {
            Err(Error::Timeout { phase, .. }) => assert_eq!(phase, Phase::Proxy, "{scheme}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn credentials_are_not_shown() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let proxy = Proxy::new(Scheme::Socks5, "::1", 1080, credentials, None).unwrap();
    assert_eq!(
        format!("{proxy} {proxy:?}"),
        "socks5://[::1]:1080 Proxy(socks5://[::1]:1080)"
    );
}

#[test]
fn the_destination_says_where_the_proxy_connects_to() {
    let asked = "CONNECT other.example:444 HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let (address, thread) = steps(vec![(asked.into(), b"HTTP/1.1 200 OK\r\n\r\n".into())]);
    let route = Route {
        destination: Destination::Tcp {
            host: Some("other.example".to_owned()),
            port: Some(444),
        },
        dialing: Dialing::default(),
        proxy: Some(proxy("http", address)),
    };
    route.connect(None, &TARGET, &within(5000)).unwrap();
    thread.join().unwrap();
}

/// An https proxy and its authority. It follows a script after the answer to CONNECT.
fn https_proxy(
    script: impl FnOnce(&mut openssl::ssl::SslStream<TcpStream>, Certified) + Send + 'static,
) -> (Proxy, JoinHandle<()>) {
    let (authority, server) = authority_and_server();
    let options = trusting(&authority);
    let certified = Certified::issue("127.0.0.1", (-1, 1), Some(&authority));
    let (address, thread) = serve(move |stream| {
        let mut stream = acceptor(&certified).build().accept(stream).unwrap();
        expect(&mut stream, CONNECT.as_bytes());
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        script(&mut stream, server);
    });
    let mut proxy = proxy("https", address);
    proxy.tls = options;
    (proxy, thread)
}

#[test]
fn https_proxies_carry_what_is_plain() {
    let (proxy, thread) = https_proxy(|stream, _| stream.write_all(b"first words").unwrap());
    assert_eq!(read_behind(&proxy, TARGET, 11), b"first words");
    thread.join().unwrap();
}

/// Has a stream under TLS with example.com carry a mebibyte to its end and back.
fn echo_a_mebibyte(proxy: &Proxy) {
    let wait = within(20_000);
    let (stream, arrived) = connect(proxy, TARGET).unwrap();
    let stream = stream
        .secure(arrived, &proxy.tls, "example.com", &wait)
        .unwrap();
    let data: Vec<u8> = (0..251).cycle().take(1 << 20).collect();
    let mut exchange = Exchange::new(&stream, &wait, Phase::Send, "echo", Vec::new());
    exchange.send(data.clone()).unwrap();
    while exchange.received.len() < data.len() {
        assert_ne!(exchange.receive().unwrap(), 0);
    }
    assert!(exchange.received == data);
    stream.close_notify();
    stream.shutdown();
}

/// The server behind a proxy: TLS for example.com, and a mebibyte read and sent back.
fn serve_a_mebibyte(stream: impl Read + Write + fmt::Debug, server: &Certified) {
    let mut stream = acceptor(server).build().accept(stream).unwrap();
    let mut data = vec![0; 1 << 20];
    stream.read_exact(&mut data).unwrap();
    stream.write_all(&data).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn https_proxies_carry_tls() {
    let (proxy, thread) = https_proxy(|stream, server| serve_a_mebibyte(stream, &server));
    echo_a_mebibyte(&proxy);
    thread.join().unwrap();
}

#[test]
fn http_proxies_carry_tls() {
    let (authority, server) = authority_and_server();
    let (address, thread) = serve(move |mut stream| {
        expect(&mut stream, CONNECT.as_bytes());
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        serve_a_mebibyte(stream, &server);
    });
    let mut proxy = proxy("http", address);
    proxy.tls = trusting(&authority);
    echo_a_mebibyte(&proxy);
    thread.join().unwrap();
}

#[test]
fn tls_that_fails_with_the_proxy_names_the_proxy() {
    let (_, server) = authority_and_server();
    let certified = Certified::issue("127.0.0.1", (-1, 1), None);
    let (address, _) = serve(move |stream| {
        acceptor(&certified).build().accept(stream).err();
    });
    let stranger = proxy("https", address);
    match connect(&stranger, TARGET) {
        Err(error @ Error::Tls(TlsError::Verification { .. })) => {
            let text = error.to_string();
            assert!(text.contains(&format!("proxy {stranger}")), "{text}");
        }
        other => panic!("{other:?}"),
    }
    drop(server);

    let (address, _) = serve(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let plain = proxy("https", address);
    match connect(&plain, TARGET) {
        Err(Error::Tls(TlsError::Protocol(text))) => {
            assert!(text.contains("does not speak TLS"), "{text}");
            assert!(text.contains(&format!("proxy {plain}")), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
