use super::*;

fn frame(code: u16) -> CloseFrame {
    CloseFrame {
        code,
        reason: String::new(),
    }
}

#[test]
fn answer_echoes_the_code_received() {
    let mut closing = Closing::default();
    assert_eq!(closing.receive(frame(4001)), Some(frame(4001)));
    assert!(closing.agreed());
    assert_eq!(closing.closure().rcvd_then_sent, Some(true));
    assert_eq!(closing.state(), State::Closing);
}

#[test]
fn answer_to_our_close_is_not_answered_again() {
    let mut closing = Closing::default();
    assert!(closing.begin(frame(NORMAL)).is_some());
    assert_eq!(closing.receive(frame(NORMAL)), None);
    assert_eq!(closing.closure().rcvd_then_sent, Some(false));
    assert!(closing.closure().is_ok());
}

#[test]
fn second_close_sends_nothing() {
    let mut closing = Closing::default();
    assert!(closing.begin(frame(NORMAL)).is_some());
    assert_eq!(closing.begin(frame(GOING_AWAY)), None);
}

#[test]
fn end_without_close_frame_is_a_failure() {
    let mut closing = Closing::default();
    closing.end(Some(Cause::Eof));
    assert_eq!(closing.state(), State::Closed);
    assert!(!closing.closure().is_ok());
    assert!(matches!(closing.closure().cause, Some(Cause::Eof)));
}

#[test]
fn first_failure_is_remembered() {
    let mut closing = Closing::default();
    let sent = closing.fail(Cause::Protocol("first".to_owned()));
    assert_eq!(sent.map(|frame| frame.code), Some(PROTOCOL_ERROR));
    assert_eq!(closing.fail(Cause::Eof), None);
    assert_eq!(
        closing.closure().cause.as_ref().map(ToString::to_string),
        Some("first".into())
    );
}

#[test]
fn codes_of_the_registry_are_accepted_and_the_reserved_refused() {
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        assert!(CloseFrame::new(code, "").is_ok(), "{code}");
        assert!(CloseFrame::parse(&code.to_be_bytes()).is_ok(), "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        assert!(CloseFrame::new(code, "").is_err(), "{code}");
        assert!(CloseFrame::parse(&code.to_be_bytes()).is_err(), "{code}");
    }
}

#[test]
fn reason_is_limited_in_bytes_not_characters() {
    assert!(CloseFrame::new(1000, &"é".repeat(61)).is_ok());
    assert!(CloseFrame::new(1000, &"é".repeat(62)).is_err());
}

#[test]
fn parse_refuses_one_byte_and_bad_utf8() {
    assert!(matches!(CloseFrame::parse(&[3]), Err(Cause::Protocol(_))));
    assert!(matches!(
        CloseFrame::parse(&[3, 232, 0xff]),
        Err(Cause::InvalidData(_))
    ));
    assert_eq!(CloseFrame::parse(&[]), Ok(frame(NO_STATUS)));
}

#[test]
fn reasons_fit_into_a_frame_whatever_the_numbers() {
    let most = usize::MAX;
    for cause in [
        Cause::TooBig {
            size: Some(most as u64),
            limit: most,
            current: most,
        },
        Cause::OutOfMemory,
        Cause::TooManyFragments { limit: most },
        CloseFrame::parse(&5000_u16.to_be_bytes()).unwrap_err(),
        CloseFrame::parse(b"\x03\xe8 \xff").unwrap_err(),
    ] {
        let frame = cause.close_frame().unwrap();
        assert!(
            CloseFrame::new(frame.code, &frame.reason).is_ok(),
            "{frame}"
        );
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
