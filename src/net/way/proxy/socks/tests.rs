use super::*;

const NAMED: Place<'_> = Place::Name("example.com");

fn credentials() -> (String, String) {
    ("user".to_owned(), "secret".to_owned())
}

/// Gives a negotiation all replies, byte by byte, with more behind them. Returns what it
/// sends, and what is left.
fn run(mut negotiation: Negotiation, replies: &[u8]) -> Result<(Vec<Vec<u8>>, usize)> {
    let mut sent = vec![negotiation.greeting()];
    let mut start = 0;
    for end in 0..=replies.len() {
        let received = &replies[start..end];
        let outcome = negotiation.receive(received);
        match outcome.map_err(|error| Error::Proxy(Box::new(error)))? {
            None => {}
            Some((len, next)) => {
                // A reply is used as soon as it is complete.
                assert_eq!(len, received.len());
                start += len;
                match next {
                    Next::Send(request) => sent.push(request),
                    Next::Connected => return Ok((sent, replies.len() - start)),
                }
            }
        }
    }
    panic!("the negotiation does not end");
}

fn text_of(error: Error) -> String {
    match error {
        Error::Proxy(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_4_sends_an_address() {
    let place = Place::Address("192.0.2.7".parse().unwrap());
    let negotiation = Negotiation::new(Version::V4, place, 443, Some(&credentials())).unwrap();
    let (sent, left) = run(negotiation, b"\x00\x5a\x00\x00\x00\x00\x00\x00more").unwrap();
    assert_eq!(sent, [b"\x04\x01\x01\xbb\xc0\x00\x02\x07user\x00"]);
    assert_eq!(left, 4);
}

#[test]
fn version_4a_sends_a_name() {
    let negotiation = Negotiation::new(Version::V4, NAMED, 80, None).unwrap();
    let (sent, _) = run(negotiation, &[0, 90, 1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(
        sent,
        [b"\x04\x01\x00\x50\x00\x00\x00\x01\x00example.com\x00"]
    );
}

#[test]
fn version_4_knows_no_ipv6() {
    let place = Place::Address("::1".parse().unwrap());
    let error = Negotiation::new(Version::V4, place, 80, None)
        .err()
        .unwrap();
    assert!(text_of(error).contains("IPv6"));
}

#[test]
fn version_5_sends_names_and_addresses() {
    for (place, expected) in [
        (NAMED, &b"\x05\x01\x00\x03\x0bexample.com\x01\xbb"[..]),
        (
            Place::Address("192.0.2.7".parse().unwrap()),
            b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb",
        ),
        (
            Place::Address("::1".parse().unwrap()),
            b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb",
        ),
    ] {
        let negotiation = Negotiation::new(Version::V5, place, 443, None).unwrap();
        let replies = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50more";
        let (sent, left) = run(negotiation, replies).unwrap();
        assert_eq!(sent, [b"\x05\x01\x00", expected]);
        assert_eq!(left, 4);
    }
}

#[test]
fn version_5_authenticates_if_asked_to() {
    let negotiate = |replies: &[u8]| {
        let negotiation = Negotiation::new(Version::V5, NAMED, 443, Some(&credentials())).unwrap();
        run(negotiation, replies)
    };
    let (sent, _) = negotiate(b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0").unwrap();
    assert_eq!(sent[0], b"\x05\x02\x00\x02");
    assert_eq!(sent[1], b"\x01\x04user\x06secret");
    assert_eq!(sent.len(), 3);
    let (sent, _) = negotiate(b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0").unwrap();
    assert_eq!(sent.len(), 2);
    for (replies, reason) in [
        (&b"\x05\x02\x01\x01"[..], "authentication failed"),
        (b"\x05\xff", "no acceptable authentication method"),
        (b"\x05\x01", "method 1, not offered"),
        (b"\x05\x02\x05\x00", "begins with 5, not 1"),
    ] {
        let text = text_of(negotiate(replies).unwrap_err());
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn replies_of_version_5_may_have_any_address() {
    for address in [&b"\x01\0\0\0\0"[..], &[4; 17], b"\x03\x02hi", b"\x03\x00"] {
        let replies = [b"\x05\x00\x05\x00\x00", address, b"\x00\x50more"].concat();
        let negotiation = Negotiation::new(Version::V5, NAMED, 443, None).unwrap();
        assert_eq!(run(negotiation, &replies).unwrap().1, 4);
    }
}

#[test]
fn refusals_are_named() {
    let reason = |version, replies: &[u8]| {
        let negotiation = Negotiation::new(version, NAMED, 443, None).unwrap();
        text_of(run(negotiation, replies).unwrap_err())
    };
    for (code, expected) in [
        (1, "general SOCKS server failure"),
        (2, "connection not allowed by ruleset"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "TTL expired"),
        (7, "command not supported"),
        (8, "address type not supported"),
        (9, "unknown code 9"),
    ] {
        let text = reason(Version::V5, &[5, 0, 5, code]);
        assert!(text.contains(expected), "{text}");
    }
    for (code, expected) in [
        (91, "rejected"),
        (92, "can't reach identd"),
        (93, "another user name"),
        (0, "unknown code 0"),
    ] {
        let text = reason(Version::V4, &[0, code, 0, 0, 0, 0, 0, 0]);
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(reason(Version::V5, &[5, 255]), "authentication required");
}

#[test]
fn what_is_no_reply_is_refused_at_its_first_byte() {
    for (version, replies) in [
        (Version::V4, &b"HTTP/1.1"[..]),
        (Version::V4, b"\x04"),
        (Version::V5, b"HTTP/1.1"),
        (Version::V5, b"\x05\x00\x04"),
        (Version::V5, b"\x05\x00\x05\x00\x00\x02"),
        (Version::V5, b"\x05\x02"),
    ] {
        let negotiation = Negotiation::new(version, NAMED, 443, None).unwrap();
        assert!(run(negotiation, replies).is_err(), "{replies:?}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let long = "x".repeat(256);
    let longest = "x".repeat(255);
    check_credentials(&longest, &longest).unwrap();
    for (username, password) in [(&long[..], ""), ("", &long), ("a\0b", "")] {
        assert!(check_credentials(username, password).is_err());
    }
    for version in [Version::V4, Version::V5] {
        Negotiation::new(version, Place::Name(&longest), 80, None).unwrap();
        let refused = Negotiation::new(version, Place::Name(&long), 80, None);
        assert!(matches!(refused.err(), Some(Error::InvalidArgument(_))));
    }
}
