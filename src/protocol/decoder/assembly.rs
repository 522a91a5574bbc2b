//! The message that is being received: its frames, as their payloads come in pieces.
//!
//! Must not know where the bytes come from. Invariants: the payload of a frame grows with what has
//! been received of it, never with the length that its header announces; text is checked as it
//! comes.

use super::Sink;
use crate::{
    buffer::Buffer,
    protocol::{
        close::Cause,
        deflate::{InflateError, Inflater},
        frame::{Data, Header},
        message::{Kind, Limits},
        utf8::{self, Validator},
    },
};

/// The message that is being received, if there is one.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The data frame whose payload is being received.
    frame: Option<PartialFrame>,
    /// The message whose frames are being received.
    message: Option<PartialMessage>,
    /// An empty buffer for the payload of the next small frame.
    spare: Buffer,
}

#[derive(Debug)]
struct PartialFrame {
    fin: bool,
    /// How many bytes of it are still to come over the wire.
    remaining: usize,
    /// What has come of it, inflated.
    payload: Buffer,
    /// How much of a text's payload has been checked.
    validated: usize,
}

#[derive(Debug)]
struct PartialMessage {
    kind: Kind,
    compressed: bool,
    /// The size of its frames that are complete, in bytes, inflated.
    received: usize,
    /// How many frames have begun.
    fragments: usize,
    text: Validator,
}

impl Assembly {
    /// Whether a message has begun and not ended.
    pub(super) fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether the payload of a data frame is being received.
    pub(super) fn has_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Gives the buffer back that is kept for the next small frame.
    pub(super) fn give_back(&mut self) {
        self.spare.give_back();
    }

    /// Checks a data frame against the message in progress (section 5.4) and the limits. Returns
    /// the length of its payload on the wire.
    pub(super) fn check(
        &self,
        data: Data,
        header: &Header,
        limits: &Limits,
    ) -> Result<usize, Cause> {
        let (current, compressed) = match (&self.message, data) {
            (None, Data::Continue) => return Err(violation("unexpected continuation frame")),
            (None, _) => (0, header.rsv1),
            (Some(message), Data::Continue) => (message.received, message.compressed),
            (Some(_), _) => return Err(violation("expected a continuation frame")),
        };
        let mut limit = limits.for_frame(current);
        if compressed {
            // Compression makes what cannot be compressed a little larger (zlib's own bound).
            limit = limit
                .saturating_add(limit / 8)
                .saturating_add(COMPRESSED_EXTRA);
        }
        match usize::try_from(header.payload_len) {
            Ok(len) if len <= limit => Ok(len),
            _ => Err(limits.exceeded(Some(header.payload_len), current)),
        }
    }

    /// Notes that the payload of a data frame is to be received, of this length on the wire.
    pub(super) fn begin(
        &mut self,
        data: Data,
        header: &Header,
        len: usize,
        limits: &Limits,
        sink: &mut impl Sink,
    ) -> Result<(), Cause> {
        let message = self.message.get_or_insert_with(|| PartialMessage {
            kind: Kind::of(data),
            compressed: header.rsv1,
            received: 0,
            fragments: 0,
            text: Validator::default(),
        });
        message.fragments += 1;
        if message.fragments > limits.fragments {
            return Err(Cause::TooManyFragments {
                limit: limits.fragments,
            });
        }
        self.frame = Some(PartialFrame {
            fin: header.fin,
            remaining: len,
            payload: if len > SPARE && !message.compressed {
                sink.buffer(len)
            } else {
                std::mem::take(&mut self.spare)
            },
            validated: 0,
        });
        Ok(())
    }

    /// Takes what has arrived of the frame's payload from the start of `buffered`. Returns how much
    /// that is. The frame is passed on once it is whole.
    pub(super) fn advance(
        &mut self,
        buffered: &[u8],
        inflater: Option<&mut Inflater>,
        limits: &Limits,
        sink: &mut impl Sink,
    ) -> Result<usize, Cause> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(0);
        };
        let piece = &buffered[..buffered.len().min(frame.remaining)];
        frame.remaining -= piece.len();
        let limit = limits.for_frame(message.received);
        let outcome = match inflater {
            Some(inflater) if message.compressed => frame.inflate(inflater, piece, limit),
            _ => frame.append(piece),
        };
        if message.kind == Kind::Text {
            // A bad byte comes first even where what follows it in the same read is worse.
            let good = frame.payload.len().min(limit);
            message.text.push(&frame.payload[frame.validated..good])?;
            frame.validated = good;
        }
        outcome.map_err(|error| inflate_failure(error, limits, message.received))?;
        if frame.remaining == 0 {
            self.complete(sink)?;
        }
        Ok(piece.len())
    }

    /// Passes the frame on, all of which has come.
    fn complete(&mut self, sink: &mut impl Sink) -> Result<(), Cause> {
        let (Some(mut frame), Some(message)) = (self.frame.take(), &mut self.message) else {
            return Ok(());
        };
        message.received += frame.payload.len();
        let (kind, fin) = (message.kind, frame.fin);
        if fin {
            message.text.finish()?;
            self.message = None;
        }
        if frame.payload.len() > SPARE {
            return sink.large_frame(kind, fin, frame.payload);
        }
        sink.frame(kind, fin, &frame.payload)?;
        if frame.payload.capacity() <= SPARE {
            frame.payload.clear();
            self.spare = frame.payload;
        }
        Ok(())
    }

    /// Whether the next read should go straight into the frame, since much of it is still to come.
    pub(super) fn reads_directly(&self) -> bool {
        match (&self.frame, &self.message) {
            (Some(frame), Some(message)) => frame.remaining >= DIRECT_READ && !message.compressed,
            _ => false,
        }
    }

    /// Space in the frame for its payload, and a little for what follows it. Fails if there is no
    /// memory for it.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Cause> {
        let Some(frame) = &mut self.frame else {
            unreachable!("a frame reads directly");
        };
        let (payload, wanted) = (&mut frame.payload, frame.remaining + FOLLOWING);
        let len = payload.len();
        if len == payload.capacity() {
            // As much again as has arrived, so that an announced length by itself costs little.
            payload.grow(len.max(DIRECT_STEP).min(wanted))?;
        }
        Ok(payload.space(wanted))
    }

    /// Notes that `count` bytes have been read into the space.
    ///
    /// What was read beyond the end of the frame belongs to those after it, so it moves to
    /// `buffer`, which is empty.
    pub(super) fn advance_direct(
        &mut self,
        count: usize,
        buffer: &mut Buffer,
    ) -> Result<(), Cause> {
        let Some(frame) = &mut self.frame else {
            return Ok(());
        };
        let own = count.min(frame.remaining);
        let end = frame.payload.len() + own;
        frame.payload.advance(count);
        frame.remaining -= own;
        buffer.append(&frame.payload[end..])?;
        frame.payload.truncate(end);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.frame
            .as_ref()
            .map_or(0, |frame| frame.payload.capacity())
    }
}

impl PartialFrame {
    /// Appends a part of the payload.
    fn append(&mut self, piece: &[u8]) -> Result<(), InflateError> {
        self.payload
            .append(piece)
            .map_err(|_| InflateError::OutOfMemory)
    }

    /// Appends what a part of the payload inflates to; in all at most `limit` bytes.
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        piece: &[u8],
        limit: usize,
    ) -> Result<(), InflateError> {
        let is_whole = self.fin && self.remaining == 0;
        self.payload.extend(|payload| {
            inflater.inflate(piece, payload, limit - payload.len())?;
            if is_whole {
                inflater.finish(payload, limit - payload.len())?;
            }
            Ok(())
        })
    }
}

/// Appends what the payload of a whole message inflates to.
pub(super) fn inflate_message(
    inflater: &mut Inflater,
    limits: &Limits,
    kind: Kind,
    payload: &[u8],
    output: &mut Vec<u8>,
) -> Result<(), Cause> {
    let start = output.len();
    let limit = limits.for_frame(0);
    let result = inflater
        .inflate(payload, output, limit)
        .and_then(|()| inflater.finish(output, limit - (output.len() - start)));
    if kind == Kind::Text {
        let text = &output[start..];
        match &result {
            Ok(()) => utf8::validate(text)?,
            // A bad byte comes first even where what follows it is worse.
            Err(_) => Validator::default().push(&text[..text.len().min(limit)])?,
        }
    }
    result.map_err(|error| inflate_failure(error, limits, 0))
}

/// The cause of the failure where a payload can't be inflated.
fn inflate_failure(error: InflateError, limits: &Limits, current: usize) -> Cause {
    match error {
        InflateError::TooBig => limits.exceeded(None, current),
        InflateError::Corrupt => violation("decompression failed"),
        InflateError::OutOfMemory => Cause::OutOfMemory,
    }
}

fn violation(text: &str) -> Cause {
    Cause::Protocol(text.to_owned())
}

/// From this many missing bytes on, a payload is read straight into its frame.
const DIRECT_READ: usize = 16 * 1024;
/// The first step of such a frame's buffer, if it has not served before. Of that, the system finds
/// memory only for what is written.
pub(super) const DIRECT_STEP: usize = 1024 * 1024;
/// How much of what follows a frame is read with its end, so that small messages behind it don't
/// take a read each.
const FOLLOWING: usize = 4 * 1024;
/// Up to this size, copying a payload is cheaper than a buffer for each.
const SPARE: usize = 16 * 1024;
/// By how many bytes, beside an eighth, a payload may be larger compressed than it was.
const COMPRESSED_EXTRA: usize = 1024;
