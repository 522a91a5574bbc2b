//! Agreeing on permessage-deflate: the offer, and what the server makes of it (RFC 6455,
//! section 9.1; RFC 7692, sections 5 and 7.1).
//!
//! Knows the header, not the compression itself. Invariant: nothing is agreed upon that was not
//! offered, and every parameter of the answer is understood.

mod header;

use std::fmt;

use self::header::Extension;
pub use self::header::Malformed;
use super::{InvalidArgument, deflate::Agreement};

/// What the client offers: its side of permessage-deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Asks the server to compress each message by itself.
    pub server_no_context_takeover: bool,
    /// Compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// Asks the server for a window of at most that size, as its base-2 logarithm.
    pub server_max_window_bits: Option<u8>,
    /// What the server may ask of the client's own window.
    pub client_max_window_bits: ClientWindow,
    /// How hard the client tries to compress: 0, not at all, to 9.
    pub level: u8,
}

/// What the client offers about the size of its own window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientWindow {
    /// The server can't choose.
    Fixed,
    /// The server may choose any.
    Any,
    /// It is at most that large, as its base-2 logarithm.
    AtMost(u8),
}

/// Why the answer to an offer is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks the grammar of the header.
    Malformed(Malformed),
    /// It is not what was offered; the text says why.
    Unacceptable(String),
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Unacceptable(text)
    }
}

impl Default for Offer {
    /// What `websockets` offers.
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: ClientWindow::Any,
            level: DEFAULT_LEVEL,
        }
    }
}

impl Offer {
    /// The offer with these numbers, or the one that may not be.
    pub fn with_numbers(
        self,
        server_max_window_bits: Option<i128>,
        client_max_window_bits: Option<i128>,
        level: Option<i128>,
    ) -> Result<Self, InvalidArgument> {
        let bits =
            |name, bits: Option<i128>| bits.map(|bits| checked(name, bits, 8, 15)).transpose();
        let client = bits(CLIENT_MAX_WINDOW_BITS, client_max_window_bits)?;
        Ok(Self {
            server_max_window_bits: bits(SERVER_MAX_WINDOW_BITS, server_max_window_bits)?,
            client_max_window_bits: client
                .map_or(self.client_max_window_bits, ClientWindow::AtMost),
            level: level.map_or(Ok(self.level), |level| checked("level", level, 0, 9))?,
            ..self
        })
    }

    /// Judges the answer: all the values of the response's header. `None` if the server wants no
    /// extension; otherwise what is agreed upon, or why nothing can be.
    pub fn accept(self, values: &[&str]) -> Result<Option<Agreement>, Refusal> {
        let mut extensions = Vec::new();
        for value in values {
            extensions.extend(header::parse(value)?);
        }
        let mut agreement = None;
        for Extension { name, parameters } in extensions {
            if name != NAME {
                return Err(unoffered(name).into());
            }
            if agreement.is_some() {
                return Err(format!("the server accepted {NAME} twice").into());
            }
            agreement = Some(self.accept_parameters(&parameters)?);
        }
        Ok(agreement)
    }

    fn accept_parameters(self, parameters: &[(&str, Option<String>)]) -> Result<Agreement, String> {
        let (mut server_alone, mut client_alone) = (false, false);
        let (mut server_bits, mut client_bits) = (None, None);
        for (name, value) in parameters {
            let (name, value) = (*name, value.as_deref());
            let is_repeated = match name {
                SERVER_NO_CONTEXT_TAKEOVER => std::mem::replace(&mut server_alone, true),
                CLIENT_NO_CONTEXT_TAKEOVER => std::mem::replace(&mut client_alone, true),
                SERVER_MAX_WINDOW_BITS => server_bits.replace(window(name, value)?).is_some(),
                CLIENT_MAX_WINDOW_BITS => client_bits.replace(window(name, value)?).is_some(),
                _ => return Err(format!("invalid parameter of {NAME}: {name}")),
            };
            if is_repeated {
                return Err(format!("duplicate parameter of {NAME}: {name}"));
            }
            if let (true, Some(value)) = (name.ends_with("takeover"), value) {
                return Err(format!("invalid value of {name}: {value}"));
            }
        }
        if self.server_no_context_takeover && !server_alone {
            return Err(format!(
                "the server did not agree to {SERVER_NO_CONTEXT_TAKEOVER}"
            ));
        }
        if let Some(most) = self.server_max_window_bits
            && server_bits.is_none_or(|bits| bits > most)
        {
            return Err(format!(
                "the server did not agree to {SERVER_MAX_WINDOW_BITS}={most}"
            ));
        }
        let client_max_window_bits = match (self.client_max_window_bits, client_bits) {
            (ClientWindow::Fixed, Some(_)) => {
                return Err(format!("{CLIENT_MAX_WINDOW_BITS} was not offered"));
            }
            (ClientWindow::AtMost(most), Some(bits)) if bits > most => {
                return Err(format!(
                    "{CLIENT_MAX_WINDOW_BITS}={bits} is more than the {most} offered"
                ));
            }
            (_, Some(bits)) => bits,
            (ClientWindow::AtMost(most), None) => most,
            (ClientWindow::Fixed | ClientWindow::Any, None) => MAX_WINDOW_BITS,
        };
        Ok(Agreement {
            server_no_context_takeover: server_alone,
            client_no_context_takeover: client_alone || self.client_no_context_takeover,
            server_max_window_bits: server_bits.unwrap_or(MAX_WINDOW_BITS),
            client_max_window_bits,
            level: self.level,
        })
    }
}

/// The value of the request's header.
impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        match self.client_max_window_bits {
            ClientWindow::Fixed => Ok(()),
            ClientWindow::Any => write!(f, "; {CLIENT_MAX_WINDOW_BITS}"),
            ClientWindow::AtMost(bits) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}"),
        }
    }
}

/// The refusal of an extension that was not offered.
pub fn unoffered(item: &str) -> String {
    format!("the server chose an extension that wasn't offered: {item}")
}

/// The size of a window: 8 to 15, in exactly one spelling.
fn window(name: &str, value: Option<&str>) -> Result<u8, String> {
    match value {
        Some("8") => Ok(8),
        Some("9") => Ok(9),
        Some("10") => Ok(10),
        Some("11") => Ok(11),
        Some("12") => Ok(12),
        Some("13") => Ok(13),
        Some("14") => Ok(14),
        Some("15") => Ok(15),
        Some(other) => Err(format!("invalid value of {name}: {other}")),
        None => Err(format!("missing value of {name}")),
    }
}

fn checked(name: &str, number: i128, least: u8, most: u8) -> Result<u8, InvalidArgument> {
    u8::try_from(number)
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let text = format!("{name} must be between {least} and {most}, not {number}");
            InvalidArgument(text)
        })
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
/// The window where none is agreed upon.
const MAX_WINDOW_BITS: u8 = 15;
/// See `docs/performance.md` for what the levels cost and gain.
const DEFAULT_LEVEL: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(offer: Offer, value: &str) -> Result<Option<Agreement>, Refusal> {
        offer.accept(&[value])
    }

    #[test]
    fn offer_is_spelled_as_the_rfc_does() {
        assert_eq!(
            Offer::default().to_string(),
            "permessage-deflate; client_max_window_bits"
        );
        let all = Offer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: ClientWindow::AtMost(12),
            level: 1,
        };
        assert_eq!(
            all.to_string(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=12"
        );
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let offer = Offer::default();
        for bits in [8, 15] {
            let good = offer.with_numbers(Some(bits), Some(bits), Some(9)).unwrap();
            assert_eq!(good.server_max_window_bits.map(i128::from), Some(bits));
        }
        for number in [-1, 7, 16, 1 << 40] {
            for numbers in [(Some(number), None), (None, Some(number))] {
                let error = offer.with_numbers(numbers.0, numbers.1, None).unwrap_err();
                let expected = format!("max_window_bits must be between 8 and 15, not {number}");
                assert!(error.0.ends_with(&expected), "{error}");
            }
        }
        assert!(offer.with_numbers(None, None, Some(10)).is_err());
        assert_eq!(offer.with_numbers(None, None, None).unwrap(), offer);
    }

    #[test]
    fn answer_is_understood_in_every_spelling() {
        let offer = Offer::default();
        assert_eq!(offer.accept(&[]).unwrap(), None);
        let plain = accept(offer, "permessage-deflate").unwrap().unwrap();
        assert_eq!(
            (plain.server_max_window_bits, plain.client_max_window_bits),
            (15, 15)
        );
        for value in [
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
            " permessage-deflate ;client_max_window_bits = \"10\"; server_no_context_takeover,",
            "permessage-deflate; client_max_window_bits=\"1\\0\"; server_no_context_takeover",
        ] {
            let agreement = accept(offer, value).unwrap().unwrap();
            assert!(agreement.server_no_context_takeover, "{value}");
            assert!(!agreement.client_no_context_takeover, "{value}");
            assert_eq!(agreement.client_max_window_bits, 10, "{value}");
        }
        for bits in 8..=15 {
            let value = format!("permessage-deflate; server_max_window_bits={bits}");
            let agreement = accept(offer, &value).unwrap().unwrap();
            assert_eq!(agreement.server_max_window_bits, bits);
        }
    }

    #[test]
    fn answer_that_breaks_a_rule_is_refused() {
        let offer = Offer::default();
        for parameters in [
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=0",
            "server_max_window_bits=99",
            "server_max_window_bits=abc",
            "server_max_window_bits=010",
            "server_max_window_bits=\"\"",
            "server_max_window_bits=",
            "server_max_window_bits",
            "client_max_window_bits",
            "client_max_window_bits=16",
            "server_no_context_takeover=1",
            "client_no_context_takeover=\"x\"",
            "server_no_context_takeover; server_no_context_takeover",
            "server_max_window_bits=9; server_max_window_bits=9",
            "unknown",
            "unknown=1",
            "",
            "server_max_window_bits=\"9",
        ] {
            let value = format!("permessage-deflate; {parameters}");
            assert!(accept(offer, &value).is_err(), "{value}");
        }
        for value in [
            "",
            ",",
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate, other",
            "PERMESSAGE-DEFLATE",
        ] {
            assert!(accept(offer, value).is_err(), "{value}");
        }
        assert!(
            offer
                .accept(&["permessage-deflate", "permessage-deflate"])
                .is_err()
        );
    }

    #[test]
    fn answer_has_to_agree_to_what_was_asked_for() {
        let offer = Offer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: ClientWindow::AtMost(11),
            ..Offer::default()
        };
        let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
        let agreement = accept(offer, good).unwrap().unwrap();
        assert!(agreement.client_no_context_takeover);
        assert_eq!(agreement.client_max_window_bits, 11);
        for bad in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits=12",
        ] {
            assert!(accept(offer, bad).is_err(), "{bad}");
        }
        let fixed = Offer {
            client_max_window_bits: ClientWindow::Fixed,
            ..Offer::default()
        };
        assert!(accept(fixed, "permessage-deflate; client_max_window_bits=10").is_err());
    }
}
