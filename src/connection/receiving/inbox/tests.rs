use std::convert::Infallible;

use super::*;
use crate::connection::receiving::batch::KEPT;

fn bytes(limit: usize) -> Marks {
    Marks {
        bytes: limit,
        frames: None,
    }
}

fn take(inbox: &Inbox) -> Option<(Kind, Vec<u8>)> {
    let taken = inbox.pop(|message| {
        let mut payload = vec![0; message.len()];
        message.copy_to(&mut payload);
        Ok::<_, Infallible>((message.kind, payload))
    });
    taken.map(|taken| taken.unwrap())
}

fn take_frame(inbox: &Inbox) -> Option<(bool, Vec<u8>)> {
    let taken = inbox.pop_frame(|_, fin, payload| Ok::<_, Infallible>((fin, payload.to_vec())));
    taken.map(|taken| taken.unwrap())
}

#[test]
fn messages_come_out_in_order_small_and_large() {
    let inbox = Inbox::new(bytes(1 << 20));
    assert!(inbox.is_empty());
    let large = vec![7; 10_000];
    for round in 0..3 {
        let ((), any) = inbox.deliver(|batch| {
            batch.push(Kind::Text, true, b"one").unwrap();
            batch
                .push_large(Kind::Binary, true, large.clone().into())
                .unwrap();
            batch.push(Kind::Binary, true, b"").unwrap();
        });
        assert!(any);
        assert_eq!(take(&inbox), Some((Kind::Text, b"one".to_vec())));
        inbox.deliver(|batch| batch.push(Kind::Text, true, &[round]).unwrap());
        assert_eq!(take(&inbox), Some((Kind::Binary, large.clone())));
        assert_eq!(take(&inbox), Some((Kind::Binary, Vec::new())));
        assert_eq!(take(&inbox), Some((Kind::Text, vec![round])));
        assert_eq!(take(&inbox), None);
        assert!(inbox.is_empty());
    }
}

#[test]
fn fragments_make_a_message_only_when_all_are_there() {
    let inbox = Inbox::new(bytes(1 << 20));
    let large = vec![7; 10_000];
    for round in 0..3 {
        // Before and after an exchange, with small and large frames.
        let ((), any) = inbox.deliver(|batch| {
            batch.push(Kind::Text, true, b"first").unwrap();
            batch.push(Kind::Binary, false, b"a").unwrap();
        });
        assert!(any);
        assert_eq!(take(&inbox), Some((Kind::Text, b"first".to_vec())));
        let ((), any) = inbox.deliver(|batch| {
            batch
                .push_large(Kind::Binary, false, large.clone().into())
                .unwrap();
        });
        assert!(!any && inbox.is_empty());
        assert_eq!(take(&inbox), None);
        inbox.deliver(|batch| batch.push(Kind::Binary, false, b"").unwrap());
        let ((), any) = inbox.deliver(|batch| {
            batch.push(Kind::Binary, true, &[round]).unwrap();
            batch.push(Kind::Text, true, b"next").unwrap();
        });
        assert!(any && !inbox.is_empty());
        let whole = [&b"a"[..], &large, &[round]].concat();
        assert_eq!(take(&inbox), Some((Kind::Binary, whole)));
        assert_eq!(take(&inbox), Some((Kind::Text, b"next".to_vec())));
        assert!(inbox.is_empty());
    }
}

#[test]
fn streaming_takes_frames_as_they_come() {
    let inbox = Inbox::new(bytes(1 << 20));
    inbox.stream(true);
    for _ in 0..3 {
        let ((), any) = inbox.deliver(|batch| batch.push(Kind::Text, false, b"a").unwrap());
        assert!(any && !inbox.is_empty());
        assert_eq!(take_frame(&inbox), Some((false, b"a".to_vec())));
        assert!(inbox.is_empty());
        assert_eq!(take_frame(&inbox), None);
        inbox.deliver(|batch| {
            batch.push(Kind::Text, false, b"b").unwrap();
            batch.push(Kind::Text, true, b"c").unwrap();
            batch.push(Kind::Text, true, b"next").unwrap();
            batch.push(Kind::Text, false, b"begun").unwrap();
        });
        assert_eq!(take_frame(&inbox), Some((false, b"b".to_vec())));
        assert_eq!(take_frame(&inbox), Some((true, b"c".to_vec())));
        inbox.stream(false);
        assert_eq!(take(&inbox), Some((Kind::Text, b"next".to_vec())));
        assert_eq!(take(&inbox), None);
        inbox.deliver(|batch| batch.push(Kind::Text, true, b"ended").unwrap());
        assert_eq!(take(&inbox), Some((Kind::Text, b"begunended".to_vec())));
        assert!(inbox.is_empty());
        inbox.stream(true);
        assert!(inbox.is_empty());
    }
}

#[test]
fn message_that_cannot_be_converted_stays() {
    let inbox = Inbox::new(bytes(1 << 20));
    inbox.deliver(|batch| batch.push(Kind::Binary, true, b"kept").unwrap());
    assert_eq!(inbox.pop(|_| Err::<(), _>("no")), Some(Err("no")));
    assert_eq!(
        inbox.pop_frame(|_, _, _| Err::<(), _>("no")),
        Some(Err("no"))
    );
    assert_eq!(take(&inbox), Some((Kind::Binary, b"kept".to_vec())));
}

/// The number of messages taken when reading resumed.
fn drain_until_resumed(inbox: &Inbox) -> Option<usize> {
    let mut resumed_at = None;
    for taken in 1.. {
        if take(inbox).is_none() {
            break;
        }
        if inbox.resumes() {
            assert_eq!(resumed_at.replace(taken), None);
        }
    }
    resumed_at
}

#[test]
fn reading_pauses_at_the_limit_and_resumes_at_half_of_it() {
    let probe = Inbox::new(bytes(1));
    probe.deliver(|batch| batch.push(Kind::Binary, true, &[0; 100]).unwrap());
    let inbox = Inbox::new(bytes(10 * probe.load().bytes));
    let push = |batch: &mut Batch| batch.push(Kind::Binary, true, &[0; 100]).unwrap();
    inbox.deliver(|batch| (0..9).for_each(|_| push(batch)));
    assert!(!inbox.pauses());
    inbox.deliver(push);
    assert!(inbox.pauses());
    assert_eq!(drain_until_resumed(&inbox), Some(5));
}

#[test]
fn reading_pauses_above_so_many_frames_and_resumes_at_so_many() {
    let inbox = Inbox::new(Marks {
        bytes: 1 << 20,
        frames: Some((16, 4)),
    });
    let push = |batch: &mut Batch| batch.push(Kind::Text, true, b"x").unwrap();
    inbox.deliver(|batch| (0..16).for_each(|_| push(batch)));
    assert!(!inbox.pauses());
    inbox.deliver(push);
    assert!(inbox.pauses());
    assert_eq!(drain_until_resumed(&inbox), Some(13));
    // Without the rest of their message nobody could take them.
    inbox.deliver(|batch| (0..100).for_each(|_| batch.push(Kind::Text, false, b"x").unwrap()));
    assert!(!inbox.pauses());
    inbox.stream(true);
    assert!(inbox.pauses());
}

#[test]
fn empty_message_counts_so_that_a_flood_of_them_is_bounded() {
    let inbox = Inbox::new(bytes(1000));
    inbox.deliver(|batch| (0..1000).for_each(|_| batch.push(Kind::Text, true, b"").unwrap()));
    assert!(inbox.pauses());
}

#[test]
fn memory_is_given_back_though_the_front_is_never_used_up() {
    let inbox = Inbox::new(bytes(1 << 30));
    let payload = [7; 5000];
    inbox.deliver(|batch| batch.push(Kind::Binary, false, &payload).unwrap());
    for _ in 0..1000 {
        inbox.deliver(|batch| {
            batch.push(Kind::Binary, true, &payload).unwrap();
            batch.push(Kind::Binary, false, &payload).unwrap();
        });
        let whole = [payload, payload].concat();
        assert_eq!(take(&inbox), Some((Kind::Binary, whole)));
        assert!(lock(&inbox.front).kept() + lock(&inbox.back).kept() <= KEPT);
    }
}

#[test]
fn memory_of_fragments_is_given_back_with_their_message() {
    let inbox = Inbox::new(bytes(1 << 30));
    inbox.deliver(|batch| {
        for _ in 0..1000 {
            batch.push(Kind::Binary, false, &[0; 4000]).unwrap();
        }
        batch.push(Kind::Binary, true, b"").unwrap();
    });
    assert_eq!(take(&inbox).unwrap().1.len(), 4_000_000);
    assert!(lock(&inbox.front).kept() <= KEPT);
}

#[test]
fn incomplete_message_can_be_dropped() {
    let inbox = Inbox::new(bytes(1 << 20));
    inbox.deliver(|batch| {
        batch.push(Kind::Text, true, b"whole").unwrap();
        batch.push(Kind::Binary, false, &[0; 4000]).unwrap();
        batch.push(Kind::Binary, false, b"").unwrap();
        batch
            .push_large(Kind::Binary, false, vec![0; 5000].into())
            .unwrap();
        batch.drop_incomplete();
        batch.push(Kind::Text, true, b"next").unwrap();
    });
    assert_eq!(take(&inbox), Some((Kind::Text, b"whole".to_vec())));
    assert_eq!(take(&inbox), Some((Kind::Text, b"next".to_vec())));
    assert_eq!(take(&inbox), None);
}

#[test]
fn emptied_inbox_gives_a_large_buffer_back() {
    let inbox = Inbox::new(bytes(1 << 30));
    for _ in 0..2 {
        inbox.deliver(|batch| {
            (0..2000).for_each(|_| batch.push(Kind::Binary, true, &[0; 1000]).unwrap());
        });
        while take(&inbox).is_some() {}
    }
    for _ in 0..10 {
        inbox.deliver(|batch| batch.push(Kind::Binary, true, b"x").unwrap());
        assert!(take(&inbox).is_some());
    }
    assert!(lock(&inbox.front).kept() <= KEPT);
    assert!(lock(&inbox.back).kept() <= KEPT);
}
