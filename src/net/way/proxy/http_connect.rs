//! The `CONNECT` method of HTTP (RFC 9110, section 9.3.6): bytes in, bytes out.
//!
//! Invariant: nothing that a caller gives can add a line to the request. Hosts and user agents are
//! checked when they are given, and credentials are in Base64.

use crate::{
    error::{Error, ProxyError, Result},
    net::way::target::{Target, authority},
    protocol::http::{ResponseError, basic, encode_head},
};

/// Checks what Basic authentication can't express (RFC 7617, section 2).
pub(super) fn check_credentials(username: &str) -> Result<()> {
    if username.contains(':') {
        let text = "the user name for a proxy contains a colon";
        return Err(Error::InvalidArgument(text.to_owned()));
    }
    Ok(())
}

/// The request to connect to the target.
pub(super) fn request(
    target: &Target<'_>,
    user_agent: Option<&str>,
    credentials: Option<&(String, String)>,
) -> Vec<u8> {
    let mut headers = vec![("Host".to_owned(), target.authority.to_owned())];
    if let Some(user_agent) = user_agent {
        headers.push(("User-Agent".to_owned(), user_agent.to_owned()));
    }
    if let Some(credentials) = credentials {
        headers.push(("Proxy-Authorization".to_owned(), basic(credentials)));
    }
    let authority = authority(target.host, target.port);
    encode_head(&format!("CONNECT {authority} HTTP/1.1"), &headers)
}

/// Whether a response of this status means that the proxy has connected. It has no body then,
/// whatever its headers say.
pub(super) fn is_accepted(status: u16) -> bool {
    (200..300).contains(&status)
}

impl From<ResponseError> for ProxyError {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Malformed(text) | ResponseError::TooLarge(text) => Self::Message(text),
            ResponseError::Eof => Self::MessageEof,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(target: &Target<'_>, credentials: Option<&(String, String)>) -> String {
        String::from_utf8(request(target, Some("agent"), credentials)).unwrap()
    }

    #[test]
    fn request_names_the_target_twice() {
        let target = Target {
            host: "example.com",
            port: 443,
            authority: "example.com",
        };
        assert_eq!(
            text(&target, None),
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: agent\r\n\r\n"
        );
        let credentials = ("Aladdin".to_owned(), "open sesame".to_owned());
        let text = text(&target, Some(&credentials));
        let line = "\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn ipv6_addresses_are_in_brackets() {
        let target = Target {
            host: "::1",
            port: 80,
            authority: "[::1]",
        };
        assert!(text(&target, None).starts_with("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]\r\n"));
    }

    #[test]
    fn any_success_is_an_acceptance() {
        for status in [200, 201, 204, 299] {
            assert!(is_accepted(status));
        }
        for status in [101, 199, 300, 302, 403, 407, 502] {
            assert!(!is_accepted(status));
        }
    }
}
