"""The client beside two other implementations, in conversations made by hand."""

from __future__ import annotations

import pytest

from conversations import COMPRESSED, Agreement, Conversation
from handmade import (
    CLOSES,
    COMPRESSED_MESSAGES,
    COMPRESSED_VIOLATIONS,
    HELLO,
    PLAIN,
    VALID,
    VIOLATIONS,
    close_frame,
    compressed,
    frames,
    made_by_hand,
)
from meeting import DIFFERENCES, compare, hold
from raw_server import PING, TEXT, encode_frame


DIFFERENT = {
    # The bytes, what was agreed upon, our code, and how each of the others differs.
    "text fails early": (
        frames((TEXT, b"\xff", 0)), None, 1007, "late UTF-8", None
    ),
    "text fails before the frame": (
        frames((TEXT, b"\xff", 0), (TEXT, b"")), None, 1007, "late UTF-8", None
    ),
    "header fails early": (
        (b"\xf1\x05",), None, 1002, "late frame", None
    ),
    "corruption fails early": (
        (encode_frame(TEXT, b"\xff" * 50, rsv=COMPRESSED)[:-1],), PLAIN, 1002,
        "late frame", None,
    ),
    "5 in two bytes": (
        (b"\x81\x7e\x00\x05Hello",), None, 1002, "shortest length", None
    ),
    "5 in eight bytes": (
        (b"\x81\x7f" + bytes(7) + b"\x05Hello",), None, 1002, "shortest length", None
    ),
    "close between fragments": (
        (*frames((TEXT, b"a", 0)), close_frame(1000)), None, 1000,
        "close between fragments", None,
    ),
    "bad code with bad reason": (
        (close_frame(999, b"\xff"),), None, 1002, "late frame", None
    ),
    "bad gateway": (
        (close_frame(1014),), None, 1014, None, "bad gateway"
    ),
    "more than the limit": (
        (b"\x82\x7f" + bytes(3) + b"\x01" + bytes(4),), None, 1009, None, "no limit"
    ),
    "text before corruption": (
        compressed(bytes.fromhex("000200fdff28ffff"), b"\xff" * 9), PLAIN, 1007,
        "text before corruption", "text before corruption",
    ),
}  # fmt: skip


@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
def test_recv_valid_messages(raw_server, agreement):
    """Messages that break no rule are received as by the others."""
    conversations = made_by_hand(VALID, agreement)
    for conversation, ours in hold(raw_server, conversations):
        assert ours.sent is None, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize(
    "agreement",
    [PLAIN, Agreement(server_bits=9), Agreement(server_bits=8)],
    ids=["deflate", "small window", "smallest window"],
)
def test_recv_compressed_messages(raw_server, agreement):
    """Every form of compression that RFC 7692 allows is inflated as by the others."""
    conversations = made_by_hand(COMPRESSED_MESSAGES, agreement)
    for conversation, ours in hold(raw_server, conversations):
        assert ours.messages, conversation.note
        assert set(ours.messages) <= {"Hello", "", "x", "ab"}, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
@pytest.mark.parametrize(
    "cases", [CLOSES, VIOLATIONS, COMPRESSED_VIOLATIONS], ids=["close", "rule", "zlib"]
)
def test_recv_until_close(raw_server, agreement, cases):
    """A Close frame is answered, and a violation told, with the code of the others."""
    if agreement:
        # With compression, one of the reserved bits means something.
        cases = {name: case for name, case in cases.items() if "reserved 4" not in name}
    elif cases is COMPRESSED_VIOLATIONS:
        cases = {name: (case[0], 1002) for name, case in cases.items()}
    conversations = made_by_hand(cases, agreement)
    for conversation, ours in hold(raw_server, conversations):
        assert ours.sent == cases[conversation.note][1], conversation.note
        assert not compare(conversation, ours, [])


def test_recv_accepted_differences(raw_server):
    """The differences that are accepted exist, each for the reason in the table."""
    conversations = [
        Conversation(frames, agreement, name)
        for name, (frames, agreement, *_) in DIFFERENT.items()
    ]
    seen = set()
    for conversation, ours in hold(raw_server, conversations):
        _, _, sent, *expected = DIFFERENT[conversation.note]
        assert ours.sent == sent, conversation.note
        expected = [reason for reason in expected if reason]
        assert compare(conversation, ours, expected) == expected, conversation.note
        seen.update(expected)
    assert seen == DIFFERENCES.keys()


def test_recv_header_of_a_masked_frame(raw_server):
    """A masked frame is refused as soon as the bit says so, before the masking key."""
    conversations = [
        Conversation(((b"\x81\x85" + bytes(4))[:size],), None, f"{size} bytes")
        for size in [2, 3, 5, 6]
    ]
    for conversation, ours in hold(raw_server, conversations):
        assert ours.sent == 1002, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("begun", [False, True], ids=["first", "inside"])
@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
def test_recv_every_first_byte(raw_server, agreement, begun):
    """Of all the first bytes that a frame may have, the others' are taken."""
    before = frames((TEXT, b"a", 0)) if begun else ()
    conversations = [
        Conversation(
            (*before, bytes([first, len(HELLO)]) + HELLO, *frames((PING, b"after"))),
            agreement,
            f"first byte {first:#x}",
        )
        for first in range(256)
    ]
    taken = 0
    for conversation, ours in hold(raw_server, conversations):
        compare(
            conversation, ours, ["late UTF-8", "late frame", "close between fragments"]
        )
        taken += ours.sent is None
    assert taken >= 2
