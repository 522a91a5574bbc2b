//! Messages out of bytes: frames, fragments, control frames in between, UTF-8, limits.
//!
//! A [`Decoder`] takes what was read, in pieces of any size, and hands data frames and control
//! frames to a [`Sink`] in order: inflated, checked, and each as a whole. Where the next read
//! should put its bytes is the decoder's choice, so that a large payload is read straight into
//! its frame. It knows no stream and no clock. Invariants: after the first violation, or a Close
//! frame, nothing more comes out; no message is larger than the [`Limits`] allow; memory grows
//! with the bytes received, never with a length that was only announced.

use super::{
    close::{Cause, CloseFrame},
    deflate::{InflateError, Inflater},
    frame::{self, Control, Data, Header, OpCode},
    utf8::{self, Validator},
};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// What is accepted of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of a message, in bytes, inflated.
    pub message: usize,
    /// The size of each of its frames, in bytes, inflated.
    pub frame: usize,
    /// How many frames a message may have.
    pub fragments: usize,
}

/// Receives what a [`Decoder`] finds.
///
/// A message is one data frame or several, the last of which has `fin` set. The text of a message
/// is valid UTF-8, though a frame may end inside of a character that the next one completes.
pub trait Sink {
    /// A data frame whose payload is to be copied. Fails if there is no memory for it.
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause>;
    /// A data frame whose payload has a buffer of its own. Fails if there is no memory for it.
    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Vec<u8>) -> Result<(), Cause>;
    /// A whole message whose payload `write` appends to the vector that it is given. If that fails,
    /// there is no message, and what was appended is to be dropped.
    fn write_message(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Cause>,
    ) -> Result<(), Cause>;
    /// Whether no more should be inflated for now.
    fn is_full(&self) -> bool;
    /// A Ping, to be answered (RFC 6455, section 5.5.2).
    fn ping(&mut self, payload: &[u8]);
    /// A Pong.
    fn pong(&mut self, payload: &[u8]);
    /// The Close frame. Nothing comes after it.
    fn close(&mut self, frame: CloseFrame);
}

/// Turns the bytes of a connection into messages.
#[derive(Debug)]
pub struct Decoder {
    /// What was read and is not decoded yet begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    /// How many reads in a row have filled little of the buffer.
    small_reads: u32,
    /// The data frame whose payload is being received.
    frame: Option<PartialFrame>,
    /// The message whose frames are being received.
    message: Option<PartialMessage>,
    limits: Limits,
    /// There, if compression was agreed upon.
    inflater: Option<Inflater>,
    /// An empty buffer for the payload of the next small frame.
    spare: Vec<u8>,
    finished: bool,
    /// The last call of [`Self::decode`] has left whole frames in the buffer.
    is_behind: bool,
}

#[derive(Debug)]
struct PartialFrame {
    fin: bool,
    /// So many bytes of it are still to come over the wire.
    remaining: usize,
    /// What has come of it, inflated.
    payload: Vec<u8>,
    /// So much of a text's payload has been checked.
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: usize::MAX,
            frame: usize::MAX,
            fragments: MAX_FRAGMENTS,
        }
    }
}

impl Decoder {
    /// A decoder, given the bytes that arrived with the opening handshake, and an inflater if
    /// compression was agreed upon.
    pub fn new(limits: Limits, inflater: Option<Inflater>, arrived: Vec<u8>) -> Self {
        Self {
            buffer: arrived,
            start: 0,
            small_reads: 0,
            frame: None,
            message: None,
            limits,
            inflater,
            spare: Vec::new(),
            finished: false,
            is_behind: false,
        }
    }

    /// Whether there is something to decode without reading first.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Reads once: `read` appends to the vector that it is given, into its spare capacity, and
    /// returns how many bytes that were.
    ///
    /// The vector is the read buffer, or the frame itself while a large payload is arriving.
    pub fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<usize, E> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            if let (Some(frame), Some(message)) = (&mut self.frame, &self.message)
                && frame.remaining >= DIRECT_READ
                && !message.compressed
                && frame.has_space()
            {
                return frame.fill(&mut self.buffer, read);
            }
            self.shrink();
        } else if self.start > self.buffer.capacity() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve_exact(self.buffer.len().max(BUFFER_MIN));
        }
        let space = self.buffer.capacity() - self.buffer.len();
        let count = read(&mut self.buffer)?;
        let most = if self.inflater.is_some() {
            BUFFER_MAX_COMPRESSED
        } else {
            BUFFER_MAX
        };
        if count == space && self.buffer.capacity() < most {
            // The peer sends in bulk, and larger reads are cheaper.
            let larger = (self.buffer.capacity() * 2).min(most);
            self.buffer.reserve_exact(larger - self.buffer.len());
        }
        if count > space / 8 {
            self.small_reads = 0;
        } else {
            self.small_reads += 1;
        }
        Ok(count)
    }

    /// Gives most of the empty read buffer back when the peer no longer sends in bulk.
    fn shrink(&mut self) {
        if self.small_reads >= SMALL_READS && self.buffer.capacity() > BUFFER_MIN {
            self.buffer = Vec::new();
            self.spare = Vec::new();
            self.small_reads = 0;
        }
    }

    /// Decodes nothing any more.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Decodes what has been read. Fails with the first violation, and for good.
    pub fn decode(&mut self, sink: &mut impl Sink) -> Result<(), Cause> {
        let result = self.decode_frames(sink);
        if result.is_err() {
            self.finished = true;
        }
        if self.finished {
            self.buffer = Vec::new();
            self.start = 0;
            self.message = None;
            self.frame = None;
            self.inflater = None;
            self.spare = Vec::new();
        }
        result
    }

    fn decode_frames(&mut self, sink: &mut impl Sink) -> Result<(), Cause> {
        self.is_behind = false;
        while !self.finished {
            // A little that is read may inflate to very much.
            if self.inflater.is_some() && sink.is_full() {
                self.is_behind = self.start < self.buffer.len();
                return Ok(());
            }
            if let Some(frame) = self.frame.take() {
                self.frame = self.continue_frame(frame, sink)?;
                if self.frame.is_some() {
                    return Ok(());
                }
                continue;
            }
            let Some(header) = frame::parse(&self.buffer[self.start..], self.inflater.is_some())?
            else {
                return Ok(());
            };
            let payload_start = self.start + header.size;
            match header.opcode {
                OpCode::Data(data) => {
                    let len = self.check_data(data, &header)?;
                    let arrived = self.buffer.len() - payload_start;
                    if header.fin && self.message.is_none() && arrived >= len {
                        // The common case: a whole message in the buffer is passed on from there.
                        let payload = &self.buffer[payload_start..payload_start + len];
                        let kind = kind_of(data);
                        match &mut self.inflater {
                            Some(inflater) if header.rsv1 => {
                                let limits = &self.limits;
                                sink.write_message(kind, |message| {
                                    inflate_message(inflater, limits, kind, payload, message)
                                })?;
                            }
                            _ => {
                                if kind == Kind::Text {
                                    utf8::validate(payload)?;
                                }
                                sink.frame(kind, true, payload)?;
                            }
                        }
                        self.start = payload_start + len;
                    } else {
                        self.start = payload_start;
                        self.begin_frame(data, &header, len)?;
                    }
                }
                OpCode::Control(control) => {
                    // At most 125 bytes, as the header's check has made sure.
                    let end = payload_start + usize::try_from(header.payload_len).unwrap_or(0);
                    if self.buffer.len() < end {
                        return Ok(());
                    }
                    let payload = &self.buffer[payload_start..end];
                    match control {
                        Control::Close => {
                            let frame = CloseFrame::parse(payload)?;
                            self.finished = true;
                            sink.close(frame);
                        }
                        Control::Ping => sink.ping(payload),
                        Control::Pong | Control::Reserved(_) => sink.pong(payload),
                    }
                    self.start = end;
                }
            }
        }
        Ok(())
    }

    /// Checks a data frame against the message in progress (section 5.4) and the limits. Returns
    /// the length of its payload on the wire.
    fn check_data(&self, data: Data, header: &Header) -> Result<usize, Cause> {
        let (current, compressed) = match (&self.message, data) {
            (None, Data::Continue) => return Err(violation("unexpected continuation frame")),
            (None, _) => (0, header.rsv1),
            (Some(message), Data::Continue) => (message.received, message.compressed),
            (Some(_), _) => return Err(violation("expected a continuation frame")),
        };
        let mut limit = self.limits.for_frame(current);
        if compressed {
            // Compression makes what cannot be compressed a little larger (zlib's own bound).
            limit = limit
                .saturating_add(limit / 8)
                .saturating_add(COMPRESSED_EXTRA);
        }
        match usize::try_from(header.payload_len) {
            Ok(len) if len <= limit => Ok(len),
            _ => Err(self.limits.exceeded(Some(header.payload_len), current)),
        }
    }

    /// Notes that the payload of a data frame is to be received.
    fn begin_frame(&mut self, data: Data, header: &Header, len: usize) -> Result<(), Cause> {
        let message = self.message.get_or_insert_with(|| PartialMessage {
            kind: kind_of(data),
            compressed: header.rsv1,
            received: 0,
            fragments: 0,
            text: Validator::default(),
        });
        message.fragments += 1;
        if message.fragments > self.limits.fragments {
            return Err(Cause::TooManyFragments {
                limit: self.limits.fragments,
            });
        }
        self.frame = Some(PartialFrame {
            fin: header.fin,
            remaining: len,
            payload: std::mem::take(&mut self.spare),
            validated: 0,
        });
        Ok(())
    }

    /// Takes what has arrived of a data frame's payload. Returns the frame if more is to come.
    fn continue_frame(
        &mut self,
        mut frame: PartialFrame,
        sink: &mut impl Sink,
    ) -> Result<Option<PartialFrame>, Cause> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        let buffered = &self.buffer[self.start..];
        let take = buffered.len().min(frame.remaining);
        let piece = &buffered[..take];
        self.start += take;
        frame.remaining -= take;
        let is_whole = frame.remaining == 0;
        let inflated = match &mut self.inflater {
            Some(inflater) if message.compressed => {
                frame.inflate(inflater, piece, self.limits.for_frame(message.received))
            }
            _ => frame.append(piece),
        };
        if message.kind == Kind::Text {
            // A bad byte comes first even where what follows it in the same read is worse.
            let good = frame
                .payload
                .len()
                .min(self.limits.for_frame(message.received));
            message.text.push(&frame.payload[frame.validated..good])?;
            frame.validated = good;
        }
        inflated.map_err(|error| inflate_failure(error, &self.limits, message.received))?;
        if !is_whole {
            return Ok(Some(frame));
        }
        message.received += frame.payload.len();
        let (kind, fin) = (message.kind, frame.fin);
        if fin {
            message.text.finish()?;
            self.message = None;
        }
        if frame.payload.len() > SPARE {
            sink.large_frame(kind, fin, frame.payload)?;
        } else {
            sink.frame(kind, fin, &frame.payload)?;
            if frame.payload.capacity() <= SPARE {
                frame.payload.clear();
                self.spare = frame.payload;
            }
        }
        Ok(None)
    }
}

impl Limits {
    /// How large a frame may be, of whose message so much has been received.
    fn for_frame(&self, current: usize) -> usize {
        self.frame.min(self.message.saturating_sub(current))
    }

    /// The cause of the failure where a frame of this size is too large.
    fn exceeded(&self, size: Option<u64>, current: usize) -> Cause {
        let is_frame = self.frame < self.message.saturating_sub(current);
        Cause::TooBig {
            size,
            limit: if is_frame { self.frame } else { self.message },
            current,
        }
    }
}

impl PartialFrame {
    /// Appends a part of the payload.
    fn append(&mut self, piece: &[u8]) -> Result<(), InflateError> {
        self.payload
            .try_reserve(piece.len())
            .map_err(|_| InflateError::OutOfMemory)?;
        self.payload.extend_from_slice(piece);
        Ok(())
    }

    /// Appends what a part of the payload inflates to; in all at most `limit` bytes.
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        piece: &[u8],
        limit: usize,
    ) -> Result<(), InflateError> {
        let payload = &mut self.payload;
        inflater.inflate(piece, payload, limit - payload.len())?;
        if self.fin && self.remaining == 0 {
            inflater.finish(payload, limit - payload.len())?;
        }
        Ok(())
    }

    /// Makes sure that there is space to read into. Returns whether there is.
    fn has_space(&mut self) -> bool {
        let len = self.payload.len();
        // As much again as has arrived, so that an announced length by itself costs little.
        self.payload.capacity() > len
            || self
                .payload
                .try_reserve_exact(len.max(DIRECT_STEP).min(self.remaining))
                .is_ok()
    }

    /// Reads the payload straight into the frame.
    ///
    /// What was read beyond its end belongs to the frames after it, so it moves to `buffer`,
    /// which is empty.
    fn fill<E>(
        &mut self,
        buffer: &mut Vec<u8>,
        read: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let before = self.payload.len();
        let count = read(&mut self.payload)?;
        let own = count.min(self.remaining);
        buffer.extend_from_slice(&self.payload[before + own..]);
        self.payload.truncate(before + own);
        self.remaining -= own;
        Ok(count)
    }
}

/// Appends what the payload of a whole message inflates to.
fn inflate_message(
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

fn kind_of(data: Data) -> Kind {
    match data {
        Data::Text => Kind::Text,
        _ => Kind::Binary,
    }
}

fn violation(text: &str) -> Cause {
    Cause::Protocol(text.to_owned())
}

/// The read buffer of a connection that carries small messages.
const BUFFER_MIN: usize = 8 * 1024;
/// The read buffer of a connection that is sent to in bulk.
const BUFFER_MAX: usize = 128 * 1024;
/// The same where messages are compressed: what comes out of it should stay in the cache.
const BUFFER_MAX_COMPRESSED: usize = 32 * 1024;
/// After so many reads that fill little of it, a large read buffer is given back.
const SMALL_READS: u32 = 16;
/// From this many missing bytes on, a payload is read straight into its frame.
const DIRECT_READ: usize = 16 * 1024;
/// The first step of such a frame's buffer. Pages of it that are not written cost nothing.
const DIRECT_STEP: usize = 1024 * 1024;
/// Up to this size, copying a payload is cheaper than a buffer for each, whose pages the system
/// would have to make anew.
const SPARE: usize = 128 * 1024;
/// By so many bytes, beside an eighth, a payload may be larger compressed than it was.
const COMPRESSED_EXTRA: usize = 1024;
/// So many fragments a message may have. Each costs a few bytes even if it is empty.
pub const MAX_FRAGMENTS: usize = 1 << 17;

#[cfg(test)]
mod tests;
