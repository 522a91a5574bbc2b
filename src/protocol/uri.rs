//! WebSocket URIs (RFC 6455, section 3): what a URL says about where to connect to.
//!
//! Everything is decided here before any I/O, and a URL in an error never shows its credentials.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// A valid `ws` or `wss` URI.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// Whether the scheme is `wss`.
    pub secure: bool,
    /// The host name in ASCII, or an IP address without brackets.
    pub host: String,
    /// The port, from the URI or the scheme's default.
    pub port: u16,
    /// The value of the `Host` header: with brackets, without the default port.
    pub authority: String,
    /// The path and query, percent-encoded; never empty.
    pub resource: String,
    /// User name and password, decoded.
    pub credentials: Option<(String, String)>,
}

/// A text that cannot name a WebSocket server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUri {
    /// The text, without its credentials.
    pub uri: String,
    /// The rule that it breaks.
    pub reason: String,
}

impl Uri {
    /// Parses a URI, or names the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidUri> {
        let invalid = |reason: &str| InvalidUri {
            uri: without_credentials(text).replace(char::is_control, "\u{fffd}"),
            reason: reason.to_owned(),
        };
        // The parser of the WHATWG, which browsers use, drops line breaks and reads backslashes
        // as slashes. A client must not guess.
        if let Some(bad) = text
            .chars()
            .find(|c| c.is_control() || c.is_whitespace() || *c == '\\')
        {
            return Err(invalid(&format!("character {bad:?} isn't allowed")));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid("scheme isn't ws or wss"));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(invalid("scheme isn't ws or wss")),
        };
        // The parser skips further slashes in search of a host.
        if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
            return Err(invalid("hostname isn't provided"));
        }
        if rest.contains('#') {
            return Err(invalid("fragment identifier is meaningless"));
        }
        let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        let (host, bracketed) = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => (name.to_owned(), name.to_owned()),
            Some(Host::Ipv4(address)) => (address.to_string(), address.to_string()),
            Some(Host::Ipv6(address)) => (address.to_string(), format!("[{address}]")),
            _ => return Err(invalid("hostname isn't provided")),
        };
        let default_port = if secure { 443 } else { 80 };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(invalid("port 0 isn't a port to connect to"));
        }
        let authority = if port == default_port {
            bracketed
        } else {
            format!("{bracketed}:{port}")
        };
        let mut resource = url.path().to_owned();
        if let Some(query) = url.query() {
            resource.push('?');
            resource.push_str(query);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (_, None) => return Err(invalid("username provided without password")),
            (username, Some(password)) => {
                let decode = |part: &str| {
                    percent_decode_str(part)
                        .decode_utf8()
                        .map(Cow::into_owned)
                        .map_err(|_| invalid("username and password aren't UTF-8"))
                };
                let username = decode(username)?;
                // It is where the password begins (RFC 7617, section 2).
                if username.contains(':') {
                    return Err(invalid("username contains a colon"));
                }
                Some((username, decode(password)?))
            }
        };
        Ok(Self {
            secure,
            host,
            port,
            authority,
            resource,
            credentials,
        })
    }
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} isn't a valid URI: {}", self.uri, self.reason)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        // The query often holds a token.
        let path = self.resource.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({self})")
    }
}

/// The text of a URL, valid or not, with its user name and password replaced.
///
/// A password that is not percent-encoded may hold a slash, and a path may hold an at sign; when in
/// doubt, too much is replaced.
fn without_credentials(text: &str) -> String {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    // Without a scheme in front, a later "://" is part of something else.
    let authority_start = match text.find("://") {
        Some(index) if text[..index].chars().all(is_scheme) => index + 3,
        _ => 0,
    };
    match text[authority_start..].rfind('@') {
        Some(at) => format!(
            "{}***{}",
            &text[..authority_start],
            &text[authority_start + at..]
        ),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown_where_the_scheme_is_missing() {
        let error = Uri::parse("user:secret@h/?next=ws://x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    fn parse(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parts_are_found() {
        let uri = parse("wss://example.com:8443/chat?room=1");
        assert!(uri.secure);
        assert_eq!((uri.host.as_str(), uri.port), ("example.com", 8443));
        assert_eq!(uri.authority, "example.com:8443");
        assert_eq!(uri.resource, "/chat?room=1");
        assert_eq!(uri.credentials, None);
    }

    #[test]
    fn defaults_are_filled_in() {
        assert_eq!(parse("ws://h").resource, "/");
        assert_eq!(parse("ws://h?q=1").resource, "/?q=1");
        assert_eq!(parse("ws://h").port, 80);
        assert_eq!(parse("wss://h:443").authority, "h");
        assert_eq!(parse("WS://H/").host, "h");
    }

    #[test]
    fn addresses_and_international_names_are_understood() {
        let uri = parse("ws://[::1]:8765/");
        assert_eq!(
            (uri.host.as_str(), uri.authority.as_str()),
            ("::1", "[::1]:8765")
        );
        assert_eq!(
            parse("ws://bücher.example/ü?ü").host,
            "xn--bcher-kva.example"
        );
        assert_eq!(parse("ws://bücher.example/ü?ü").resource, "/%C3%BC?%C3%BC");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let uri = parse("ws://user:p%40ss@h/");
        assert_eq!(uri.credentials, Some(("user".into(), "p@ss".into())));
        assert_eq!(uri.to_string(), "ws://h/");
        let error = Uri::parse("ws://user:secret@h/#f").unwrap_err().to_string();
        assert!(error.contains("ws://***@h/#f"), "{error}");
        for text in [
            "ws://u:se/cret@h/",
            "ws://u:se?cret@h/",
            "ws://u:se#cret@h/",
        ] {
            let error = Uri::parse(text).unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
        }
    }

    #[test]
    fn username_without_password_is_refused() {
        let error = Uri::parse("ws://user@h/").unwrap_err().to_string();
        assert!(error.contains("password"), "{error}");
    }

    #[test]
    fn invalid_uris_are_refused_with_the_rule() {
        for (text, rule) in [
            ("http://h/", "scheme"),
            ("h/", "scheme"),
            ("ws:h", "scheme"),
            ("ws://", "hostname"),
            ("ws:///path", "hostname"),
            ("ws://:80/", "host"),
            ("ws://h:99999/", "port"),
            ("ws://h:0/", "port"),
            ("ws://h:port/", "port"),
            ("ws://h/#fragment", "fragment"),
            ("ws://h/a b", "character"),
            ("ws://h/\r\nX: y", "character"),
            ("ws://h\\path", "character"),
            ("ws://[::1/", "IPv6"),
        ] {
            let error = Uri::parse(text).expect_err(text).to_string();
            assert!(error.contains(rule), "{text:?}: {error}");
            let visible = text.replace(char::is_control, "\u{fffd}");
            assert!(error.contains(&visible), "{text:?}: {error}");
        }
    }
}
