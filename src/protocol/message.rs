//! Messages out of bytes: frames, fragments, control frames in between, UTF-8, limits.
//!
//! A [`Decoder`] takes what was read, in pieces of any size, and hands whole messages and
//! control frames to a [`Sink`] in order. Where the next read should put its bytes is the
//! decoder's choice, so that a large payload is read straight into its message. It knows no
//! stream and no clock. Invariants: after the first violation, or a Close frame, nothing more
//! comes out; a message is never larger than `max_size`; memory grows with the bytes received,
//! never with a length that was only announced.

use super::{
    close::{Cause, CloseFrame},
    frame::{self, Control, Data, Header, OpCode},
};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// Receives what a [`Decoder`] finds.
pub trait Sink {
    /// A whole message, to be copied out of the read buffer. Text is valid UTF-8.
    fn message(&mut self, kind: Kind, payload: &[u8]);
    /// A whole message that has a buffer of its own. Text is valid UTF-8.
    fn large_message(&mut self, kind: Kind, payload: Vec<u8>);
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
    /// The data frame whose payload is being received into `message`.
    frame: Option<PartialFrame>,
    /// The message whose fragments are being received.
    message: Option<PartialMessage>,
    max_size: usize,
    finished: bool,
}

#[derive(Debug)]
struct PartialFrame {
    fin: bool,
    remaining: usize,
}

#[derive(Debug)]
struct PartialMessage {
    kind: Kind,
    payload: Vec<u8>,
    /// So much of a text's payload is known to be valid UTF-8.
    validated: usize,
}

impl Decoder {
    /// A decoder for messages of at most `max_size` bytes, given the bytes that arrived with the
    /// opening handshake.
    pub fn new(max_size: usize, arrived: Vec<u8>) -> Self {
        Self {
            buffer: arrived,
            start: 0,
            frame: None,
            message: None,
            max_size,
            finished: false,
        }
    }

    /// Reads once: `read` appends to the vector that it is given, into its spare capacity, and
    /// returns how many bytes that were.
    ///
    /// The vector is the read buffer, or the message itself while a large payload is arriving.
    pub fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<usize, E> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            if let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message)
                && frame.remaining >= DIRECT_READ
            {
                return message.fill(frame, &mut self.buffer, read);
            }
        } else if self.start > self.buffer.capacity() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve_exact(self.buffer.len().max(BUFFER_MIN));
        }
        let space = self.buffer.capacity() - self.buffer.len();
        let count = read(&mut self.buffer)?;
        if count == space && self.buffer.capacity() < BUFFER_MAX {
            // The peer sends in bulk, and larger reads are cheaper.
            let larger = (self.buffer.capacity() * 2).min(BUFFER_MAX);
            self.buffer.reserve_exact(larger - self.buffer.len());
        }
        Ok(count)
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
        }
        result
    }

    fn decode_frames(&mut self, sink: &mut impl Sink) -> Result<(), Cause> {
        while !self.finished {
            if let Some(frame) = self.frame.take() {
                match self.continue_frame(frame, sink)? {
                    Some(unfinished) => {
                        self.frame = Some(unfinished);
                        return Ok(());
                    }
                    None => continue,
                }
            }
            let Some(header) = frame::parse(&self.buffer[self.start..])? else {
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
                        if kind == Kind::Text {
                            std::str::from_utf8(payload).map_err(|error| invalid_text(&error))?;
                        }
                        sink.message(kind, payload);
                        self.start = payload_start + len;
                    } else {
                        self.start = payload_start;
                        self.message.get_or_insert_with(|| PartialMessage {
                            kind: kind_of(data),
                            payload: Vec::new(),
                            validated: 0,
                        });
                        self.frame = Some(PartialFrame {
                            fin: header.fin,
                            remaining: len,
                        });
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
        message.payload.extend_from_slice(&buffered[..take]);
        self.start += take;
        frame.remaining -= take;
        message.validate(frame.fin && frame.remaining == 0)?;
        if frame.remaining > 0 {
            return Ok(Some(frame));
        }
        if frame.fin
            && let Some(message) = self.message.take()
        {
            sink.large_message(message.kind, message.payload);
        }
        Ok(None)
    }

    /// Checks a data frame against the message in progress (section 5.4) and the limit.
    fn check_data(&self, data: Data, header: &Header) -> Result<usize, Cause> {
        let current = match (&self.message, data) {
            (None, Data::Continue) => return Err(violation("unexpected continuation frame")),
            (None, _) => 0,
            (Some(message), Data::Continue) => message.payload.len(),
            (Some(_), _) => return Err(violation("expected a continuation frame")),
        };
        match usize::try_from(header.payload_len) {
            Ok(len) if len <= self.max_size.saturating_sub(current) => Ok(len),
            _ => Err(Cause::TooBig {
                size: header.payload_len,
                limit: self.max_size,
                current,
            }),
        }
    }
}

impl PartialMessage {
    /// Reads a frame's payload straight into the message.
    ///
    /// What was read beyond the end of the frame belongs to the frames after it, so it moves to
    /// `buffer`, which is empty.
    fn fill<E>(
        &mut self,
        frame: &mut PartialFrame,
        buffer: &mut Vec<u8>,
        read: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let before = self.payload.len();
        if self.payload.capacity() == before {
            // As much again as has arrived, so that an announced length by itself costs little.
            let growth = before.max(DIRECT_STEP);
            self.payload.reserve_exact(growth.min(frame.remaining));
        }
        let count = read(&mut self.payload)?;
        let own = count.min(frame.remaining);
        buffer.extend_from_slice(&self.payload[before + own..]);
        self.payload.truncate(before + own);
        frame.remaining -= own;
        Ok(count)
    }

    /// Validates the text that has arrived since the last time; fails at the first bad byte.
    ///
    /// A character may be cut by the edge of a read or of a fragment, but not by the end.
    fn validate(&mut self, complete: bool) -> Result<(), Cause> {
        if self.kind == Kind::Binary {
            return Ok(());
        }
        match std::str::from_utf8(&self.payload[self.validated..]) {
            Ok(_) => self.validated = self.payload.len(),
            Err(error) if error.error_len().is_none() && !complete => {
                self.validated += error.valid_up_to();
            }
            Err(error) => return Err(invalid_text(&error)),
        }
        Ok(())
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

fn invalid_text(error: &std::str::Utf8Error) -> Cause {
    Cause::InvalidData(format!("text message: {error}"))
}

/// The read buffer of a connection that carries small messages.
const BUFFER_MIN: usize = 8 * 1024;
/// The read buffer of a connection that is sent to in bulk.
const BUFFER_MAX: usize = 128 * 1024;
/// From this many missing bytes on, a payload is read straight into its message.
const DIRECT_READ: usize = 16 * 1024;
/// The first step of such a message's buffer. Pages of it that are not written cost nothing.
const DIRECT_STEP: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Everything that a decoder found, in order.
    #[derive(Debug, Default, PartialEq)]
    struct Found(Vec<String>);

    impl Sink for Found {
        fn message(&mut self, kind: Kind, payload: &[u8]) {
            self.large_message(kind, payload.to_vec());
        }
        fn large_message(&mut self, kind: Kind, payload: Vec<u8>) {
            let sum: u64 = payload.iter().map(|&byte| u64::from(byte)).sum();
            self.0
                .push(format!("{kind:?} {} bytes, sum {sum}", payload.len()));
        }
        fn ping(&mut self, payload: &[u8]) {
            self.0.push(format!("ping {payload:?}"));
        }
        fn pong(&mut self, payload: &[u8]) {
            self.0.push(format!("pong {payload:?}"));
        }
        fn close(&mut self, frame: CloseFrame) {
            self.0.push(format!("close {frame}"));
        }
    }

    /// A server's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..126 => bytes.push(u8::try_from(len).unwrap()),
            len @ 126..65536 => {
                bytes.push(126);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                bytes.push(127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Decodes `bytes`, read in pieces of at most `piece` bytes.
    fn decode(bytes: &[u8], piece: usize, max_size: usize) -> (Found, Result<(), Cause>) {
        let mut decoder = Decoder::new(max_size, Vec::new());
        let mut found = Found::default();
        let mut rest = bytes;
        let mut result = Ok(());
        while !rest.is_empty() && result.is_ok() {
            let filled: Result<usize, Infallible> = decoder.fill(|space| {
                let count = rest.len().min(piece).min(space.capacity() - space.len());
                assert!(count > 0, "there must be space");
                space.extend_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            });
            assert!(filled.is_ok());
            result = decoder.decode(&mut found);
        }
        (found, result)
    }

    fn conversation() -> Vec<u8> {
        [
            frame(0x81, "grüße".as_bytes()),
            frame(0x01, &"grüße".as_bytes()[..3]),
            frame(0x89, b"now"),
            frame(0x00, b""),
            frame(0x80, &"grüße".as_bytes()[3..]),
            frame(0x82, &vec![7; 200_000]),
            frame(0x82, b""),
            frame(0x8a, b"pong"),
            frame(0x02, &vec![1; 70_000]),
            frame(0x80, &vec![2; 70_000]),
            frame(0x88, &[3, 232, b'o', b'k']),
            frame(0x81, b"after the close"),
        ]
        .concat()
    }

    #[test]
    fn any_segmentation_gives_the_same_result() {
        let bytes = conversation();
        let (whole, result) = decode(&bytes, usize::MAX, usize::MAX);
        assert!(result.is_ok());
        assert_eq!(whole.0.len(), 8);
        assert_eq!(whole.0.last().unwrap(), "close 1000 \"ok\"");
        for piece in [1, 2, 3, 5, 13, 127, 1000, 8191, 65_537] {
            assert_eq!(
                decode(&bytes, piece, usize::MAX).0,
                whole,
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn size_limit_counts_the_whole_message_and_is_refused_from_the_header() {
        let exact = frame(0x82, &[0; 100]);
        assert!(decode(&exact, 1, 100).1.is_ok());
        let (found, result) = decode(&exact[..2], 1, 99);
        assert!(matches!(
            result,
            Err(Cause::TooBig {
                size: 100,
                limit: 99,
                current: 0
            })
        ));
        assert!(found.0.is_empty());
        let parts = [frame(0x02, &[0; 60]), frame(0x80, &[0; 40])].concat();
        assert!(decode(&parts, 7, 100).1.is_ok());
        assert!(matches!(
            decode(&parts, 7, 99).1,
            Err(Cause::TooBig {
                size: 40,
                limit: 99,
                current: 60
            })
        ));
    }

    #[test]
    fn announced_length_allocates_nothing() {
        let mut decoder = Decoder::new(usize::MAX, Vec::new());
        let header = [0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0];
        for _ in 0..3 {
            let filled: Result<usize, Infallible> = decoder.fill(|space| {
                let count = header.len().min(space.capacity() - space.len());
                space.extend_from_slice(&header[..count]);
                Ok(count)
            });
            assert!(filled.is_ok());
            assert!(decoder.decode(&mut Found::default()).is_ok());
        }
        assert!(decoder.message.unwrap().payload.capacity() <= DIRECT_STEP + BUFFER_MAX);
    }

    #[test]
    fn fragments_out_of_order_are_violations() {
        for bytes in [
            frame(0x80, b"no start"),
            [frame(0x01, b"start"), frame(0x81, b"another")].concat(),
        ] {
            assert!(matches!(decode(&bytes, 4, 100).1, Err(Cause::Protocol(_))));
        }
    }

    #[test]
    fn bad_text_fails_at_its_first_byte_and_at_a_cut_end() {
        let (_, result) = decode(&frame(0x01, b"abc\xff"), 1, 100);
        assert!(matches!(result, Err(Cause::InvalidData(_))));
        let cut = [frame(0x01, b"ab\xc3"), frame(0x80, b"")].concat();
        assert!(matches!(
            decode(&cut, 100, 100).1,
            Err(Cause::InvalidData(_))
        ));
        assert!(matches!(
            decode(&frame(0x81, b"\xed\xa0\x80"), 100, 100).1,
            Err(Cause::InvalidData(_))
        ));
    }

    #[test]
    fn nothing_comes_after_a_failure() {
        let mut decoder = Decoder::new(100, frame(0xc1, b"reserved"));
        let mut found = Found::default();
        assert!(decoder.decode(&mut found).is_err());
        let filled: Result<usize, Infallible> = decoder.fill(|space| {
            space.extend_from_slice(&frame(0x81, b"fine"));
            Ok(6)
        });
        assert!(filled.is_ok());
        assert!(decoder.decode(&mut found).is_ok());
        assert!(found.0.is_empty());
    }
}
