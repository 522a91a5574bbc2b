//! TLS with a proxy, and through one.

use super::*;

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
    let stream = secure(stream, arrived, &proxy.tls, "example.com", &wait).unwrap();
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
