//! Choices out of the fuzzer's bytes. Where they end, every choice is 0.

use websocket_rs::protocol::deflate::Agreement;

/// What is left of the fuzzer's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A size from 0 to 8 MiB. Every second one is small, and exact; large ones take time.
    pub(crate) fn size(&mut self) -> usize {
        let (mantissa, exponent) = (self.byte(), self.byte());
        usize::from(mantissa) << (exponent % 32).saturating_sub(16)
    }

    /// A limit: any size, or none.
    pub(crate) fn limit(&mut self) -> usize {
        match self.byte() {
            0 => usize::MAX,
            byte => (self.size() + usize::from(byte)) - 1,
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the first one says.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.take(len.into())
    }

    /// The sizes in which something arrives, none of which is 0. They come round again and again.
    pub(crate) fn sizes(&mut self) -> Vec<usize> {
        let count = self.byte() % 8;
        let mut sizes: Vec<usize> = (0..count).map(|_| self.size().max(1)).collect();
        if sizes.is_empty() {
            sizes.push(usize::MAX);
        }
        sizes
    }

    /// Any agreement that a handshake can lead to. Both sides are as the server's.
    pub(crate) fn agreement(&mut self) -> Agreement {
        let (byte, level) = (self.byte(), self.byte());
        let bits = 8 + byte % 8;
        Agreement {
            server_no_context_takeover: byte & 0x10 != 0,
            client_no_context_takeover: byte & 0x10 != 0,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            level: level % 10,
        }
    }

    /// All that is left, in which the first byte of each chunk says what it is: a number of bytes
    /// as they are, or how often what stands behind it comes.
    pub(crate) fn expanded(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.is_empty() && bytes.len() < most {
            match self.byte() {
                len @ 0..0x80 => bytes.extend_from_slice(self.take(len.into())),
                shift => {
                    let piece = self.short();
                    let count = (1 << (shift % 32).min(20)).min(most / piece.len().max(1));
                    bytes.extend(piece.repeat(count));
                }
            }
        }
        bytes.truncate(most);
        bytes
    }
}

/// Cuts `bytes` into pieces of these sizes.
pub(crate) fn pieces<'a>(bytes: &'a [u8], sizes: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    sizes.iter().cycle().map_while(move |size| {
        let (piece, following) = rest.split_at((*size).min(rest.len()));
        rest = following;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The ends of the prefixes that arrive in pieces of these sizes, and of many short ones.
pub(crate) fn ends(len: usize, sizes: &[usize]) -> Vec<usize> {
    let mut end = 0;
    let mut ends: Vec<usize> = (0..len.min(MAX_SINGLE)).collect();
    for size in sizes.iter().cycle().take(MAX_READS) {
        end = len.min(size.saturating_add(end));
        ends.push(end);
    }
    ends.push(len);
    ends.sort_unstable();
    ends
}

/// More would take too long where each prefix is read from its beginning.
const MAX_SINGLE: usize = 300;
const MAX_READS: usize = 8;
