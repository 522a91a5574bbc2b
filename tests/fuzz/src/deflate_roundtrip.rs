//! Messages there and back: what [`Deflater`] makes of any message, or of any fragments, inflates
//! to the same, for every agreement, in any segmentation, and across messages.
//!
//! The oracle is the message itself. The outbox decides which messages are compressed, and this
//! does as it does.

use websocket_rs::protocol::deflate::{Agreement, Deflater, Inflater};

use crate::input::{Input, pieces};

/// Sends the messages that `data` describes.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let agreement = input.agreement();
    let sizes = input.sizes();
    let mut deflater = Deflater::new(&agreement);
    let mut inflater = Inflater::new(&agreement);
    let mut budget = MOST;
    while !input.is_empty() && budget > 0 {
        let fragments = input.byte() % 4;
        if fragments == 0 {
            let message = part(&mut input, &mut budget);
            whole(&agreement, &mut deflater, &mut inflater, &message, &sizes);
            continue;
        }
        let mut is_compressed = false;
        for number in 0..=fragments {
            let fragment = part(&mut input, &mut budget);
            if number == 0 {
                is_compressed = deflater.suits(&fragment);
            }
            if is_compressed {
                let fin = number == fragments;
                let mut payload = Vec::new();
                deflater
                    .deflate_fragment(&fragment, fin, &mut payload)
                    .unwrap();
                check(&mut inflater, &payload, &sizes, fin, &fragment);
            }
        }
    }
}

/// Some bytes: given, all the same, or noise.
fn part(input: &mut Input<'_>, budget: &mut usize) -> Vec<u8> {
    let kind = input.byte();
    let bytes = match kind % 4 {
        0 | 1 => input.short().to_vec(),
        2 => {
            let count = input.size().min(*budget);
            let given = input.short();
            given.iter().copied().cycle().take(count).collect()
        }
        _ => noise(kind, input.size().min(*budget)),
    };
    *budget = budget.saturating_sub(bytes.len());
    bytes
}

/// Bytes that no compressor makes smaller.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ u64::from(seed);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(len)
    .collect()
}

fn whole(
    agreement: &Agreement,
    deflater: &mut Deflater,
    inflater: &mut Inflater,
    message: &[u8],
    sizes: &[usize],
) {
    let mut payload = Vec::new();
    if !deflater.suits(message) {
        return;
    }
    assert!(agreement.client_max_window_bits > 8, "no such window");
    if deflater.deflate(message, &mut payload).unwrap() {
        // The one that begins a context may grow a little.
        assert!(payload.len() <= message.len() + 8);
        check(inflater, &payload, sizes, true, message);
    }
}

fn check(inflater: &mut Inflater, payload: &[u8], sizes: &[usize], fin: bool, expected: &[u8]) {
    let mut output = Vec::new();
    for piece in pieces(payload, sizes) {
        let left = expected.len() - output.len();
        inflater.inflate(piece, &mut output, left).unwrap();
    }
    if fin {
        let left = expected.len() - output.len();
        inflater.finish(&mut output, left).unwrap();
    }
    assert!(output == expected, "{} bytes differ", expected.len());
}

/// Enough for the largest window to come round.
const MOST: usize = 160 << 10;
