//! Frames accepted and not yet written.
//!
//! Frames are encoded and masked into one buffer, in the order in which they were accepted; the
//! holder of the writing half takes the whole buffer and leaves an empty one. So a thread that
//! sends never waits for one that writes, and what piles up meanwhile goes out in one write.
//! Invariant: nothing is accepted after a Close frame (RFC 6455, section 5.5.1).

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use rand::{Rng, SeedableRng, rngs::StdRng, rngs::SysRng};

use crate::protocol::{
    close::CloseFrame,
    frame::{self, Control, Data, OpCode},
    message::Kind,
};

/// The frames that one connection has still to write.
#[derive(Debug)]
pub struct Outbox {
    /// Held for encoding a frame, or for taking them all.
    queue: Mutex<Queue>,
    /// Bytes accepted since the beginning.
    accepted: AtomicU64,
    /// Bytes written since the beginning.
    written: AtomicU64,
    abandoned: AtomicBool,
}

#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    /// A Pong that waits for room; a newer one replaces it (section 5.5.3).
    pong: Option<Vec<u8>>,
    finished: bool,
    masks: StdRng,
}

/// The outbox accepts nothing any more: the connection is closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished;

impl Outbox {
    /// An empty outbox. Fails if the system has no randomness for the masking keys.
    pub fn new() -> std::io::Result<Self> {
        // From the system for each connection, so that a forked process shares nothing.
        let masks = StdRng::try_from_rng(&mut SysRng).map_err(std::io::Error::other)?;
        Ok(Self {
            queue: Mutex::new(Queue {
                bytes: Vec::new(),
                pong: None,
                finished: false,
                masks,
            }),
            accepted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Accepts a message. Returns the position of its end, to compare with [`Self::written`].
    pub fn push(&self, kind: Kind, payload: &[u8]) -> Result<u64, Finished> {
        self.lock().push(&self.accepted, opcode(kind), payload)
    }

    /// Accepts the answer to a Ping. Under a flood of them by a peer that does not read, only
    /// the latest is kept.
    pub fn push_pong(&self, payload: &[u8]) {
        let mut queue = self.lock();
        if queue.bytes.len() > PONGS {
            queue.pong = Some(payload.to_vec());
        } else {
            // A connection that is closing answers no more pings.
            let _ = queue.push(&self.accepted, OpCode::Control(Control::Pong), payload);
        }
    }

    /// Accepts the Close frame, the last of all.
    pub fn push_close(&self, frame: &CloseFrame) {
        let mut queue = self.lock();
        queue.pong = None;
        let close = OpCode::Control(Control::Close);
        // A second Close frame is not sent.
        let _ = queue.push(&self.accepted, close, &frame.payload());
        queue.finished = true;
    }

    /// Accepts nothing any more.
    pub fn finish(&self) {
        self.lock().finished = true;
    }

    /// Accepts nothing any more, and drops what waits: the stream takes no more.
    pub fn abandon(&self) {
        let mut queue = self.lock();
        queue.finished = true;
        queue.bytes = Vec::new();
        queue.pong = None;
        drop(queue);
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Whether what was accepted will never be written.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// The header for a message that the caller writes itself, piece by piece, while it has the
    /// writing half; and the key to mask it with.
    pub fn header(
        &self,
        kind: Kind,
        payload_len: usize,
        output: &mut Vec<u8>,
    ) -> Result<[u8; 4], Finished> {
        let mut queue = self.lock();
        if queue.finished {
            return Err(Finished);
        }
        let mask = queue.mask();
        frame::encode_header(opcode(kind), true, payload_len, mask, output);
        Ok(mask)
    }

    /// Takes all that is to be written into `bytes`, which is empty and becomes the next buffer.
    pub fn take(&self, bytes: &mut Vec<u8>) {
        let mut queue = self.lock();
        if let Some(pong) = queue.pong.take() {
            let _ = queue.push(&self.accepted, OpCode::Control(Control::Pong), &pong);
        }
        std::mem::swap(&mut queue.bytes, bytes);
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.bytes.is_empty() && queue.pong.is_none()
    }

    /// Notes that so many of the bytes taken are written.
    pub fn note_written(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// The position up to which all is written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// How many bytes wait to be written, taken or not.
    pub fn pending(&self) -> usize {
        if self.is_abandoned() {
            return 0;
        }
        let written = self.written();
        let pending = self.accepted.load(Ordering::SeqCst).saturating_sub(written);
        usize::try_from(pending).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(
        &mut self,
        accepted: &AtomicU64,
        opcode: OpCode,
        payload: &[u8],
    ) -> Result<u64, Finished> {
        if self.finished {
            return Err(Finished);
        }
        let before = self.bytes.len();
        let mask = self.mask();
        frame::encode(opcode, payload, mask, &mut self.bytes);
        let added = (self.bytes.len() - before) as u64;
        Ok(accepted.fetch_add(added, Ordering::SeqCst) + added)
    }

    /// A fresh, unpredictable masking key for each frame (section 5.3).
    fn mask(&mut self) -> [u8; 4] {
        self.masks.next_u32().to_ne_bytes()
    }
}

fn opcode(kind: Kind) -> OpCode {
    OpCode::Data(match kind {
        Kind::Text => Data::Text,
        Kind::Binary => Data::Binary,
    })
}

/// Above so many bytes that wait, pongs replace each other.
const PONGS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_in_order_and_counted() {
        let outbox = Outbox::new().unwrap();
        let first = outbox.push(Kind::Text, b"one").unwrap();
        let second = outbox.push(Kind::Binary, b"two").unwrap();
        let mut bytes = Vec::new();
        outbox.take(&mut bytes);
        assert_eq!(bytes.len() as u64, second);
        assert_eq!(
            (bytes[0], bytes[usize::try_from(first).unwrap()]),
            (0x81, 0x82)
        );
        assert_eq!(outbox.pending(), bytes.len());
        outbox.note_written(bytes.len());
        assert_eq!((outbox.pending(), outbox.written()), (0, second));
    }

    #[test]
    fn nothing_is_accepted_after_the_close_frame() {
        let outbox = Outbox::new().unwrap();
        let frame = CloseFrame::new(1000, "").unwrap();
        outbox.push_close(&frame);
        outbox.push_close(&frame);
        outbox.push_pong(b"late");
        assert_eq!(outbox.push(Kind::Text, b"late"), Err(Finished));
        let mut bytes = Vec::new();
        outbox.take(&mut bytes);
        assert_eq!((bytes[0], bytes.len()), (0x88, 8));
    }

    #[test]
    fn flood_of_pings_keeps_the_latest_pong_only() {
        let outbox = Outbox::new().unwrap();
        for i in 0..100_000_u32 {
            outbox.push_pong(&i.to_be_bytes());
        }
        assert!(outbox.lock().bytes.len() < 2 * PONGS);
        assert_eq!(
            outbox.lock().pong.as_deref(),
            Some(&99_999_u32.to_be_bytes()[..])
        );
    }

    #[test]
    fn masking_keys_are_fresh_for_each_frame() {
        let outbox = Outbox::new().unwrap();
        let mut keys = std::collections::HashSet::new();
        for _ in 0..100 {
            let mut bytes = Vec::new();
            outbox.push(Kind::Binary, b"").unwrap();
            outbox.take(&mut bytes);
            keys.insert(bytes[2..6].to_vec());
        }
        assert!(keys.len() > 95);
    }
}
