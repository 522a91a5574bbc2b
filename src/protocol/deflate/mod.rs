//! Compression of messages: permessage-deflate (RFC 7692) as bytes in, bytes out.
//!
//! Knows what was agreed upon, not how (that is `extension`), and no frames but their payloads.
//! Invariants: inflating never yields more than it is allowed to, however little comes in; a
//! message is sent compressed only if that makes it smaller, but for one that begins a context;
//! both states are made when they are first needed, since many connections never need them.

#[cfg(test)]
mod tests;

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
    /// It is not valid DEFLATE data. The library's text is not kept: it differs with the pieces in
    /// which the input comes.
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
                // One byte more than the limit is enough to notice that it is exceeded.
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
                // There was space left, so all of the input has been inflated.
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
/// Shorter payloads are left alone: they seldom become smaller, and if they don't, the context is
/// lost.
const MIN_PAYLOAD: usize = 48;
/// How many bytes of a payload are looked at.
const SAMPLE: usize = 512;
/// Fewer different bytes than that are worth compressing.
const NOISE: u32 = 100;
/// By how many bytes a message may grow that begins a context.
const MAX_GROWTH: usize = 8;
