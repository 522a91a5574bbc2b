"""The client beside two other implementations: `websockets` and `wsproto`.

The same bytes of a server go to all three, and whatever they make of them has to be the
same: messages, Pongs, Close frames, and the exception. Where it is not, the reason
stands in `DIFFERENCES`; anything else is a fault of one of the three.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from conversations import (
    COMPRESSED,
    Agreement,
    Conversation,
    mutated_conversation,
    valid_conversation,
)
from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MS,
    PING,
    PONG,
    TEXT,
    Peer,
    close_payload,
    encode_frame,
)
from references import Outcome, control_frames, with_websockets, with_wsproto
from support import QUICK
from websocket_rs.exceptions import ConnectionClosed
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


PLAIN = Agreement()


@dataclass(frozen=True)
class Difference:
    """A difference that is accepted.

    Attributes:
        reason: Why it is none of our faults.
        applies: Tells whether it explains a difference, by what we, they, and the
            other ones have made of a conversation.
    """

    reason: str
    applies: Callable[[Outcome, Outcome, Outcome], bool]


def same_messages(ours: Outcome, theirs: Outcome) -> bool:
    """Tell whether both agree upon what came before the end."""
    return (ours.messages, ours.pongs) == (theirs.messages, theirs.pongs)


DIFFERENCES = {
    "late UTF-8": Difference(
        "websockets validates a text when the program takes the message; we, and "
        "wsproto, as it arrives (RFC 6455, section 8.1, says `fail`)",
        lambda ours, theirs, other: ours == other and ours.sent == 1007,
    ),
    "late frame": Difference(
        "websockets looks at a frame when all of it has come; we look at the header "
        "and at each piece, as wsproto does, so that nothing is awaited in vain",
        lambda ours, theirs, other: (
            ours == other and ours.sent == 1002 and theirs.sent in (None, 1007, 1009)
        ),
    ),
    "shortest length": Difference(
        "websockets takes a length in more bytes than it needs; `the minimal number of "
        "bytes MUST be used` (RFC 6455, section 5.2)",
        lambda ours, theirs, other: ours == other and ours.sent == 1002,
    ),
    "close between fragments": Difference(
        "websockets fails when a Close frame comes inside of a fragmented message; "
        "control frames may (RFC 6455, section 5.4)",
        lambda ours, theirs, other: (
            ours == other
            and ours.rcvd == ours.sent == theirs.rcvd
            and theirs.sent == 1002
        ),
    ),
    "bad gateway": Difference(
        "wsproto does not know the close code 1014, which was registered later",
        lambda ours, theirs, other: (
            ours == other and theirs.sent == 1002 and 1014 in (ours.rcvd, None)
        ),
    ),
    "no limit": Difference(
        "wsproto has no limit for the size of a message",
        lambda ours, theirs, other: ours == other and ours.sent == 1009,
    ),
    "text before corruption": Difference(
        "the others drop what was inflated before a fault in the compression; we "
        "validate it first, so that bad UTF-8 in it does not depend on what follows",
        lambda ours, theirs, other: (
            ours.sent == 1007
            and {theirs.sent, other.sent} <= {None, 1002}
            and same_messages(ours, theirs)
        ),
    ),
}


def explain(
    ours: Outcome, theirs: Outcome, other: Outcome, names: Iterable[str]
) -> str | None:
    """Return the first of these reasons that explains a difference, if any does."""
    for name in names:
        if DIFFERENCES[name].applies(ours, theirs, other):
            return name
    return None


class Meeting:
    """Holds conversations with our client, each over a connection of its own."""

    def __init__(self, raw_server: Callable) -> None:
        self.conversations: list[Conversation] = []
        self.wires: dict[int, bytes] = {}
        self.server = raw_server(self._script)

    def _script(self, peer: Peer) -> None:
        number = int(peer.read_request().target[1:])
        conversation, chance = self.conversations[number], random.Random(number)
        headers = []
        if conversation.agreement:
            headers = [f"Sec-WebSocket-Extensions: {conversation.agreement.header}"]
        raw = conversation.raw
        early = chance.randrange(len(raw) + 1) if chance.random() < 0.2 else 0
        peer.sock.sendall(peer.response(*headers) + raw[:early])
        most = chance.choice([1, 30, 1000, 1 << 20])
        while early < len(raw):
            size = chance.randrange(most) + 1
            peer.sock.sendall(raw[early : early + size])
            early += size
            if chance.random() < 0.03:
                # Segments that come late are read one by one, more often than not.
                time.sleep(0.5 * MS * chance.random())
        peer.sock.shutdown(socket.SHUT_WR)
        wire = bytearray()
        while data := peer.sock.recv(1 << 16):
            wire += data
        self.wires[number] = bytes(wire)

    def hold(self, conversations: Iterable[Conversation]) -> list[Outcome]:
        """Return what our client makes of each of the conversations."""
        start = len(self.conversations)
        self.conversations += conversations
        outcomes = [
            self._receive(number) for number in range(start, len(self.conversations))
        ]
        self.server.join()
        for number, outcome in enumerate(outcomes, start):
            note = self.conversations[number].note
            outcome.pongs, sent = control_frames(self.wires[number])
            assert sent == outcome.sent, f"{note}: {sent} is on the wire"
        return outcomes

    def _receive(self, number: int) -> Outcome:
        conversation, outcome = self.conversations[number], Outcome()
        compression = "deflate" if conversation.agreement else None
        url = f"{self.server.url}/{number}"
        with connect(url, compression=compression, **QUICK) as ws:
            with pytest.raises(ConnectionClosed) as caught:
                outcome.messages.extend(iter(ws.recv, None))
            closed = caught.value
            if closed.rcvd:
                outcome.rcvd, outcome.reason = closed.rcvd.code, closed.rcvd.reason
            outcome.sent = closed.sent and closed.sent.code
            assert type(closed).__name__ == outcome.error, conversation.note
        return outcome


@pytest.fixture
def meeting(raw_server) -> Meeting:
    """A place for conversations."""
    return Meeting(raw_server)


def compare(
    conversation: Conversation, ours: Outcome, names: Iterable[str]
) -> list[str]:
    """Compare our outcome with both others, and return the reasons of differences."""
    outcomes = [with_websockets(conversation), with_wsproto(conversation)]
    reasons = []
    for theirs, other in [outcomes, reversed(outcomes)]:
        if ours == theirs:
            continue
        reason = explain(ours, theirs, other, names)
        if reason is None:
            pytest.fail(
                f"{conversation}:\n"
                f"  ours:       {ours}\n"
                f"  websockets: {outcomes[0]}\n  wsproto:    {outcomes[1]}",
                pytrace=False,
            )
        reasons.append(reason)
    return reasons


# Conversations made by hand, each with the code that we answer with and the accepted
# differences.


def frames(*parts: tuple) -> tuple[bytes, ...]:
    """Return frames, each given by opcode, payload, and whether it is the last."""
    return tuple(encode_frame(part[0], part[1], fin=part[2:] != (0,)) for part in parts)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return a Close frame with any code and reason."""
    return encode_frame(CLOSE, close_payload(code) + reason)


def compressed(payload: bytes, *rest: bytes) -> tuple[bytes, ...]:
    """Return a compressed text, with the rest of it in further frames."""
    first = encode_frame(TEXT, payload, fin=not rest, rsv=COMPRESSED)
    others = frames(*((CONTINUATION, more, int(more is rest[-1])) for more in rest))
    return first, *others


HELLO = bytes.fromhex("f248cdc9c90700")
"""A compressed message of RFC 7692, section 7.2.3.1."""

VALID = {
    "nothing": (),
    "text": (b"\x81\x05Hello",),
    "fragments": (b"\x01\x03Hel", b"\x80\x02lo"),
    "ping": (b"\x89\x05Hello", b"\x8a\x05Hello"),
    "256 bytes": (encode_frame(BINARY, bytes(256)),),
    "64 KiB": (encode_frame(BINARY, bytes(range(256)) * 256),),
    "empty messages": frames((TEXT, b""), (BINARY, b"")),
    "empty fragments": frames(
        (TEXT, b"", 0), (CONTINUATION, b"", 0), (CONTINUATION, b"")
    ),
    "control between": frames(
        (TEXT, b"a", 0), (PING, b"1"), (CONTINUATION, b"b", 0), (PONG, b""),
        (PING, b""), (CONTINUATION, b"c"), (PING, b"2" * 125),
    ),
    "cut character": frames(
        (TEXT, b"\xf0", 0), (PING, b""), (CONTINUATION, b"\x9f\x8e", 0),
        (CONTINUATION, b"", 0), (CONTINUATION, b"\x89"),
    ),
    "edges of Unicode": frames(
        (TEXT, "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff".encode())
    ),
    "unfinished": frames((TEXT, b"a"), (TEXT, b"b", 0)),
    "5000 fragments": frames(
        (BINARY, b"", 0), *[(CONTINUATION, b"x", 0)] * 4998, (CONTINUATION, b"")
    ),
}  # fmt: skip

COMPRESSED_MESSAGES = {
    "hello": compressed(HELLO),
    "hello in fragments": compressed(HELLO[:3], HELLO[3:]),
    "hello byte by byte": compressed(*(HELLO[i : i + 1] for i in range(len(HELLO)))),
    "hello twice": (*compressed(HELLO), *compressed(bytes.fromhex("f200110000"))),
    "without compression": compressed(bytes.fromhex("000500faff48656c6c6f00")),
    "final block": compressed(bytes.fromhex("f348cdc9c9070000")) * 2,
    "two blocks": compressed(bytes.fromhex("f248050000 00ffffcac9c90700")),
    "empty": compressed(b"\0") * 2,
    "empty frames": compressed(b"", HELLO, b""),
    "both kinds": (*compressed(HELLO), *frames((TEXT, b"x")), *compressed(HELLO)),
    "control between": (
        encode_frame(TEXT, HELLO[:3], fin=False, rsv=COMPRESSED),
        *frames((PING, b"1"), (CONTINUATION, HELLO[3:]), (PING, b"2")),
        *compressed(HELLO),
    ),
    "uncompressed fragments": (
        *frames((TEXT, b"a", 0), (CONTINUATION, b"b")),
        *compressed(HELLO),
    ),
}

CLOSES = {
    "without code": ((encode_frame(CLOSE),), 1005),
    "with reason": ((close_frame(1000, "grüße".encode()),), 1000),
    "with 123 bytes": ((close_frame(1000, b"x" * 123),), 1000),
    "then more": ((close_frame(1000), *frames((TEXT, b"a"), (PING, b""))), 1000),
    "twice": ((close_frame(1000), close_frame(1001)), 1000),
    "after a message": ((*frames((TEXT, b"a")), close_frame(1011)), 1011),
    "of one byte": ((encode_frame(CLOSE, b"\x03"),), 1002),
    "with bad reason": ((close_frame(1000, b"\xff"),), 1007),
    "with cut reason": ((close_frame(1000, "é".encode()[:1]),), 1007),
    **{
        f"{code}": ((close_frame(code),), code)
        for code in [1000, 1003, 1007, 1008, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
    },
    **{
        f"{code}": ((close_frame(code),), 1002)
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
    },
}

VIOLATIONS = {
    "first continuation": (frames((CONTINUATION, b"x")), 1002),
    "text inside": (frames((TEXT, b"a", 0), (TEXT, b"b")), 1002),
    "binary inside": (frames((TEXT, b"a", 0), (BINARY, b"b", 0)), 1002),
    "continuation after": (frames((TEXT, b"a"), (CONTINUATION, b"b")), 1002),
    "long ping": ((encode_frame(PING, b"x" * 126),), 1002),
    "fragmented ping": (frames((PING, b"x", 0)), 1002),
    "fragmented close": (frames((CLOSE, b"", 0)), 1002),
    "masked": ((b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",), 1002),
    "messages before": ((*frames((TEXT, b"a"), (PING, b"p")), b"\x83\x00"), 1002),
    **{
        f"opcode {opcode}": ((encode_frame(opcode),), 1002)
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
    },
    **{
        f"reserved {rsv} of {opcode}": ((encode_frame(opcode, rsv=rsv),), 1002)
        for rsv in [1, 2, 3, 4, 5, 7]
        for opcode in [TEXT, CLOSE, PING, PONG]
    },
    **{
        f"UTF-8 {text.hex()}": (frames((TEXT, text)), 1007)
        for text in [
            b"\xff", b"\x80", b"a\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80", b"\xe2\x28\xa1", b"\xe2\x82", b"\xf0\x9f\x8e",
        ]
    },
    "UTF-8 in fragments": (frames((TEXT, b"\xe2", 0), (CONTINUATION, b"\x28")), 1007),
    "cut in fragments": (frames((TEXT, b"\xe2", 0), (CONTINUATION, b"\x82")), 1007),
}  # fmt: skip

COMPRESSED_VIOLATIONS = {
    "reserved of continuation": (
        (compressed(HELLO, b"")[0], encode_frame(CONTINUATION, b"", rsv=COMPRESSED)),
        1002,
    ),
    "reserved of ping": ((encode_frame(PING, rsv=COMPRESSED),), 1002),
    "reserved of close": ((encode_frame(CLOSE, rsv=COMPRESSED),), 1002),
    "reserved two": ((encode_frame(TEXT, HELLO, rsv=COMPRESSED | 2),), 1002),
    "reserved three": ((encode_frame(TEXT, HELLO, rsv=COMPRESSED | 1),), 1002),
    "junk": (compressed(b"\xff" * 10), 1002),
    "junk in fragments": (compressed(b"\xff" * 10, b"\xff" * 10), 1002),
    "far back": (compressed(bytes.fromhex("f200110000")), 1002),
    "no UTF-8": (compressed(bytes.fromhex("000200fdffc32800")), 1007),
    "no deflate": (compressed(b"Hello"), 1002),
}

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


def made_by_hand(cases: dict, agreement: Agreement | None) -> list[Conversation]:
    """Return conversations out of a table."""
    return [
        Conversation(case if case == () or isinstance(case[0], bytes) else case[0],
                     agreement, name)
        for name, case in cases.items()
    ]  # fmt: skip


@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
def test_recv_valid_messages(meeting, agreement):
    """Messages that break no rule are received as by the others."""
    conversations = made_by_hand(VALID, agreement)
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert ours.sent is None, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize(
    "agreement",
    [PLAIN, Agreement(server_bits=9), Agreement(server_bits=8)],
    ids=["deflate", "small window", "smallest window"],
)
def test_recv_compressed_messages(meeting, agreement):
    """Every form of compression that RFC 7692 allows is inflated as by the others."""
    conversations = made_by_hand(COMPRESSED_MESSAGES, agreement)
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert ours.messages, conversation.note
        assert set(ours.messages) <= {"Hello", "", "x", "ab"}, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
@pytest.mark.parametrize(
    "cases", [CLOSES, VIOLATIONS, COMPRESSED_VIOLATIONS], ids=["close", "rule", "zlib"]
)
def test_recv_until_close(meeting, agreement, cases):
    """A Close frame is answered, and a violation told, with the code of the others."""
    if agreement:
        # With compression, one of the reserved bits means something.
        cases = {name: case for name, case in cases.items() if "reserved 4" not in name}
    elif cases is COMPRESSED_VIOLATIONS:
        cases = {name: (case[0], 1002) for name, case in cases.items()}
    conversations = made_by_hand(cases, agreement)
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert ours.sent == cases[conversation.note][1], conversation.note
        assert not compare(conversation, ours, [])


def test_recv_accepted_differences(meeting):
    """The differences that are accepted exist, each for the reason in the table."""
    conversations = [
        Conversation(frames, agreement, name)
        for name, (frames, agreement, *_) in DIFFERENT.items()
    ]
    seen = set()
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        _, _, sent, *expected = DIFFERENT[conversation.note]
        assert ours.sent == sent, conversation.note
        expected = [reason for reason in expected if reason]
        assert compare(conversation, ours, expected) == expected, conversation.note
        seen.update(expected)
    assert seen == DIFFERENCES.keys()


def test_recv_header_of_a_masked_frame(meeting):
    """A masked frame is refused as soon as the bit says so, before the masking key."""
    conversations = [
        Conversation(((b"\x81\x85" + bytes(4))[:size],), None, f"{size} bytes")
        for size in [2, 3, 5, 6]
    ]
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert ours.sent == 1002, conversation.note
        assert not compare(conversation, ours, [])


# Conversations made at random.


@pytest.mark.parametrize("block", range(4))
def test_recv_random_messages(meeting, block):
    """Whatever breaks no rule is received as by the others, however it is segmented."""
    seeds = range(150 * block, 150 * (block + 1))
    conversations = [valid_conversation(seed) for seed in seeds]
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("block", range(6))
def test_recv_mutated_messages(meeting, block):
    """Whatever comes is received or refused as by the others, but for the table."""
    seeds = range(150 * block, 150 * (block + 1))
    conversations = [mutated_conversation(seed) for seed in seeds]
    reasons: Counter[str] = Counter()
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        reasons.update(compare(conversation, ours, DIFFERENCES))
    assert reasons.total() < len(conversations) // 10, reasons


@pytest.mark.parametrize("seed", [1, 2, 9])
def test_recv_cut_anywhere(meeting, seed):
    """A stream that ends anywhere leaves what came before, as with the others."""
    raw = valid_conversation(seed)
    whole = raw.raw[:200]
    conversations = [
        Conversation((whole[:size],), raw.agreement, f"{size} bytes of {seed}")
        for size in range(len(whole))
    ]
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        assert ours.sent is None, conversation.note
        assert not compare(conversation, ours, [])


@pytest.mark.parametrize("begun", [False, True], ids=["first", "inside"])
@pytest.mark.parametrize("agreement", [None, PLAIN], ids=["plain", "deflate"])
def test_recv_every_first_byte(meeting, agreement, begun):
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
    for conversation, ours in zip(
        conversations, meeting.hold(conversations), strict=True
    ):
        compare(
            conversation, ours, ["late UTF-8", "late frame", "close between fragments"]
        )
        taken += ours.sent is None
    assert taken >= 2
