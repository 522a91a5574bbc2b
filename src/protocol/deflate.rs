//! Compression of messages: permessage-deflate (RFC 7692) as bytes in, bytes out.
//!
//! Knows what was agreed upon, not how (that is `extension`), and no frames but their payloads.
//! Invariants: inflating never yields more than it is allowed to, however little comes in; a
//! message is sent compressed only if that makes it smaller, but for one that begins a context;
//! both states are made when they are first needed, since many connections never need them.

use std::collections::TryReserveError;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What client and server have agreed upon, and how well the client compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window, 8 to 15.
    pub server_max_window_bits: u8,
    /// The base-2 logarithm of the client's window, 8 to 15.
    pub client_max_window_bits: u8,
    /// How hard the client tries: 0, not at all, to 9.
    pub level: u8,
}

/// Why a payload can't be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It would become larger than allowed.
    TooBig,
    /// It is not what a compressor makes. Why, the library says in other words where the input
    /// comes in other pieces.
    Corrupt,
    /// There is no memory for it.
    OutOfMemory,
}

/// Inflates what the server sends.
#[derive(Debug)]
pub struct Inflater {
    state: Option<Decompress>,
    keeps_context: bool,
}

/// Deflates what the client sends.
#[derive(Debug)]
pub struct Deflater {
    state: Option<Compress>,
    level: u8,
    /// `None` if there is no compressor for a window as small as the server wants.
    window_bits: Option<u8>,
    keeps_context: bool,
    /// Whether the window has something to refer to.
    has_context: bool,
}

/// Leaves messages alone after some that were compressed in vain, which costs the context.
#[derive(Debug, Default)]
pub struct Backoff {
    /// How many are left alone from now on.
    skips: u8,
    /// How many were left alone the last time.
    skipped: u8,
}

impl Backoff {
    /// Whether the next message is left alone. To be asked once for each.
    pub fn skips(&mut self) -> bool {
        let skips = self.skips > 0;
        self.skips = self.skips.saturating_sub(1);
        skips
    }

    /// Notes whether a message has become smaller, or was compressed in vain. Those that can't be
    /// compressed come seldom alone, so twice as many are left alone each time.
    pub fn note(&mut self, is_smaller: bool) {
        self.skipped = if is_smaller {
            0
        } else {
            self.skipped.saturating_mul(2).saturating_add(1)
        };
        self.skips = self.skipped;
    }
}

impl Inflater {
    /// An inflater that has seen nothing yet.
    pub fn new(agreement: &Agreement) -> Self {
        Self {
            state: None,
            keeps_context: !agreement.server_no_context_takeover,
        }
    }

    /// Appends to `output` what `input` inflates to.
    ///
    /// Fails as soon as that would be more than `limit` bytes.
    pub fn inflate(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        // The largest window reads the messages of any, and is the one that can be begun anew
        // without another allocation.
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        let start = output.len();
        loop {
            let inflated = output.len() - start;
            if output.len() == output.capacity() {
                // One byte more than allowed is room enough to see that there is too much.
                let step = (input.len() * 4).max(output.len()).max(MIN_STEP);
                let room = step.min((limit - inflated).saturating_add(1));
                output
                    .try_reserve_exact(room)
                    .map_err(|_| InflateError::OutOfMemory)?;
            }
            let before = state.total_in();
            let result = state.decompress_vec(input, output, FlushDecompress::None);
            let consumed = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
            input = &input[consumed.min(input.len())..];
            // That comes first, wherever the pieces of the input end.
            if output.len() - start > limit {
                return Err(InflateError::TooBig);
            }
            match result.map_err(|_| InflateError::Corrupt)? {
                // The compressor has ended its stream, as it may (section 7.2.3.5), and begins
                // another one.
                Status::StreamEnd => {
                    state.reset(false);
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                // What the state still holds back fits into what is free.
                Status::Ok | Status::BufError if output.len() < output.capacity() => {
                    return Ok(());
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Appends what is left of a message of which all has come (section 7.2.2).
    pub fn finish(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<(), InflateError> {
        self.inflate(&TAIL, output, limit)?;
        if !self.keeps_context {
            self.state = None;
        }
        Ok(())
    }
}

impl Deflater {
    /// A deflater that has seen nothing yet.
    pub fn new(agreement: &Agreement) -> Self {
        let window_bits = agreement.client_max_window_bits;
        Self {
            state: None,
            level: agreement.level,
            window_bits: (window_bits >= MIN_WINDOW_BITS).then_some(window_bits),
            keeps_context: !agreement.client_no_context_takeover,
            has_context: false,
        }
    }

    /// Whether a message is worth trying, of which this is all or the first fragment.
    pub fn suits(&self, payload: &[u8]) -> bool {
        self.can_deflate() && payload.len() >= MIN_PAYLOAD && !is_noise(payload)
    }

    /// Level 0 would only wrap what it is given.
    fn can_deflate(&self) -> bool {
        self.level > 0 && self.window_bits.is_some()
    }

    /// Puts the deflated message into `output`, which is empty. Returns whether that is what to
    /// send; if it is not, the message is to be sent as it is.
    ///
    /// That is so if it would not become smaller. But then the server would never have anything
    /// to refer to where each message is short by itself, so the one that begins a context may
    /// become a few bytes larger.
    pub fn deflate(
        &mut self,
        message: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<bool, TryReserveError> {
        let begins_context = self.keeps_context && !self.has_context;
        self.deflate_fragment(message, true, output)?;
        if output.len() < message.len() {
            return Ok(true);
        }
        if begins_context && output.len() <= message.len() + MAX_GROWTH {
            return Ok(true);
        }
        // The server will not have seen what this state has.
        self.reset();
        Ok(false)
    }

    /// Puts a deflated fragment into `output`, which is empty. If there is no memory for it, the
    /// context begins anew.
    pub fn deflate_fragment(
        &mut self,
        fragment: &[u8],
        fin: bool,
        output: &mut Vec<u8>,
    ) -> Result<(), TryReserveError> {
        let result = self.try_deflate_fragment(fragment, fin, output);
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn try_deflate_fragment(
        &mut self,
        fragment: &[u8],
        fin: bool,
        output: &mut Vec<u8>,
    ) -> Result<(), TryReserveError> {
        let level = Compression::new(self.level.into());
        let window_bits = self.window_bits.unwrap_or(MIN_WINDOW_BITS);
        let state = self
            .state
            .get_or_insert_with(|| Compress::new_with_window_bits(level, false, window_bits));
        let mut input = fragment;
        output.try_reserve(fragment.len() / 4 + MIN_STEP)?;
        loop {
            let before = state.total_in();
            if state
                .compress_vec(input, output, FlushCompress::Sync)
                .is_err()
            {
                unreachable!("the state is never finished, and so takes all input");
            }
            let consumed = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
            input = &input[consumed.min(input.len())..];
            if output.len() < output.capacity() {
                break;
            }
            output.try_reserve(input.len() / 2 + MIN_STEP)?;
        }
        self.has_context = true;
        if !fin {
            return Ok(());
        }
        if output.ends_with(&TAIL) {
            output.truncate(output.len() - TAIL.len());
        } else {
            // There was nothing to flush: an empty block (section 7.2.3.6).
            output.push(0);
        }
        if !self.keeps_context {
            self.reset();
        }
        Ok(())
    }

    /// Begins a new context, since the server does not see what was compressed last.
    pub fn reset(&mut self) {
        self.has_context = false;
        if let Some(state) = &mut self.state {
            state.reset();
        }
    }
}

/// Whether a payload looks like what is compressed already, or random: all bytes occur about as
/// often. Trying it would cost the context.
fn is_noise(payload: &[u8]) -> bool {
    let mut counts = [0_u16; 256];
    let step = payload.len().div_ceil(SAMPLE);
    let mut sampled = 0;
    for &byte in payload.iter().step_by(step) {
        counts[usize::from(byte)] += 1;
        sampled += 1;
    }
    // For random bytes, the sum of the squares is about n + n * n / 256; for base64, whose
    // characters are 64, it is n + n * n / 64.
    let squares: u32 = counts.iter().map(|&count| u32::from(count).pow(2)).sum();
    squares < sampled + sampled * sampled / NOISE
}

/// What ends the payload of a flushed message, and is left out on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The smallest window that the library can do.
const MIN_WINDOW_BITS: u8 = 9;
/// The smallest step by which output grows.
const MIN_STEP: usize = 512;
/// What is shorter is left alone: it seldom becomes smaller, and if it does not, the context is
/// lost.
const MIN_PAYLOAD: usize = 48;
/// So many bytes of a payload are looked at.
const SAMPLE: usize = 512;
/// Fewer different bytes than that are worth compressing.
const NOISE: u32 = 100;
/// By so much a message may grow that begins a context.
const MAX_GROWTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Agreement = Agreement {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        level: 6,
    };

    fn json(number: usize) -> Vec<u8> {
        format!(
            r#"{{"id":{number},"type":"trade","symbol":"BTC-USD","price":{}.5,"tags":["a","b"]}}"#,
            40_000 + number * 7 % 1000
        )
        .into_bytes()
    }

    /// Noise that no compressor makes smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(len)
        .collect()
    }

    fn inflate(
        inflater: &mut Inflater,
        payload: &[u8],
        piece: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let mut output = Vec::new();
        for piece in payload.chunks(piece) {
            inflater.inflate(piece, &mut output, 1 << 24)?;
        }
        inflater.finish(&mut output, 1 << 24)?;
        Ok(output)
    }

    fn agreements() -> impl Iterator<Item = Agreement> {
        [false, true].into_iter().flat_map(|alone| {
            (9..=15).map(move |bits| Agreement {
                server_no_context_takeover: alone,
                client_no_context_takeover: alone,
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                level: 1 + bits % 9,
            })
        })
    }

    #[test]
    fn what_is_deflated_inflates_to_itself_whatever_was_agreed() {
        for agreement in agreements() {
            let mut deflater = Deflater::new(&agreement);
            let mut inflater = Inflater::new(&agreement);
            for number in 0..40 {
                let message = match number % 4 {
                    0 | 1 => json(number),
                    2 => json(number).repeat(700),
                    _ => noise(100 * number),
                };
                let mut payload = Vec::new();
                if deflater.deflate(&message, &mut payload).unwrap() {
                    let back = inflate(&mut inflater, &payload, 1 + number * 37).unwrap();
                    assert!(back == message, "{agreement:?}, message {number}");
                }
            }
        }
    }

    #[test]
    fn context_is_taken_over_unless_agreed_otherwise() {
        let sizes = |agreement: &Agreement| {
            let mut deflater = Deflater::new(agreement);
            [0, 1].map(|_| {
                let mut payload = Vec::new();
                assert!(deflater.deflate(&json(1), &mut payload).unwrap());
                payload.len()
            })
        };
        let [first, second] = sizes(&PLAIN);
        assert!(
            first <= json(1).len() + MAX_GROWTH && second < 20,
            "{first}, {second}"
        );
        let mut deflater = Deflater::new(&Agreement {
            client_no_context_takeover: true,
            ..PLAIN
        });
        let message = json(1).repeat(2);
        let sizes = [0, 1].map(|_| {
            let mut payload = Vec::new();
            assert!(deflater.deflate(&message, &mut payload).unwrap());
            payload.len()
        });
        assert_eq!(sizes[0], sizes[1]);
        assert!(!deflater.deflate(&noise(100), &mut Vec::new()).unwrap());
    }

    #[test]
    fn message_that_would_not_become_smaller_is_left_alone_and_harms_nothing() {
        let mut deflater = Deflater::new(&PLAIN);
        let mut inflater = Inflater::new(&PLAIN);
        assert!(!deflater.suits(b"short"));
        let mut tried = 0;
        for number in 0..1000 {
            for message in [json(number), noise(300)] {
                if !deflater.suits(&message) {
                    continue;
                }
                tried += 1;
                let mut payload = Vec::new();
                if deflater.deflate(&message, &mut payload).unwrap() {
                    assert!(payload.len() <= message.len() + MAX_GROWTH);
                    let back = inflate(&mut inflater, &payload, 99).unwrap();
                    assert_eq!(back, message);
                }
            }
        }
        assert!(tried > 100, "{tried}");
        // A stream of what can't be compressed is soon left alone.
        let message = noise(300);
        let base64 = noise(300)
            .iter()
            .map(|byte| b'0' + byte % 64)
            .collect::<Vec<_>>();
        assert!(is_noise(&message) && is_noise(&noise(100_000)) && is_noise(&noise(48)));
        assert!(!is_noise(&base64) && !is_noise(&json(1)) && !is_noise(&[0; 48]));
        let in_vain = (0..1000).filter(|_| {
            deflater.suits(&message) && !deflater.deflate(&message, &mut Vec::new()).unwrap()
        });
        assert!(in_vain.count() < 20);
        for (client_max_window_bits, level) in [(8, 6), (15, 0)] {
            let unable = Deflater::new(&Agreement {
                client_max_window_bits,
                level,
                ..PLAIN
            });
            assert!(!unable.suits(&json(1)));
        }
    }

    #[test]
    fn what_was_compressed_in_vain_is_tried_ever_more_seldom() {
        let mut backoff = Backoff::default();
        let mut tried = 0;
        for _ in 0..1000 {
            if !backoff.skips() {
                tried += 1;
                backoff.note(false);
            }
        }
        assert!(tried < 15, "{tried}");
        backoff.note(true);
        assert!(!backoff.skips());
    }

    #[test]
    fn fragments_inflate_as_they_come_and_an_empty_one_may_end_the_message() {
        let mut deflater = Deflater::new(&PLAIN);
        let mut inflater = Inflater::new(&PLAIN);
        for _ in 0..3 {
            let mut whole = Vec::new();
            for number in 0..5 {
                let mut payload = Vec::new();
                deflater
                    .deflate_fragment(&json(number), false, &mut payload)
                    .unwrap();
                let mut output = Vec::new();
                inflater.inflate(&payload, &mut output, 1000).unwrap();
                assert_eq!(output, json(number));
                whole.extend(output);
            }
            let mut payload = Vec::new();
            deflater.deflate_fragment(b"", true, &mut payload).unwrap();
            assert_eq!(payload, [0]);
            let mut output = Vec::new();
            inflater.inflate(&payload, &mut output, 0).unwrap();
            inflater.finish(&mut output, 0).unwrap();
            assert!(output.is_empty());
        }
    }

    #[test]
    fn examples_of_the_rfc_inflate() {
        let examples: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            // A block without compression.
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            // A block with "BFINAL" set.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // Two blocks.
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ];
        for payload in examples {
            for piece in 1..=payload.len() {
                let mut inflater = Inflater::new(&PLAIN);
                for _ in 0..2 {
                    assert_eq!(inflate(&mut inflater, payload, piece).unwrap(), b"Hello");
                }
            }
        }
        let mut inflater = Inflater::new(&PLAIN);
        assert_eq!(inflate(&mut inflater, examples[0], 9).unwrap(), b"Hello");
        // The same message in the window of the first.
        let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&mut inflater, &again, 9).unwrap(), b"Hello");
    }

    #[test]
    fn limit_holds_while_inflating_and_memory_stays_near_it() {
        let mut deflater = Deflater::new(&PLAIN);
        let mut bomb = Vec::new();
        assert!(deflater.deflate(&vec![0; 10_000_000], &mut bomb).unwrap());
        assert!(bomb.len() < 20_000);
        for limit in [0, 1, 1000, 65_536, 9_999_999] {
            let mut inflater = Inflater::new(&PLAIN);
            let mut output = Vec::new();
            let result = inflater.inflate(&bomb, &mut output, limit);
            assert_eq!(result, Err(InflateError::TooBig), "{limit}");
            assert!(output.capacity() <= limit + MIN_STEP, "{limit}");
        }
        let mut inflater = Inflater::new(&PLAIN);
        let mut output = Vec::new();
        inflater.inflate(&bomb, &mut output, 10_000_000).unwrap();
        inflater.finish(&mut output, 0).unwrap();
        assert_eq!(output.len(), 10_000_000);
    }

    #[test]
    fn junk_is_a_violation() {
        for junk in [&[0xff; 10][..], &[0x06, 0x07, 0x08], &noise(1000)] {
            let mut inflater = Inflater::new(&PLAIN);
            assert!(matches!(
                inflate(&mut inflater, junk, 100),
                Err(InflateError::Corrupt)
            ));
        }
    }
}
