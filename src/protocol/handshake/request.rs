//! The request for an upgrade to WebSocket, and whether a response accepts it.

use std::io;

use super::{EXTENSIONS, HandshakeError, accept_key, generate_key};
use crate::protocol::{
    BLANKS, InvalidArgument,
    deflate::Agreement,
    extension::{Offer, Refusal, unoffered},
    http::{Response, basic, check_header, encode_head, is_token},
    uri::Uri,
};

/// A request for an upgrade to WebSocket, as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request line and the headers in the order sent.
    pub resource: String,
    /// Names and values in the order sent.
    pub headers: Vec<(String, String)>,
    key: String,
    subprotocols: Vec<String>,
    compression: Option<Offer>,
}

/// What client and server have agreed upon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The subprotocol.
    pub subprotocol: Option<String>,
    /// How messages are compressed.
    pub compression: Option<Agreement>,
}

/// What the user adds to the request, valid by construction.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The subprotocols offered, the preferred ones first.
    pub subprotocols: Vec<String>,
    /// The offer to compress messages, if there is one.
    pub compression: Option<Offer>,
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
        for single in SINGLE_HEADERS {
            let given = self.headers.iter().map(|(name, _)| name.as_str());
            let origin = self.origin.as_ref().map(|_| "Origin");
            let count = given
                .chain(origin)
                .filter(|name| name.eq_ignore_ascii_case(single))
                .count();
            if count > 1 {
                return Err(InvalidArgument(format!("header {single:?} is given twice")));
            }
        }
        if let Some(user_agent) = &self.user_agent {
            check_header("User-Agent", user_agent)?;
        }
        for (index, subprotocol) in self.subprotocols.iter().enumerate() {
            // Subprotocols are tokens, like the names of headers (section 4.1, item 10).
            if !is_token(subprotocol) {
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
    /// The request for `uri`, with a fresh key. Fails if the system has no randomness for it.
    pub fn new(uri: &Uri, options: &RequestOptions) -> io::Result<Self> {
        let key = generate_key()?;
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
        if let (Some(credentials), false) = (&uri.credentials, given("Authorization")) {
            add("Authorization", &basic(credentials));
        }
        if let Some(origin) = &options.origin {
            add("Origin", origin);
        }
        add("Upgrade", "websocket");
        add("Connection", "Upgrade");
        add("Sec-WebSocket-Key", &key);
        add("Sec-WebSocket-Version", "13");
        if let Some(offer) = &options.compression {
            add(EXTENSIONS, &offer.to_string());
        }
        if !options.subprotocols.is_empty() {
            add("Sec-WebSocket-Protocol", &options.subprotocols.join(", "));
        }
        for (name, value) in &options.headers {
            add(name, value);
        }
        if let (Some(user_agent), false) = (&options.user_agent, given("User-Agent")) {
            add("User-Agent", user_agent);
        }
        Ok(Self {
            resource: uri.resource.clone(),
            headers,
            key,
            subprotocols: options.subprotocols.clone(),
            compression: options.compression,
        })
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        encode_head(&format!("GET {} HTTP/1.1", self.resource), &self.headers)
    }

    /// Judges the response by the rules of section 4.1. Returns what is agreed upon.
    pub fn accept(&self, response: &Response) -> Result<Agreed, HandshakeError> {
        if response.status != 101 {
            return Err(HandshakeError::Status(response.clone()));
        }
        for (name, wanted) in [("Connection", "upgrade"), ("Upgrade", "websocket")] {
            let values = response.header_values(name);
            let agreed = values
                .iter()
                .flat_map(|value| value.split(','))
                .any(|token| token.trim_matches(BLANKS).eq_ignore_ascii_case(wanted));
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
        if accept.len() != 1 || accept[0] != accept_key(&self.key) {
            return Err(HandshakeError::Header {
                name: "Sec-WebSocket-Accept",
                value: join(&accept),
                is_repeated: accept.len() > 1,
            });
        }
        Ok(Agreed {
            compression: self.accept_extensions(response)?,
            subprotocol: self.accept_subprotocol(response)?,
        })
    }

    fn accept_extensions(&self, response: &Response) -> Result<Option<Agreement>, HandshakeError> {
        let extensions = response.header_values(EXTENSIONS);
        match (&self.compression, join(&extensions)) {
            (_, None) => Ok(None),
            (None, Some(extensions)) => Err(Refusal::Unacceptable(unoffered(&extensions))),
            (Some(offer), Some(_)) => offer.accept(&extensions),
        }
        .map_err(|refusal| match refusal {
            Refusal::Malformed(malformed) => HandshakeError::Extensions(malformed),
            Refusal::Unacceptable(text) => HandshakeError::Negotiation(text),
        })
    }

    fn accept_subprotocol(&self, response: &Response) -> Result<Option<String>, HandshakeError> {
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

fn join(values: &[&str]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(", "))
}

/// The headers by which the protocol itself is agreed upon.
const PROTOCOL_HEADERS: [&str; 6] = [
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    EXTENSIONS,
];
/// The headers of which a request has one at most, and which the user may give.
const SINGLE_HEADERS: [&str; 4] = ["Host", "Authorization", "Origin", "User-Agent"];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &RequestOptions) -> Request {
        let uri = Uri::parse("ws://user:pw@example.com:8765/chat?x=1").unwrap();
        Request::new(&uri, options).unwrap()
    }

    /// A response that accepts `request`, with some headers replaced or (with "") removed.
    fn response(request: &Request, changes: &[(&str, &str)]) -> Response {
        let accept = accept_key(&request.key);
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
            compression: Some(Offer::default()),
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
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
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
        assert_eq!(
            request.accept(&agreed).unwrap().subprotocol,
            Some("chat".to_owned())
        );
        let plain = response(&request, &[]);
        assert_eq!(request.accept(&plain).unwrap(), Agreed::default());
    }
}
