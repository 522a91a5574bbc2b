//! The in-memory stream that OpenSSL reads ciphertext from and writes ciphertext to.
//!
//! Must not know what the bytes mean, apart from the size of a TLS record.
//!
//! Invariants: writing fails only if there is no memory; reading says `WouldBlock` when there is
//! nothing, and `Ok(0)` only after [`Pipe::receive_eof`]. Bytes are not moved within the buffer,
//! except that a buffer which is not emptied is compacted once at least half of it has been read.

use std::{fmt, io};

use super::RECORD;
use crate::buffer::{Buffer, OutOfMemory};

#[derive(Default)]
pub(super) struct Pipe {
    incoming: Buffer,
    /// How much of `incoming` has been read.
    consumed: usize,
    ended: bool,
    outgoing: Buffer,
}

impl Pipe {
    pub(super) fn receive(&mut self, ciphertext: &[u8]) -> Result<(), OutOfMemory> {
        if self.consumed > 0 && self.consumed >= self.incoming.len() / 2 {
            self.incoming.keep(self.consumed..self.incoming.len());
            self.consumed = 0;
        }
        self.incoming.append(ciphertext)
    }

    pub(super) fn receive_eof(&mut self) {
        self.ended = true;
    }

    /// Gives the buffers back that are empty.
    pub(super) fn give_back(&mut self) {
        self.incoming.give_back();
        self.outgoing.give_back();
    }

    pub(super) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Makes room for the ciphertext of this much plaintext.
    pub(super) fn reserve_outgoing(&mut self, plaintext: usize) -> Result<(), OutOfMemory> {
        self.outgoing
            .reserve(plaintext + (plaintext / RECORD + 1) * RECORD_OVERHEAD)
    }

    /// Moves what there is to `into`, which is empty and becomes the next buffer.
    pub(super) fn take_outgoing(&mut self, into: &mut Buffer) {
        std::mem::swap(into, &mut self.outgoing);
    }
}

impl io::Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = &self.incoming[self.consumed..];
        if available.is_empty() {
            return if self.ended {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consumed += length;
        if self.consumed == self.incoming.len() {
            self.consumed = 0;
            self.incoming.clear();
        }
        Ok(length)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, ciphertext: &[u8]) -> io::Result<usize> {
        self.outgoing.write(ciphertext)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("incoming", &(self.incoming.len() - self.consumed))
            .field("ended", &self.ended)
            .field("outgoing", &self.outgoing.len())
            .finish()
    }
}

/// More than any cipher adds to a record: header, nonce, padding, tag.
const RECORD_OVERHEAD: usize = 128;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn bytes_come_out_in_order_whatever_the_pieces() {
        let mut pipe = Pipe::default();
        let mut expected = Vec::new();
        let mut actual = Vec::new();
        for step in 0..1000_usize {
            let piece: Vec<u8> = (0..17).cycle().skip(step).take(step % 17).collect();
            expected.extend_from_slice(&piece);
            pipe.receive(&piece).unwrap();
            let mut into = vec![0; step % 13 + 1];
            if let Ok(length) = pipe.read(&mut into) {
                actual.extend_from_slice(&into[..length]);
            }
        }
        pipe.receive_eof();
        pipe.read_to_end(&mut actual).unwrap();
        assert_eq!(actual, expected);
    }

    #[test]
    fn an_empty_pipe_blocks_until_its_end_is_known() {
        let mut pipe = Pipe::default();
        let error = pipe.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        pipe.receive_eof();
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn memory_is_given_back_when_it_is_empty() {
        let mut pipe = Pipe::default();
        pipe.receive(&vec![7; 1 << 20]).unwrap();
        let mut into = vec![0; 1 << 19];
        assert_eq!(pipe.read(&mut into).unwrap(), 1 << 19);
        pipe.give_back();
        assert_eq!(pipe.read(&mut into).unwrap(), 1 << 19);
        assert!(into.iter().all(|byte| *byte == 7));
        pipe.give_back();
        assert_eq!(pipe.incoming.capacity(), 0);
    }

    #[test]
    fn outgoing_is_taken_as_a_whole() {
        let mut pipe = Pipe::default();
        pipe.write_all(b"hello ").unwrap();
        pipe.write_all(b"world").unwrap();
        let mut sent = Buffer::default();
        pipe.take_outgoing(&mut sent);
        assert_eq!(&*sent, b"hello world");
        assert!(!pipe.has_outgoing());
    }
}
