//! A frame's header: [`frame::parse`] never panics, refuses what RFC 6455 refuses, and says of the
//! beginning of a header what it says of the whole, or that more is to come. What is encoded reads
//! back as what it was.
//!
//! The oracle is tungstenite's parser, and the rules of section 5 on the bits themselves.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use websocket_rs::{
    buffer::Buffer,
    protocol::frame::{self, Data, Header, OpCode, Outgoing},
};

use crate::input::Input;

/// Reads `data` as frames of a server, and writes it as one of a client.
pub fn run(data: &[u8]) {
    for has_extension in [false, true] {
        let whole = parse(data, has_extension);
        check(data, has_extension, &whole);
        for cut in 0..data.len().min(2 * frame::MAX_HEADER) {
            let part = parse(&data[..cut], has_extension);
            assert!(part == Ok(None) || part == whole, "cut at {cut}");
        }
    }
    encode(Input(data));
}

fn parse(bytes: &[u8], has_extension: bool) -> Result<Option<Header>, String> {
    frame::parse(bytes, has_extension).map_err(|cause| cause.to_string())
}

fn check(data: &[u8], has_extension: bool, result: &Result<Option<Header>, String>) {
    let mut cursor = Cursor::new(data);
    let (theirs, len) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            // Two bytes tell whether a masking key is to come, which none may.
            let is_masked = data.len() >= 2 && data[1] & 0x80 != 0;
            return assert!(*result == Ok(None) || is_masked && result.is_err());
        }
        Err(_) => return assert!(result.is_err(), "{result:?}"),
    };
    let (first, second) = (data[0], data[1]);
    let opcode = first & 0x0f;
    let is_control = opcode >= 8;
    let starts_message = matches!(opcode, 1 | 2);
    let is_refused = first & 0x30 != 0
        || first & 0x40 != 0 && !(has_extension && starts_message)
        || second & 0x80 != 0
        || is_control && (first & 0x80 == 0 || second > 125)
        || second == 126 && len < 126
        || second == 127 && (len <= 0xffff || len >> 63 == 1);
    match result {
        Err(_) => assert!(is_refused),
        Ok(None) => panic!("the header is complete"),
        Ok(Some(ours)) => {
            assert!(!is_refused);
            assert_eq!(
                (ours.opcode, ours.fin, ours.rsv1, ours.payload_len),
                (theirs.opcode, theirs.is_final, theirs.rsv1, len)
            );
            assert_eq!(ours.size as u64, cursor.position());
            assert!(!is_control || len <= frame::MAX_CONTROL_PAYLOAD as u64);
        }
    }
}

fn encode(mut input: Input<'_>) {
    let byte = input.byte();
    let kind = Outgoing {
        opcode: match OpCode::from(byte & 0x0f) {
            OpCode::Data(Data::Reserved(_)) => OpCode::Data(Data::Binary),
            opcode => opcode,
        },
        fin: byte & 0x80 != 0,
        rsv1: byte & 0x40 != 0,
    };
    let mask = [input.byte(), input.byte(), input.byte(), input.byte()];
    let payload = input.expanded(MAX_PAYLOAD);
    let mut bytes = Buffer::from(b"before".to_vec());
    frame::encode(kind, &payload, mask, &mut bytes).unwrap();
    let mut cursor = Cursor::new(&bytes[b"before".len()..]);
    let Ok(Some((header, len))) = FrameHeader::parse(&mut cursor) else {
        // Only what the types allow and nobody sends.
        return assert!(byte & 0x0f > 10);
    };
    assert_eq!(
        (header.opcode, header.is_final, header.rsv1, header.mask),
        (kind.opcode, kind.fin, kind.rsv1, Some(mask))
    );
    assert_eq!(len, payload.len() as u64);
    let start = b"before".len() + usize::try_from(cursor.position()).unwrap();
    assert!(start <= b"before".len() + frame::MAX_HEADER);
    let unmasked = bytes[start..].iter().zip(mask.iter().cycle());
    assert!(unmasked.map(|(byte, key)| byte ^ key).eq(payload));
}

/// More than a length of two bytes can say, and than a block that is masked at once.
const MAX_PAYLOAD: usize = 70_000;
