//! The server's answer to an offer of compression: [`Offer::accept`] never panics, and what it
//! accepts is within what was offered, is spelled as RFC 7692 does, and is the same whether its
//! items come in one header or in several.
//!
//! The oracle is a reading of the grammar that knows nothing of quotes and commas inside of them.

use websocket_rs::protocol::{
    deflate::Agreement,
    extension::{ClientWindow, Offer},
};

use crate::input::Input;

/// Judges the rest of `data`, a header in each line, by the offer at its beginning.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let Some(offer) = offer(&mut input) else {
        return;
    };
    // As values of headers are read: as ISO-8859-1, and without control characters.
    let text: String = input.0.iter().map(|&byte| char::from(byte)).collect();
    if text.contains(|c| matches!(c, '\0'..' ' | '\x7f') && !matches!(c, '\t' | '\n')) {
        return;
    }
    let values: Vec<&str> = text.split('\n').collect();
    let Ok(agreed) = offer.accept(&values) else {
        return;
    };
    let joined = values.join(", ");
    assert_eq!(offer.accept(&[&joined]), Ok(agreed));
    let items: Vec<&str> = joined
        .split(',')
        .map(trim)
        .filter(|item| !item.is_empty())
        .collect();
    assert_eq!(items.len(), 1, "{items:?}");
    let agreement = agreed.expect("an item is an extension");
    check(offer, agreement);
    spell(items[0], agreement);
}

/// Any offer; `None` if it is one that is refused.
pub(crate) fn offer(input: &mut Input<'_>) -> Option<Offer> {
    let (flags, server, client, level) = (input.byte(), input.byte(), input.byte(), input.byte());
    let offer = Offer {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        client_max_window_bits: if client == 0 {
            ClientWindow::Any
        } else {
            ClientWindow::Fixed
        },
        ..Offer::default()
    };
    let server_bits = (flags & 4 != 0).then_some(i128::from(server % 18));
    let client_bits = (client > 1).then_some(i128::from(client % 18));
    offer
        .with_numbers(server_bits, client_bits, Some(i128::from(level % 12)))
        .ok()
}

/// Checks that an agreement is within the offer (sections 7.1.1 and 7.1.2).
pub(crate) fn check(offer: Offer, agreement: Agreement) {
    let most = offer.server_max_window_bits.unwrap_or(15);
    assert!((8..=most).contains(&agreement.server_max_window_bits));
    let (least, most) = match offer.client_max_window_bits {
        ClientWindow::AtMost(bits) => (8, bits),
        ClientWindow::Any => (8, 15),
        ClientWindow::Fixed => (15, 15),
    };
    assert!((least..=most).contains(&agreement.client_max_window_bits));
    assert!(agreement.server_no_context_takeover || !offer.server_no_context_takeover);
    assert!(agreement.client_no_context_takeover || !offer.client_no_context_takeover);
    assert_eq!(agreement.level, offer.level);
}

/// Checks that each parameter is one of the RFC's, once, and means what was understood.
fn spell(item: &str, agreement: Agreement) {
    let mut parts = item.split(';').map(trim);
    assert_eq!(parts.next(), Some("permessage-deflate"));
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (trim(name), Some(trim(value).replace(['"', '\\'], ""))),
            None => (part, None),
        };
        assert!(!seen.contains(&name), "{name} comes twice");
        seen.push(name);
        let bits = |bits: u8| value == Some(bits.to_string());
        assert!(
            match name {
                "server_no_context_takeover" =>
                    agreement.server_no_context_takeover && value.is_none(),
                "client_no_context_takeover" =>
                    agreement.client_no_context_takeover && value.is_none(),
                "server_max_window_bits" => bits(agreement.server_max_window_bits),
                "client_max_window_bits" => bits(agreement.client_max_window_bits),
                _ => false,
            },
            "{part} isn't understood"
        );
    }
}

/// Without the white space that HTTP allows (RFC 9110, section 5.6.3), and no other.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
