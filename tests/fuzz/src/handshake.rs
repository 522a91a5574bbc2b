//! A server's answer to the opening handshake: reading it never panics, in any segmentation; once
//! there is a result, more bytes don't change it; a body ends where it ends; memory grows with
//! what has come; and nothing is accepted that was not asked for.
//!
//! The oracle is the same answer in one piece, a counting allocator, and the rules of RFC 6455.

use tungstenite::handshake::derive_accept_key;
use websocket_rs::protocol::{
    handshake::request::{Request, RequestOptions},
    http::{MAX_BODY, Response},
    uri::Uri,
};

use crate::{
    extension,
    input::{Input, ends},
    memory::Meter,
};

/// Answers a request with what `data` describes. A `\x1f` in it stands for the value that
/// `Sec-WebSocket-Accept` must have.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let compression = (flags & 1 != 0)
        .then(|| extension::offer(&mut input))
        .flatten();
    let subprotocols = ["chat", "b"].into_iter().take((flags >> 1 & 3).into());
    let options = RequestOptions {
        subprotocols: subprotocols.map(ToOwned::to_owned).collect(),
        compression,
        ..RequestOptions::default()
    };
    let uri = Uri::parse("ws://example.com/").expect("the URI is valid");
    let request = Request::new(&uri, &options);
    let sizes = input.sizes();
    let answer = if flags & 8 == 0 {
        input.0.to_vec()
    } else {
        input.expanded(MOST)
    };
    let answer = fill_in(&answer, &request);
    let Some((response, len)) = read(&answer, &sizes) else {
        return;
    };
    if response.status != 101 {
        body(&response, &answer[len..], &sizes);
    }
    accept(&request, &options, &response);
}

fn fill_in(answer: &[u8], request: &Request) -> Vec<u8> {
    let mut headers = request.headers.iter();
    let key = headers.find(|(name, _)| name == "Sec-WebSocket-Key");
    let accept = derive_accept_key(key.expect("there is a key").1.as_bytes());
    let parts: Vec<&[u8]> = answer.split(|byte| *byte == 0x1f).collect();
    parts.join(accept.as_bytes())
}

fn parse(bytes: &[u8]) -> Result<Option<(Response, usize)>, String> {
    let meter = Meter::start();
    let result = Response::parse(bytes).map_err(|error| error.to_string());
    // A list of at most 128 headers, and their strings, in which a character may take two bytes
    // and which grow by doubling.
    assert!(meter.peak() <= 4 * bytes.len() + (8 << 10));
    result
}

/// Reads the head, as it is first found, and checks that it stays that.
fn read(answer: &[u8], sizes: &[usize]) -> Option<(Response, usize)> {
    let mut first = Ok(None);
    for end in ends(answer.len(), sizes) {
        let result = parse(&answer[..end]);
        if first == Ok(None) {
            first = result;
        } else {
            assert_eq!(result, first, "at {end}");
        }
    }
    let (response, len) = first.ok()??;
    assert!(len <= answer.len() && response.headers.len() <= 128);
    assert_eq!(parse(&answer[..len]), Ok(Some((response.clone(), len))));
    assert_eq!(parse(&answer[..len - 1]), Ok(None));
    Some((response, len))
}

fn body(response: &Response, following: &[u8], sizes: &[usize]) {
    let mut first = None;
    let all = response.body(following, true).expect("there is no more");
    for end in ends(following.len(), sizes) {
        let meter = Meter::start();
        let part = response.body(&following[..end], true).expect("it ends");
        // Besides, the values of two headers are listed.
        let listed = 128 + 32 * response.headers.len();
        assert!(meter.peak() <= 2 * end + listed && part.len() <= MAX_BODY);
        assert!(all.starts_with(&part), "at {end}");
        let result = response.body(&following[..end], false);
        assert!(result.is_none() || result == Some(part));
        // Where a chunked body has no end, it is cut where it happens to be.
        assert!(first.is_none() || result == first || end > 2 * MAX_BODY);
        first = result;
    }
    assert!(following.len() <= 2 * MAX_BODY || first.is_some());
}

fn accept(request: &Request, options: &RequestOptions, response: &Response) {
    let Ok(agreed) = request.accept(response) else {
        return;
    };
    assert_eq!(response.status, 101);
    let (offered, chosen) = (&options.subprotocols, agreed.subprotocol);
    assert!(chosen.is_none_or(|chosen| offered.contains(&chosen)));
    if let Some(agreement) = agreed.compression {
        extension::check(options.compression.expect("there is an offer"), agreement);
    }
    let accept = response.header_values("Sec-WebSocket-Accept").concat();
    assert_eq!(accept.into_bytes(), fill_in(b"\x1f", request));
}

/// More than is read of a body on the wire.
const MOST: usize = 5 * MAX_BODY / 2;
