//! Reading `Sec-WebSocket-Extensions` (RFC 6455, section 9.1): a list of extensions, each with its
//! parameters.
//!
//! Knows the grammar, and no extension. Invariant: a value that was quoted is a token like any
//! other, without its quotes and backslashes (RFC 9110, section 5.6.4).

use std::fmt;

use http::header::HeaderName;

use crate::protocol::BLANKS;

/// An extension with its parameters, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: Vec<(&'a str, Option<String>)>,
}

/// Where a header breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected there, or found.
    pub what: &'static str,
    /// The number of characters before it.
    pub position: usize,
    /// The value of the header.
    pub header: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            position,
            header,
        } = self;
        write!(f, "{what} at {position} in {header}")
    }
}

/// Reads the value of a header, which has at least one extension.
pub(super) fn parse(header: &str) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut scanner = Scanner { header, at: 0 };
    let mut extensions = Vec::new();
    // Empty elements mean nothing (RFC 9110, section 5.6.1).
    while scanner.skip(',') {}
    loop {
        extensions.push(scanner.extension()?);
        if scanner.is_at_end() {
            return Ok(extensions);
        }
        if !scanner.skip(',') {
            return Err(scanner.malformed("expected comma"));
        }
        while scanner.skip(',') {}
        if scanner.is_at_end() {
            return Ok(extensions);
        }
    }
}

/// What has been read of a header.
struct Scanner<'a> {
    header: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn extension(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.skip(';') {
            let name = self.token()?;
            let value = if self.skip('=') {
                Some(self.value()?)
            } else {
                None
            };
            parameters.push((name, value));
        }
        Ok(Extension { name, parameters })
    }

    fn value(&mut self) -> Result<String, Malformed> {
        if !self.rest().starts_with('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            match c {
                '"' if is_token(&value) => {
                    self.at += index + 1;
                    return Ok(value);
                }
                '"' => return Err(self.malformed("invalid quoted header content")),
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        Err(self.malformed("expected quoted string"))
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !is_token(c.encode_utf8(&mut [0; 4])));
        let token = &rest[..end.unwrap_or(rest.len())];
        if token.is_empty() {
            return Err(self.malformed("expected token"));
        }
        self.at += token.len();
        Ok(token)
    }

    /// Skips a character and the blanks around it, if it comes next. Returns whether it did.
    fn skip(&mut self, c: char) -> bool {
        self.skip_blanks();
        let comes = self.rest().starts_with(c);
        if comes {
            self.at += c.len_utf8();
            self.skip_blanks();
        }
        comes
    }

    fn skip_blanks(&mut self) {
        self.at = self.header.len() - self.rest().trim_start_matches(BLANKS).len();
    }

    fn rest(&self) -> &'a str {
        &self.header[self.at..]
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            position: self.header[..self.at].chars().count(),
            header: self.header.to_owned(),
        }
    }
}

/// Whether a text is a token, as the names of headers are.
fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_with_their_parameters() {
        let header = ",, a ; x = 1;y\t, b;z=\"1\\0\";!#$%&'*+-.^_`|~09=\"q\\\"\" ,";
        assert!(parse(header).is_err(), "a quote is no part of a token");
        let header = ",, a ; x = 1;y\t, b;z=\"1\\0\";!#$%&'*+-.^_`|~09=\"\\q\" ,";
        let extensions = parse(header).unwrap();
        let value = |value: &str| Some(value.to_owned());
        assert_eq!(
            extensions,
            [
                Extension {
                    name: "a",
                    parameters: vec![("x", value("1")), ("y", None)],
                },
                Extension {
                    name: "b",
                    parameters: vec![("z", value("10")), ("!#$%&'*+-.^_`|~09", value("q"))],
                },
            ]
        );
    }

    #[test]
    fn what_breaks_the_grammar_is_named_with_its_place() {
        for (header, what, position) in [
            ("", "expected token", 0),
            (", ,", "expected token", 3),
            ("a;", "expected token", 2),
            ("a; =1", "expected token", 3),
            ("a; x=", "expected token", 5),
            ("\u{e9}", "expected token", 0),
            ("a b", "expected comma", 2),
            ("a\u{a0}", "expected comma", 1),
            ("a; x=1 2", "expected comma", 7),
            ("a; x=\"", "expected quoted string", 5),
            ("a; x=\"1\\\"", "expected quoted string", 5),
            ("a; x=\"\"", "invalid quoted header content", 5),
            ("a; x=\"1,2\"", "invalid quoted header content", 5),
        ] {
            let malformed = parse(header).unwrap_err();
            assert_eq!(
                (malformed.what, malformed.position),
                (what, position),
                "{header:?}"
            );
        }
    }
}
