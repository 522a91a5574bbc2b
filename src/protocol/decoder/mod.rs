//! Messages out of bytes: frames, fragments, control frames in between, UTF-8, limits.
//!
//! A [`Decoder`] takes what was read, in pieces of any size, and hands data frames and control
//! frames to a [`Sink`] in order: inflated, checked, and each as a whole. Where the next read
//! should put its bytes is the decoder's choice, so that a large payload is read straight into
//! its frame. It knows no stream and no clock. Invariants: after the first violation, or a Close
//! frame, nothing more comes out; no message is larger than the [`Limits`] allow; memory grows
//! with the bytes received, never with a length that was only announced.

mod assembly;
#[cfg(test)]
mod tests;

use self::assembly::{Assembly, inflate_message};
use super::{
    close::{Cause, CloseFrame},
    deflate::Inflater,
    frame::{self, Control, Data, Header, OpCode},
    message::{Kind, Limits},
    utf8,
};
use crate::buffer::Buffer;

/// Receives what a [`Decoder`] finds.
///
/// A message is one data frame or several, the last of which has `fin` set. The text of a message
/// is valid UTF-8, though a frame may end inside of a character that the next one completes.
pub trait Sink {
    /// A data frame whose payload is to be copied. Fails if there is no memory for it.
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause>;
    /// A data frame whose payload has a buffer of its own. Fails if there is no memory for it.
    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Buffer) -> Result<(), Cause>;
    /// An empty buffer for a payload of this size; best one that has served before, for fresh memory is
    /// expensive.
    fn buffer(&mut self, size: usize) -> Buffer;
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
    buffer: Buffer,
    start: usize,
    /// The space that was last given is in the frame that is being received.
    is_direct: bool,
    assembly: Assembly,
    limits: Limits,
    /// There, if compression was agreed upon.
    inflater: Option<Inflater>,
    finished: bool,
    /// The last call of [`Self::decode`] has left whole frames in the buffer.
    is_behind: bool,
}

impl Decoder {
    /// A decoder, given the bytes that arrived with the opening handshake, and an inflater if
    /// compression was agreed upon.
    pub fn new(limits: Limits, inflater: Option<Inflater>, arrived: Vec<u8>) -> Self {
        Self {
            buffer: arrived.into(),
            start: 0,
            is_direct: false,
            assembly: Assembly::default(),
            limits,
            inflater,
            finished: false,
            is_behind: false,
        }
    }

    /// Whether there is something to decode without reading first.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Where the next read is to put its bytes; never empty. Call [`Self::advance`] next.
    ///
    /// It is in the read buffer, or in the frame itself while a large payload is arriving. Fails if
    /// there is no memory for it.
    pub fn space(&mut self) -> Result<&mut [u8], Cause> {
        self.is_direct = false;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.is_direct = self.assembly.reads_directly();
            if self.is_direct {
                return self.assembly.space();
            }
        } else if self.start > self.buffer.capacity() / 2 {
            self.buffer.keep(self.start..self.buffer.len());
            self.start = 0;
        }
        let len = self.buffer.len();
        if len == self.buffer.capacity() {
            self.buffer.grow(len.max(BUFFER_MIN))?;
        }
        Ok(self.buffer.space(usize::MAX))
    }

    /// Notes that `count` bytes have been read into the space.
    pub fn advance(&mut self, count: usize) -> Result<(), Cause> {
        if self.is_direct {
            return self.assembly.advance_direct(count, &mut self.buffer);
        }
        let space = self.buffer.capacity() - self.buffer.len();
        self.buffer.advance(count);
        self.adapt(space, count)
    }

    /// Fits the buffer to the peer after `count` of `space` bytes have come: it grows while the peer
    /// sends in bulk, since larger reads are cheaper.
    fn adapt(&mut self, space: usize, count: usize) -> Result<(), Cause> {
        let most = if self.inflater.is_some() {
            BUFFER_MAX_COMPRESSED
        } else {
            BUFFER_MAX
        };
        let capacity = self.buffer.capacity();
        if count == space && capacity < most {
            self.buffer.grow(capacity.min(most - capacity))?;
        }
        Ok(())
    }

    /// Whether its buffers have become larger than those of a new one.
    pub fn is_large(&self) -> bool {
        self.buffer.capacity() > BUFFER_MIN
    }

    /// Gives the buffers back that are empty.
    pub fn give_back(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        self.buffer.give_back();
        self.assembly.give_back();
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
            self.buffer = Buffer::default();
            self.start = 0;
            self.assembly = Assembly::default();
            self.inflater = None;
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
            if !self.decode_frame(sink)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Decodes what there is of one frame. Returns whether there may be something behind it.
    fn decode_frame(&mut self, sink: &mut impl Sink) -> Result<bool, Cause> {
        if self.assembly.has_frame() {
            let buffered = &self.buffer[self.start..];
            let inflater = self.inflater.as_mut();
            self.start += self
                .assembly
                .advance(buffered, inflater, &self.limits, sink)?;
            return Ok(!self.assembly.has_frame());
        }
        let bytes = &self.buffer[self.start..];
        let Some(header) = frame::parse(bytes, self.inflater.is_some())? else {
            return Ok(false);
        };
        match header.opcode {
            OpCode::Data(data) => self.decode_data(data, &header, sink),
            OpCode::Control(control) => self.decode_control(control, &header, sink),
        }
    }

    /// Decodes a data frame, or begins to.
    fn decode_data(
        &mut self,
        data: Data,
        header: &Header,
        sink: &mut impl Sink,
    ) -> Result<bool, Cause> {
        let len = self.assembly.check(data, header, &self.limits)?;
        let payload_start = self.start + header.size;
        let arrived = self.buffer.len() - payload_start;
        if !header.fin || self.assembly.has_message() || arrived < len {
            self.start = payload_start;
            self.assembly.begin(data, header, len, &self.limits, sink)?;
            return Ok(true);
        }
        // The common case: a whole message in the buffer is passed on from there.
        let payload = &self.buffer[payload_start..payload_start + len];
        let kind = Kind::of(data);
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
        Ok(true)
    }

    /// Decodes a control frame, if all of it has come.
    fn decode_control(
        &mut self,
        control: Control,
        header: &Header,
        sink: &mut impl Sink,
    ) -> Result<bool, Cause> {
        let start = self.start + header.size;
        // At most 125 bytes, as the header's check has made sure.
        let end = start + usize::try_from(header.payload_len).unwrap_or(0);
        if self.buffer.len() < end {
            return Ok(false);
        }
        let payload = &self.buffer[start..end];
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
        Ok(true)
    }
}

/// The read buffer of a connection that carries small messages.
const BUFFER_MIN: usize = 8 * 1024;
/// The read buffer of a connection that is sent to in bulk.
const BUFFER_MAX: usize = 128 * 1024;
/// The same where messages are compressed: what comes out of it should stay in the cache.
const BUFFER_MAX_COMPRESSED: usize = 32 * 1024;
