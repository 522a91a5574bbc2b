mod compressed;

use proptest::prelude::*;

use super::{assembly::DIRECT_STEP, *};
use crate::{
    buffer::Buffer,
    protocol::deflate::{Agreement, Deflater},
};

/// Everything that a decoder found, in order.
#[derive(Debug, Default, PartialEq)]
struct Found(Vec<Item>);

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Frame(Kind, bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16),
}

impl Sink for Found {
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause> {
        self.0.push(Item::Frame(kind, fin, payload.to_vec()));
        Ok(())
    }
    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Buffer) -> Result<(), Cause> {
        self.frame(kind, fin, &payload)
    }
    fn buffer(&mut self, _: usize) -> Buffer {
        Buffer::default()
    }
    fn write_message(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let mut payload = b"other".to_vec();
        write(&mut payload)?;
        self.frame(kind, true, &payload[5..])
    }
    fn is_full(&self) -> bool {
        false
    }
    fn ping(&mut self, payload: &[u8]) {
        self.0.push(Item::Ping(payload.to_vec()));
    }
    fn pong(&mut self, payload: &[u8]) {
        self.0.push(Item::Pong(payload.to_vec()));
    }
    fn close(&mut self, frame: CloseFrame) {
        self.0.push(Item::Close(frame.code));
    }
}

const AGREEMENT: Agreement = Agreement {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    level: 6,
};

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

fn limits(message: usize) -> Limits {
    Limits {
        message,
        ..Limits::default()
    }
}

/// Reads of `bytes` what there is space for. Returns how many that were.
fn read(decoder: &mut Decoder, bytes: &[u8]) -> usize {
    let space = decoder.space().unwrap();
    let count = bytes.len().min(space.len());
    space[..count].copy_from_slice(&bytes[..count]);
    decoder.advance(count).unwrap();
    count
}

/// Feeds a decoder with `bytes`, read in pieces of the sizes that come round again and again.
fn feed(mut decoder: Decoder, bytes: &[u8], sizes: &[usize]) -> (Found, Result<(), Cause>) {
    let mut found = Found::default();
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    let mut result = Ok(());
    while !rest.is_empty() && result.is_ok() {
        let piece = sizes.next().map_or(usize::MAX, |size| (*size).max(1));
        let count = read(&mut decoder, &rest[..rest.len().min(piece)]);
        assert!(count > 0, "there must be space");
        rest = &rest[count..];
        result = decoder.decode(&mut found);
    }
    (found, result)
}

fn decode(bytes: &[u8], piece: usize, max_size: usize) -> (Found, Result<(), Cause>) {
    let decoder = Decoder::new(limits(max_size), None, Vec::new());
    feed(decoder, bytes, &[piece])
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
    assert_eq!(whole.0.len(), 11);
    assert_eq!(whole.0.last(), Some(&Item::Close(1000)));
    assert_eq!(whole.0[2], Item::Ping(b"now".to_vec()));
    for piece in [1, 2, 3, 5, 13, 127, 1000, 8191, 65_537] {
        let (found, result) = decode(&bytes, piece, usize::MAX);
        assert!(result.is_ok() && found == whole, "pieces of {piece}");
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
            size: Some(100),
            limit: 99,
            current: 0
        })
    ));
    assert!(found.0.is_empty());
    let parts = [frame(0x02, &[0; 60]), frame(0x80, &[0; 40])].concat();
    assert!(decode(&parts, 7, 100).1.is_ok());
    let (found, result) = decode(&parts[..64], 7, 99);
    assert!(matches!(
        result,
        Err(Cause::TooBig {
            size: Some(40),
            limit: 99,
            current: 60
        })
    ));
    assert_eq!(found.0.len(), 1);
}

#[test]
fn size_limit_of_a_frame_holds_in_a_larger_message() {
    let limits = Limits {
        message: 100,
        frame: 50,
        fragments: 3,
    };
    let decode = |bytes: &[u8]| feed(Decoder::new(limits, None, Vec::new()), bytes, &[9]).1;
    let parts = [frame(0x02, &[0; 50]), frame(0x80, &[0; 50])].concat();
    assert!(decode(&parts).is_ok());
    assert!(matches!(
        decode(&frame(0x82, &[0; 51])),
        Err(Cause::TooBig { limit: 50, .. })
    ));
    let many = [frame(0x02, b""), frame(0, b""), frame(0, b"")].concat();
    assert!(decode(&[&many[..], &frame(0x89, b"")].concat()).is_ok());
    assert!(matches!(
        decode(&[many, frame(0x80, b"")].concat()),
        Err(Cause::TooManyFragments { limit: 3 })
    ));
}

#[test]
fn announced_length_allocates_nothing() {
    let mut decoder = Decoder::new(Limits::default(), None, Vec::new());
    let header = [0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0];
    for _ in 0..3 {
        read(&mut decoder, &header);
        assert!(decoder.decode(&mut Found::default()).is_ok());
    }
    assert!(decoder.assembly.reserved() <= DIRECT_STEP + BUFFER_MAX);
}

#[test]
fn read_buffer_grows_in_bulk_and_is_given_back() {
    let mut decoder = Decoder::new(Limits::default(), None, Vec::new());
    let mut found = Found::default();
    let bytes = frame(0x82, &[0; 100]).repeat(3000);
    for _ in 0..20 {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[read(&mut decoder, rest)..];
            assert!(decoder.decode(&mut found).is_ok());
        }
    }
    assert_eq!(decoder.buffer.capacity(), BUFFER_MAX);
    assert!(decoder.is_large());
    decoder.give_back();
    assert_eq!(decoder.buffer.capacity(), 0);
    read(&mut decoder, &frame(0x82, b"x"));
    assert_eq!(decoder.buffer.capacity(), BUFFER_MIN);
}

#[test]
fn giving_back_keeps_what_is_not_decoded() {
    let mut decoder = Decoder::new(Limits::default(), None, Vec::new());
    let mut found = Found::default();
    let bytes = frame(0x82, b"whole");
    read(&mut decoder, &bytes[..3]);
    assert!(decoder.decode(&mut found).is_ok());
    decoder.give_back();
    read(&mut decoder, &bytes[3..]);
    assert!(decoder.decode(&mut found).is_ok());
    assert_eq!(
        found.0,
        [Item::Frame(Kind::Binary, true, b"whole".to_vec())]
    );
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
    // The frame announces more than comes.
    let mut begun = frame(0x01, &[b'x'; 100]);
    begun.truncate(2 + 3);
    begun.push(0xff);
    let (found, result) = decode(&begun, 1, 100);
    assert!(matches!(result, Err(Cause::InvalidData(_))));
    assert!(found.0.is_empty());
    let cut = [frame(0x01, b"ab\xc3"), frame(0x80, b"")].concat();
    for bytes in [
        cut,
        frame(0x81, b"\xed\xa0\x80"),
        [frame(0x01, b"\xc3"), frame(0x80, b"(")].concat(),
    ] {
        assert!(matches!(
            decode(&bytes, 100, 100).1,
            Err(Cause::InvalidData(_))
        ));
    }
}

#[test]
fn nothing_comes_after_a_failure() {
    let mut decoder = Decoder::new(limits(100), None, frame(0xc1, b"reserved"));
    let mut found = Found::default();
    assert!(decoder.decode(&mut found).is_err());
    read(&mut decoder, &frame(0x81, b"fine"));
    assert!(decoder.decode(&mut found).is_ok());
    assert!(found.0.is_empty());
}

/// A message as a server may send it, in frames.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "\\PC{0,80}".prop_map(String::into_bytes),
        (any::<u8>(), 0..70_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let control = prop::option::of((8..=10_u8, prop::collection::vec(any::<u8>(), 0..125)));
    (payload, any::<bool>(), any::<bool>(), cuts, control).prop_map(
        |(payload, is_text, is_compressed, cuts, control)| {
            let mut payload = payload;
            if is_compressed {
                // Each by itself, so that messages may be put together in any order.
                let mut deflated = Vec::new();
                Deflater::new(&AGREEMENT)
                    .deflate_fragment(&payload, true, &mut deflated)
                    .unwrap();
                payload = deflated;
            }
            let mut cuts: Vec<usize> = cuts
                .iter()
                .map(|cut| cut.index(payload.len() + 1))
                .collect();
            cuts.sort_unstable();
            let mut bytes = Vec::new();
            let mut start = 0;
            let mut first = (2 - u8::from(is_text)) | (u8::from(is_compressed) << 6);
            for cut in cuts {
                bytes.extend(frame(first, &payload[start..cut]));
                start = cut;
                first = 0;
                if let Some((opcode, payload)) = &control {
                    bytes.extend(frame(0x80 | opcode, payload));
                }
            }
            bytes.extend(frame(0x80 | first, &payload[start..]));
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever a server sends, good or bad, the segments in which it arrives change nothing.
    #[test]
    fn segmentation_never_matters(
        messages in prop::collection::vec(message(), 1..6),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        sizes in prop::collection::vec(1..3000_usize, 1..5),
        max_size in prop_oneof![Just(usize::MAX), 10..100_000_usize],
        compression in any::<bool>(),
    ) {
        let mut bytes = messages.concat();
        if let Some((at, value)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let decoder = || {
            let inflater = compression.then(|| Inflater::new(&AGREEMENT));
            Decoder::new(limits(max_size), inflater, Vec::new())
        };
        let show = |result: Result<(), Cause>| result.map_err(|cause| cause.to_string());
        let (whole, verdict) = feed(decoder(), &bytes, &[]);
        let verdict = show(verdict);
        for sizes in [&sizes[..], &[1]] {
            let (found, result) = feed(decoder(), &bytes, sizes);
            prop_assert_eq!(&found, &whole);
            prop_assert_eq!(show(result), verdict.clone());
        }
    }
}
