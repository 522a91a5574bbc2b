//! What is accepted, in which order it goes out, and what it looks like on the wire.

use super::*;
use crate::protocol::extension::Offer;

#[test]
fn frames_are_taken_in_order_and_counted() {
    let outbox = Outbox::new(None).unwrap();
    let first = outbox.push(Kind::Text, Part::Whole, b"one").unwrap();
    let second = outbox.push(Kind::Binary, Part::Whole, b"two").unwrap();
    let mut bytes = Buffer::default();
    outbox.take(&mut bytes);
    assert_eq!(bytes.len() as u64, second);
    assert_eq!(
        (bytes[0], bytes[usize::try_from(first).unwrap()]),
        (0x81, 0x82)
    );
    assert_eq!(outbox.pending(), bytes.len());
    outbox.note_written(bytes.len());
    assert_eq!((outbox.pending(), outbox.written()), (0, second));
}

#[test]
fn nothing_is_accepted_after_the_close_frame_but_pongs() {
    let outbox = Outbox::new(None).unwrap();
    let close = |_| Some(CloseFrame::new(1000, "").unwrap());
    outbox.close(close);
    outbox.close(close);
    for part in [Part::Whole, Part::First, Part::Last] {
        let pushed = outbox.push(Kind::Text, part, b"late");
        assert_eq!(pushed, Err(Refusal::Finished));
    }
    let pushed = outbox.push_control(Control::Ping, b"late");
    assert_eq!(pushed, Err(Refusal::Finished));
    outbox.push_pong(b"");
    outbox.finish();
    outbox.push_pong(b"late");
    let mut bytes = Buffer::default();
    outbox.take(&mut bytes);
    assert_eq!((bytes[0], bytes[8], bytes.len()), (0x88, 0x8a, 14));
}

#[test]
fn pong_that_waits_goes_out_before_the_close_frame() {
    let outbox = Outbox::new(None).unwrap();
    let message = [0; PONGS];
    outbox.push(Kind::Binary, Part::Whole, &message).unwrap();
    outbox.push_pong(b"");
    outbox.close(|_| Some(CloseFrame::new(1000, "").unwrap()));
    let mut bytes = Buffer::default();
    outbox.take(&mut bytes);
    let end = &bytes[bytes.len() - 14..];
    assert_eq!((end[0], end[6]), (0x8a, 0x88));
}

#[test]
fn flood_of_pings_keeps_the_latest_pong_only() {
    let outbox = Outbox::new(None).unwrap();
    for i in 0..100_000_u32 {
        outbox.push_pong(&i.to_be_bytes());
    }
    assert!(outbox.lock().bytes.len() < 2 * PONGS);
    assert_eq!(
        outbox.lock().pong.as_deref(),
        Some(&99_999_u32.to_be_bytes()[..])
    );
}

#[test]
fn masking_keys_are_fresh_for_each_frame() {
    let outbox = Outbox::new(None).unwrap();
    let mut keys = std::collections::HashSet::new();
    for _ in 0..100 {
        let mut bytes = Buffer::default();
        outbox.push(Kind::Binary, Part::Whole, b"").unwrap();
        outbox.take(&mut bytes);
        keys.insert(bytes[2..6].to_vec());
    }
    assert!(keys.len() > 95);
}

#[test]
fn fragments_are_not_interrupted_but_by_control_frames() {
    let outbox = Outbox::new(None).unwrap();
    let push = |part, payload| outbox.push(Kind::Text, part, payload);
    push(Part::First, b"a").unwrap();
    assert_eq!(push(Part::Whole, b"x"), Err(Refusal::Fragmented));
    assert_eq!(push(Part::First, b"x"), Err(Refusal::Fragmented));
    outbox.push_pong(b"");
    push(Part::Next, b"b").unwrap();
    push(Part::Last, b"").unwrap();
    push(Part::Whole, b"c").unwrap();
    let mut bytes = Buffer::default();
    outbox.take(&mut bytes);
    let firsts = [0, 7, 13, 20, 26].map(|at| bytes[at]);
    assert_eq!(firsts, [0x01, 0x8a, 0x00, 0x80, 0x81]);
}

#[test]
fn compressed_messages_are_marked_and_small_ones_are_sent_as_they_are() {
    let deflater = Deflater::new(
        &Offer::default()
            .accept(&["permessage-deflate"])
            .unwrap()
            .unwrap(),
    );
    let outbox = Outbox::new(Some(deflater)).unwrap();
    let text = b"to be or not to be, to be or not to be, to be or not to be, to be";
    for (part, payload, first, smaller) in [
        (Part::Whole, &text[..], 0xc1, true),
        (Part::Whole, b"small", 0x81, false),
        (Part::First, text, 0x41, true),
        (Part::Last, b"", 0x80, false),
        (Part::First, b"small", 0x01, false),
        (Part::Last, text, 0x80, false),
    ] {
        outbox.push(Kind::Text, part, payload).unwrap();
        let mut bytes = Buffer::default();
        outbox.take(&mut bytes);
        assert_eq!(bytes[0], first, "{part:?} {payload:?}");
        assert_eq!(bytes.len() - 6 < payload.len(), smaller, "{part:?}");
    }
}
