//! The names of hosts: which texts are one, and the form in which they are looked up.
//!
//! A program that checks a URL before it connects reads the host with a parser of its own, such as
//! Python's `urllib.parse`, and connects where that says. Parsers made like those of browsers decode,
//! map and count: to them, `%65vil`, full-width letters and `0x7f.1` are other hosts. So what they
//! read differently is refused. To the system, names may end in a number or hold underscores.

use url::Host;

/// Checks the name or IPv4 address of a host in a URL, or names the rule that it breaks. Returns it in
/// ASCII and lower case.
pub fn checked_name(name: &str) -> Result<String, String> {
    check_labels(name)?;
    if let Some(bad) = name.chars().find(|&c| c.is_ascii() && !is_of_name(c)) {
        return Err(format!("character {bad:?} isn't allowed in a hostname"));
    }
    let lower = name.to_lowercase();
    let read = match Host::parse(name) {
        Ok(read) => read,
        // Nobody else reads it as anything, such as `node.1`.
        Err(_) if name.is_ascii() => return Ok(lower),
        Err(error) => return Err(error.to_string()),
    };
    match read {
        Host::Domain(ascii) if is_same(&lower, &ascii) => Ok(ascii),
        Host::Ipv4(address) if address.to_string() == lower => Ok(lower),
        read => Err(format!(
            "hostname is ambiguous: others read {name:?} as {:?}",
            read.to_string()
        )),
    }
}

/// Checks that no label of a name is empty. The dot of the root may stand at its end.
pub fn check_labels(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("hostname isn't provided".to_owned());
    }
    if name
        .strip_suffix('.')
        .unwrap_or(name)
        .split('.')
        .any(str::is_empty)
    {
        return Err("hostname has an empty label".to_owned());
    }
    Ok(())
}

/// What a name may consist of (RFC 3986, section 3.2.2), but for percent-encoding.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c)
}

/// Whether a name in lower case, and what it was read as, are the same but for the encoding of
/// international labels.
fn is_same(lower: &str, ascii: &str) -> bool {
    lower.split('.').count() == ascii.split('.').count()
        && lower.split('.').zip(ascii.split('.')).all(|(label, read)| {
            label == read || !label.is_ascii() && label == url::quirks::domain_to_unicode(read)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_system_may_know() {
        for name in [
            "localhost",
            "localhost.",
            "my_service_1",
            "node.1",
            "svc.2.x9",
            "web-1",
            "a--b",
            "-dash-",
            "xn--bcher-kva.example",
            "xn--a'b",
            "*.example",
            "127.0.0.1",
            "1.2.3.4.5",
            "09",
            "4294967296",
            "1.2.3.256",
            "a.0x",
        ] {
            assert_eq!(checked_name(name).as_deref(), Ok(name));
        }
        assert_eq!(
            checked_name("UPPER.Example").as_deref(),
            Ok("upper.example")
        );
        for (name, ascii) in [
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.Example", "xn--bcher-kva.example"),
            ("fa\u{df}.example", "xn--fa-hia.example"),
            ("b\u{fc}cher.xn--fa-hia", "xn--bcher-kva.xn--fa-hia"),
        ] {
            assert_eq!(checked_name(name).as_deref(), Ok(ascii), "{name}");
        }
    }

    #[test]
    fn what_others_read_differently_is_refused() {
        for (name, rule) in [
            ("0x7f.1", "127.0.0.1"),
            ("0xcafe", "0.0.202.254"),
            ("1.2.3", "1.2.0.3"),
            ("2130706433", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("\u{ff11}27.0.0.1", "127.0.0.1"),
            ("\u{ff45}vil.example", "evil.example"),
            ("evil\u{ff0e}example", "evil.example"),
            ("evil\u{3002}example", "evil.example"),
            ("ev\u{ad}il.example", "evil.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("%65vil", "character '%'"),
            ("ev%69l.b\u{fc}cher", "character '%'"),
            ("a..b", "empty label"),
            (".a", "empty label"),
            ("a..", "empty label"),
            (".", "empty label"),
            ("", "isn't provided"),
            ("a:b", "character ':'"),
            ("a[b", "character '['"),
            ("a{b}", "character '{'"),
            ("a\u{2100}b", "invalid"),
        ] {
            let error = checked_name(name).expect_err(name);
            assert!(error.contains(rule), "{name}: {error}");
        }
    }
}
