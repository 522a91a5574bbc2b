//! Proxies that speak SOCKS.

use super::*;

/// Plays a proxy by a script of what it expects and answers, and the server behind it.
fn answer(mut stream: TcpStream, script: Vec<(Vec<u8>, Vec<u8>)>, in_pieces: bool) -> TcpStream {
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
            let (address, thread) = serve(move |stream| answer(stream, script, in_pieces));
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
        let proxy = Proxy::new(scheme, "127.0.0.1", address.port(), credentials());
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
