//! A buffer for bytes that come from the network or go there.
//!
//! Its memory is initialized when the buffer grows and not again, so that one that is used for
//! message after message costs neither fresh pages nor clearing. Large memory is mapped by itself:
//! the system has it back as soon as the buffer is dropped, and has to find it only for what has been
//! written. Invariant: no memory is an error, never an abort.

use std::{
    collections::TryReserveError,
    io,
    ops::{Deref, DerefMut, Range},
};

use memmap2::{MmapMut, MmapOptions};

/// Bytes, and space for more.
#[derive(Debug, Default)]
pub struct Buffer {
    /// What is beyond `len` is space.
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Vec<u8>),
    Mapped(MmapMut),
}

/// There is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl Buffer {
    /// How many bytes it can hold without growing.
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Makes space for so many more bytes than there is space for, exactly.
    pub fn grow(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        let capacity = self.capacity().checked_add(additional).ok_or(OutOfMemory)?;
        if capacity < MAPPED
            && let Memory::Heap(memory) = &mut self.memory
        {
            memory.try_reserve_exact(additional)?;
            memory.resize(capacity, 0);
            return Ok(());
        }
        let mut memory = Memory::mapped(capacity)?;
        memory[..self.len].copy_from_slice(self);
        self.memory = memory;
        Ok(())
    }

    /// Makes sure that there is space for so many more bytes; for more than that where it grows, so
    /// that it does not grow often.
    pub fn reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        let space = self.capacity() - self.len;
        if space >= additional {
            return Ok(());
        }
        self.grow((additional - space).max(self.len))
    }

    /// The space to write into, of at most so many bytes. Call [`Self::advance`] next.
    pub fn space(&mut self, at_most: usize) -> &mut [u8] {
        let end = self.memory.len().min(self.len.saturating_add(at_most));
        &mut self.memory[self.len..end]
    }

    /// Notes that so many bytes of the space have been written.
    ///
    /// # Panics
    ///
    /// If there was less space, which is a bug of the caller.
    pub fn advance(&mut self, count: usize) {
        self.len += count;
        assert!(self.len <= self.memory.len(), "written beyond the space");
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(bytes.len())?;
        self.space(bytes.len()).copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    /// Has bytes appended to what there is, which is all that the vector holds.
    pub fn extend<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut vector = match std::mem::take(&mut self.memory) {
            Memory::Heap(memory) => memory,
            Memory::Mapped(memory) => memory.to_vec(),
        };
        vector.truncate(self.len);
        let result = append(&mut vector);
        self.len = vector.len();
        self.memory = Memory::Heap(vector);
        result
    }

    /// Forgets all but the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Moves the bytes of this range to the beginning, and forgets the others.
    pub fn keep(&mut self, range: Range<usize>) {
        let len = range.len();
        self.memory.copy_within(range, 0);
        self.len = len;
    }

    /// Gives the memory back if nothing is in it.
    pub fn give_back(&mut self) {
        if self.len == 0 {
            self.memory = Memory::default();
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(memory: Vec<u8>) -> Self {
        Self {
            len: memory.len(),
            memory: Memory::Heap(memory),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    /// Memory of its own, all zero.
    fn mapped(len: usize) -> Result<Self, OutOfMemory> {
        let mapped = MmapOptions::new().len(len).map_anon();
        mapped.map(Self::Mapped).map_err(|_| OutOfMemory)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(memory) => memory,
            Self::Mapped(memory) => memory,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(memory) => memory,
            Self::Mapped(memory) => memory,
        }
    }
}

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

impl From<OutOfMemory> for io::Error {
    fn from(_: OutOfMemory) -> Self {
        io::ErrorKind::OutOfMemory.into()
    }
}

/// From this size on, memory is mapped by itself.
const MAPPED: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn space_is_what_it_was_asked_to_grow_by() {
        let mut buffer = Buffer::default();
        assert!(buffer.space(usize::MAX).is_empty());
        buffer.grow(4).unwrap();
        buffer.space(3).copy_from_slice(b"abc");
        buffer.advance(3);
        assert_eq!(&*buffer, b"abc");
        assert_eq!(buffer.space(usize::MAX).len(), 1);
        buffer.grow(2).unwrap();
        assert_eq!((&*buffer, buffer.capacity()), (&b"abc"[..], 6));
    }

    #[test]
    fn bytes_survive_every_size() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        while expected.len() < 3 * MAPPED {
            let piece: Vec<u8> = (0..=250).cycle().take(expected.len() + 1).collect();
            buffer.write_all(&piece).unwrap();
            expected.extend_from_slice(&piece);
            assert!(*buffer == *expected);
        }
        assert!(matches!(buffer.memory, Memory::Mapped(_)));
        buffer.extend(|vector| vector.push(7));
        expected.push(7);
        assert!(*buffer == *expected);
    }

    #[test]
    fn memory_is_kept_until_it_is_given_back() {
        let mut buffer = Buffer::from(b"abc".to_vec());
        buffer.clear();
        assert_eq!((buffer.len(), buffer.capacity()), (0, 3));
        buffer.append(b"de").unwrap();
        assert_eq!(&*buffer, b"de");
        buffer.keep(1..2);
        buffer.give_back();
        assert_eq!(&*buffer, b"e");
        buffer.clear();
        buffer.give_back();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn no_memory_is_an_error() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.grow(1 << 60), Err(OutOfMemory));
        assert_eq!(buffer.reserve(usize::MAX), Err(OutOfMemory));
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    #[should_panic(expected = "written beyond the space")]
    fn advancing_beyond_the_space_is_a_bug() {
        Buffer::default().advance(1);
    }
}
