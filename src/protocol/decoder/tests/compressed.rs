//! Messages that are compressed.

use super::*;

fn decode_compressed(bytes: &[u8], piece: usize, limits: Limits) -> (Found, Result<(), Cause>) {
    let inflater = Inflater::new(&AGREEMENT);
    let decoder = Decoder::new(limits, Some(inflater), Vec::new());
    feed(decoder, bytes, &[piece])
}

#[test]
fn compressed_message_is_inflated_with_control_frames_in_between() {
    let mut deflater = Deflater::new(&AGREEMENT);
    let text = "κόσμε ".repeat(100);
    let mut first = Vec::new();
    deflater
        .deflate_fragment(&text.as_bytes()[..501], false, &mut first)
        .unwrap();
    let mut last = Vec::new();
    deflater
        .deflate_fragment(&text.as_bytes()[501..], true, &mut last)
        .unwrap();
    let mut single = Vec::new();
    assert!(deflater.deflate(text.as_bytes(), &mut single).unwrap());
    let bytes = [
        frame(0x41, &first),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, &last),
        frame(0x81, b"not compressed"),
        frame(0xc1, &single),
        // An empty message.
        frame(0xc2, &[0]),
    ]
    .concat();
    let expected = [
        Item::Frame(Kind::Text, false, text.as_bytes()[..501].to_vec()),
        Item::Ping(b"ping".to_vec()),
        Item::Frame(Kind::Text, false, Vec::new()),
        Item::Frame(Kind::Text, true, text.as_bytes()[501..].to_vec()),
        Item::Frame(Kind::Text, true, b"not compressed".to_vec()),
        Item::Frame(Kind::Text, true, text.as_bytes().to_vec()),
        Item::Frame(Kind::Binary, true, Vec::new()),
    ];
    for piece in 1..=bytes.len() {
        let (found, result) = decode_compressed(&bytes, piece, Limits::default());
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(found.0, expected, "pieces of {piece}");
    }
}

#[test]
fn compressed_bit_is_a_violation_where_it_means_nothing() {
    for bytes in [
        [frame(0x01, b"a"), frame(0xc0, b"b")].concat(),
        frame(0xc9, b""),
        frame(0xc8, b""),
    ] {
        let result = decode_compressed(&bytes, 9, Limits::default()).1;
        assert!(matches!(result, Err(Cause::Protocol(_))));
    }
    // Neither extension nor compression.
    assert!(decode(&frame(0xc1, b"\x00"), 9, 100).1.is_err());
}

#[test]
fn size_limit_counts_what_a_message_inflates_to() {
    let mut deflater = Deflater::new(&AGREEMENT);
    let mut bomb = Vec::new();
    assert!(deflater.deflate(&vec![b'x'; 1_000_000], &mut bomb).unwrap());
    assert!(bomb.len() < 2000);
    let whole = frame(0xc1, &bomb);
    let parts = [frame(0x41, &bomb[..700]), frame(0x80, &bomb[700..])].concat();
    for bytes in [&whole, &parts] {
        for piece in [1, 100, usize::MAX] {
            assert!(decode_compressed(bytes, piece, limits(1_000_000)).1.is_ok());
            for limit in [999_999, 100_000, 10] {
                assert!(matches!(
                    decode_compressed(bytes, piece, limits(limit)).1,
                    Err(Cause::TooBig { limit: reported, .. }) if reported == limit
                ));
            }
        }
    }
    // What is larger on the wire than its message may be is refused from its header.
    let result = decode_compressed(&[0xc2, 126, 0xff, 0xff], 9, limits(50_000)).1;
    assert!(matches!(
        result,
        Err(Cause::TooBig {
            size: Some(65_535),
            ..
        })
    ));
}
