//! Frames accepted and not yet written.
//!
//! Frames are encoded and masked into one buffer, in the order in which they were accepted; the
//! holder of the writing half takes the whole buffer and leaves an empty one. So a thread that
//! sends never waits for one that writes, and what piles up meanwhile goes out in one write.
//! Invariants: after a Close frame nothing is accepted (RFC 6455, section 5.5.1) but Pongs, which
//! are due until the peer's Close frame comes (section 5.5.2); while a message is sent in
//! fragments, no other message is accepted (section 5.4); messages are compressed in the order in
//! which they are accepted.

#[cfg(test)]
mod tests;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::compressor::Compressor;
use crate::{
    buffer::{Buffer, OutOfMemory},
    protocol::{
        close::CloseFrame,
        deflate::Deflater,
        frame::{self, Control, OpCode, Outgoing},
        message::{Kind, Part},
    },
    random::random,
};

/// The frames that one connection has still to write.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Held for encoding a frame, or for taking them all.
    queue: Mutex<Queue>,
    /// Held from compressing a message until it is accepted. Taken before `queue`, so that a
    /// Pong need not wait for the compression of a message.
    compressor: Option<Mutex<Compressor>>,
    /// Bytes accepted since the beginning.
    accepted: AtomicU64,
    /// Bytes written since the beginning.
    written: AtomicU64,
    abandoned: AtomicBool,
}

#[derive(Debug)]
struct Queue {
    bytes: Buffer,
    /// A Pong that waits for room; a newer one replaces it (section 5.5.3).
    pong: Option<Vec<u8>>,
    /// A message is being sent in fragments.
    fragmented: bool,
    accepts: Accepts,
    masks: StdRng,
}

/// What is still accepted. It only ever becomes less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Accepts {
    All,
    /// A Close frame has been accepted, or none can be.
    Pongs,
    Nothing,
}

/// Why the outbox does not accept a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It accepts nothing any more: the connection is closing.
    Finished,
    /// Another message is being sent in fragments.
    Fragmented,
    /// There is no memory for it.
    OutOfMemory,
}

impl From<OutOfMemory> for Refusal {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl Outbox {
    /// An empty outbox. Fails if the system has no randomness for the masking keys.
    pub(super) fn new(deflater: Option<Deflater>) -> std::io::Result<Self> {
        let masks = StdRng::from_seed(random()?);
        Ok(Self {
            queue: Mutex::new(Queue {
                bytes: Buffer::default(),
                pong: None,
                fragmented: false,
                accepts: Accepts::All,
                masks,
            }),
            compressor: deflater.map(|deflater| Mutex::new(Compressor::new(deflater))),
            accepted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Whether messages are compressed, which takes time.
    pub(super) fn compresses(&self) -> bool {
        self.compressor.is_some()
    }

    /// Accepts a message or a part of one. Returns the position of its end, to compare with
    /// [`Self::written`].
    pub(super) fn push(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<u64, Refusal> {
        let mut frame = part.frame(kind);
        let Some(compressor) = &self.compressor else {
            return self.lock().push_data(&self.accepted, frame, part, payload);
        };
        let mut compressor = compressor.lock().unwrap_or_else(PoisonError::into_inner);
        // This comes first: a message that is compressed and then refused would put the context
        // out of step with the server's.
        self.lock().check(part)?;
        let is_compressed = match compressor.compress(kind, part, payload) {
            Ok(is_compressed) => is_compressed,
            Err(error) => {
                compressor.clear();
                return Err(OutOfMemory::from(error).into());
            }
        };
        frame.rsv1 = is_compressed && matches!(part, Part::Whole | Part::First);
        let payload = if is_compressed {
            compressor.output()
        } else {
            payload
        };
        let result = self.lock().push_data(&self.accepted, frame, part, payload);
        if is_compressed && result.is_err() {
            compressor.reset();
        }
        compressor.clear();
        result
    }

    /// Accepts a Ping, or a Pong that answers none.
    pub(super) fn push_control(&self, control: Control, payload: &[u8]) -> Result<u64, Refusal> {
        let frame = Outgoing::single(OpCode::Control(control));
        let mut queue = self.lock();
        queue.check(Part::Last)?;
        Ok(queue.push(&self.accepted, frame, payload)?)
    }

    /// Accepts the answer to a Ping. Under a flood of them by a peer that does not read, only
    /// the latest is kept.
    pub(super) fn push_pong(&self, payload: &[u8]) {
        let mut queue = self.lock();
        if queue.accepts == Accepts::Nothing {
            return;
        }
        if queue.bytes.len() > PONGS {
            queue.pong = Some(payload.to_vec());
        } else {
            // Without memory for it, the peer may ask again.
            let _ = queue.push(&self.accepted, PONG, payload);
        }
    }

    /// Accepts the Close frame that `decide` gives, if it gives one, and nothing after it but Pongs.
    ///
    /// `decide` is told whether a message is being sent in fragments. Nothing comes between what it
    /// decides and the frame.
    pub(super) fn close(
        &self,
        decide: impl FnOnce(bool) -> Option<CloseFrame>,
    ) -> Option<CloseFrame> {
        let mut queue = self.lock();
        let frame = decide(queue.fragmented);
        // A second Close frame is not sent.
        if let (Some(frame), Accepts::All) = (&frame, queue.accepts) {
            queue.push_waiting_pong(&self.accepted);
            let close = Outgoing::single(OpCode::Control(Control::Close));
            // Without memory for it, the connection ends without one.
            let _ = queue.push(&self.accepted, close, &frame.payload());
        }
        queue.accepts = queue.accepts.max(Accepts::Pongs);
        frame
    }

    /// Accepts nothing any more.
    pub(super) fn finish(&self) {
        self.lock().accepts = Accepts::Nothing;
    }

    /// Accepts nothing any more, and drops what waits: the stream takes no more.
    pub(super) fn abandon(&self) {
        let mut queue = self.lock();
        queue.accepts = Accepts::Nothing;
        queue.bytes = Buffer::default();
        queue.pong = None;
        drop(queue);
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Whether what was accepted will never be written.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// The header for a message that the caller writes itself, piece by piece, while it has the
    /// writing half; and the key to mask it with.
    pub(super) fn header(
        &self,
        kind: Kind,
        payload_len: usize,
        output: &mut Buffer,
    ) -> Result<[u8; 4], Refusal> {
        let mut queue = self.lock();
        queue.check(Part::Whole)?;
        let mask = queue.mask();
        frame::encode_header(Part::Whole.frame(kind), payload_len, mask, output)?;
        Ok(mask)
    }

    /// Takes all that is to be written into `bytes`, which is empty and becomes the next buffer.
    pub(super) fn take(&self, bytes: &mut Buffer) {
        let mut queue = self.lock();
        queue.push_waiting_pong(&self.accepted);
        std::mem::swap(&mut queue.bytes, bytes);
    }

    /// Gives the buffers back that are empty.
    pub(super) fn give_back(&self) {
        self.lock().bytes.give_back();
        if let Some(compressor) = &self.compressor {
            let compressor = compressor.lock();
            compressor
                .unwrap_or_else(PoisonError::into_inner)
                .give_back();
        }
    }

    /// Whether nothing waits to be taken.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.bytes.is_empty() && queue.pong.is_none()
    }

    /// Notes that `count` of the bytes taken are written.
    pub(super) fn note_written(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// The position up to which all is written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// How many bytes wait to be written, taken or not.
    pub(super) fn pending(&self) -> usize {
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
    /// Whether a part of a message can be accepted now.
    fn check(&self, part: Part) -> Result<(), Refusal> {
        if self.accepts != Accepts::All {
            Err(Refusal::Finished)
        } else if self.fragmented && matches!(part, Part::Whole | Part::First) {
            Err(Refusal::Fragmented)
        } else {
            Ok(())
        }
    }

    fn push_data(
        &mut self,
        accepted: &AtomicU64,
        frame: Outgoing,
        part: Part,
        payload: &[u8],
    ) -> Result<u64, Refusal> {
        self.check(part)?;
        let end = self.push(accepted, frame, payload)?;
        self.fragmented = matches!(part, Part::First | Part::Next);
        Ok(end)
    }

    fn push(
        &mut self,
        accepted: &AtomicU64,
        frame: Outgoing,
        payload: &[u8],
    ) -> Result<u64, OutOfMemory> {
        let before = self.bytes.len();
        let mask = self.mask();
        frame::encode(frame, payload, mask, &mut self.bytes)?;
        let added = (self.bytes.len() - before) as u64;
        Ok(accepted.fetch_add(added, Ordering::SeqCst) + added)
    }

    /// Appends the Pong that waits for room, if there is one.
    fn push_waiting_pong(&mut self, accepted: &AtomicU64) {
        if let Some(pong) = self.pong.take()
            && self.accepts != Accepts::Nothing
        {
            let _ = self.push(accepted, PONG, &pong);
        }
    }

    /// A fresh, unpredictable masking key for each frame (section 5.3).
    fn mask(&mut self) -> [u8; 4] {
        self.masks.next_u32().to_ne_bytes()
    }
}

const PONG: Outgoing = Outgoing {
    opcode: OpCode::Control(Control::Pong),
    fin: true,
    rsv1: false,
};
/// If more bytes than that wait, pongs replace each other.
const PONGS: usize = 4096;
