//! Frames accepted and not yet written.
//!
//! Frames are encoded and masked into one buffer, in the order in which they were accepted; the
//! holder of the writing half takes the whole buffer and leaves an empty one. So a thread that
//! sends never waits for one that writes, and what piles up meanwhile goes out in one write.
//! Invariants: after a Close frame nothing is accepted (RFC 6455, section 5.5.1) but Pongs, which
//! are due until the peer's Close frame comes (section 5.5.2); while a message is sent in
//! fragments, no other message is accepted (section 5.4); messages are compressed in the order in
//! which they are accepted.

use std::{
    collections::TryReserveError,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rand::{Rng, SeedableRng, rngs::StdRng, rngs::SysRng};

use crate::protocol::{
    close::CloseFrame,
    deflate::{Backoff, Deflater},
    frame::{self, Control, Data, OpCode, Outgoing},
    message::Kind,
};

/// The frames that one connection has still to write.
#[derive(Debug)]
pub struct Outbox {
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
    bytes: Vec<u8>,
    /// A Pong that waits for room; a newer one replaces it (section 5.5.3).
    pong: Option<Vec<u8>>,
    /// A message is being sent in fragments.
    fragmented: bool,
    accepts: Accepts,
    masks: StdRng,
}

/// What can still be accepted; of this there is ever less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Accepts {
    All,
    /// A Close frame has been accepted, or none can be.
    Pongs,
    Nothing,
}

#[derive(Debug)]
struct Compressor {
    deflater: Deflater,
    /// Text that compresses well must not be left alone for the sake of other messages.
    text: Backoff,
    binary: Backoff,
    /// Whether the message that is being sent in fragments is compressed.
    in_message: bool,
    output: Vec<u8>,
}

/// Which part of a message a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first of several.
    First,
    /// Neither the first nor the last.
    Next,
    /// The last of several.
    Last,
}

/// Why the outbox does not accept a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It accepts nothing any more: the connection is closing.
    Finished,
    /// Another message is being sent in fragments.
    Fragmented,
    /// There is no memory for it.
    OutOfMemory,
}

impl From<TryReserveError> for Refusal {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

impl Outbox {
    /// An empty outbox. Fails if the system has no randomness for the masking keys.
    pub fn new(deflater: Option<Deflater>) -> std::io::Result<Self> {
        // From the system for each connection, so that a forked process shares nothing.
        let masks = StdRng::try_from_rng(&mut SysRng).map_err(std::io::Error::other)?;
        Ok(Self {
            queue: Mutex::new(Queue {
                bytes: Vec::new(),
                pong: None,
                fragmented: false,
                accepts: Accepts::All,
                masks,
            }),
            compressor: deflater.map(|deflater| {
                Mutex::new(Compressor {
                    deflater,
                    text: Backoff::default(),
                    binary: Backoff::default(),
                    in_message: false,
                    output: Vec::new(),
                })
            }),
            accepted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Whether messages are compressed, which takes time.
    pub fn compresses(&self) -> bool {
        self.compressor.is_some()
    }

    /// Accepts a message or a part of one. Returns the position of its end, to compare with
    /// [`Self::written`].
    pub fn push(&self, kind: Kind, part: Part, payload: &[u8]) -> Result<u64, Refusal> {
        let mut frame = part.frame(kind);
        let Some(compressor) = &self.compressor else {
            return self.lock().push_data(&self.accepted, frame, part, payload);
        };
        let mut compressor = compressor.lock().unwrap_or_else(PoisonError::into_inner);
        // What is refused must not have been compressed: the server would not see it.
        self.lock().check(part)?;
        let is_compressed = match compressor.compress(kind, part, payload) {
            Ok(is_compressed) => is_compressed,
            Err(error) => {
                compressor.clear();
                return Err(error.into());
            }
        };
        frame.rsv1 = is_compressed && matches!(part, Part::Whole | Part::First);
        let payload = if is_compressed {
            &compressor.output
        } else {
            payload
        };
        let result = self.lock().push_data(&self.accepted, frame, part, payload);
        if is_compressed && result.is_err() {
            compressor.deflater.reset();
        }
        compressor.clear();
        result
    }

    /// Accepts a Ping, or a Pong that answers none.
    pub fn push_control(&self, control: Control, payload: &[u8]) -> Result<u64, Refusal> {
        let frame = Outgoing::single(OpCode::Control(control));
        let mut queue = self.lock();
        queue.check(Part::Last)?;
        Ok(queue.push(&self.accepted, frame, payload)?)
    }

    /// Accepts the answer to a Ping. Under a flood of them by a peer that does not read, only
    /// the latest is kept.
    pub fn push_pong(&self, payload: &[u8]) {
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
    pub fn close(&self, decide: impl FnOnce(bool) -> Option<CloseFrame>) -> Option<CloseFrame> {
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
    pub fn finish(&self) {
        self.lock().accepts = Accepts::Nothing;
    }

    /// Accepts nothing any more, and drops what waits: the stream takes no more.
    pub fn abandon(&self) {
        let mut queue = self.lock();
        queue.accepts = Accepts::Nothing;
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
    ) -> Result<[u8; 4], Refusal> {
        let mut queue = self.lock();
        queue.check(Part::Whole)?;
        let mask = queue.mask();
        frame::encode_header(Part::Whole.frame(kind), payload_len, mask, output);
        Ok(mask)
    }

    /// Takes all that is to be written into `bytes`, which is empty and becomes the next buffer.
    pub fn take(&self, bytes: &mut Vec<u8>) {
        let mut queue = self.lock();
        queue.push_waiting_pong(&self.accepted);
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
    ) -> Result<u64, TryReserveError> {
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

impl Compressor {
    /// Compresses a part of a message into `output`. Returns whether that is what to send.
    fn compress(
        &mut self,
        kind: Kind,
        part: Part,
        payload: &[u8],
    ) -> Result<bool, TryReserveError> {
        let output = &mut self.output;
        match part {
            Part::Whole => {
                let backoff = match kind {
                    Kind::Text => &mut self.text,
                    Kind::Binary => &mut self.binary,
                };
                if !self.deflater.suits(payload) || backoff.skips() {
                    return Ok(false);
                }
                let is_smaller = self.deflater.deflate(payload, output)?;
                backoff.note(is_smaller);
                return Ok(is_smaller);
            }
            Part::First => self.in_message = self.deflater.suits(payload),
            Part::Next | Part::Last => {}
        }
        if self.in_message {
            let fin = part == Part::Last;
            self.deflater.deflate_fragment(payload, fin, output)?;
        }
        Ok(self.in_message)
    }

    /// Makes room for the next output. A large message must not be paid for until the end.
    fn clear(&mut self) {
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
    }
}

impl Part {
    fn frame(self, kind: Kind) -> Outgoing {
        Outgoing {
            opcode: OpCode::Data(match (self, kind) {
                (Self::Next | Self::Last, _) => Data::Continue,
                (_, Kind::Text) => Data::Text,
                (_, Kind::Binary) => Data::Binary,
            }),
            fin: matches!(self, Self::Whole | Self::Last),
            rsv1: false,
        }
    }
}

const PONG: Outgoing = Outgoing {
    opcode: OpCode::Control(Control::Pong),
    fin: true,
    rsv1: false,
};
/// Above so many bytes that wait, pongs replace each other.
const PONGS: usize = 4096;
/// The largest buffer that is kept for compressing.
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::extension::Offer;

    #[test]
    fn frames_are_taken_in_order_and_counted() {
        let outbox = Outbox::new(None).unwrap();
        let first = outbox.push(Kind::Text, Part::Whole, b"one").unwrap();
        let second = outbox.push(Kind::Binary, Part::Whole, b"two").unwrap();
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
    fn nothing_is_accepted_after_the_close_frame_but_pongs() {
        let outbox = Outbox::new(None).unwrap();
        let close = |_| Some(CloseFrame::new(1000, "").unwrap());
        outbox.close(close);
        outbox.close(close);
        for part in [Part::Whole, Part::First, Part::Last] {
            let pushed = outbox.push(Kind::Text, part, b"late");
            assert_eq!(pushed, Err(Refusal::Finished));
        }
        let pushed = outbox.push_control(Control::Ping, b"late");
        assert_eq!(pushed, Err(Refusal::Finished));
        outbox.push_pong(b"");
        outbox.finish();
        outbox.push_pong(b"late");
        let mut bytes = Vec::new();
        outbox.take(&mut bytes);
        assert_eq!((bytes[0], bytes[8], bytes.len()), (0x88, 0x8a, 14));
    }

    #[test]
    fn pong_that_waits_goes_out_before_the_close_frame() {
        let outbox = Outbox::new(None).unwrap();
        let message = [0; PONGS];
        outbox.push(Kind::Binary, Part::Whole, &message).unwrap();
        outbox.push_pong(b"");
        outbox.close(|_| Some(CloseFrame::new(1000, "").unwrap()));
        let mut bytes = Vec::new();
        outbox.take(&mut bytes);
        let end = &bytes[bytes.len() - 14..];
        assert_eq!((end[0], end[6]), (0x8a, 0x88));
    }

    #[test]
    fn flood_of_pings_keeps_the_latest_pong_only() {
        let outbox = Outbox::new(None).unwrap();
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
        let outbox = Outbox::new(None).unwrap();
        let mut keys = std::collections::HashSet::new();
        for _ in 0..100 {
            let mut bytes = Vec::new();
            outbox.push(Kind::Binary, Part::Whole, b"").unwrap();
            outbox.take(&mut bytes);
            keys.insert(bytes[2..6].to_vec());
        }
        assert!(keys.len() > 95);
    }

    #[test]
    fn fragments_are_not_interrupted_but_by_control_frames() {
        let outbox = Outbox::new(None).unwrap();
        let push = |part, payload| outbox.push(Kind::Text, part, payload);
        push(Part::First, b"a").unwrap();
        assert_eq!(push(Part::Whole, b"x"), Err(Refusal::Fragmented));
        assert_eq!(push(Part::First, b"x"), Err(Refusal::Fragmented));
        outbox.push_pong(b"");
        push(Part::Next, b"b").unwrap();
        push(Part::Last, b"").unwrap();
        push(Part::Whole, b"c").unwrap();
        let mut bytes = Vec::new();
        outbox.take(&mut bytes);
        let firsts = [0, 7, 13, 20, 26].map(|at| bytes[at]);
        assert_eq!(firsts, [0x01, 0x8a, 0x00, 0x80, 0x81]);
    }

    #[test]
    fn compressed_messages_are_marked_and_small_ones_are_sent_as_they_are() {
        let deflater = Deflater::new(
            &Offer::default()
                .accept(&["permessage-deflate"])
                .unwrap()
                .unwrap(),
        );
        let outbox = Outbox::new(Some(deflater)).unwrap();
        let text = b"to be or not to be, to be or not to be, to be or not to be, to be";
        for (part, payload, first, smaller) in [
            (Part::Whole, &text[..], 0xc1, true),
            (Part::Whole, b"small", 0x81, false),
            (Part::First, text, 0x41, true),
            (Part::Last, b"", 0x80, false),
            (Part::First, b"small", 0x01, false),
            (Part::Last, text, 0x80, false),
        ] {
            outbox.push(Kind::Text, part, payload).unwrap();
            let mut bytes = Vec::new();
            outbox.take(&mut bytes);
            assert_eq!(bytes[0], first, "{part:?} {payload:?}");
            assert_eq!(bytes.len() - 6 < payload.len(), smaller, "{part:?}");
        }
    }
}
