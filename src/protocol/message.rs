//! Messages: what they carry, and how large they may be.

use super::{
    close::Cause,
    frame::{Data, OpCode, Outgoing},
};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
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

impl Kind {
    /// What a message carries whose first frame has this opcode.
    pub fn of(data: Data) -> Self {
        match data {
            Data::Text => Self::Text,
            _ => Self::Binary,
        }
    }
}

impl Part {
    /// The header of the frame that carries this part.
    pub fn frame(self, kind: Kind) -> Outgoing {
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: usize::MAX,
            frame: usize::MAX,
            fragments: MAX_FRAGMENTS,
        }
    }
}

impl Limits {
    /// How large the next frame of a message may be, of which `current` bytes have been received.
    pub fn for_frame(&self, current: usize) -> usize {
        self.frame.min(self.message.saturating_sub(current))
    }

    /// The cause of the failure where a frame of this size is too large.
    pub fn exceeded(&self, size: Option<u64>, current: usize) -> Cause {
        let is_frame = self.frame < self.message.saturating_sub(current);
        Cause::TooBig {
            size,
            limit: if is_frame { self.frame } else { self.message },
            current,
        }
    }
}

/// How many fragments a message may have. Each costs a few bytes even if it is empty.
pub const MAX_FRAGMENTS: usize = 1 << 17;
