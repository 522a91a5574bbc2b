//! Frames on the wire (RFC 6455, section 5), through tungstenite's frame codec.
//!
//! Headers are parsed and formatted by [`FrameHeader`]; what is added here is what a client has
//! to check of a server's header before it looks at the payload, and masking in one pass into
//! the output buffer. Knows single frames only, not messages.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
pub use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close::Cause;
use crate::buffer::{Buffer, OutOfMemory};

/// A server's frame header that has passed the checks of [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame carries.
    pub opcode: OpCode,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether its message is compressed (RFC 7692, section 6).
    pub rsv1: bool,
    /// The size of the header itself, in bytes.
    pub size: usize,
    /// The size of the payload that follows, in bytes.
    pub payload_len: u64,
}

/// What the header of a client's frame says, but for length and mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// What the frame carries.
    pub opcode: OpCode,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether its message is compressed, in the first frame of it.
    pub rsv1: bool,
}

impl Outgoing {
    /// A frame that is not part of a series, and not compressed.
    pub fn single(opcode: OpCode) -> Self {
        Self {
            opcode,
            fin: true,
            rsv1: false,
        }
    }
}

/// Reads the header at the start of `bytes`; `None` if it is not complete yet.
///
/// `has_extension` tells whether the first of the reserved bits means something, in the first
/// frame of a message.
///
/// What breaks the protocol is known from the header alone, so that no payload is waited for:
/// reserved bits and opcodes, a masked frame (section 5.1), control frames that are fragmented
/// or longer than 125 bytes (section 5.5), and lengths with the top bit set or with more bytes
/// than they need (section 5.2).
pub fn parse(bytes: &[u8], has_extension: bool) -> Result<Option<Header>, Cause> {
    // The codec reads from a cursor, and a short one would cost it an error for each byte.
    if bytes.len() < 2 {
        return Ok(None);
    }
    // The codec would wait for the masking key first.
    if bytes[1] & MASK != 0 {
        return Err(violation("incorrect masking"));
    }
    let mut cursor = Cursor::new(bytes);
    let (header, payload_len) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Ok(None),
        // The codec finds no other fault.
        Err(_) => return Err(violation(format!("reserved opcode {}", bytes[0] & OPCODE))),
    };
    let starts_message = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
    if header.rsv1 && !(has_extension && starts_message) || header.rsv2 || header.rsv3 {
        return Err(violation("reserved bits must be 0"));
    }
    // Another parser might read such a header differently, so it is refused.
    let size = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    if size != header.len(payload_len) {
        return Err(violation("frame length isn't encoded in the shortest way"));
    }
    if payload_len > i64::MAX as u64 {
        return Err(violation("frame length with the top bit set"));
    }
    if matches!(header.opcode, OpCode::Control(_)) {
        if !header.is_final {
            return Err(violation("fragmented control frame"));
        }
        if payload_len > MAX_CONTROL_PAYLOAD as u64 {
            return Err(violation("control frame too long"));
        }
    }
    Ok(Some(Header {
        opcode: header.opcode,
        fin: header.is_final,
        rsv1: header.rsv1,
        size,
        payload_len,
    }))
}

/// Appends the header of a client's frame.
pub fn encode_header(
    kind: Outgoing,
    payload_len: usize,
    mask: [u8; 4],
    output: &mut Buffer,
) -> Result<(), OutOfMemory> {
    let header = FrameHeader {
        is_final: kind.fin,
        rsv1: kind.rsv1,
        opcode: kind.opcode,
        mask: Some(mask),
        ..FrameHeader::default()
    };
    header
        .format(payload_len as u64, output)
        .map_err(|_| OutOfMemory)
}

/// Appends a whole frame, masked (section 5.3). Fails if there is no memory for it.
pub fn encode(
    kind: Outgoing,
    payload: &[u8],
    mask: [u8; 4],
    output: &mut Buffer,
) -> Result<(), OutOfMemory> {
    output.reserve(MAX_HEADER + payload.len())?;
    encode_header(kind, payload.len(), mask, output)?;
    append_masked(payload, mask, output)
}

/// Appends `payload` masked, as if it began at a multiple of four bytes into its frame.
pub fn append_masked(
    payload: &[u8],
    mask: [u8; 4],
    output: &mut Buffer,
) -> Result<(), OutOfMemory> {
    output.reserve(payload.len())?;
    // In blocks that stay in the first-level cache between being copied and being masked. The
    // block is a multiple of four, so the mask begins anew with each.
    for block in payload.chunks(MASK_BLOCK) {
        let start = output.len();
        output.append(block)?;
        apply_mask(&mut output[start..], mask);
    }
    Ok(())
}

/// Masks `data` in place.
fn apply_mask(data: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut words = data.chunks_exact_mut(8);
    for chunk in &mut words {
        let masked = u64::from_ne_bytes(chunk.try_into().unwrap_or_default()) ^ word;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

fn violation(text: impl Into<String>) -> Cause {
    Cause::Protocol(text.into())
}

/// The most that a control frame may carry (section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;
/// The largest header: two bytes, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;
/// The bits of the first byte that say what a frame carries.
const OPCODE: u8 = 0x0f;
/// The bit of the second byte that says that a frame is masked.
const MASK: u8 = 0x80;
const MASK_BLOCK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_frame_is_what_the_rfc_shows() {
        // The masked "Hello" of section 5.7.
        let mut output = Buffer::default();
        encode(
            Outgoing::single(OpCode::Data(Data::Text)),
            b"Hello",
            [0x37, 0xfa, 0x21, 0x3d],
            &mut output,
        )
        .unwrap();
        assert_eq!(
            *output,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
    }

    #[test]
    fn masking_twice_gives_the_payload_for_every_length() {
        let mask = [1, 2, 3, 4];
        for len in (0..40).chain([MASK_BLOCK - 1, MASK_BLOCK, MASK_BLOCK + 3]) {
            let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
            let mut masked = Buffer::default();
            append_masked(&payload, mask, &mut masked).unwrap();
            for (i, byte) in masked.iter().enumerate() {
                assert_eq!(byte ^ mask[i % 4], payload[i], "byte {i} of {len}");
            }
        }
    }

    #[test]
    fn header_is_read_for_every_form_of_length() {
        for (bytes, size, payload_len) in [
            (&[0x82, 125][..], 2, 125),
            (&[0x82, 126, 1, 0], 4, 256),
            (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 10, 65536),
        ] {
            let header = parse(bytes, false).unwrap().unwrap();
            assert_eq!((header.size, header.payload_len), (size, payload_len));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut], false).unwrap(), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn violations_are_found_in_the_header_alone() {
        for bytes in [
            &[0xc1, 0][..],
            &[0xa1, 0],
            &[0x91, 0],
            &[0x83, 0],
            &[0x8b, 0],
            &[0x81, 0x80, 0, 0, 0, 0],
            &[0x09, 0],
            &[0x89, 126, 0, 126],
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &[0x82, 126, 0, 5],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ] {
            assert!(
                matches!(parse(bytes, false), Err(Cause::Protocol(_))),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn reserved_opcode_is_named() {
        for opcode in (3..=7).chain(11..=15) {
            let cause = parse(&[0x80 | opcode, 0], false).unwrap_err();
            assert_eq!(cause.to_string(), format!("reserved opcode {opcode}"));
        }
    }

    #[test]
    fn extension_claims_the_first_reserved_bit_of_the_first_frame_only() {
        for first in [0xc1, 0x41, 0xc2] {
            let header = parse(&[first, 0], true).unwrap().unwrap();
            assert!(header.rsv1);
            assert!(parse(&[first, 0], false).is_err());
        }
        for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xa1, 0x91, 0xe1] {
            assert!(parse(&[first, 0], true).is_err(), "{first:x}");
        }
    }
}
