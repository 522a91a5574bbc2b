//! What a server sends, good or bad, out of few bytes: so that the fuzzer reaches the large frames,
//! the many fragments and the compressed messages that it would not find byte by byte.

use websocket_rs::protocol::deflate::{Agreement, Deflater};

use crate::input::Input;

/// The bytes of a server that keeps to `agreement` where it compresses.
pub(crate) fn wire(input: &mut Input<'_>, agreement: &Agreement) -> Vec<u8> {
    if input.byte().is_multiple_of(2) {
        return input.0.to_vec();
    }
    let mut bytes = Vec::new();
    let mut deflater = Deflater::new(agreement);
    let mut last = 0;
    while !input.is_empty() && bytes.len() < MOST {
        let start = bytes.len();
        match input.byte() % 8 {
            // As they are.
            0 => bytes.extend_from_slice(input.short()),
            // One byte many times, as the rest of an announced frame.
            1 => bytes.extend(run(input)),
            // Frames, compressed or not, short or long.
            2 => frame(&mut bytes, input.byte(), input.short()),
            3 => frame(&mut bytes, input.byte(), &run(input)),
            4 => compressed(&mut bytes, &mut deflater, input.byte(), input.short()),
            5 => compressed(&mut bytes, &mut deflater, input.byte(), &run(input)),
            // A frame of which nothing but the length comes here.
            6 => header(&mut bytes, input.byte(), input.size() as u64),
            // What came last, many times.
            _ => {
                let count = input.size().min((MOST - start) / (start - last).max(1));
                bytes.extend(bytes[last..start].repeat(count));
                continue;
            }
        }
        last = start;
    }
    bytes.truncate(MOST);
    bytes
}

fn run(input: &mut Input<'_>) -> Vec<u8> {
    vec![input.byte(); input.size().min(MOST)]
}

fn compressed(bytes: &mut Vec<u8>, deflater: &mut Deflater, first: u8, payload: &[u8]) {
    let mut deflated = Vec::new();
    deflater
        .deflate_fragment(payload, first & 0x80 != 0, &mut deflated)
        .unwrap();
    frame(bytes, first, &deflated);
}

fn frame(bytes: &mut Vec<u8>, first: u8, payload: &[u8]) {
    header(bytes, first, payload.len() as u64);
    bytes.extend_from_slice(payload);
}

/// The header of a frame, with its length in the shortest form.
fn header(bytes: &mut Vec<u8>, first: u8, len: u64) {
    bytes.push(first);
    if let Ok(len @ 0..126) = u8::try_from(len) {
        bytes.push(len);
    } else if let Ok(len) = u16::try_from(len) {
        bytes.push(126);
        bytes.extend(len.to_be_bytes());
    } else {
        bytes.push(127);
        bytes.extend(len.to_be_bytes());
    }
}

/// More than the first step of a buffer that a large frame is read into.
const MOST: usize = 5 << 18;
