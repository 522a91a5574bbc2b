//! HTTP/1.1 as far as a client speaks it before the first frame, to the server and to proxies: the
//! head of a request, and a response out of bytes (RFC 9110, RFC 9112).
//!
//! Bytes in, bytes out. It must not know what is asked for. Invariants: nothing that a caller gives
//! can add a line to a request; a response is the same however its bytes are cut, and takes a
//! bounded amount of memory.

use std::fmt;

use data_encoding::BASE64;
use http::header::{HeaderName, HeaderValue};

use super::{BLANKS, InvalidArgument};

/// A request line and headers as bytes.
pub fn encode_head(line: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut bytes = format!("{line}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        // A value is in ISO-8859-1 where it is received, too.
        bytes.extend(value.chars().filter_map(|c| u8::try_from(c).ok()));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// User name and password as the value of a header (RFC 7617).
pub fn basic((username, password): &(String, String)) -> String {
    let credentials = BASE64.encode(format!("{username}:{password}").as_bytes());
    format!("Basic {credentials}")
}

/// Whether a text is a token (RFC 9110, section 5.6.2), as the names of headers are.
pub fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// Checks that a header stays within its line.
pub fn check_header(name: &str, value: &str) -> Result<(), InvalidArgument> {
    if !is_token(name) {
        return Err(InvalidArgument(format!("invalid header name: {name:?}")));
    }
    let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
    if !bytes.is_ok_and(|bytes| HeaderValue::from_bytes(&bytes).is_ok()) {
        // The value may be a credential, so it is not repeated.
        return Err(InvalidArgument(format!(
            "invalid value for header {name:?}: line breaks, control characters and \
             characters outside of ISO-8859-1 aren't allowed"
        )));
    }
    Ok(())
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// What has come is not HTTP; the text says why.
    Malformed(String),
    /// The stream ended before the response did.
    Eof,
    /// The response is larger than any has reason to be; the text names the limit.
    TooLarge(String),
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) | Self::TooLarge(text) => f.write_str(text),
            Self::Eof => f.write_str("connection closed while reading HTTP response"),
        }
    }
}

/// What the server or the proxy answered.
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

impl Response {
    /// Reads the status line and headers at the start of `bytes`, and how long they are; `None`
    /// if they are not complete yet. Interim responses (100, 103, ...) are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ResponseError> {
        let mut offset = 0;
        for _ in 0..=MAX_INTERIM {
            // How much of it has come at once must not matter.
            let head = &bytes[offset..bytes.len().min(MAX_HEAD)];
            let Some((response, len)) = Self::parse_one(head)? else {
                return if bytes.len() > MAX_HEAD {
                    let text = format!("response headers are larger than {MAX_HEAD} bytes");
                    Err(ResponseError::TooLarge(text))
                } else {
                    Ok(None)
                };
            };
            offset += len;
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(Some((response, offset)));
            }
        }
        Err(ResponseError::TooLarge(format!(
            "more than {MAX_INTERIM} interim responses"
        )))
    }

    fn parse_one(bytes: &[u8]) -> Result<Option<(Self, usize)>, ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                let text = format!("response has more than {MAX_HEADERS} headers");
                return Err(ResponseError::TooLarge(text));
            }
            Err(error) => return Err(ResponseError::Malformed(error.to_string())),
        };
        let status = parsed.code.unwrap_or_default();
        if parsed.version == Some(0) && status == 101 {
            let text = "unsupported HTTP version: HTTP/1.0".to_owned();
            return Err(ResponseError::Malformed(text));
        }
        let latin1 = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect();
        let response = Self {
            status,
            reason: latin1(reason(bytes)),
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
            .map(|(_, value)| value.trim_matches(BLANKS))
            .collect()
    }

    /// Whether the headers say where the body ends, so that it is not ended by the stream.
    pub fn says_how_long(&self) -> bool {
        ["Content-Length", "Transfer-Encoding"]
            .iter()
            .any(|name| !self.header_values(name).is_empty())
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

/// The reason in the status line at the start of `bytes`, which is valid. `httparse` leaves it out
/// if it is not ASCII.
fn reason(bytes: &[u8]) -> &[u8] {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .find(|line| !line.is_empty());
    line.and_then(|line| line.splitn(3, |&byte| byte == b' ').nth(2))
        .unwrap_or_default()
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
            // Even a broken body may explain the refusal.
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

/// The largest status line and headers accepted, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most of a refusal's body that is kept, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 128;
const MAX_INTERIM: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

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
            Err(ResponseError::TooLarge(_))
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
                Err(ResponseError::Malformed(_))
            ));
        }
        let (refusal, _) = Response::parse(b"HTTP/1.0 403 No\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(refusal.status, 403);
        let many = format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(200));
        assert!(matches!(
            Response::parse(many.as_bytes()),
            Err(ResponseError::TooLarge(_))
        ));
        let endless = [b"HTTP/1.1 101 X\r\nA: ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert!(matches!(
            Response::parse(&endless),
            Err(ResponseError::TooLarge(_))
        ));
    }
}
