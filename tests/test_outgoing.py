"""What a client may send and what it refuses, and how it masks (RFC 6455, section 5.3).

What is refused sends nothing: the frame that the peer reads next is the next that is
sent. The connection stays open.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest

from raw_server import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, Peer
from support import Background
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.sync_client import connect
from wire import AGREED, RSV1, Inflater


MIB = 1 << 20


class Unfit:
    """An object of a type that can't be sent."""


def raising_generator():
    """Raise before the first fragment."""
    raise LookupError("no fragments")
    yield b""


REFUSED = {
    "ping of 126 bytes": ("ping", [b"x" * 126], ValueError),
    "ping of 63 é": ("ping", ["é" * 63], ValueError),
    "ping of a number": ("ping", [7], TypeError),
    "ping of a list": ("ping", [[b"x"]], TypeError),
    "ping of a surrogate": ("ping", ["\ud800"], UnicodeEncodeError),
    "pong of 126 bytes": ("pong", [bytearray(126)], ValueError),
    "pong of 65536 bytes": ("pong", [memoryview(bytes(65536))], ValueError),
    "pong of a number": ("pong", [0.5], TypeError),
    "pong of a surrogate": ("pong", ["x\udfff"], UnicodeEncodeError),
    "close with a word": ("close", ["x"], TypeError),
    "close with None": ("close", [None], TypeError),
    "close with 1016": ("close", [1016], ValueError),
    "close with 2**16 + 1000": ("close", [2**16 + 1000], ValueError),
    "close with 2**70": ("close", [2**70], ValueError),
    "close with 124 bytes": ("close", [1000, "x" * 122 + "é"], ValueError),
    "close with a surrogate": ("close", [1000, "\udc80"], UnicodeEncodeError),
    "None": ("send", [None], TypeError),
    "a number": ("send", [5], TypeError),
    "a dict": ("send", [{"a": "b"}], TypeError),
    "an object": ("send", [Unfit()], TypeError),
    "a surrogate": ("send", ["\ud800"], UnicodeEncodeError),
    "a late surrogate": ("send", ["x" * 100_000 + "\udfff"], UnicodeEncodeError),
    "fragments of numbers": ("send", [[1, 2]], TypeError),
    "fragments of None": ("send", [(None,)], TypeError),
    "fragment of a surrogate": ("send", [["\ud800", "x"]], UnicodeEncodeError),
    "fragments that raise": ("send", [raising_generator()], LookupError),
}
"""Calls that raise: the method, its arguments, the error."""

FINE = {
    "ping of 125 bytes": ("ping", [b"x" * 125], PING, b"x" * 125),
    "ping of 62 é": ("ping", ["é" * 62], PING, "é".encode() * 62),
    "pong of nothing": ("pong", [], PONG, b""),
    "pong of 125 bytes": ("pong", [bytearray(125)], PONG, bytes(125)),
    "pong of a view": ("pong", [memoryview(b"a.b.")[::2]], PONG, b"ab"),
    "empty text": ("send", [""], TEXT, b""),
    "empty binary": ("send", [b""], BINARY, b""),
}
"""Calls that just fit: the method, its arguments, what the peer reads."""


def first_frame_into(frames: list[Frame]):
    """Return a script that keeps the first frame of the client."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        frames.append(peer.read_frame())
        peer.answer_close()

    return script


# Test arguments.


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_argument_sends_nothing(raw_server, name):
    """What can't be sent raises before the first byte, and the connection is as was."""
    method, arguments, error = REFUSED[name]
    frames: list[Frame] = []
    server = raw_server(first_frame_into(frames))
    with connect(server.url) as ws:
        with pytest.raises(error) as caught:
            getattr(ws, method)(*arguments)
        assert str(caught.value)
        ws.send("alive")
    server.join()
    assert (frames[0].opcode, frames[0].payload) == (TEXT, b"alive")


@pytest.mark.parametrize("name", REFUSED)
async def test_async_wrong_argument_sends_nothing(raw_server, name):
    """What can't be sent raises before the first byte, and the connection is as was."""
    method, arguments, error = REFUSED[name]
    if name == "fragments that raise":
        arguments = [raising_generator()]
    frames: list[Frame] = []
    server = raw_server(first_frame_into(frames))
    async with connect_async(server.url) as ws:
        with pytest.raises(error):
            await getattr(ws, method)(*arguments)
        await ws.send("alive")
    server.join()
    assert (frames[0].opcode, frames[0].payload) == (TEXT, b"alive")


@pytest.mark.parametrize("name", FINE)
def test_argument_that_just_fits(raw_server, name):
    """What just fits is sent as one frame with exactly these bytes."""
    method, arguments, opcode, payload = FINE[name]
    frames: list[Frame] = []
    server = raw_server(first_frame_into(frames))
    with connect(server.url) as ws:
        getattr(ws, method)(*arguments)
    server.join()
    assert frames == [Frame(True, 0, opcode, payload)]


@pytest.mark.parametrize(
    ("message", "text", "opcode", "payload"),
    [
        ("é", None, TEXT, b"\xc3\xa9"),
        (b"\xc3\xa9", True, TEXT, b"\xc3\xa9"),
        (bytearray(b"\xc3\xa9"), True, TEXT, b"\xc3\xa9"),
        ("é", False, BINARY, b"\xc3\xa9"),
        (b"\xff", False, BINARY, b"\xff"),
    ],
)
def test_send_text_argument(raw_server, message, text, opcode, payload):
    """text decides what the message is, not what its bytes are."""
    frames: list[Frame] = []
    server = raw_server(first_frame_into(frames))
    with connect(server.url) as ws:
        ws.send(message, text=text)
    server.join()
    assert frames == [Frame(True, 0, opcode, payload)]


@pytest.mark.parametrize("message", [b"\xff", bytearray(b"\xed\xa0\x80"), b"\xe2\x82"])
def test_send_bytes_that_are_no_text(raw_server, message):
    """Bytes that aren't UTF-8 are not sent as text."""
    frames: list[Frame] = []
    server = raw_server(first_frame_into(frames))
    with connect(server.url) as ws:
        with pytest.raises(UnicodeDecodeError):
            ws.send(message, text=True)
        ws.send("alive")
    server.join()
    assert (frames[0].opcode, frames[0].payload) == (TEXT, b"alive")


BAD_FRAGMENTS = {
    "other type": (["one", b"two"], TypeError),
    "number": ([b"one", 2], TypeError),
    "surrogate": (["one", "\ud800"], UnicodeEncodeError),
}


@pytest.mark.parametrize("name", BAD_FRAGMENTS)
def test_send_bad_fragment_inside_of_message(scripted, name):
    """A fragment that can't be sent fails the connection: half a message is no more."""
    fragments, error = BAD_FRAGMENTS[name]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        frame = peer.read_frame()
        assert (frame.fin, frame.payload) == (False, b"one")
        assert peer.read_frame().close_code == 1011
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        with pytest.raises(error):
            ws.send(fragments)
        with pytest.raises(ConnectionClosedError):
            ws.send("late")


# Test masks.


def test_masks_are_fresh_and_random(scripted):
    """Each frame has a key of its own, and their bits are as good as random."""
    count = 2000
    keys: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for _ in range(4 * count):
            raw = peer.read_bytes(6)
            assert raw[1] == 0x80 | 4
            keys.append(bytes(raw[2:]))
            peer.read_bytes(4)
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        for _ in range(count):
            ws.send("text")
            ws.send(b"data")
            ws.ping()
            ws.pong(b"pong")
    assert len(keys) == 4 * count
    # Of so many keys two may be equal by chance, but hardly three pairs.
    assert len(set(keys)) > len(keys) - 3
    assert bytes(4) not in keys
    bits = Counter(
        (place, byte >> bit & 1)
        for key in keys
        for place, byte in enumerate(key)
        for bit in range(8)
    )
    for place in range(4):
        assert 0.48 < bits[place, 1] / (8 * len(keys)) < 0.52
    # Neither does a key tell the next one.
    steps = {
        int.from_bytes(b, "big") - int.from_bytes(a, "big")
        for a, b in itertools.pairwise(keys)
    }
    assert len(steps) > len(keys) - 4


def test_masks_of_two_connections_differ(raw_server):
    """No two connections have the same keys."""
    keys: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keys.append(bytes(peer.read_bytes(6 * 8)))
        peer.answer_close()

    server = raw_server(script)
    for _ in range(5):
        with connect(server.url) as ws:
            for _ in range(8):
                ws.send(b"")
    server.join()
    assert len({key[2:6] for key in keys}) == 5
    assert len({key[8:12] for key in keys}) == 5


@pytest.mark.parametrize("size", [300, 70_000, 300_000, 3 * MIB])
@pytest.mark.parametrize("headers", [[], [AGREED]], ids=["plain", "compressed"])
def test_send_is_exact_in_every_way(scripted, size, headers):
    """Whole or in fragments, compressed or not, the peer gets exactly what was sent."""
    data = b"".join(b"%07d " % number for number in range(size // 8))
    frames: list[Frame] = []

    def script(peer: Peer) -> None:
        peer.accept_handshake(*headers)
        for _ in range(5):
            frames.append(peer.read_frame())
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, compression="deflate", **address.options) as ws:
        ws.send(data)
        ws.send(data.decode())
        ws.send([data[:1000], data[1000:]])
    shapes = [(frame.fin, frame.opcode) for frame in frames]
    assert shapes == [
        (True, BINARY),
        (True, TEXT),
        (False, BINARY),
        (False, CONTINUATION),
        (True, CONTINUATION),
    ]
    if headers:
        assert [frame.rsv for frame in frames] == [RSV1, RSV1, RSV1, 0, 0]
        inflate = Inflater()
        assert inflate(frames[0].payload) == data
        assert inflate(frames[1].payload) == data
        assert inflate(b"".join(frame.payload for frame in frames[2:])) == data
    else:
        assert [frame.payload for frame in frames[:2]] == [data, data]
        assert b"".join(frame.payload for frame in frames[2:]) == data


# Test that what is sent is what was given.


def mutable(kind: str, size: int) -> tuple[bytearray, object]:
    """Return something mutable, and it or a view of it."""
    data = bytearray(b"a" * size)
    return data, memoryview(data) if kind == "memoryview" else data


@pytest.mark.parametrize("kind", ["bytearray", "memoryview"])
def test_send_mutable_that_changes_meanwhile(scripted, kind):
    """A mutable message may be changed as soon as its first bytes are on their way."""
    size = 8 * MIB
    begun, changed = threading.Event(), threading.Event()
    received = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        head = peer.read_bytes(14)
        assert head[:2] == b"\x82\xff"
        begun.set()
        assert changed.wait(peer.timeout)
        masked = peer.read_bytes(size)
        # The mask repeats, and so does a payload of one letter.
        received.append(bytes(byte ^ ord("a") for byte in masked[:4]) == head[10:])
        received.append(bytes(masked) == bytes(masked[:4]) * (size // 4))
        peer.answer_close()

    data, message = mutable(kind, size)
    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        sending = Background(ws.send, message)
        assert begun.wait(10)
        data[:] = b"b" * size
        changed.set()
        sending.result()
    assert received == [True, True]


@pytest.mark.parametrize("kind", ["bytearray", "memoryview"])
@pytest.mark.parametrize("size", [10, 200_000])
async def test_async_send_mutable_that_changes_after(raw_server, kind, size):
    """A mutable message may be changed as soon as send has returned."""
    received = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        received.extend(peer.read_frame().payload == b"a" * size for _ in range(20))
        peer.answer_close()

    server = raw_server(script)
    async with connect_async(server.url) as ws:
        for _ in range(20):
            data, message = mutable(kind, size)
            await ws.send(message)
            data[:] = b"b" * size
    server.join()
    assert received == [True] * 20


async def test_async_masks_are_fresh(raw_server):
    """Frames that wait for the connection thread have keys of their own too."""
    raws: list[bytearray] = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        raws.append(peer.read_bytes(10 * 1000))
        assert peer.read_frame().opcode == CLOSE
        peer.send_close()
        peer.close()

    server = raw_server(script)
    async with connect_async(server.url) as ws:
        for _ in range(1000):
            await ws.send(b"data")
    server.join()
    keys = {bytes(raws[0][start + 2 : start + 6]) for start in range(0, 10_000, 10)}
    assert len(keys) > 997
