//! Payloads that no compressor has made, in pieces: [`Inflater`] yields no more than it may, holds
//! no more than that and its window, does work in proportion to what comes in and goes out, and
//! says the same of any segmentation.
//!
//! The oracles are a counting allocator, libFuzzer's clock, and the payload in one piece.

use websocket_rs::protocol::deflate::{Agreement, InflateError, Inflater};

use crate::{
    input::{Input, pieces},
    memory::{INFLATE_STATE, Meter, TEXT},
};

/// Inflates what `data` describes as one message, and again as a second one.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let agreement = input.agreement();
    let limit = input.limit().min(MAX_LIMIT);
    let spare = input.size().min(MAX_SPARE);
    let sizes = input.sizes();
    let payload = input.expanded(MAX_PAYLOAD);
    let (mut whole, mut parts) = (Inflater::new(&agreement), Inflater::new(&agreement));
    for _ in 0..2 {
        let (expected, expected_output) = inflate(&mut whole, &payload, &[usize::MAX], limit, 0);
        let (result, output) = inflate(&mut parts, &payload, &sizes, limit, spare);
        assert_eq!(result, expected);
        if result == Err(InflateError::TooBig) {
            break;
        }
        assert!(output == expected_output, "the pieces inflate to others");
        if result.is_err() {
            break;
        }
    }
    check_memory(&agreement, &payload, &sizes, limit, spare);
}

/// Inflates a message whose output has so much room to begin with.
fn inflate(
    inflater: &mut Inflater,
    payload: &[u8],
    sizes: &[usize],
    limit: usize,
    spare: usize,
) -> (Result<(), InflateError>, Vec<u8>) {
    let mut output = Vec::with_capacity(spare);
    let result = pieces(payload, sizes)
        .try_for_each(|piece| {
            let left = limit - output.len();
            inflater.inflate(piece, &mut output, left)
        })
        .and_then(|()| {
            let left = limit - output.len();
            inflater.finish(&mut output, left)
        });
    match result {
        Ok(()) => assert!(output.len() <= limit),
        Err(InflateError::TooBig) => assert!(output.len() > limit),
        Err(_) => {}
    }
    assert!(output.len() <= output.capacity().min(limit + 1).max(spare));
    (result, output)
}

/// What is held is the output, whose buffer grows by doubling or by four times the input, and
/// ends a byte above the limit; and one state, however many streams follow another.
fn check_memory(
    agreement: &Agreement,
    payload: &[u8],
    sizes: &[usize],
    limit: usize,
    spare: usize,
) {
    let meter = Meter::start();
    let mut inflater = Inflater::new(agreement);
    let (_, output) = inflate(&mut inflater, payload, sizes, limit, spare);
    let grown = output.len() + output.len().max(4 * payload.len()) + 512;
    let allowed = grown.min(limit + 1).max(spare) + INFLATE_STATE + TEXT;
    let (peak, total) = (meter.peak(), meter.total());
    assert!(peak <= allowed, "{peak} > {allowed}");
    assert!(output.len() <= 1032 * (payload.len() + 4));
    // Blocks that end their stream are as cheap as others.
    let allowed = allowed + 64 * payload.len();
    assert!(total <= allowed, "{total} > {allowed} in all");
}

const MAX_PAYLOAD: usize = 64 << 10;
const MAX_LIMIT: usize = 2 << 20;
const MAX_SPARE: usize = 64 << 10;
