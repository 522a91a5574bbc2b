//! The in-memory stream that OpenSSL reads ciphertext from and writes ciphertext to.
//!
//! Must not know what the bytes mean, apart from the size of a TLS record.
//!
//! Invariants: writing never fails; reading says `WouldBlock` when there is nothing, and `Ok(0)`
//! only after [`Pipe::receive_eof`]. Bytes are not moved within the buffer, except that a buffer
//! which is not emptied is compacted once at least half of it has been read. Buffers larger than
//! [`KEPT_INCOMING`] and [`KEPT_OUTGOING`] are given back as soon as they are empty.

use std::{fmt, io};

use super::RECORD;

#[derive(Default)]
pub(super) struct Pipe {
    incoming: Vec<u8>,
    /// How much of `incoming` has been read.
    consumed: usize,
    ended: bool,
    outgoing: Vec<u8>,
}

impl Pipe {
    pub(super) fn receive(&mut self, ciphertext: &[u8]) {
        if self.consumed > 0 && self.consumed >= self.incoming.len() / 2 {
            self.incoming.drain(..self.consumed);
            self.consumed = 0;
        }
        self.incoming.extend_from_slice(ciphertext);
    }

    pub(super) fn receive_eof(&mut self) {
        self.ended = true;
    }

    /// An upper bound of the plaintext that the next record can yield, or 0 if OpenSSL has nothing
    /// to read at all. The end of the stream counts as one byte, for it is to be read as well.
    pub(super) fn next_record_at_most(&self) -> usize {
        let available = self.incoming.len() - self.consumed;
        available.min(RECORD).max(usize::from(self.ended))
    }

    pub(super) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Makes room for the ciphertext of so much plaintext.
    pub(super) fn reserve_outgoing(&mut self, plaintext: usize) {
        self.outgoing
            .reserve(plaintext + (plaintext / RECORD + 1) * RECORD_OVERHEAD);
    }

    pub(super) fn take_outgoing(&mut self, into: &mut Vec<u8>) {
        if into.is_empty() {
            std::mem::swap(into, &mut self.outgoing);
        } else {
            into.append(&mut self.outgoing);
        }
        if self.outgoing.capacity() > KEPT_OUTGOING {
            self.outgoing = Vec::new();
        }
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
            if self.incoming.capacity() > KEPT_INCOMING {
                self.incoming = Vec::new();
            }
        }
        Ok(length)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, ciphertext: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(ciphertext);
        Ok(ciphertext.len())
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
/// Two records: what a connection that is not flooded needs.
const KEPT_INCOMING: usize = 2 * RECORD;
/// Larger, because a sender of large messages would fault in fresh pages for each of them.
const KEPT_OUTGOING: usize = 16 * RECORD;

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
            pipe.receive(&piece);
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
        assert_eq!(pipe.next_record_at_most(), 0);
        pipe.receive_eof();
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
        assert_eq!(pipe.next_record_at_most(), 1);
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut pipe = Pipe::default();
        pipe.receive(&vec![7; 1 << 20]);
        let mut into = vec![0; 1 << 20];
        assert_eq!(pipe.read(&mut into).unwrap(), 1 << 20);
        assert!(pipe.incoming.capacity() <= KEPT_INCOMING);

        pipe.write_all(&into).unwrap();
        let mut sent = Vec::new();
        pipe.take_outgoing(&mut sent);
        assert_eq!(sent.len(), 1 << 20);
        sent.clear();
        pipe.write_all(b"x").unwrap();
        pipe.take_outgoing(&mut sent);
        assert!(pipe.outgoing.capacity() <= KEPT_OUTGOING);
    }

    #[test]
    fn taking_outgoing_appends() {
        let mut pipe = Pipe::default();
        pipe.write_all(b"world").unwrap();
        let mut sent = b"hello ".to_vec();
        pipe.take_outgoing(&mut sent);
        assert_eq!(sent, b"hello world");
        assert!(!pipe.has_outgoing());
    }
}
