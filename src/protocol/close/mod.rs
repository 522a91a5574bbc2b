//! The closing handshake (RFC 6455, section 7) as a state machine.
//!
//! It knows which Close frames went which way, in which order, and why the connection failed if
//! it did. It does not know how frames travel. Invariants: at most one Close frame is sent and
//! one received; the first failure is the one that is remembered; nothing leaves `Closed`.

#[cfg(test)]
mod tests;

use std::{fmt, io, sync::Arc};

use super::utf8::{self, InvalidUtf8};
use crate::buffer::OutOfMemory;

/// Normal closure; the purpose of the connection has been fulfilled.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away, such as a program that exits.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// Stands for a Close frame without a code. Never sent.
pub const NO_STATUS: u16 = 1005;
/// Stands for a connection that ended without a Close frame. Never sent.
pub const ABNORMAL: u16 = 1006;
/// A text message was not UTF-8.
pub const INVALID_DATA: u16 = 1007;
/// A message was larger than the limit.
pub const TOO_BIG: u16 = 1009;
/// Something went wrong at this end, or the peer does not answer.
pub const INTERNAL_ERROR: u16 = 1011;

/// The life of a connection, as `websockets` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Messages flow.
    Open = 1,
    /// A Close frame was sent or received; the connection is about to end.
    Closing = 2,
    /// Nothing more will be sent or received.
    Closed = 3,
}

/// The content of a Close frame. A frame without a code has the code [`NO_STATUS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The close code (RFC 6455, section 7.4).
    pub code: u16,
    /// The close reason.
    pub reason: String,
}

/// Why a connection failed.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The peer broke a rule of the protocol; the text names it.
    Protocol(String),
    /// A text message was not valid UTF-8.
    InvalidData(String),
    /// A message was larger than the limit, in bytes.
    TooBig {
        /// The size of the frame; `None` if it is compressed.
        size: Option<u64>,
        /// The limit.
        limit: usize,
        /// What had been received of the message before.
        current: usize,
    },
    /// A message had more fragments than the limit.
    TooManyFragments {
        /// The limit.
        limit: usize,
    },
    /// There is no memory for a message.
    OutOfMemory,
    /// No Pong has come in time.
    KeepaliveTimeout,
    /// A message could not be sent to its end; the text says why.
    UnfinishedMessage(&'static str),
    /// The stream ended without a Close frame.
    Eof,
    /// A system call or TLS failed.
    Io(Arc<io::Error>),
}

/// How a connection ended, for whoever asks afterwards.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// The Close frame received, if any.
    pub rcvd: Option<CloseFrame>,
    /// The Close frame sent, if any.
    pub sent: Option<CloseFrame>,
    /// Whether the peer's came first; `None` unless both exist.
    pub rcvd_then_sent: Option<bool>,
    /// What failed, if the connection did not end by agreement.
    pub cause: Option<Cause>,
    /// Set where the program itself closed the connection and the peer has not answered yet.
    pub by_us: bool,
}

/// The closing handshake of one connection.
#[derive(Debug, Default)]
pub struct Closing {
    closure: Closure,
    ended: bool,
}

impl Closing {
    /// Where the connection stands.
    pub fn state(&self) -> State {
        if self.ended {
            State::Closed
        } else if self.closure.sent.is_some()
            || self.closure.rcvd.is_some()
            || self.closure.cause.is_some()
        {
            State::Closing
        } else {
            State::Open
        }
    }

    /// Where the connection stands for the program. To it, a connection is closed once nothing
    /// more can be sent or received, though TCP may not have ended yet: when both Close frames have
    /// passed, or it has failed.
    pub fn reported_state(&self) -> State {
        if self.agreed() || self.closure.cause.is_some() {
            State::Closed
        } else {
            self.state()
        }
    }

    /// The program closes. Returns the frame to send, or `None` if closing is under way already.
    pub fn begin(&mut self, frame: CloseFrame) -> Option<CloseFrame> {
        if self.state() != State::Open {
            return None;
        }
        self.closure.by_us = true;
        self.closure.sent = Some(frame.clone());
        Some(frame)
    }

    /// The peer's Close frame arrived. Returns the answer to send, if one is due.
    ///
    /// The answer echoes the code (section 5.5.1), or has none if there was none.
    pub fn receive(&mut self, frame: CloseFrame) -> Option<CloseFrame> {
        if self.ended || self.closure.rcvd.is_some() || self.closure.cause.is_some() {
            return None;
        }
        self.closure.rcvd = Some(frame.clone());
        self.closure.rcvd_then_sent = Some(self.closure.sent.is_none());
        if self.closure.sent.is_some() {
            return None;
        }
        self.closure.sent = Some(frame.clone());
        Some(frame)
    }

    /// Fails the connection (section 7.1.7). Returns the Close frame to send, if one is due.
    pub fn fail(&mut self, cause: Cause) -> Option<CloseFrame> {
        if self.ended || self.closure.cause.is_some() {
            return None;
        }
        let frame = cause.close_frame();
        self.closure.cause = Some(cause);
        if self.closure.sent.is_some() {
            return None;
        }
        self.closure.sent.clone_from(&frame);
        if frame.is_some() && self.closure.rcvd.is_some() {
            self.closure.rcvd_then_sent = Some(true);
        }
        frame
    }

    /// The TCP connection has ended.
    ///
    /// If no Close frame had come, that itself is the failure (code 1006).
    pub fn end(&mut self, cause: Option<Cause>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if self.closure.rcvd.is_none() {
            self.closure.by_us = false;
        }
        if self.closure.rcvd.is_none() && self.closure.cause.is_none() {
            self.closure.cause = cause;
        }
    }

    /// How the connection ended, or is ending.
    pub fn closure(&self) -> &Closure {
        &self.closure
    }

    /// Whether both Close frames have passed.
    pub fn agreed(&self) -> bool {
        self.closure.rcvd.is_some() && self.closure.sent.is_some()
    }
}

impl Closure {
    /// Whether the connection was closed normally: both frames, each with an ordinary code.
    ///
    /// A connection that this program has closed itself counts as closed normally while the
    /// peer's answer is still outstanding.
    pub fn is_ok(&self) -> bool {
        let ordinary = |frame: &CloseFrame| matches!(frame.code, NORMAL | GOING_AWAY | NO_STATUS);
        match (&self.rcvd, &self.sent) {
            (Some(rcvd), Some(sent)) => ordinary(rcvd) && ordinary(sent),
            (None, Some(sent)) => self.by_us && self.cause.is_none() && ordinary(sent),
            _ => false,
        }
    }
}

impl Cause {
    /// The Close frame that tells the peer (section 7.4.1); none where no peer would read it.
    fn close_frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Protocol(reason) => (PROTOCOL_ERROR, reason.clone()),
            Self::InvalidData(reason) => (INVALID_DATA, reason.clone()),
            Self::TooBig { .. } | Self::OutOfMemory => (TOO_BIG, self.to_string()),
            Self::TooManyFragments { .. } => (TOO_BIG, "too many fragments".to_owned()),
            Self::KeepaliveTimeout | Self::UnfinishedMessage(_) => {
                (INTERNAL_ERROR, self.to_string())
            }
            Self::Eof | Self::Io(_) => return None,
        };
        Some(CloseFrame { code, reason })
    }
}

impl From<InvalidUtf8> for Cause {
    fn from(invalid: InvalidUtf8) -> Self {
        Self::InvalidData(invalid.to_string())
    }
}

impl CloseFrame {
    /// A frame with this code and reason, or the rule that they break.
    pub fn new(code: u16, reason: &str) -> Result<Self, String> {
        if !is_sendable(code) {
            return Err(format!(
                "invalid status code: {code} may not be sent, use 1000 to 1003, 1007 to 1014 or 3000 to 4999"
            ));
        }
        if reason.len() > MAX_REASON {
            return Err(format!(
                "control frame too long: the close reason has {} bytes in UTF-8, at most {MAX_REASON} fit",
                reason.len()
            ));
        }
        Ok(Self {
            code,
            reason: reason.to_owned(),
        })
    }

    /// Reads the payload of a Close frame (section 5.5.1), or names the rule that it breaks.
    pub fn parse(payload: &[u8]) -> Result<Self, Cause> {
        let (code, reason) = match payload {
            [] => (NO_STATUS, &[][..]),
            [_] => return Err(Cause::Protocol("close frame with one byte".to_owned())),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !payload.is_empty() && !is_sendable(code) {
            return Err(Cause::Protocol(format!("invalid close code {code}")));
        }
        utf8::validate(reason)
            .map_err(|invalid| Cause::InvalidData(format!("close reason: {invalid}")))?;
        Ok(Self {
            code,
            reason: String::from_utf8_lossy(reason).into_owned(),
        })
    }

    /// The payload of the frame.
    pub fn payload(&self) -> Vec<u8> {
        if self.code == NO_STATUS {
            return Vec::new();
        }
        let mut payload = self.code.to_be_bytes().to_vec();
        payload.extend_from_slice(self.reason.as_bytes());
        payload
    }
}

impl From<OutOfMemory> for Cause {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(text) | Self::InvalidData(text) => f.write_str(text),
            Self::TooBig {
                size,
                limit,
                current,
            } => {
                f.write_str("frame ")?;
                if let Some(size) = size {
                    write!(f, "with {size} bytes ")?;
                }
                if *current > 0 {
                    write!(f, "after reading {current} bytes ")?;
                }
                write!(f, "exceeds limit of {limit} bytes")
            }
            Self::TooManyFragments { limit } => {
                write!(f, "message exceeds limit of {limit} fragments")
            }
            Self::OutOfMemory => f.write_str("message doesn't fit into memory"),
            Self::KeepaliveTimeout => f.write_str("keepalive ping timeout"),
            Self::UnfinishedMessage(text) => f.write_str(text),
            Self::Eof => f.write_str("stream ended without a close frame"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.code, self.reason)
    }
}

impl fmt::Display for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rcvd, &self.sent) {
            (None, None) => f.write_str("no close frame received or sent"),
            (None, Some(sent)) => write!(f, "sent {sent}; no close frame received"),
            (Some(rcvd), None) => write!(f, "received {rcvd}; no close frame sent"),
            (Some(rcvd), Some(sent)) if self.rcvd_then_sent == Some(true) => {
                write!(f, "received {rcvd}; then sent {sent}")
            }
            (Some(rcvd), Some(sent)) => write!(f, "sent {sent}; then received {rcvd}"),
        }
    }
}

/// Whether a close code may stand in a frame (RFC 6455, section 7.4, and the IANA registry).
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A control frame holds 125 bytes, of which the code takes two.
const MAX_REASON: usize = 123;
