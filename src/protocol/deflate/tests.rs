use super::*;

const PLAIN: Agreement = Agreement {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    level: 6,
};

fn json(number: usize) -> Vec<u8> {
    format!(
        r#"{{"id":{number},"type":"trade","symbol":"BTC-USD","price":{}.5,"tags":["a","b"]}}"#,
        40_000 + number * 7 % 1000
    )
    .into_bytes()
}

/// Noise that no compressor makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(len)
    .collect()
}

fn inflate(inflater: &mut Inflater, payload: &[u8], piece: usize) -> Result<Vec<u8>, InflateError> {
    let mut output = Vec::new();
    for piece in payload.chunks(piece) {
        inflater.inflate(piece, &mut output, 1 << 24)?;
    }
    inflater.finish(&mut output, 1 << 24)?;
    Ok(output)
}

fn agreements() -> impl Iterator<Item = Agreement> {
    [false, true].into_iter().flat_map(|alone| {
        (9..=15).map(move |bits| Agreement {
            server_no_context_takeover: alone,
            client_no_context_takeover: alone,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            level: 1 + bits % 9,
        })
    })
}

#[test]
fn what_is_deflated_inflates_to_itself_whatever_was_agreed() {
    for agreement in agreements() {
        let mut deflater = Deflater::new(&agreement);
        let mut inflater = Inflater::new(&agreement);
        for number in 0..40 {
            let message = match number % 4 {
                0 | 1 => json(number),
                2 => json(number).repeat(700),
                _ => noise(100 * number),
            };
            let mut payload = Vec::new();
            if deflater.deflate(&message, &mut payload).unwrap() {
                let back = inflate(&mut inflater, &payload, 1 + number * 37).unwrap();
                assert!(back == message, "{agreement:?}, message {number}");
            }
        }
    }
}

#[test]
fn context_is_taken_over_unless_agreed_otherwise() {
    let sizes = |agreement: &Agreement| {
        let mut deflater = Deflater::new(agreement);
        [0, 1].map(|_| {
            let mut payload = Vec::new();
            assert!(deflater.deflate(&json(1), &mut payload).unwrap());
            payload.len()
        })
    };
    let [first, second] = sizes(&PLAIN);
    assert!(
        first <= json(1).len() + MAX_GROWTH && second < 20,
        "{first}, {second}"
    );
    let mut deflater = Deflater::new(&Agreement {
        client_no_context_takeover: true,
        ..PLAIN
    });
    let message = json(1).repeat(2);
    let sizes = [0, 1].map(|_| {
        let mut payload = Vec::new();
        assert!(deflater.deflate(&message, &mut payload).unwrap());
        payload.len()
    });
    assert_eq!(sizes[0], sizes[1]);
    assert!(!deflater.deflate(&noise(100), &mut Vec::new()).unwrap());
}

#[test]
fn message_that_would_not_become_smaller_is_left_alone_and_harms_nothing() {
    let mut deflater = Deflater::new(&PLAIN);
    let mut inflater = Inflater::new(&PLAIN);
    assert!(!deflater.suits(b"short"));
    let mut tried = 0;
    for number in 0..1000 {
        for message in [json(number), noise(300)] {
            if !deflater.suits(&message) {
                continue;
            }
            tried += 1;
            let mut payload = Vec::new();
            if deflater.deflate(&message, &mut payload).unwrap() {
                assert!(payload.len() <= message.len() + MAX_GROWTH);
                let back = inflate(&mut inflater, &payload, 99).unwrap();
                assert_eq!(back, message);
            }
        }
    }
    assert!(tried > 100, "{tried}");
    // A stream of what can't be compressed is soon left alone.
    let message = noise(300);
    let base64 = noise(300)
        .iter()
        .map(|byte| b'0' + byte % 64)
        .collect::<Vec<_>>();
    assert!(is_noise(&message) && is_noise(&noise(100_000)) && is_noise(&noise(48)));
    assert!(!is_noise(&base64) && !is_noise(&json(1)) && !is_noise(&[0; 48]));
    let in_vain = (0..1000).filter(|_| {
        deflater.suits(&message) && !deflater.deflate(&message, &mut Vec::new()).unwrap()
    });
    assert!(in_vain.count() < 20);
    for (client_max_window_bits, level) in [(8, 6), (15, 0)] {
        let unable = Deflater::new(&Agreement {
            client_max_window_bits,
            level,
            ..PLAIN
        });
        assert!(!unable.suits(&json(1)));
    }
}

#[test]
fn what_was_compressed_in_vain_is_tried_ever_more_seldom() {
    let mut backoff = Backoff::default();
    let mut tried = 0;
    for _ in 0..1000 {
        if !backoff.skips() {
            tried += 1;
            backoff.note(false);
        }
    }
    assert!(tried < 15, "{tried}");
    backoff.note(true);
    assert!(!backoff.skips());
}

#[test]
fn fragments_inflate_as_they_come_and_an_empty_one_may_end_the_message() {
    let mut deflater = Deflater::new(&PLAIN);
    let mut inflater = Inflater::new(&PLAIN);
    for _ in 0..3 {
        let mut whole = Vec::new();
        for number in 0..5 {
            let mut payload = Vec::new();
            deflater
                .deflate_fragment(&json(number), false, &mut payload)
                .unwrap();
            let mut output = Vec::new();
            inflater.inflate(&payload, &mut output, 1000).unwrap();
            assert_eq!(output, json(number));
            whole.extend(output);
        }
        let mut payload = Vec::new();
        deflater.deflate_fragment(b"", true, &mut payload).unwrap();
        assert_eq!(payload, [0]);
        let mut output = Vec::new();
        inflater.inflate(&payload, &mut output, 0).unwrap();
        inflater.finish(&mut output, 0).unwrap();
        assert!(output.is_empty());
    }
}

#[test]
fn examples_of_the_rfc_inflate() {
    let examples: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        // A block without compression.
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        // A block with "BFINAL" set.
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        // Two blocks.
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ];
    for payload in examples {
        for piece in 1..=payload.len() {
            let mut inflater = Inflater::new(&PLAIN);
            for _ in 0..2 {
                assert_eq!(inflate(&mut inflater, payload, piece).unwrap(), b"Hello");
            }
        }
    }
    let mut inflater = Inflater::new(&PLAIN);
    assert_eq!(inflate(&mut inflater, examples[0], 9).unwrap(), b"Hello");
    // The same message in the window of the first.
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(inflate(&mut inflater, &again, 9).unwrap(), b"Hello");
}

#[test]
fn limit_holds_while_inflating_and_memory_stays_near_it() {
    let mut deflater = Deflater::new(&PLAIN);
    let mut bomb = Vec::new();
    assert!(deflater.deflate(&vec![0; 10_000_000], &mut bomb).unwrap());
    assert!(bomb.len() < 20_000);
    for limit in [0, 1, 1000, 65_536, 9_999_999] {
        let mut inflater = Inflater::new(&PLAIN);
        let mut output = Vec::new();
        let result = inflater.inflate(&bomb, &mut output, limit);
        assert_eq!(result, Err(InflateError::TooBig), "{limit}");
        assert!(output.capacity() <= limit + MIN_STEP, "{limit}");
    }
    let mut inflater = Inflater::new(&PLAIN);
    let mut output = Vec::new();
    inflater.inflate(&bomb, &mut output, 10_000_000).unwrap();
    inflater.finish(&mut output, 0).unwrap();
    assert_eq!(output.len(), 10_000_000);
}

#[test]
fn junk_is_a_violation() {
    for junk in [&[0xff; 10][..], &[0x06, 0x07, 0x08], &noise(1000)] {
        let mut inflater = Inflater::new(&PLAIN);
        assert!(matches!(
            inflate(&mut inflater, junk, 100),
            Err(InflateError::Corrupt)
        ));
    }
}
