//! Proxies that speak HTTP.

use super::*;

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
    let mut proxy = Proxy::new(Scheme::Http, "localhost", address.port(), credentials).unwrap();
    proxy.set_user_agent(Some("agent".to_owned())).unwrap();
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
