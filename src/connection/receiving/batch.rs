//! Frames in order, in as few allocations as possible.

use std::{
    collections::{TryReserveError, VecDeque},
    ops::Add,
};

use crate::{
    buffer::Buffer,
    protocol::{close::Cause, message::Kind},
};

/// Frames in order. Only those at its end may belong to a message that is not complete.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: VecDeque<Entry>,
    small: Vec<u8>,
    /// How much of `small` has been taken.
    taken: usize,
    large: VecDeque<Buffer>,
    /// Buffers of large payloads that have been taken, for the next ones.
    spares: Vec<Buffer>,
    /// What the frames of whole messages amount to.
    load: Load,
    /// What the frames of the incomplete message amount to.
    partial: Load,
}

/// A whole message.
#[derive(Debug)]
pub struct Message<'a> {
    /// What it carries.
    pub kind: Kind,
    /// The payload of its first frame; nearly always of the only one.
    pub first: &'a [u8],
    /// The payloads of its other frames.
    pub rest: Vec<&'a [u8]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: Kind,
    fin: bool,
    is_large: bool,
    len: usize,
}

/// What frames amount to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// About how many bytes they take.
    pub(super) bytes: usize,
    /// How many they are.
    pub(super) frames: usize,
}

impl Batch {
    /// Appends a frame, copied. Fails if there is no memory for it.
    pub(super) fn push(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause> {
        reserve(self.entries.try_reserve(1))?;
        reserve(self.small.try_reserve(payload.len()))?;
        self.small.extend_from_slice(payload);
        self.push_entry(kind, fin, payload.len(), false);
        Ok(())
    }

    /// Appends a frame that has a buffer of its own. Fails if there is no memory for it.
    pub(super) fn push_large(
        &mut self,
        kind: Kind,
        fin: bool,
        payload: Buffer,
    ) -> Result<(), Cause> {
        reserve(self.entries.try_reserve(1))?;
        reserve(self.large.try_reserve(1))?;
        self.push_entry(kind, fin, payload.len(), true);
        self.large.push_back(payload);
        Ok(())
    }

    /// Drops the frames of the message that is not complete.
    pub(super) fn drop_incomplete(&mut self) {
        while let Some(&entry) = self.entries.back()
            && !entry.fin
        {
            self.entries.pop_back();
            if entry.is_large {
                self.large.pop_back();
            } else {
                self.small.truncate(self.small.len() - entry.len);
            }
        }
        self.partial = Load::default();
        self.small.shrink_to(KEPT);
    }

    /// Appends a whole message whose payload `write` appends to the vector that it is given.
    /// Returns its size. If `write` fails, there is no message.
    pub(super) fn write_message<E>(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = self.small.len();
        if let Err(error) = write(&mut self.small) {
            self.small.truncate(start);
            return Err(error);
        }
        let size = self.small.len() - start;
        self.push_entry(kind, true, size, false);
        Ok(size)
    }

    fn push_entry(&mut self, kind: Kind, fin: bool, len: usize, is_large: bool) {
        let entry = Entry {
            kind,
            fin,
            is_large,
            len,
        };
        self.entries.push_back(entry);
        self.partial = self.partial + entry.load();
        if fin {
            self.load = self.load + self.partial;
            self.partial = Load::default();
        }
    }

    /// An empty buffer for a payload of this size: the smallest spare one that is large enough, or
    /// else the largest.
    pub(super) fn spare(&mut self, size: usize) -> Buffer {
        let fits = |spare: &Buffer| spare.capacity() >= size;
        let best = (0..self.spares.len()).min_by_key(|&index| {
            let spare = &self.spares[index];
            let excess = spare.capacity().abs_diff(size);
            (!fits(spare), excess)
        });
        best.map(|index| self.spares.swap_remove(index))
            .unwrap_or_default()
    }

    /// Keeps the buffer of the large payload at the front, and not too much in all.
    fn keep_spare(&mut self) {
        if let Some(mut payload) = self.large.pop_front() {
            payload.clear();
            self.spares.push(payload);
        }
        let mut total: usize = self.spares.iter().map(Buffer::capacity).sum();
        while total > SPARE_BYTES || self.spares.len() > SPARES {
            total -= self.spares.remove(0).capacity();
        }
    }

    /// Gives the buffers back that are empty.
    pub(super) fn give_back(&mut self) {
        self.spares = Vec::new();
        if self.is_empty() {
            self.taken = 0;
            self.small = Vec::new();
            self.entries = VecDeque::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    pub(super) fn partial(&self) -> Load {
        self.partial
    }

    /// Takes the message at the front, if it is whole and `convert` succeeds.
    pub(super) fn take_message<R, E>(
        &mut self,
        convert: impl FnOnce(&Message<'_>) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        if self.load.is_empty() {
            return None;
        }
        let entry = *self.entries.front()?;
        let first = self.payload(entry);
        let count = if entry.fin { 1 } else { self.count_frames() };
        let message = Message {
            kind: entry.kind,
            first,
            rest: if entry.fin {
                Vec::new()
            } else {
                self.rest(count)
            },
        };
        let result = convert(&message);
        if result.is_ok() {
            for _ in 0..count {
                self.remove();
            }
        }
        Some(result)
    }

    /// Takes the frame at the front, if there is one and `convert` succeeds.
    pub(super) fn take_frame<R, E>(
        &mut self,
        convert: impl FnOnce(Kind, bool, &[u8]) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        let entry = *self.entries.front()?;
        let result = convert(entry.kind, entry.fin, self.payload(entry));
        if result.is_ok() {
            self.remove();
        }
        Some(result)
    }

    /// Takes over all that another batch has.
    pub(super) fn absorb(&mut self, other: &mut Self) {
        if self.is_empty() {
            self.reset();
            return std::mem::swap(self, other);
        }
        // Only the beginning of a message is left. The batches can't just change places: if each
        // of them ended in such a beginning, none would ever be used up.
        self.small.drain(..self.taken);
        self.taken = 0;
        self.small.append(&mut other.small);
        self.entries.append(&mut other.entries);
        self.large.append(&mut other.large);
        if other.load.is_empty() {
            self.partial = self.partial + other.partial;
        } else {
            // The message that was incomplete has been completed.
            self.load = self.load + self.partial + other.load;
            self.partial = other.partial;
        }
        other.load = Load::default();
        other.partial = Load::default();
    }

    /// The payload of the entry at the front.
    fn payload(&self, entry: Entry) -> &[u8] {
        if entry.is_large {
            self.large.front().map_or(&[], |payload| payload)
        } else {
            &self.small[self.taken..self.taken + entry.len]
        }
    }

    /// How many frames the message at the front has.
    fn count_frames(&self) -> usize {
        self.entries
            .iter()
            .position(|entry| entry.fin)
            .map_or(0, |last| last + 1)
    }

    /// The payloads of the second to the last of `count` frames.
    fn rest(&self, count: usize) -> Vec<&[u8]> {
        let mut position = self.taken;
        let mut large = self.large.iter();
        self.entries
            .iter()
            .take(count)
            .map(|entry| {
                if entry.is_large {
                    return large.next().map_or(&[][..], |payload| payload);
                }
                position += entry.len;
                &self.small[position - entry.len..position]
            })
            .skip(1)
            .collect()
    }

    /// Removes the frame at the front.
    fn remove(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        if entry.is_large {
            self.keep_spare();
        } else {
            self.taken += entry.len;
        }
        // Incomplete is only what comes behind all that is whole.
        let load = if self.load.is_empty() {
            &mut self.partial
        } else {
            &mut self.load
        };
        load.bytes -= entry.load().bytes;
        load.frames -= 1;
        if self.entries.is_empty() {
            // The connection may be idle from now on.
            self.reset();
        }
    }

    /// Makes an emptied batch ready to be filled again. Buffers that a burst has made very large are
    /// given back.
    fn reset(&mut self) {
        self.taken = 0;
        self.small.clear();
        if self.small.capacity() > KEPT {
            self.small = Vec::new();
        }
        if self.entries.capacity() > KEPT_ENTRIES {
            self.entries = VecDeque::new();
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.small.capacity()
    }
}

fn reserve(result: Result<(), TryReserveError>) -> Result<(), Cause> {
    result.map_err(|_| Cause::OutOfMemory)
}

impl Message<'_> {
    /// The size of the payload, in bytes.
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(|frame| frame.len()).sum::<usize>()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the payload into a buffer of exactly its size.
    pub fn copy_to(&self, mut buffer: &mut [u8]) {
        for frame in std::iter::once(&self.first).chain(&self.rest) {
            let (place, following) = buffer.split_at_mut(frame.len());
            place.copy_from_slice(frame);
            buffer = following;
        }
    }
}

impl Entry {
    fn load(self) -> Load {
        Load {
            bytes: self.len + size_of::<Self>(),
            frames: 1,
        }
    }
}

impl Load {
    pub(super) fn is_empty(self) -> bool {
        self.frames == 0
    }

    /// Both numbers in one, so that they can be read and written at once.
    pub(super) fn pack(self) -> u64 {
        let bytes = (self.bytes as u64).min(MAX_BYTES);
        let frames = (self.frames as u64).min(u64::MAX >> BYTES_BITS);
        frames << BYTES_BITS | bytes
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let part = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            bytes: part(packed & MAX_BYTES),
            frames: part(packed >> BYTES_BITS),
        }
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            frames: self.frames + other.frames,
        }
    }
}

/// A terabyte is more than any process has; what is left counts 16 million frames.
const BYTES_BITS: u32 = 40;
const MAX_BYTES: u64 = (1 << BYTES_BITS) - 1;
/// How many spare buffers are kept, and how many bytes in them: fresh memory is expensive.
const SPARES: usize = 32;
const SPARE_BYTES: usize = 16 * 1024 * 1024;
/// The largest buffer that an empty batch keeps.
pub(super) const KEPT: usize = 1024 * 1024;
/// For how many frames it keeps space.
const KEPT_ENTRIES: usize = 8 * 1024;
