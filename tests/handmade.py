"""Conversations made by hand: what a server may send, and may not.

Each that ends with a Close frame of ours has the code of it.
"""

from __future__ import annotations

from conversations import COMPRESSED, Agreement, Conversation
from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    encode_frame,
)


PLAIN = Agreement()
"""Compression without parameters."""


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


def made_by_hand(cases: dict, agreement: Agreement | None) -> list[Conversation]:
    """Return conversations out of a table."""
    return [
        Conversation(case if case == () or isinstance(case[0], bytes) else case[0],
                     agreement, name)
        for name, case in cases.items()
    ]  # fmt: skip
