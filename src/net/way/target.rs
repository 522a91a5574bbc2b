//! The server that is to be reached, and the rules for the names of hosts.
//!
//! Must not know how the server is reached.

use crate::{
    error::{Error, Result},
    protocol::host::{check_labels, checked_name},
};

/// The server that is to be reached.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its name or IP address.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// What it is called in the `Host` header.
    pub authority: &'a str,
}

/// Makes sure that a text can be the name or address of a host, and returns it as it is looked
/// up. `what` is what the text is given as. What the system takes for an address is one here: no URL
/// is read.
pub fn checked_host(what: &str, host: &str) -> Result<String> {
    let is_bad = |c: char| c.is_control() || c.is_whitespace() || "/@?#[]\\".contains(c);
    let invalid =
        |rule| Error::InvalidArgument(format!("{what} {host:?} isn't a host name: {rule}"));
    if let Some(bad) = host.chars().find(|&c| is_bad(c)) {
        return Err(invalid(format!("character {bad:?} isn't allowed")));
    }
    if !host.is_ascii() {
        return checked_name(host).map_err(invalid);
    }
    if !host.contains(':') {
        check_labels(host).map_err(invalid)?;
    }
    Ok(host.to_owned())
}

/// A host and a port in one text, an IPv6 address in brackets.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_checked_and_made_ascii() {
        for host in ["example.com", "127.0.0.1", "::1", "fe80::1%eth0", "host."] {
            assert_eq!(checked_host("host", host).unwrap(), host);
        }
        let international = checked_host("host", "b\u{fc}cher.example").unwrap();
        assert_eq!(international, "xn--bcher-kva.example");
        for host in [
            "", "a b", "a\r\nb", "a/b", "[::1]", "\u{ad}", "a..b", ".a", ".",
        ] {
            let error = checked_host("host", host).unwrap_err().to_string();
            assert!(error.contains("isn't a host name"), "{error}");
        }
        assert_eq!(authority("::1", 80), "[::1]:80");
        assert_eq!(authority("example.com", 80), "example.com:80");
    }
}
