//! UTF-8 that arrives in pieces (RFC 6455, section 8.1).
//!
//! A character may be cut by the edge of a read or of a frame, so what is not complete yet is
//! kept until the rest of it comes. Knows no frames. Invariant: a bad byte is reported with the
//! piece that it arrives in, not later.

use std::{fmt, str::from_utf8};

/// Bytes that are not UTF-8; the text says what is wrong with them, as Python's decoder does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUtf8(String);

/// Checks the text of one message.
#[derive(Debug, Default)]
pub struct Validator {
    /// The beginning of a character that is not complete yet: `len` bytes of it.
    partial: [u8; 4],
    len: usize,
    /// How many bytes were good.
    position: usize,
}

impl Validator {
    /// Checks the next bytes of the text.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), InvalidUtf8> {
        while self.len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.partial[self.len] = byte;
            match from_utf8(&self.partial[..=self.len]) {
                Ok(_) => {
                    self.position += self.len + 1;
                    self.len = 0;
                }
                Err(error) if error.error_len().is_none() => self.len += 1,
                Err(_) => return Err(self.invalid("invalid continuation byte")),
            }
            bytes = rest;
        }
        match from_utf8(bytes) {
            Ok(_) => self.position += bytes.len(),
            Err(error) => {
                self.position += error.valid_up_to();
                let rest = &bytes[error.valid_up_to()..];
                if error.error_len().is_some() {
                    return Err(self.invalid(match rest[0] {
                        0xc2..=0xf4 => "invalid continuation byte",
                        _ => "invalid start byte",
                    }));
                }
                self.len = rest.len();
                self.partial[..self.len].copy_from_slice(rest);
            }
        }
        Ok(())
    }

    /// Checks that the text does not end inside of a character.
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.len == 0 {
            Ok(())
        } else {
            Err(self.invalid("unexpected end of data"))
        }
    }

    /// What Python's decoder says about the same bytes.
    fn invalid(&self, what: &str) -> InvalidUtf8 {
        InvalidUtf8(format!("{what} at position {}", self.position))
    }
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a text that has arrived as a whole.
pub fn validate(text: &[u8]) -> Result<(), InvalidUtf8> {
    if from_utf8(text).is_ok() {
        return Ok(());
    }
    let mut validator = Validator::default();
    validator.push(text)?;
    validator.finish()
}

/// How many bytes at the end of `text` are the beginning of a character that may go on after it;
/// none if the text is bad before.
pub fn cut_tail(text: &[u8]) -> usize {
    match from_utf8(text) {
        Err(error) if error.error_len().is_none() => text.len() - error.valid_up_to(),
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], piece: usize) -> Result<(), String> {
        let mut validator = Validator::default();
        bytes
            .chunks(piece.max(1))
            .try_for_each(|piece| validator.push(piece))
            .and_then(|()| validator.finish())
            .map_err(|cause| cause.to_string())
    }

    #[test]
    fn any_segmentation_gives_the_verdict_of_the_whole() {
        let samples: [&[u8]; 14] = [
            b"",
            b"plain",
            "κόσμε grüße 日本語 🎉🎉".as_bytes(),
            b"\xff",
            b"abc\x80",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf0\x9f\x8e",
            b"\xe2\x82",
            b"ab\xe2\x28\xa1",
            b"\xf0\x28\x8c\xbc",
            b"\xf8\x88\x80\x80\x80",
            b"\xe0\x80\x80",
        ];
        for sample in samples {
            let whole = validate(sample).map_err(|cause| cause.to_string());
            assert_eq!(whole.is_ok(), from_utf8(sample).is_ok(), "{sample:x?}");
            for piece in 1..=sample.len().max(1) {
                assert_eq!(check(sample, piece), whole, "{sample:x?} by {piece}");
            }
        }
    }

    #[test]
    fn bad_byte_is_reported_with_its_piece() {
        let mut validator = Validator::default();
        assert!(validator.push(b"fine \xf0\x9f").is_ok());
        let error = validator.push(b"\xff").unwrap_err();
        assert_eq!(error.to_string(), "invalid continuation byte at position 5");
    }

    #[test]
    fn cut_tail_is_the_beginning_of_the_last_character() {
        let text = "a🎉".as_bytes();
        assert_eq!(
            [1, 2, 3, 4, 5].map(|end| cut_tail(&text[..end])),
            [0, 1, 2, 3, 0]
        );
        assert_eq!(cut_tail(b""), 0);
        assert_eq!(cut_tail(b"a\xff"), 0);
    }
}
