//! Closing, and what races with it.

use super::*;

#[test]
fn close_waits_for_the_answer_and_the_end_of_the_stream() {
    let (connection, mut peer) = connect(Some(Role::StandsIn), |_| ());
    let closing = {
        let connection = Arc::clone(&connection);
        thread::spawn(move || {
            connection.begin_close(CloseFrame::new(NORMAL, "done").unwrap());
            connection.wait_ended(&within(5000))
        })
    };
    assert_eq!(
        peer.receive().1,
        [&NORMAL.to_be_bytes()[..], b"done"].concat()
    );
    peer.send(0x88, &NORMAL.to_be_bytes());
    peer.0
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        peer.0.read(&mut [0]).ok(),
        None,
        "the client waits for the server to end"
    );
    drop(peer);
    closing.join().unwrap().unwrap();
    assert!(connection.closure().is_ok());
    assert_eq!(connection.closure().rcvd_then_sent, Some(false));
    assert_eq!(connection.state(), State::Closed);
}

#[test]
fn close_ends_by_its_timeout_and_a_blocked_receiver_long_before() {
    let timeout = Duration::from_millis(400);
    let (connection, _peer) = connect(Some(Role::StandsIn), |options| {
        options.close_timeout = Some(timeout);
    });
    let started = Instant::now();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let result = connection.receive(&within(5000));
            (result, started.elapsed())
        });
        until("the receiver is inside", || {
            connection.receiving.readers.are_present()
        });
        connection.begin_close(CloseFrame::new(NORMAL, "").unwrap());
        connection.wait_ended(&within(5000)).unwrap();
        let (result, elapsed) = receiving.join().unwrap();
        assert!(matches!(result, Err(Error::Closed(_))), "{result:?}");
        assert!(elapsed < timeout, "{elapsed:?}");
    });
    assert!(started.elapsed() >= timeout);
    assert!(!connection.closure().is_ok(), "the peer has not answered");
}

#[test]
fn stop_says_goodbye_and_frees_the_halves() {
    let (connection, mut peer) = connect(Some(Role::Reads), |_| ());
    connection.thread.stop();
    connection.wait_ended(&within(5000)).unwrap();
    assert_eq!(peer.receive(), (0x88, GOING_AWAY.to_be_bytes().to_vec()));
    assert_eq!(
        peer.0.read(&mut [0]).unwrap(),
        0,
        "no one holds the socket any more"
    );
    assert!(connection.has_ended());
}

/// What reaches the peer, and what the connection says of it, where two threads call at about the
/// same time: the one so many turns of a loop after the other.
fn race(delays: [usize; 2], calls: [fn(&Connection); 2]) -> (Vec<(u8, Vec<u8>)>, Closure) {
    let (connection, mut peer) = connect(None, |_| ());
    let ready = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (delay, call) in delays.into_iter().zip(calls) {
            let (connection, ready) = (&connection, &ready);
            scope.spawn(move || {
                ready.fetch_add(1, Ordering::SeqCst);
                // A lock would wake one after the other.
                while ready.load(Ordering::SeqCst) < 2 {
                    hint::spin_loop();
                }
                (0..delay).for_each(|_| hint::spin_loop());
                call(connection);
            });
        }
    });
    connection.try_write();
    let closure = connection.closure();
    drop(connection);
    (iter::from_fn(|| peer.next()).collect(), closure)
}

fn close(connection: &Connection) {
    connection.begin_close(CloseFrame::new(NORMAL, "").unwrap());
}

#[test]
fn close_frame_goes_out_in_a_fragmented_message_only_to_fail_the_connection() {
    let send = |connection: &Connection| {
        // It fails if the connection has been closed.
        let _ = connection.post(Kind::Text, Part::First, b"a");
    };
    for delays in delays() {
        let (frames, closure) = race(delays, [send, close]);
        let code = if frames.len() == 1 {
            NORMAL
        } else {
            assert_eq!(frames[0].0, 0x01);
            INTERNAL_ERROR
        };
        let (first, payload) = frames.last().unwrap();
        assert_eq!((*first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        assert_eq!(closure.sent.map(|frame| frame.code), Some(code));
    }
}

#[test]
fn close_frame_that_is_reported_as_sent_is_sent() {
    let fail = |connection: &Connection| connection.fail(Cause::KeepaliveTimeout);
    for delays in delays() {
        let (frames, closure) = race(delays, [close, fail]);
        assert_eq!(frames, [(0x88, closure.sent.unwrap().payload())]);
    }
}

/// Delays by which two threads are likely to meet.
fn delays() -> impl Iterator<Item = [usize; 2]> {
    (0..1000).map(|number| match number % 100 {
        delay @ 0..50 => [delay, 0],
        delay => [0, delay - 50],
    })
}
