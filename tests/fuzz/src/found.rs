//! What a decoder finds: checked frame by frame, and kept as a digest, so that it takes no more
//! memory than it did at first; and how it fails.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use websocket_rs::{
    buffer::Buffer,
    protocol::{
        close::{Cause, CloseFrame, Closing},
        decoder::Sink,
        frame::MAX_CONTROL_PAYLOAD,
        message::{Kind, Limits},
        utf8::Validator,
    },
};

/// Frames in order.
#[derive(Debug)]
pub(crate) struct Found {
    /// How many there were.
    pub(crate) count: usize,
    /// Whether the last was a Close frame.
    pub(crate) is_closed: bool,
    hasher: DefaultHasher,
    limits: Limits,
    /// For how many frames there is room, each time that there is room again.
    room: usize,
    /// How many there were when there was room again.
    resumed: usize,
    /// What whole messages are written into, behind others, as in an inbox.
    buffer: Vec<u8>,
    /// What there is of the message that is being received.
    kind: Option<Kind>,
    fragments: usize,
    size: usize,
    text: Validator,
}

impl Found {
    /// Nothing is found yet. After `room` frames no more is to be inflated, until
    /// [`Self::make_room`].
    pub(crate) fn new(limits: Limits, room: usize) -> Self {
        Self {
            count: 0,
            is_closed: false,
            hasher: DefaultHasher::new(),
            limits,
            room,
            resumed: 0,
            buffer: Vec::with_capacity(BUFFER),
            kind: None,
            fragments: 0,
            size: 0,
            text: Validator::default(),
        }
    }

    /// As an inbox does of which something is taken.
    pub(crate) fn make_room(&mut self) {
        self.resumed = self.count;
    }

    /// A number that is the same for the same frames.
    pub(crate) fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    fn note(&mut self, what: u8, payload: &[u8]) {
        assert!(!self.is_closed, "something came after the Close frame");
        self.count += 1;
        what.hash(&mut self.hasher);
        payload.hash(&mut self.hasher);
    }

    fn control(&mut self, what: u8, payload: &[u8]) {
        assert!(payload.len() <= MAX_CONTROL_PAYLOAD);
        self.note(what, payload);
    }
}

impl Sink for Found {
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause> {
        self.note(u8::from(kind == Kind::Text) | u8::from(fin) << 1, payload);
        assert_eq!(*self.kind.get_or_insert(kind), kind);
        self.fragments += 1;
        self.size += payload.len();
        assert!(payload.len() <= self.limits.frame, "frame above the limit");
        assert!(self.size <= self.limits.message, "message above the limit");
        assert!(self.fragments <= self.limits.fragments, "too many frames");
        if kind == Kind::Text {
            assert!(self.text.push(payload).is_ok(), "text isn't UTF-8");
        }
        if fin {
            assert!(self.text.finish().is_ok(), "text ends in a character");
            self.kind = None;
            self.fragments = 0;
            self.size = 0;
            self.text = Validator::default();
        }
        Ok(())
    }

    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Buffer) -> Result<(), Cause> {
        self.frame(kind, fin, &payload)
    }

    fn buffer(&mut self, _: usize) -> Buffer {
        Buffer::default()
    }

    fn is_full(&self) -> bool {
        self.count - self.resumed >= self.room
    }

    fn write_message(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.extend_from_slice(b"another");
        let result = write(&mut buffer);
        if result.is_ok() {
            let payload = buffer.strip_prefix(b"another");
            self.frame(kind, true, payload.expect("the other is still there"))?;
        }
        buffer.clear();
        buffer.shrink_to(BUFFER);
        self.buffer = buffer;
        result
    }

    fn ping(&mut self, payload: &[u8]) {
        self.control(8, payload);
    }

    fn pong(&mut self, payload: &[u8]) {
        self.control(9, payload);
    }

    fn close(&mut self, frame: CloseFrame) {
        self.control(10, &frame.payload());
        self.is_closed = true;
    }
}

/// The text of a failure, of which the peer can be told.
pub(crate) fn describe(cause: Cause) -> String {
    let text = cause.to_string();
    let frame = Closing::default().fail(cause).expect("the peer is told");
    assert_eq!(
        CloseFrame::parse(&frame.payload()).ok(),
        Some(frame.clone())
    );
    assert!(frame.payload().len() <= MAX_CONTROL_PAYLOAD, "{frame}");
    text
}

/// Large enough for most messages, and for more than a limit may allow.
const BUFFER: usize = 64 << 10;
