//! Proxies that follow a script, over TCP on this host.

mod http;
mod socks;
mod tls;

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
        tls::tests::certified::{Certified, acceptor, authority_and_server, trusting},
        way::route::{Destination, Route},
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
    Proxy::new(scheme.parse().unwrap(), &host, address.port(), None).unwrap()
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
        let mut proxy = Proxy::new(scheme, host, 1, credentials)?;
        proxy.set_user_agent(Some(user_agent.to_owned()))
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
    let proxy = Proxy::new(Scheme::Socks5, "::1", 1080, credentials).unwrap();
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
