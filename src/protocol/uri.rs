//! WebSocket URIs (RFC 6455, section 3): what a URL says about where to connect to.
//!
//! Everything is decided here before any I/O, and a URL in an error never shows its credentials.

use std::{borrow::Cow, fmt, net::Ipv6Addr};

use percent_encoding::{CONTROLS, percent_decode_str, utf8_percent_encode};

use super::host::checked_name;

/// A valid `ws` or `wss` URI.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// Whether the scheme is `wss`.
    pub secure: bool,
    /// The host name in ASCII and lower case, or an IP address without brackets, with its zone if it
    /// has one.
    pub host: String,
    /// The port, from the URI or the scheme's default.
    pub port: u16,
    /// The value of the `Host` header: with brackets, without the default port, and without a zone,
    /// which means nothing to the server (RFC 6874, section 4).
    pub authority: String,
    /// The path and query as they were given, but for other characters than ASCII, which are
    /// percent-encoded; never empty.
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
        Self::try_parse(text).map_err(|reason| InvalidUri {
            uri: without_credentials(text).replace(char::is_control, "\u{fffd}"),
            reason,
        })
    }

    fn try_parse(text: &str) -> Result<Self, String> {
        let (secure, rest) = check_text(text)?;
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // Browsers take it for a slash, and end the host there.
        if authority.contains('\\') {
            return Err(not_allowed('\\'));
        }
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let (host, bracketed, port) = place_of(place)?;
        let default_port = if secure { 443 } else { 80 };
        let port = port.unwrap_or(default_port);
        let authority = if port == default_port {
            bracketed
        } else {
            format!("{bracketed}:{port}")
        };
        // A server may tell apart what a URL may be normalized to, so nothing is.
        let slash = if resource.starts_with('/') { "" } else { "/" };
        Ok(Self {
            secure,
            host,
            port,
            authority,
            resource: format!("{slash}{}", utf8_percent_encode(resource, CONTROLS)),
            credentials: userinfo.map(credentials_of).transpose()?,
        })
    }
}

/// Some parsers drop line breaks. A client must not guess.
fn is_bad(c: char) -> bool {
    c.is_control() || c.is_whitespace()
}

/// Checks what no part of a URI may have. Returns whether the scheme is `wss`, and what follows it.
fn check_text(text: &str) -> Result<(bool, &str), String> {
    if let Some(bad) = text.chars().find(|c| is_bad(*c)) {
        return Err(not_allowed(bad));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "ws" => false,
        "wss" => true,
        _ => return Err("scheme isn't ws or wss".to_owned()),
    };
    if rest.contains('#') {
        return Err("fragment identifier is meaningless".to_owned());
    }
    Ok((secure, rest))
}

/// Host and port: the host as it is looked up, as it stands before a port, and the port if it is
/// given.
fn place_of(place: &str) -> Result<(String, String, Option<u16>), String> {
    let Some(rest) = place.strip_prefix('[') else {
        let (name, port) = place.split_once(':').unwrap_or((place, ""));
        let name = checked_name(name)?;
        return Ok((name.clone(), name, port_of(port)?));
    };
    let (inside, port) = rest
        .split_once(']')
        .ok_or("the IPv6 address has no closing bracket")?;
    let port = match port.strip_prefix(':') {
        Some(port) => port,
        None if port.is_empty() => port,
        None => return Err("only a port may follow the IPv6 address".to_owned()),
    };
    let (address, zone) = match inside.split_once('%') {
        Some((address, zone)) => (address, Some(zone_of(zone)?)),
        None => (inside, None),
    };
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| "the IPv6 address can't be read".to_owned())?;
    let host = zone.map_or_else(|| address.to_string(), |zone| format!("{address}%{zone}"));
    Ok((host, format!("[{address}]"), port_of(port)?))
}

/// The zone of an address: which interface it belongs to. The percent sign before it may be encoded
/// (RFC 6874, section 2).
fn zone_of(text: &str) -> Result<&str, String> {
    let zone = match text.strip_prefix("25") {
        None | Some("") => text,
        Some(zone) => zone,
    };
    let is_of_zone = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if zone.is_empty() || !zone.chars().all(is_of_zone) {
        return Err("the zone of the IPv6 address can't be read".to_owned());
    }
    Ok(zone)
}

fn port_of(text: &str) -> Result<Option<u16>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(0) => Err("port 0 isn't a port to connect to".to_owned()),
        Ok(port) if digits => Ok(Some(port)),
        _ => Err("port isn't a number up to 65535".to_owned()),
    }
}

/// User name and password, decoded. Either may be empty.
fn credentials_of(userinfo: &str) -> Result<(String, String), String> {
    let decode = |part: &str| {
        percent_decode_str(part)
            .decode_utf8()
            .map(Cow::into_owned)
            .map_err(|_| "username and password aren't UTF-8")
    };
    let (username, password) = userinfo
        .split_once(':')
        .ok_or("username provided without password")?;
    let username = decode(username)?;
    // It is where the password begins (RFC 7617, section 2).
    if username.contains(':') {
        return Err("username contains a colon".to_owned());
    }
    Ok((username, decode(password)?))
}

fn not_allowed(bad: char) -> String {
    format!("character {bad:?} isn't allowed")
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
    fn addresses_may_have_zones() {
        for text in ["ws://[fe80::1%eth0]:81/", "ws://[FE80:0::1%25eth0]:81/"] {
            let uri = parse(text);
            assert_eq!((uri.host.as_str(), uri.port), ("fe80::1%eth0", 81));
            assert_eq!(uri.authority, "[fe80::1]:81");
        }
        assert_eq!(parse("ws://[fe80::1%25]").host, "fe80::1%25");
        assert_eq!(parse("ws://[fe80::1%252]").host, "fe80::1%2");
    }

    #[test]
    fn path_and_query_are_sent_as_they_were_given() {
        for resource in [
            "/a/../b",
            "/a/%2e%2E/./b",
            "//",
            "/\"q\"",
            "/{id}|^<x>'`",
            "/a\\b?c\\d",
            "/?",
            "/??a/b",
            "/%zz",
            "/a;b@c:d",
        ] {
            assert_eq!(parse(&format!("ws://h{resource}")).resource, resource);
        }
        assert_eq!(parse("ws://h?").resource, "/?");
        assert_eq!(parse("ws://h/%C3%A4\u{e4}").resource, "/%C3%A4%C3%A4");
    }

    #[test]
    fn either_half_of_the_credentials_may_be_empty() {
        for (userinfo, username, password) in [
            ("token:", "token", ""),
            (":secret", "", "secret"),
            (":", "", ""),
            ("a:b:c", "a", "b:c"),
            ("a:b@c", "a", "b@c"),
        ] {
            let credentials = parse(&format!("ws://{userinfo}@h")).credentials;
            assert_eq!(credentials, Some((username.into(), password.into())));
        }
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
            ("ws://h:80:90/", "port"),
            ("ws://h:+80/", "port"),
            ("ws://h:\u{ff18}0/", "port"),
            ("ws://[::1]x/", "IPv6"),
            ("ws://[::1]80/", "IPv6"),
            ("ws://[v1.a]/", "IPv6"),
            ("ws://[::1%]/", "zone"),
            ("ws://[::1%a b]/", "character"),
            ("ws://[::1%a/b]/", "IPv6"),
            ("ws://::1/", "hostname"),
            ("ws://%65vil/", "character"),
            ("ws://a..b/", "label"),
            ("ws://[::1/", "IPv6"),
        ] {
            let error = Uri::parse(text).expect_err(text).to_string();
            assert!(error.contains(rule), "{text:?}: {error}");
            let visible = text.replace(char::is_control, "\u{fffd}");
            assert!(error.contains(&visible), "{text:?}: {error}");
        }
    }
}
