"""Frames that break a rule of RFC 6455, each whole and cut into segments at every byte.

A broken rule fails the connection as soon as its bytes are there, with the close code
that names it. The peer sends nothing more until it has read that Close frame, so that
a client which waits for the rest of a frame would wait for ever.
"""

from __future__ import annotations

import struct
import threading
import time

import pytest

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
from support import QUICK, resident_bytes, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConnectionClosedError,
    PayloadTooBig,
    ProtocolError,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect
from wire import fail_each_cut, few_cuts, send_cut


MIB = 1 << 20
OPENING = encode_frame(TEXT, b"frag", fin=False)
MASK = b"\x01\x02\x03\x04"


def head(first: int, length: int, *, size: int | None = None) -> bytes:
    """Return a header with this length, in the shortest form or in `size` bytes."""
    if size is None:
        size = 0 if length < 126 else 2 if length < 65536 else 8
    if size == 0:
        return bytes([first, length])
    marker, form = (126, "!H") if size == 2 else (127, "!Q")
    return bytes([first, marker]) + struct.pack(form, length)


HEADERS = {
    **{f"reserved bit {bit}": head(0x81 | bit, 5) for bit in (0x40, 0x20, 0x10)},
    "all reserved bits": head(0xF2, 0),
    "reserved bit of ping": head(0xC9, 0),
    "reserved bit of close": head(0xA8, 2),
    "reserved bit of fragment": OPENING + head(0x40, 0),
    **{f"opcode {code:#x}": head(0x80 | code, 0) for code in range(3, 8)},
    **{f"opcode {code:#x}": head(0x80 | code, 0) for code in range(11, 16)},
    "opcode 0x3 not final": head(0x03, 1),
    "masked": head(0x81, 0x80 | 5, size=0) + MASK,
    "masked and empty": head(0x82, 0x80, size=0) + MASK,
    "masked and long": b"\x82\xfe\x01\x00" + MASK,
    "masked ping": head(0x89, 0x80 | 1, size=0) + MASK,
    "masked close": head(0x88, 0x80 | 2, size=0) + MASK,
    "fragmented ping": head(PING, 0),
    "fragmented pong": head(PONG, 4),
    "fragmented close": head(CLOSE, 2),
    **{
        f"{name} of {length}": head(0x80 | opcode, length)
        for name, opcode in [("ping", PING), ("pong", PONG), ("close", CLOSE)]
        for length in [126, 65536, 16 * MIB]
    },
    "continuation of nothing": head(0x80, 3),
    "continuation of nothing, not final": head(0x00, 0),
    "continuation of a whole message": encode_frame(TEXT, b"whole") + head(0x80, 3),
    "text inside of a message": OPENING + head(0x81, 3),
    "text fragment inside of a message": OPENING + head(0x01, 3),
    "binary inside of a message": OPENING + head(0x82, 0),
    "top bit of the length": head(0x82, 1 << 63),
    "length of 64 ones": head(0x82, (1 << 64) - 1),
    "5 in 2 bytes": head(0x82, 5, size=2),
    "125 in 2 bytes": head(0x81, 125, size=2),
    "5 in 8 bytes": head(0x81, 5, size=8),
    "65535 in 8 bytes": head(0x82, 65535, size=8),
    "0 in 8 bytes": head(0x89, 0, size=8),
    "HTTP response": b"HT",
    "HTTP response to compression": b"\x48T",
    "TLS alert": b"\x15\x03",
}
"""Headers after which nothing more is needed to know that a rule is broken."""

BEFORE = {"continuation of a whole message": ["whole"]}
"""What such bytes bring that may be received."""

CLOSES = {
    "close of one byte": (b"\x03", 1002),
    **{
        f"close code {code}": (close_payload(code), 1002)
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
    },
    "close code 999 with reason": (close_payload(999, "why"), 1002),
    "bad byte in reason": (close_payload(1000) + b"ok \xff", 1007),
    "character cut in reason": (close_payload(4000) + b"\xe2\x82", 1007),
    "surrogate in reason": (close_payload(1000) + b"\xed\xa0\x80", 1007),
}

BAD_TEXTS = {
    "first byte": b"\xff",
    "start byte for five": b"\xf8",
    "lone continuation byte": b"\x80",
    "late byte": b"good text, then \xfe",
    "last byte of a long one": b"x" * 300 + b"\xc1",
    "overlong slash": b"\xc0",
    "overlong in three bytes": b"\xe0\x80",
    "surrogate": b"a\xed\xa0",
    "above the last character": b"\xf4\x90",
    "far above": b"\xf5",
    "cut by another character": b"\xe2\x82A",
    "cut by a start byte": b"\xf0\x9f\xe2",
}
"""Beginnings of texts whose last byte can't be right, whatever may follow."""

CUT_TEXTS = {
    "1 of 2": b"caf\xc3",
    "1 of 3": b"\xe2",
    "2 of 3": b"5 \xe2\x82",
    "3 of 4": b"\xf0\x9f\x98",
}
"""Texts that end inside of a character."""


# Test headers.


@pytest.mark.parametrize("name", HEADERS)
def test_recv_bad_header(scripted, name):
    """A header that breaks a rule fails the connection before its payload comes."""
    raw = HEADERS[name]
    for cause in fail_each_cut(scripted, raw, 1002, before=BEFORE.get(name, [])):
        assert type(cause) is ProtocolError


@pytest.mark.parametrize(
    "length", [129 * MIB, 1 << 40, 1 << 62, (1 << 63) - 1], ids=hex
)
@pytest.mark.parametrize("first", [0x82, 0x01], ids=["binary", "text fragment"])
def test_recv_huge_length(scripted, first, length):
    """A frame larger than max_size fails the connection by its header alone."""
    before = resident_bytes()
    for cause in fail_each_cut(scripted, head(first, length), 1009):
        assert type(cause) is PayloadTooBig
        assert (cause.size, cause.max_size) == (length, 128 * MIB)
    assert resident_bytes() - before < 16 * MIB


def test_recv_long_ping_takes_no_memory(scripted):
    """The payload of a control frame that is too long is not kept."""
    sent = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(head(0x80 | PING, 64 * MIB))
        assert peer.read_frame().close_code == 1002
        before = resident_bytes()
        for _ in range(64):
            peer.send_bytes(bytes(MIB))
        sent.append(resident_bytes() - before)
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        with pytest.raises(ConnectionClosedError):
            ws.recv()
        assert ws.wait_closed(20)
    wait_until(lambda: sent, "the payload is sent")
    assert sent[0] < 16 * MIB


# Test closes.


@pytest.mark.parametrize("name", CLOSES)
def test_recv_bad_close(scripted, name):
    """A Close frame that breaks a rule is an error, which names the code received."""
    payload, code = CLOSES[name]
    raw = encode_frame(CLOSE, payload)
    for cause in fail_each_cut(scripted, raw, code):
        assert type(cause) is ProtocolError
        if "code" in name:
            assert str(int.from_bytes(payload[:2], "big")) in str(cause)


# Test text.


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_recv_bad_text(scripted, name):
    """Text that is not UTF-8 fails the connection by its first bad byte."""
    text = BAD_TEXTS[name]
    pieces = [text[:-2], text[-2:-1], text[-1:]]
    fragments = b"".join(
        encode_frame(CONTINUATION if number else TEXT, piece, fin=False)
        for number, piece in enumerate(pieces)
    )
    # The rest of the second's frame never comes, nor that of the third's message.
    unfinished = head(0x81, len(text) + 1000) + text
    for raw in [encode_frame(TEXT, text), unfinished, fragments]:
        for cause in fail_each_cut(scripted, raw, 1007):
            assert type(cause) is ProtocolError


@pytest.mark.parametrize("name", CUT_TEXTS)
def test_recv_text_ends_inside_character(scripted, name):
    """Text that ends inside of a character is not delivered."""
    text = CUT_TEXTS[name]
    fragmented = encode_frame(TEXT, text, fin=False) + encode_frame(CONTINUATION)
    for raw in [encode_frame(TEXT, text), fragmented]:
        fail_each_cut(scripted, raw, 1007)


@pytest.mark.parametrize("fragmented", [False, True], ids=["whole", "fragmented"])
def test_recv_binary_that_is_no_text(scripted, fragmented):
    """What is wrong as text is right as binary."""
    payloads = [*BAD_TEXTS.values(), *CUT_TEXTS.values()]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for payload in payloads:
            peer.send_frame(BINARY, payload[:1], fin=not fragmented)
            if fragmented:
                peer.send_frame(CONTINUATION, payload[1:])
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        for payload in payloads:
            assert ws.recv() == (payload if fragmented else payload[:1])


# Test who notices.


IDLE = {
    "reserved opcode": (HEADERS["opcode 0x3"], 1002),
    "masked": (HEADERS["masked"], 1002),
    "long ping": (HEADERS["ping of 65536"], 1002),
    "continuation of nothing": (HEADERS["continuation of nothing"], 1002),
    "bad close": (encode_frame(CLOSE, close_payload(999)), 1002),
    "bad text": (encode_frame(TEXT, b"\xff"), 1007),
    "huge length": (head(0x82, 1 << 62), 1009),
}
"""One of each kind."""


@pytest.mark.parametrize("name", IDLE)
def test_fault_while_idle(scripted, name):
    """A broken rule ends a connection that nobody receives on, and is told later."""
    raw, code = IDLE[name]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(encode_frame(TEXT, b"before") + raw)
        assert peer.read_frame().close_code == code
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        wait_until(lambda: ws.state is State.CLOSED, "the fault is noticed")
        with pytest.raises(ConnectionClosedError) as caught:
            ws.send("late")
        assert caught.value.sent.code == code
        assert ws.recv() == "before"
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.sent.code == code
        assert ws.close_code == 1006


def test_fault_ends_blocked_recv_at_once(scripted):
    """recv does not wait for the closing handshake of a connection that has failed."""
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(HEADERS["opcode 0xb"])
        assert release.wait(peer.timeout)
        assert peer.read_frame().close_code == 1002
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        start = time.monotonic()
        with pytest.raises(ConnectionClosedError):
            ws.recv()
        assert time.monotonic() - start < 1000 * MS
        release.set()


def test_fault_peer_does_not_end_the_connection(raw_server):
    """A peer that breaks a rule and goes on is cut off after close_timeout."""
    gone = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(HEADERS["masked"])
        start = time.monotonic()
        peer.send_until_gone(encode_frame(BINARY, b"x" * 1000) * 50)
        gone.append(time.monotonic() - start)

    url = raw_server(script).url
    with connect(url, close_timeout=200 * MS, **QUICK) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.sent.code == 1002
        assert ws.wait_closed(5000 * MS)
    wait_until(lambda: gone, "the peer is cut off")
    assert 190 * MS < gone[0] < 1500 * MS


# Test the asyncio client, which has the same core.


@pytest.mark.parametrize("name", IDLE)
async def test_async_recv_fault(scripted, name):
    """A broken rule fails the connection, whole and in single bytes."""
    raw, code = IDLE[name]
    pending = iter(few_cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_text("before")
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().close_code == code
        peer.send_bytes(encode_frame(BINARY, b"after"))
        peer.close()

    address = scripted(script)
    for _ in few_cuts(raw):
        async with connect_async(address.url, **address.options) as ws:
            assert await ws.recv() == "before"
            for _ in range(2):
                with pytest.raises(ConnectionClosedError) as caught:
                    await ws.recv()
                assert (caught.value.sent.code, caught.value.rcvd) == (code, None)
                assert isinstance(caught.value.__cause__, ProtocolError)
            with pytest.raises(ConnectionClosedError):
                await ws.send("late")
        assert (ws.state, ws.close_code) == (State.CLOSED, 1006)
