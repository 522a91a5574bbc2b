"""max_size, and the number of fragments: what is just right, and what is too much.

What is too large is refused before it has come: by the header, or, if it is compressed,
by the first byte too many. What this costs is in `test_memory.py`.
"""

from __future__ import annotations

import time

import pytest

from raw_server import (
    BINARY,
    CONTINUATION,
    MS,
    TEXT,
    Peer,
    encode_frame,
    messages,
)
from support import QUICK, Background, resident_bytes, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConnectionClosedError,
    PayloadTooBig,
    TooManyFragments,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect
from wire import (
    AGREED,
    ALONE,
    RSV1,
    Deflater,
    fail_each_cut,
    few_cuts,
    send_cut,
)


MIB = 1 << 20
MAX_SIZES = [0, 1, 125, 126, 1000, 65535, 65536, 100_000]
MAX_FRAGMENTS = 1 << 17


def header(opcode: int, size: int, *, fin: bool = True) -> bytes:
    """Return the header of a frame whose payload is not sent."""
    frame = encode_frame(opcode, bytes(size), fin=fin)
    return frame[: len(frame) - size]


def deflated(data: bytes, opcode: int = BINARY) -> bytes:
    """Return a compressed message, which refers to no other."""
    return encode_frame(opcode, Deflater(alone=True)(data), rsv=RSV1)


# Test whole messages.


@pytest.mark.parametrize("max_size", MAX_SIZES)
def test_max_size_of_message(scripted, max_size):
    """A message of max_size passes; one byte more is refused by its header."""
    causes = fail_each_cut(
        scripted,
        messages(bytes(max_size), "x" * max_size) + header(BINARY, max_size + 1),
        1009,
        before=[bytes(max_size), "x" * max_size],
        max_size=max_size,
    ) + fail_each_cut(scripted, header(TEXT, max_size + 1), 1009, max_size=max_size)
    for cause in causes:
        assert type(cause) is PayloadTooBig
        assert (cause.size, cause.max_size) == (max_size + 1, max_size)
        assert cause.current_size is None


FORMS = {
    "one after the other": lambda size: [size - 300, 100, 100, 100],
    "all in the last": lambda size: [0, 0, size],
    "all in the first": lambda size: [size, 0, 0],
    "byte by byte": lambda size: [size - 10, *[1] * 10],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("max_size", [300, 70_000])
def test_max_size_of_fragments(scripted, form, max_size):
    """The header of the fragment that makes a message too large fails it."""
    sizes = FORMS[form](max_size)
    frames = [
        encode_frame(CONTINUATION if number else TEXT, b"x" * size, fin=False)
        for number, size in enumerate(sizes)
    ]
    fits = b"".join(frames) + encode_frame(CONTINUATION)
    received = sum(sizes[:-1])
    raw = fits + b"".join(frames[:-1])
    # The first has all that the message may have, or all but the last fragment's.
    raw += header(CONTINUATION, sizes[-1] + 1)
    options = {"before": ["x" * max_size], "max_size": max_size}
    for cause in fail_each_cut(scripted, raw, 1009, **options):
        assert type(cause) is PayloadTooBig
        assert (cause.size, cause.max_size) == (sizes[-1] + 1, max_size)
        assert cause.current_size == (received or None)


@pytest.mark.parametrize("max_size", [(None, 100), (1000, 100)])
def test_max_size_of_each_fragment(scripted, max_size):
    """The second number limits fragments, the first the message."""
    fragment = encode_frame(CONTINUATION, bytes(100), fin=False)
    raw = encode_frame(BINARY, bytes(100), fin=False) + fragment * 9
    raw += encode_frame(CONTINUATION)
    options = {"before": [bytes(1000)], "max_size": max_size}
    for opcode in [BINARY, TEXT]:
        bad = raw + header(opcode, 101)
        for cause in fail_each_cut(scripted, bad, 1009, **options):
            assert (cause.size, cause.max_size) == (101, 100)


def test_max_size_of_message_and_fragment(scripted):
    """What exceeds the message is refused though its fragments are small."""
    fragment = encode_frame(CONTINUATION, bytes(100), fin=False)
    raw = encode_frame(BINARY, bytes(100), fin=False) + fragment * 9
    raw += header(CONTINUATION, 1)
    for cause in fail_each_cut(scripted, raw, 1009, max_size=(1000, 100)):
        assert (cause.size, cause.max_size, cause.current_size) == (1, 1000, 1000)


@pytest.mark.parametrize("max_size", [4, 65536])
def test_max_size_counts_bytes_of_utf8(scripted, max_size):
    """Text is measured in UTF-8, not in characters: four bytes for an emoji."""
    text = "😀" * (max_size // 4)
    raw = messages(text) + header(TEXT, len(text.encode()) + 1)
    fail_each_cut(scripted, raw, 1009, before=[text], max_size=max_size)


# Test compressed messages.


@pytest.mark.parametrize("max_size", [0, 1, 1000, 65536, 3 * MIB])
def test_max_size_of_compressed_message(scripted, max_size):
    """The size of a compressed message is that which it inflates to."""
    data = bytes(max_size)
    raw = deflated(data) + deflated(data + b"x")
    options = {"compression": "deflate", "headers": [ALONE], "before": [data]}
    for cause in fail_each_cut(scripted, raw, 1009, max_size=max_size, **options):
        assert type(cause) is PayloadTooBig
        assert (cause.size, cause.max_size) == (None, max_size)


@pytest.mark.parametrize("max_size", [1000, 70_000])
def test_max_size_of_what_compression_makes_larger(scripted, max_size):
    """A message that fits is accepted though its compressed form is larger."""
    state = 1
    noise = bytearray()
    while len(noise) < max_size:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        noise += state.to_bytes(8, "little")[4:]
    data = bytes(noise[:max_size])
    stored = encode_frame(BINARY, Deflater(level=0)(data), rsv=RSV1)
    assert len(stored) > max_size + 5

    def script(peer: Peer) -> None:
        peer.accept_handshake(ALONE)
        peer.send_bytes(stored)
        peer.send_bytes(stored)
        peer.answer_close()

    address = scripted(script)
    options = {**address.options, "compression": "deflate", "max_size": max_size}
    with connect(address.url, **options) as ws:
        assert [ws.recv(), ws.recv()] == [data, data]


def test_max_size_of_compressed_fragments(scripted):
    """The fragment that makes a message too large fails it, before the frame ends."""
    deflate = Deflater()
    raw = encode_frame(TEXT, deflate("x" * 600, fin=False), fin=False, rsv=RSV1)
    bad = encode_frame(CONTINUATION, deflate("x" * 401, fin=False), fin=False)
    options = {"compression": "deflate", "headers": [AGREED], "max_size": 1000}
    for cause in fail_each_cut(scripted, raw + bad, 1009, **options):
        assert (cause.max_size, cause.current_size) == (1000, 600)


def test_max_size_of_compressed_fragment_by_its_header(scripted):
    """A compressed frame that is much larger than max_size is refused unseen."""
    frame = encode_frame(BINARY, bytes(10_000), rsv=RSV1)
    options = {"compression": "deflate", "headers": [AGREED], "max_size": 1000}
    for cause in fail_each_cut(scripted, frame[:4], 1009, **options):
        assert (cause.size, cause.max_size) == (10_000, 1000)


# Test what follows.


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_nothing_is_delivered_after_too_large(scripted, compression):
    """Neither what was too large nor what follows it is ever delivered."""

    def script(peer: Peer) -> None:
        peer.accept_handshake(*[AGREED] if compression else [])
        large = deflated(bytes(2000)) if compression else messages(bytes(2000))
        # Its payload looks like messages too.
        large += messages(messages("inside") * 100) + messages("after", b"after")
        peer.send_bytes(messages("before") + large)
        assert peer.read_frame().close_code == 1009
        peer.send_bytes(messages("later"))
        peer.close()

    address = scripted(script)
    options = {**address.options, "compression": compression, "max_size": 1000}
    with connect(address.url, **options) as ws:
        wait_until(lambda: ws.state is State.CLOSED, "the fault is noticed")
        assert ws.recv() == "before"
        for _ in range(3):
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            assert caught.value.sent.code == 1009
        with pytest.raises(ConnectionClosedError):
            next(ws.recv_streaming())


LARGE = {
    "header": ([], header(BINARY, 1001)),
    "fragment": (
        [],
        encode_frame(TEXT, b"x" * 900, fin=False) + header(CONTINUATION, 101),
    ),
    "compressed": ([ALONE], deflated(bytes(1001))),
}


@pytest.mark.parametrize("name", LARGE)
async def test_async_max_size(scripted, name):
    """A message that is too large fails the connection, whole and in single bytes."""
    headers, raw = LARGE[name]
    pending = iter(few_cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake(*headers)
        peer.send_bytes(messages(bytes(1000)))
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().close_code == 1009
        peer.close()

    address = scripted(script)
    options = {**address.options, "compression": "deflate", "max_size": 1000}
    for _ in few_cuts(raw):
        async with connect_async(address.url, **options) as ws:
            assert await ws.recv() == bytes(1000)
            for _ in range(2):
                with pytest.raises(ConnectionClosedError) as caught:
                    await ws.recv()
                assert caught.value.sent.code == 1009
                assert isinstance(caught.value.__cause__, PayloadTooBig)


# Test without a limit.


@pytest.mark.parametrize("length", [1 << 40, 1 << 62, (1 << 63) - 1], ids=hex)
@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
def test_no_max_size_and_huge_length(scripted, length, end):
    """A length that is only announced costs nothing, and its message never comes."""
    raw = b"\x82\x7f" + length.to_bytes(8, "big")
    ways = few_cuts(raw)
    pending = iter(ways)
    before = resident_bytes()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        send_cut(peer, raw, next(pending))
        for _ in range(4):
            peer.send_bytes(bytes(MIB))
        assert peer.read_message() == b"ready"
        end(peer)

    address = scripted(script)
    for _ in ways:
        with connect(address.url, max_size=None, **address.options) as ws:
            with pytest.raises(TimeoutError):
                ws.recv(timeout=20 * MS)
            ws.send("ready")
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            assert caught.value.code == 1006
    assert resident_bytes() - before < 32 * MIB


# Test the number of fragments.


@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one byte"])
def test_endless_fragments(scripted, payload):
    """A million fragments are too many, and cost little until that is known."""
    sent = []
    before = resident_bytes()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(TEXT, payload, fin=False)
        closing = Background(peer.read_frame)
        fragments = encode_frame(CONTINUATION, payload, fin=False) * 10_000
        try:
            for _ in range(100):
                peer.send_bytes(fragments)
        finally:
            sent.append(resident_bytes() - before)
        assert closing.result().close_code == 1009
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        cause = caught.value.__cause__
        assert type(cause) is TooManyFragments
        assert cause.max_fragments == MAX_FRAGMENTS
        assert ws.wait_closed(20)
    assert sent[0] < 16 * MIB


def test_as_many_fragments_as_allowed(raw_server):
    """A message may have 131,072 fragments, and one more is too many."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        fragments = encode_frame(CONTINUATION, b"x", fin=False) * (MAX_FRAGMENTS - 2)
        for _ in range(2):
            raw = encode_frame(BINARY, b"x", fin=False) + fragments
            peer.send_bytes(raw + encode_frame(CONTINUATION, b"x"))
        peer.send_bytes(encode_frame(TEXT, b"x", fin=False) + fragments)
        peer.send_bytes(encode_frame(CONTINUATION, b"x", fin=False) * 2)
        assert peer.read_frame().close_code == 1009
        peer.close()

    with connect(raw_server(script).url, **QUICK) as ws:
        assert [ws.recv(), ws.recv()] == [b"x" * MAX_FRAGMENTS] * 2
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.sent.code == 1009


def test_recv_timeout_while_fragments_come(raw_server):
    """recv keeps to its timeout while fragments come, and none of them is lost."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(TEXT, b"a", fin=False)
        for _ in range(100):
            peer.send_bytes(encode_frame(CONTINUATION, b"", fin=False) * 50)
            time.sleep(5 * MS)
        peer.send_frame(CONTINUATION, b"b")
        peer.answer_close()

    with connect(raw_server(script).url, **QUICK) as ws:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            ws.recv(timeout=100 * MS)
        assert 99 * MS < time.monotonic() - start < 400 * MS
        assert ws.recv() == "ab"
