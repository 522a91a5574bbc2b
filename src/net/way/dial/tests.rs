use std::net::TcpListener;

use super::*;
use crate::deadline::Deadline;

fn within(milliseconds: u64) -> Wait<'static> {
    Wait {
        deadline: Deadline::after(Some(Duration::from_millis(milliseconds))),
        ..Wait::FOR_EVER
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens.
fn dead() -> SocketAddr {
    listen().1
}

fn from(host: &str, port: u16) -> Dialing {
    Dialing {
        source: Some((host.to_owned(), port)),
        ..Dialing::default()
    }
}

#[test]
fn dial_connects_by_name_and_by_address() {
    let (_listener, address) = listen();
    for host in ["127.0.0.1", "localhost"] {
        dial(host, address.port(), &Dialing::default(), &within(5000))
            .unwrap_or_else(|error| panic!("{host}: {error}"));
    }
}

#[test]
fn dial_tries_every_address() {
    let (_listener, good) = listen();
    for head_start in [Duration::ZERO, HEAD_START, Duration::MAX] {
        connect(&[dead(), good], &[], head_start, &within(5000)).unwrap();
    }
}

#[test]
fn dial_reports_a_refusal_as_such() {
    match connect(&[dead()], &[], HEAD_START, &within(5000)) {
        Err(Error::Io { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn dial_names_the_host_that_does_not_exist() {
    match dial("host.invalid", 80, &Dialing::default(), &within(20_000)) {
        Err(Error::Resolve { host, code, .. }) => {
            assert_eq!(host, "host.invalid");
            assert_ne!(code, 0);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn dial_uses_one_family_only() {
    let only = |family| Dialing {
        family: Some(family),
        ..Dialing::default()
    };
    let (_listener, address) = listen();
    for host in ["127.0.0.1", "localhost"] {
        dial(host, address.port(), &only(Family::V4), &within(5000)).unwrap();
    }
    let error = dial(
        "127.0.0.1",
        address.port(),
        &only(Family::V6),
        &within(20_000),
    );
    assert!(matches!(error, Err(Error::Resolve { .. })), "{error:?}");
    let number = Domain::IPV6.into();
    assert_eq!(Family::from_number(number), Some(Family::V6));
    assert_eq!(Family::from_number(0), None);
    assert!(Family::V6.has(Ipv6Addr::LOCALHOST.into()));
}

#[test]
fn dial_connects_from_the_source() {
    let (listener, address) = listen();
    // All of 127.0.0.0/8 is this host.
    for host in ["127.0.0.1", "127.3.2.1", "localhost"] {
        let _client = dial(
            "127.0.0.1",
            address.port(),
            &Dialing {
                family: Some(Family::V4),
                ..from(host, 0)
            },
            &within(5000),
        )
        .unwrap();
        let (_, from) = listener.accept().unwrap();
        if host != "localhost" {
            assert_eq!(from.ip().to_string(), host);
        }
    }
    let port = dead().port();
    dial(
        "127.0.0.1",
        address.port(),
        &from("127.0.0.1", port),
        &within(5000),
    )
    .unwrap();
    assert_eq!(listener.accept().unwrap().1.port(), port);
}

#[test]
fn dial_names_the_source_that_is_not_ours() {
    let (_listener, address) = listen();
    let foreign = from("192.0.2.1", 0);
    let error = dial("127.0.0.1", address.port(), &foreign, &within(5000)).unwrap_err();
    let expected = "cannot connect from 192.0.2.1:0: ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let taken = from("127.0.0.1", address.port());
    let error = dial("127.0.0.1", address.port(), &taken, &within(5000)).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn dial_tries_addresses_of_the_family_of_the_source_only() {
    let (_listener, address) = listen();
    let other = from("::1", 0);
    let error = dial("127.0.0.1", address.port(), &other, &within(5000)).unwrap_err();
    assert!(error.to_string().contains("same family"), "{error}");
}
