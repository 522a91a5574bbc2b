//! The opening handshake (RFC 6455, section 4.1): building the request, judging the response.
//!
//! Bytes in, bytes out: it knows no stream and no deadline. Invariants: nothing that a caller
//! gives can add a line to the request; a response is accepted only if every rule of the section
//! holds; no value of a header appears in an error unless it is one of the handshake's own.

use std::fmt;

use data_encoding::BASE64;
use http::header::{HeaderName, HeaderValue};
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{InvalidArgument, uri::Uri};

/// A request for an upgrade to WebSocket, as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request line and the headers in the order sent.
    pub resource: String,
    /// Names and values in the order sent.
    pub headers: Vec<(String, String)>,
    key: String,
    subprotocols: Vec<String>,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, such as 101 or 403.
    pub status: u16,
    /// The text after it.
    pub reason: String,
    /// Names and values in the order received; values are read as ISO-8859-1.
    pub headers: Vec<(String, String)>,
    /// The body, of a response that refuses.
    pub body: Vec<u8>,
}

/// Why the server's answer is not an acceptance.
#[derive(Debug, Clone)]
pub enum HandshakeError {
    /// It is not an HTTP response at all; the text says why.
    Message(String),
    /// The connection ended before the response did.
    Eof,
    /// The status is not 101.
    Status(Response),
    /// A header is missing (`None`), or has a value that the rules refuse.
    Header {
        /// The name of the header.
        name: &'static str,
        /// Its value.
        value: Option<String>,
    },
    /// The `Upgrade` or `Connection` header does not agree to WebSocket.
    Upgrade {
        /// The name of the header.
        name: &'static str,
        /// Its value, if it is there.
        value: Option<String>,
    },
    /// The server chose a subprotocol or an extension that was not offered.
    Negotiation(String),
    /// The response is larger than any handshake has reason to be.
    Security(String),
}

/// What the user adds to the request, valid by construction.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The subprotocols offered, the preferred ones first.
    pub subprotocols: Vec<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The `User-Agent` header, unless it is among `headers`.
    pub user_agent: Option<String>,
}

impl RequestOptions {
    /// Checks everything that goes into the request, and names the value that may not.
    pub fn check(&self) -> Result<(), InvalidArgument> {
        for (name, value) in &self.headers {
            check_header(name, value)?;
            if PROTOCOL_HEADERS
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
            {
                return Err(InvalidArgument(format!(
                    "header {name:?} belongs to the opening handshake and can't be set"
                )));
            }
        }
        if let Some(origin) = &self.origin {
            check_header("Origin", origin)?;
        }
        if let Some(user_agent) = &self.user_agent {
            check_header("User-Agent", user_agent)?;
        }
        for (index, subprotocol) in self.subprotocols.iter().enumerate() {
            // Subprotocols are tokens, like the names of headers (section 4.1, item 10).
            if HeaderName::from_bytes(subprotocol.as_bytes()).is_err() {
                return Err(InvalidArgument(format!(
                    "invalid subprotocol: {subprotocol:?}"
                )));
            }
            if self.subprotocols[..index].contains(subprotocol) {
                return Err(InvalidArgument(format!(
                    "subprotocol {subprotocol:?} is offered twice"
                )));
            }
        }
        Ok(())
    }
}

impl Request {
    /// The request for `uri`, with a fresh key.
    pub fn new(uri: &Uri, options: &RequestOptions) -> Self {
        let key = generate_key();
        let given = |name: &str| {
            options
                .headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let mut headers = Vec::new();
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if !given("Host") {
            add("Host", &uri.authority);
        }
        if let (Some((user, password)), false) = (&uri.credentials, given("Authorization")) {
            let credentials = BASE64.encode(format!("{user}:{password}").as_bytes());
            add("Authorization", &format!("Basic {credentials}"));
        }
        if let Some(origin) = &options.origin {
            add("Origin", origin);
        }
        add("Upgrade", "websocket");
        add("Connection", "Upgrade");
        add("Sec-WebSocket-Key", &key);
        add("Sec-WebSocket-Version", "13");
        if !options.subprotocols.is_empty() {
            add("Sec-WebSocket-Protocol", &options.subprotocols.join(", "));
        }
        for (name, value) in &options.headers {
            add(name, value);
        }
        if let (Some(user_agent), false) = (&options.user_agent, given("User-Agent")) {
            add("User-Agent", user_agent);
        }
        Self {
            resource: uri.resource.clone(),
            headers,
            key,
            subprotocols: options.subprotocols.clone(),
        }
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("GET {} HTTP/1.1\r\n", self.resource).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Judges the response by the rules of section 4.1. Returns the subprotocol agreed upon.
    pub fn accept(&self, response: &Response) -> Result<Option<String>, HandshakeError> {
        if response.status != 101 {
            return Err(HandshakeError::Status(response.clone()));
        }
        for (name, wanted) in [("Connection", "upgrade"), ("Upgrade", "websocket")] {
            let values = response.header_values(name);
            let agreed = values
                .iter()
                .flat_map(|value| value.split(','))
                .any(|token| token.trim().eq_ignore_ascii_case(wanted));
            // `Connection` is a list in which others may stand; `Upgrade` names what comes.
            let exact = name == "Connection" || values.len() == 1 && !values[0].contains(',');
            if !agreed || !exact {
                return Err(HandshakeError::Upgrade {
                    name,
                    value: join(&values),
                });
            }
        }
        let accept = response.header_values("Sec-WebSocket-Accept");
        if accept.len() != 1 || accept[0] != derive_accept_key(self.key.as_bytes()) {
            return Err(HandshakeError::Header {
                name: "Sec-WebSocket-Accept",
                value: join(&accept),
            });
        }
        if let Some(extensions) = join(&response.header_values("Sec-WebSocket-Extensions")) {
            return Err(HandshakeError::Negotiation(format!(
                "the server chose an extension that wasn't offered: {extensions}"
            )));
        }
        match response.header_values("Sec-WebSocket-Protocol").as_slice() {
            [] => Ok(None),
            [chosen] if self.subprotocols.iter().any(|offered| offered == chosen) => {
                Ok(Some((*chosen).to_owned()))
            }
            [chosen] => Err(HandshakeError::Negotiation(format!(
                "the server chose a subprotocol that wasn't offered: {chosen}"
            ))),
            several => Err(HandshakeError::Negotiation(format!(
                "the server chose several subprotocols: {}",
                several.join(", ")
            ))),
        }
    }
}

impl Response {
    /// Reads the status line and headers at the start of `bytes`, and how long they are; `None`
    /// if they are not complete yet. Interim responses (100, 103, ...) are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HandshakeError> {
        let mut offset = 0;
        for _ in 0..=MAX_INTERIM {
            let Some((response, len)) = Self::parse_one(&bytes[offset..])? else {
                return if bytes.len() > MAX_HEAD {
                    let text = format!("response headers are larger than {MAX_HEAD} bytes");
                    Err(HandshakeError::Security(text))
                } else {
                    Ok(None)
                };
            };
            offset += len;
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(Some((response, offset)));
            }
        }
        Err(HandshakeError::Security(format!(
            "more than {MAX_INTERIM} interim responses"
        )))
    }

    fn parse_one(bytes: &[u8]) -> Result<Option<(Self, usize)>, HandshakeError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                let text = format!("response has more than {MAX_HEADERS} headers");
                return Err(HandshakeError::Security(text));
            }
            Err(error) => return Err(HandshakeError::Message(error.to_string())),
        };
        let status = parsed.code.unwrap_or_default();
        if parsed.version == Some(0) && status == 101 {
            let text = "unsupported HTTP version: HTTP/1.0".to_owned();
            return Err(HandshakeError::Message(text));
        }
        let latin1 = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect();
        let response = Self {
            status,
            reason: parsed.reason.unwrap_or_default().to_owned(),
            headers: parsed
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), latin1(header.value)))
                .collect(),
            body: Vec::new(),
        };
        Ok(Some((response, len)))
    }

    /// All the values of a header, in order, without surrounding white space.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// Takes the body out of what follows the headers; `None` if more of it is to come.
    ///
    /// It ends after `Content-Length` bytes, with the last chunk, or at the end of the stream;
    /// `is_end` says that nothing more will come. Never more than [`MAX_BODY`] bytes are kept.
    pub fn body(&self, following: &[u8], is_end: bool) -> Option<Vec<u8>> {
        if matches!(self.status, 204 | 304) {
            return Some(Vec::new());
        }
        // A chunked body can be larger on the wire than it is, but not without end.
        let is_end = is_end || following.len() > 2 * MAX_BODY;
        let coding = self.header_values("Transfer-Encoding");
        if coding
            .iter()
            .any(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return decode_chunks(following, is_end);
        }
        let len = self.header_values("Content-Length");
        let len = len.first().and_then(|len| len.parse::<usize>().ok());
        let wanted = len.unwrap_or(MAX_BODY).min(MAX_BODY);
        if following.len() >= wanted {
            Some(following[..wanted].to_vec())
        } else {
            is_end.then(|| following.to_vec())
        }
    }
}

/// The data of a chunked body (RFC 9112, section 7.1); `None` if more is to come.
fn decode_chunks(mut bytes: &[u8], is_end: bool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (start, len) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete((_, 0))) => return Some(body),
            Ok(httparse::Status::Complete((start, len))) => {
                (start, usize::try_from(len).unwrap_or(usize::MAX))
            }
            Ok(httparse::Status::Partial) if !is_end => return None,
            // What has come of a broken body may still tell something.
            Ok(httparse::Status::Partial) | Err(_) => return Some(body),
        };
        let data = &bytes[start..];
        let take = data.len().min(len).min(MAX_BODY - body.len());
        body.extend_from_slice(&data[..take]);
        // Each chunk is followed by a line break.
        match data.get(len.saturating_add(2)..) {
            Some(rest) if body.len() < MAX_BODY => bytes = rest,
            None if !is_end && body.len() < MAX_BODY => return None,
            _ => return Some(body),
        }
    }
}

/// Checks that a header stays within its line.
fn check_header(name: &str, value: &str) -> Result<(), InvalidArgument> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(InvalidArgument(format!("invalid header name: {name:?}")));
    }
    if HeaderValue::from_str(value).is_err() {
        // The value may be a credential, so it is not repeated.
        return Err(InvalidArgument(format!(
            "invalid value for header {name:?}: line breaks, control characters and \
             characters outside of ASCII aren't allowed"
        )));
    }
    Ok(())
}

fn join(values: &[&str]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(", "))
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) => {
                write!(f, "did not receive a valid HTTP response: {text}")
            }
            Self::Eof => f.write_str(
                "did not receive a valid HTTP response: connection closed before its end",
            ),
            Self::Status(response) => write!(
                f,
                "server rejected WebSocket connection: HTTP {}",
                response.status
            ),
            Self::Header { name, value } | Self::Upgrade { name, value } => match value {
                None => write!(f, "missing {name} header"),
                Some(value) => write!(f, "invalid {name} header: {value}"),
            },
            Self::Negotiation(text) | Self::Security(text) => f.write_str(text),
        }
    }
}

/// The headers by which the protocol itself is agreed upon.
const PROTOCOL_HEADERS: [&str; 6] = [
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];
/// The largest status line and headers accepted, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most of a refusal's body that is kept, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 128;
const MAX_INTERIM: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &RequestOptions) -> Request {
        let uri = Uri::parse("ws://user:pw@example.com:8765/chat?x=1").unwrap();
        Request::new(&uri, options)
    }

    /// A response that accepts `request`, with some headers replaced or (with "") removed.
    fn response(request: &Request, changes: &[(&str, &str)]) -> Response {
        let accept = derive_accept_key(request.key.as_bytes());
        let mut headers = vec![
            ("Connection".to_owned(), "Upgrade".to_owned()),
            ("Upgrade".to_owned(), "websocket".to_owned()),
            ("Sec-WebSocket-Accept".to_owned(), accept),
        ];
        for (name, value) in changes {
            headers.retain(|(given, _)| given != name);
            if !value.is_empty() {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        Response {
            status: 101,
            reason: "Switching Protocols".to_owned(),
            headers,
            body: Vec::new(),
        }
    }

    #[test]
    fn request_has_the_headers_of_the_rfc() {
        let options = RequestOptions {
            origin: Some("https://example.com".into()),
            subprotocols: vec!["a".into(), "b".into()],
            headers: vec![("X-Token".into(), "t".into())],
            user_agent: Some("agent".into()),
        };
        let request = request(&options);
        let text = String::from_utf8(request.encode()).unwrap();
        assert!(text.starts_with("GET /chat?x=1 HTTP/1.1\r\nHost: example.com:8765\r\n"));
        for line in [
            "Authorization: Basic dXNlcjpwdw==",
            "Origin: https://example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: a, b",
            "X-Token: t",
            "User-Agent: agent",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn headers_that_break_the_line_or_the_protocol_are_refused() {
        for (name, value) in [
            ("X", "a\r\nY: b"),
            ("X\r\nY", "a"),
            ("X", "a\0"),
            ("", "a"),
            ("Connection", "close"),
            ("sec-websocket-key", "a"),
        ] {
            let options = RequestOptions {
                headers: vec![(name.into(), value.into())],
                ..RequestOptions::default()
            };
            assert!(options.check().is_err(), "{name:?}: {value:?}");
        }
        for subprotocols in [
            vec!["a b"],
            vec![""],
            vec!["a,b"],
            vec!["é"],
            vec!["a", "a"],
        ] {
            let options = RequestOptions {
                subprotocols: subprotocols.iter().map(ToString::to_string).collect(),
                ..RequestOptions::default()
            };
            assert!(options.check().is_err(), "{subprotocols:?}");
        }
    }

    #[test]
    fn response_may_name_other_connection_options() {
        let request = request(&RequestOptions::default());
        for value in ["keep-alive, Upgrade", "UPGRADE", "Upgrade, keep-alive"] {
            let response = response(&request, &[("Connection", value)]);
            assert!(request.accept(&response).is_ok(), "{value}");
        }
    }

    #[test]
    fn response_that_breaks_a_rule_is_refused() {
        let request = request(&RequestOptions {
            subprotocols: vec!["chat".into()],
            ..RequestOptions::default()
        });
        for (name, value) in [
            ("Connection", ""),
            ("Connection", "close"),
            ("Upgrade", ""),
            ("Upgrade", "h2c"),
            ("Upgrade", "websocket, h2c"),
            ("Sec-WebSocket-Accept", ""),
            ("Sec-WebSocket-Accept", "d3Jvbmc="),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Sec-WebSocket-Protocol", "other"),
        ] {
            let response = response(&request, &[(name, value)]);
            assert!(request.accept(&response).is_err(), "{name}: {value}");
        }
        let agreed = response(&request, &[("Sec-WebSocket-Protocol", "chat")]);
        assert_eq!(request.accept(&agreed).unwrap(), Some("chat".to_owned()));
        assert_eq!(request.accept(&response(&request, &[])).unwrap(), None);
    }

    #[test]
    fn response_is_found_when_complete_and_what_follows_is_left() {
        let bytes = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x00";
        for cut in 0..bytes.len() - 2 {
            assert_eq!(
                Response::parse(&bytes[..cut]).unwrap(),
                None,
                "cut at {cut}"
            );
        }
        let (response, len) = Response::parse(bytes).unwrap().unwrap();
        assert_eq!((response.status, len), (101, bytes.len() - 2));
        assert_eq!(response.header_values("upgrade"), ["websocket"]);
    }

    #[test]
    fn interim_responses_are_skipped_but_not_for_ever() {
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        let mut bytes = interim.repeat(3);
        bytes.extend_from_slice(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let (response, len) = Response::parse(&bytes).unwrap().unwrap();
        assert_eq!(response.status, 403);
        assert_eq!(response.body(&bytes[len..], false), Some(b"no".to_vec()));
        assert!(matches!(
            Response::parse(&interim.repeat(20)),
            Err(HandshakeError::Security(_))
        ));
    }

    #[test]
    fn body_ends_by_length_by_chunks_or_with_the_stream() {
        let parse = |head: &str| {
            let bytes = format!("HTTP/1.1 403 No\r\n{head}\r\n");
            Response::parse(bytes.as_bytes()).unwrap().unwrap().0
        };
        let sized = parse("Content-Length: 3\r\n");
        assert_eq!(sized.body(b"ab", false), None);
        assert_eq!(sized.body(b"abcd", false), Some(b"abc".to_vec()));
        let chunked = parse("Transfer-Encoding: chunked\r\n");
        let bytes = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(chunked.body(bytes, false), Some(b"abcde".to_vec()));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(chunked.body(&bytes[..cut], false), None, "cut at {cut}");
            assert!(chunked.body(&bytes[..cut], true).is_some(), "cut at {cut}");
        }
        let endless = parse("");
        assert_eq!(endless.body(b"abc", false), None);
        assert_eq!(endless.body(b"abc", true), Some(b"abc".to_vec()));
    }

    #[test]
    fn junk_old_versions_and_floods_are_refused() {
        for junk in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"<html>",
            b"HTTP/1.0 101 X\r\n\r\n",
        ] {
            assert!(matches!(
                Response::parse(junk),
                Err(HandshakeError::Message(_))
            ));
        }
        let (refusal, _) = Response::parse(b"HTTP/1.0 403 No\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(refusal.status, 403);
        let many = format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(200));
        assert!(matches!(
            Response::parse(many.as_bytes()),
            Err(HandshakeError::Security(_))
        ));
        let endless = [b"HTTP/1.1 101 X\r\nA: ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert!(matches!(
            Response::parse(&endless),
            Err(HandshakeError::Security(_))
        ));
    }
}
