//! Text in pieces: whatever the pieces, [`Validator`] finds what the standard library finds in the
//! whole, and at the same place; a bad byte is reported with the piece that it is in.
//!
//! The oracle is [`std::str::from_utf8`].

use std::str::from_utf8;

use websocket_rs::protocol::utf8::{Validator, cut_tail, validate};

use crate::input::{Input, pieces};

/// Validates the rest of `data` in pieces of the sizes at its beginning.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let sizes = input.sizes();
    let text = input.0;
    let whole = validate(text).map_err(|cause| cause.to_string());
    match from_utf8(text) {
        Ok(_) => assert_eq!(whole, Ok(())),
        Err(error) => {
            let reported = whole.as_ref().expect_err("the text is bad");
            let position = format!(" at position {}", error.valid_up_to());
            assert!(reported.ends_with(&position), "{reported}, not{position}");
            let is_cut = reported.starts_with("unexpected end of data");
            assert_eq!(is_cut, error.error_len().is_none(), "{reported}");
        }
    }
    for sizes in [&sizes[..], &[1]] {
        assert_eq!(in_pieces(text, sizes), whole);
    }
    if whole.is_ok() {
        for end in 0..=text.len().min(MAX_CUTS) {
            let tail = cut_tail(&text[..end]);
            assert!(from_utf8(&text[..end - tail]).is_ok());
            assert!(tail < 4 && (tail == 0) == from_utf8(&text[..end]).is_ok());
        }
    }
}

fn in_pieces(text: &[u8], sizes: &[usize]) -> Result<(), String> {
    let mut validator = Validator::default();
    let mut end = 0;
    for piece in pieces(text, sizes) {
        end += piece.len();
        let result = validator.push(piece);
        let is_bad = from_utf8(&text[..end]).is_err_and(|error| error.error_len().is_some());
        assert_eq!(result.is_err(), is_bad, "after {end} bytes");
        result.map_err(|cause| cause.to_string())?;
    }
    validator.finish().map_err(|cause| cause.to_string())
}

/// Each costs a look at all that is before it.
const MAX_CUTS: usize = 256;
