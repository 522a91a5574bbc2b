//! Receiving: what the program gets, and what the peer.

use super::*;

#[test]
fn receive_keeps_what_came_before_its_deadline() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.0.write_all(&[0x82, 3, b'a']).unwrap();
    assert!(matches!(
        connection.receive(&within(20)),
        Err(Error::Timeout {
            phase: Phase::Receive,
            ..
        })
    ));
    peer.0.write_all(b"bc").unwrap();
    connection.receive(&within(5000)).unwrap();
    assert_eq!(take(&connection), Some(b"abc".to_vec()));
}

#[test]
fn receive_answers_pings() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0x89, b"are you there?");
    assert!(connection.receive(&within(20)).is_err());
    assert_eq!(peer.receive(), (0x8a, b"are you there?".to_vec()));
}

#[test]
fn receive_answers_the_close_frame_and_delivers_what_came_before() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0x81, b"last");
    peer.send(0x88, &4000_u16.to_be_bytes());
    connection.receive(&within(5000)).unwrap();
    while connection.state() == State::Open {
        assert_eq!(connection.read_ahead(), Reading::Some);
    }
    assert_eq!(peer.receive(), (0x88, 4000_u16.to_be_bytes().to_vec()));
    connection.receive(&within(5000)).unwrap();
    assert_eq!(take(&connection), Some(b"last".to_vec()));
    match connection.receive(&within(5000)) {
        Err(Error::Closed(closure)) => {
            assert_eq!(closure.rcvd.map(|frame| frame.code), Some(4000));
            assert_eq!(closure.rcvd_then_sent, Some(true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn violation_fails_the_connection_and_nothing_more_is_delivered() {
    let (connection, mut peer) = connect(None, |_| ());
    peer.send(0xf1, b"reserved bits");
    peer.send(0x81, b"fine");
    for _ in 0..2 {
        match connection.receive(&within(5000)) {
            Err(Error::Closed(closure)) => {
                assert!(matches!(closure.cause, Some(Cause::Protocol(_))));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.receive().1[..2], PROTOCOL_ERROR.to_be_bytes());
    assert_eq!(take(&connection), None);
}

#[test]
fn message_over_the_limit_is_refused_from_its_header() {
    let (connection, mut peer) = connect(None, |options| options.limits.message = 100);
    peer.0.write_all(&[0x82, 101]).unwrap();
    assert!(matches!(
        connection.receive(&within(5000)),
        Err(Error::Closed(_))
    ));
    assert_eq!(peer.receive().1[..2], TOO_BIG.to_be_bytes());
}

#[test]
fn end_of_stream_without_close_frame_is_a_failure() {
    let (connection, peer) = connect(None, |_| ());
    drop(peer);
    match connection.receive(&within(5000)) {
        Err(Error::Closed(closure)) => {
            assert!(!closure.is_ok());
            assert!(matches!(closure.cause, Some(Cause::Eof)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        connection.send(Kind::Text, b"late", &within(5000)),
        Err(Error::Closed(_))
    ));
}

#[test]
fn thread_stands_in_for_a_reader_who_is_absent() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    peer.send(0x89, b"ping");
    assert_eq!(peer.receive(), (0x8a, b"ping".to_vec()));
    peer.send(0x81, b"ahead");
    until("the thread reads ahead", || !connection.is_drained());
    assert_eq!(take(&connection), Some(b"ahead".to_vec()));
    connection.thread.stop();
}

#[test]
fn thread_stops_reading_while_the_inbox_is_full() {
    let (connection, mut peer) = connect(Some(Role::Reads), |options| options.marks.bytes = 1000);
    peer.0
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let frame = [&[0x82, 100][..], &[0; 100]].concat();
    let mut sent = 0;
    while peer.0.write_all(&frame).is_ok() {
        sent += 1;
    }
    peer.0.set_write_timeout(None).unwrap();
    assert!(sent > 10);
    let mut taken = 0;
    until("all that was sent arrives", || {
        while take(&connection).is_some() {
            taken += 1;
        }
        taken >= sent
    });
    connection.thread.stop();
}
