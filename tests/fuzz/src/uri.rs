//! Any text as a URI: [`Uri::parse`] never panics; the request that is built from what it accepts
//! has one line for each thing, with nothing of the URI spilling into the next; its parts make the
//! same URI again; and credentials are shown neither by the URI nor by an error.
//!
//! The oracles are httparse's reading of the request, and a password that is easily recognised.

use websocket_rs::protocol::{
    handshake::request::{Request, RequestOptions},
    uri::Uri,
};

/// Parses `data`, which need not be UTF-8. A `\0` in it stands for the password.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace('\0', PASSWORD);
    match Uri::parse(&text) {
        Ok(uri) => {
            check(&uri);
            let is_secret = uri
                .credentials
                .as_ref()
                .is_some_and(|(user, password)| (user.clone() + password).contains(PASSWORD));
            if is_secret && text.matches(PASSWORD).count() == 1 {
                assert!(!format!("{uri} {uri:?}").contains(PASSWORD));
            }
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.contains(char::is_control), "{shown:?}");
            // What stands between a colon and the last at sign may be a password.
            let is_secret = text
                .split_once(':')
                .and_then(|(_, rest)| rest.rsplit_once('@'))
                .is_some_and(|(secret, _)| {
                    secret.contains(PASSWORD) && text.matches(PASSWORD).count() == 1
                });
            assert!(!is_secret || !shown.contains(PASSWORD), "{shown:?}");
        }
    }
}

fn check(uri: &Uri) {
    assert!(!uri.host.is_empty() && uri.host.is_ascii() && uri.port != 0);
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_visible(&uri.host) && is_visible(&uri.authority));
    assert!(uri.resource.starts_with('/') && is_visible(&uri.resource));

    let request = Request::new(uri, &RequestOptions::default());
    let bytes = request.encode();
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(&bytes).expect("the request is HTTP");
    assert_eq!(status, httparse::Status::Complete(bytes.len()));
    assert_eq!(
        (parsed.method, parsed.path, parsed.version),
        (Some("GET"), Some(uri.resource.as_str()), Some(1))
    );
    let names: Vec<&str> = parsed.headers.iter().map(|header| header.name).collect();
    let mut expected = vec![
        "Host",
        "Authorization",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
    ];
    if uri.credentials.is_none() {
        expected.remove(1);
    }
    assert_eq!(names, expected);
    assert_eq!(parsed.headers[0].value, uri.authority.as_bytes());

    let scheme = if uri.secure { "wss" } else { "ws" };
    let again = format!("{scheme}://{}{}", uri.authority, uri.resource);
    let again = Uri::parse(&again).expect("its parts make a URI");
    let without_credentials = Uri {
        credentials: None,
        ..uri.clone()
    };
    // The zone of an address is not said in its `Host` header.
    let host = uri.host.split('%').next().unwrap_or_default().to_owned();
    let without_credentials = Uri {
        host,
        ..without_credentials
    };
    assert!(again == without_credentials, "{again} isn't {uri}");
}

/// Nothing that anything else would contain.
const PASSWORD: &str = "s3cr3t";
