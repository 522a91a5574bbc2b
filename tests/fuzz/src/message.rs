//! A connection's bytes in many reads: any two segmentations give the same frames and the same
//! verdict, whether or not inflating is suspended in between; frames and messages keep to the limits,
//! text is UTF-8, and after the first failure or the Close frame nothing more comes out.
//!
//! Memory grows with what has arrived, and with what is allowed: a counting allocator holds
//! [`Decoder`] to [`allowed`] after each read, while the sink keeps nothing. It doesn't count what is
//! mapped, which are large buffers.

use websocket_rs::protocol::{
    close::Cause,
    decoder::{Decoder, Sink},
    deflate::Inflater,
    message::{Limits, MAX_FRAGMENTS},
};

use crate::{
    found::{Found, describe},
    input::Input,
    memory::{INFLATE_STATE, Meter, TEXT},
    wire::wire,
};

/// Decodes what `data` describes: where inflating is suspended, limits, compression, the sizes of reads, and the wire.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let form = input.byte();
    let is_compressed = form.is_multiple_of(2);
    let room = match form / 2 {
        0 => usize::MAX,
        room => room.into(),
    };
    let agreement = input.agreement();
    let limits = Limits {
        message: input.limit(),
        frame: input.limit(),
        fragments: match input.byte() {
            0 => MAX_FRAGMENTS,
            fragments => fragments.into(),
        },
    };
    let sizes = input.sizes();
    let bytes = wire(&mut input, &agreement);
    let inflater = || is_compressed.then(|| Inflater::new(&agreement));
    let found = |room| Found::new(limits, room);
    let whole = decode(found(usize::MAX), limits, inflater(), &bytes, &[usize::MAX]);
    let others = match bytes.len() {
        0..=MAX_SINGLE => &[1][..],
        // Nothing with the handshake, and then as much as there is room for.
        _ => &[0, usize::MAX],
    };
    for sizes in [&sizes[..], others] {
        assert_eq!(
            decode(found(room), limits, inflater(), &bytes, sizes),
            whole
        );
    }
}

/// What was found, and the verdict.
type Outcome = (u64, usize, Result<(), String>);

/// Reads `bytes` in pieces of these sizes, the first of which came with the handshake.
fn decode(
    mut found: Found,
    limits: Limits,
    inflater: Option<Inflater>,
    bytes: &[u8],
    sizes: &[usize],
) -> Outcome {
    let is_compressed = inflater.is_some();
    let meter = Meter::start();
    let (first, mut rest) = bytes.split_at(sizes[0].min(bytes.len()));
    let mut decoder = Decoder::new(limits, inflater, first.to_vec());
    let mut sizes = sizes.iter().cycle().skip(1);
    let verdict = loop {
        let verdict = decode_all(&mut decoder, &mut found);
        let arrived = bytes.len() - rest.len();
        let allowed = allowed(limits, is_compressed, first.len(), arrived);
        let peak = meter.peak();
        assert!(peak <= allowed, "{peak} > {allowed} after {arrived} bytes");
        if verdict.is_err() || found.is_closed || rest.is_empty() {
            break verdict;
        }
        let piece = sizes.next().map_or(1, |size| (*size).max(1));
        rest = read(&mut decoder, rest, piece);
    };
    let count = found.count;
    if verdict.is_err() || found.is_closed {
        for more in [&[0x81, 1, b'a'], rest, &[0x88, 0]] {
            read(&mut decoder, more, more.len());
            assert!(decoder.decode(&mut found).is_ok());
        }
    }
    assert_eq!(found.count, count, "something came after the end");
    (found.digest(), count, verdict.map_err(describe))
}

/// Decodes all that has been read, and goes on where that is suspended.
fn decode_all(decoder: &mut Decoder, found: &mut Found) -> Result<(), Cause> {
    loop {
        let result = decoder.decode(found);
        if !decoder.is_behind() || result.is_err() {
            return result;
        }
        assert!(found.is_full(), "there is room, and something to decode");
        found.make_room();
    }
}

fn read<'a>(decoder: &mut Decoder, rest: &'a [u8], piece: usize) -> &'a [u8] {
    let space = decoder.space().expect("there is memory");
    assert!(!space.is_empty(), "there must be space");
    let count = rest.len().min(piece).min(space.len());
    space[..count].copy_from_slice(&rest[..count]);
    decoder.advance(count).expect("there is memory");
    &rest[count..]
}

/// The most that may be held when so much has arrived.
///
/// * The read buffer has what came with the handshake, or grows by doubling from 8 to 128 KiB, or
///   to 32 KiB if messages are compressed.
/// * The payload of the frame that is being received is as large as what has arrived of it, and
///   as much again, or 1 MiB, to read into; but no larger than it may become. One that is copied
///   together in pieces at most doubles. The buffer kept for the next was such a payload before.
/// * What is inflated is at most 1032 times as large (the best that the format can do), and its
///   buffer grows by as much again, or by four times the input, up to a byte more than the limit.
/// * One state with its window is all that inflating needs, however many streams follow another.
fn allowed(limits: Limits, is_compressed: bool, first: usize, arrived: usize) -> usize {
    let largest = limits.message.min(limits.frame);
    let most = if is_compressed { 32 } else { 128 } << 10;
    let buffer = first.max((2 * arrived).clamp(8 << 10, most));
    let received = arrived.min(largest);
    let plain = largest.min(received + (1 << 20)).max(2 * received);
    let (inflated, state) = if is_compressed {
        let inflated = largest.min(1032 * arrived).saturating_add(512);
        let grown = inflated + inflated.max(4 * arrived.min(buffer));
        (grown.min(largest.saturating_add(1)), INFLATE_STATE)
    } else {
        (0, 0)
    };
    buffer + plain.max(inflated) + state + TEXT
}

/// Up to here, reading byte by byte takes no time to speak of.
const MAX_SINGLE: usize = 4096;
