"""Compressed messages (RFC 7692): right ones in every cut, and what breaks the rules.

The peer compresses with Python's zlib. How much a message may become is in
`test_limits.py`, and what that costs in `test_memory.py`.
"""

from __future__ import annotations

import zlib

import pytest

from raw_server import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    encode_frame,
    messages,
)
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError, ProtocolError
from websocket_rs.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websocket_rs.sync_client import connect
from wire import (
    AGREED,
    ALONE,
    RSV1,
    Deflater,
    cuts,
    fail_each_cut,
    few_cuts,
    send_cut,
)


JSON = '{"symbol": "BTC", "price": 1, "symbol": "ETH", "price": 2, "é": "😀"}'
HELLO = bytes.fromhex("f248cdc9c90700")
"""The compressed "Hello" of RFC 7692, section 7.2.3.1."""


def compressed(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """Return the first frame of a compressed message, with this payload."""
    return encode_frame(opcode, payload, fin=fin, rsv=RSV1)


def in_fragments(payload: bytes, size: int, between: bytes = b"") -> bytes:
    """Return a compressed message in fragments of so many bytes, as they go out."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    raw = compressed(pieces[0], fin=len(pieces) == 1)
    for number, piece in enumerate(pieces[1:], 2):
        raw += between + encode_frame(CONTINUATION, piece, fin=number == len(pieces))
    return raw


def flushed_twice() -> bytes:
    """Return a payload with a flush in the middle, as a streaming server sends."""
    deflate = Deflater()
    return deflate(JSON[:30], fin=False) + deflate(JSON[30:])


STREAMS = {
    "whole": (compressed(Deflater()(JSON)), [JSON]),
    "binary": (compressed(Deflater()(JSON), BINARY), [JSON.encode()]),
    "empty": (compressed(b"\x00"), [""]),
    "empty without a block": (compressed(b""), [""]),
    "empty in fragments": (in_fragments(b"\x00\x00\x00\xff\xff\x00", 1), [""]),
    "flushed inside": (compressed(flushed_twice()), [JSON]),
    "fragments of one byte": (in_fragments(Deflater()(JSON), 1), [JSON]),
    "fragments of seven": (in_fragments(Deflater()(JSON), 7), [JSON]),
    "empty last fragment": (
        compressed(Deflater()(JSON), fin=False) + encode_frame(CONTINUATION),
        [JSON],
    ),
    "example of the RFC": (compressed(HELLO), ["Hello"]),
    "example in fragments": (in_fragments(HELLO, 3), ["Hello"]),
    "not compressed inside": (
        compressed(bytes.fromhex("000500faff48656c6c6f00")),
        ["Hello"],
    ),
    "final block": (compressed(bytes.fromhex("f348cdc9c9070000")), ["Hello"]),
    "two blocks": (
        compressed(bytes.fromhex("f248050000 00ffffcac9c9070 0".replace(" ", ""))),
        ["Hello"],
    ),
    "mixed": (
        messages("plain") + compressed(Deflater(alone=True)(JSON)) + messages(b"plain"),
        ["plain", JSON, b"plain"],
    ),
    "control frames between": (
        in_fragments(
            Deflater()(JSON), 20, encode_frame(PING, b"!") + encode_frame(PONG, b"?")
        ),
        [JSON],
    ),
}
"""What may be sent if each message is compressed by itself."""

CORRUPT = {
    "reserved block type": b"\x06",
    "reserved block type later": Deflater()(JSON, fin=False) + b"\x07",
    "lengths that disagree": bytes.fromhex("000500fafe48656c6c6f00"),
    "nothing to refer to": bytes.fromhex("f20011000000"),
    "noise": bytes.fromhex("9c1f33e8a7d5c4b20f66"),
    "zlib header": zlib.compress(JSON.encode()),
    "gzip header": bytes.fromhex("1f8b0800000000000003"),
    "codes that exceed": bytes.fromhex("fcffffffffffffff"),
    "junk after the final block": bytes.fromhex("f348cdc9c9070007"),
}
"""What no compressor makes."""

RESERVED = {
    "second fragment": compressed(HELLO[:3], fin=False)
    + encode_frame(CONTINUATION, HELLO[3:], rsv=RSV1),
    "second fragment of a plain message": encode_frame(TEXT, b"a", fin=False)
    + encode_frame(CONTINUATION, b"b", rsv=RSV1),
    "ping": encode_frame(PING, b"", rsv=RSV1),
    "pong": encode_frame(PONG, b"\x00", rsv=RSV1),
    "close": encode_frame(8, b"\x03\xe8", rsv=RSV1),
    "second bit": encode_frame(TEXT, b"", rsv=2),
    "third bit": encode_frame(BINARY, b"", rsv=1),
    "first and second bit": encode_frame(TEXT, b"", rsv=6),
}
"""Reserved bits that compression gives no meaning."""


def streaming(raw: bytes, pings: int, *headers: str):
    """Return a script that sends bytes in every way and checks the answers."""

    def script(peer: Peer) -> None:
        peer.accept_handshake(*headers)
        for way in cuts(raw):
            send_cut(peer, raw, way)
            for _ in range(pings):
                frame = peer.read_frame()
                assert (frame.opcode, frame.payload) == (PONG, b"!")
        peer.answer_close()

    return script


# Test what is right.


@pytest.mark.parametrize("name", STREAMS)
def test_recv_compressed_stream(scripted, name):
    """Messages are the same wherever the stream is cut."""
    raw, expected = STREAMS[name]
    pings = raw.count(encode_frame(PING, b"!"))
    address = scripted(streaming(raw, pings, ALONE))
    options = {**address.options, "compression": "deflate"}
    with connect(address.url, **options) as ws:
        for _ in cuts(raw):
            for message in expected:
                received = ws.recv()
                assert type(received) is type(message)
                assert received == message


@pytest.mark.parametrize("name", ["fragments of one byte", "control frames between"])
async def test_async_recv_compressed_stream(scripted, name):
    """Messages are the same wherever the stream is cut."""
    raw, expected = STREAMS[name]
    pings = raw.count(encode_frame(PING, b"!"))
    address = scripted(streaming(raw, pings, ALONE))
    options = {**address.options, "compression": "deflate"}
    async with connect_async(address.url, **options) as ws:
        for _ in cuts(raw):
            assert [await ws.recv() for _ in expected] == expected


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_recv_with_context(scripted, size):
    """Each message may refer to earlier ones, and plain ones between them do not count.

    The second of two equal messages is then a few bytes.
    """
    texts = [JSON, "other text", JSON, JSON.replace("BTC", "DOGE"), JSON * 50]

    def script(peer: Peer) -> None:
        peer.accept_handshake(AGREED)
        deflate = Deflater()
        payloads = [deflate(text) for text in texts]
        assert len(payloads[2]) < 20
        for payload in payloads:
            raw = in_fragments(payload, size) + messages("plain")
            send_cut(peer, raw, () if size == 1000 else tuple(range(7, len(raw), 7)))
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, compression="deflate", **address.options) as ws:
        for text in texts:
            assert [ws.recv(), ws.recv()] == [text, "plain"]


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_recv_with_small_window(raw_server, bits):
    """A window that the server has agreed to is enough for its messages."""
    text = "".join(f"{number}, " for number in range(20_000))

    def script(peer: Peer) -> None:
        peer.accept_handshake(f"{AGREED}; server_max_window_bits={bits}")
        state = zlib.compressobj(9, zlib.DEFLATED, -bits)
        for _ in range(3):
            payload = state.compress(text.encode()) + state.flush(zlib.Z_SYNC_FLUSH)
            peer.send_bytes(compressed(payload[:-4]))
        peer.answer_close()

    offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    with connect(raw_server(script).url, extensions=[offer]) as ws:
        assert [ws.recv() for _ in range(3)] == [text] * 3


def test_recv_streaming_compressed(scripted):
    """Fragments are inflated as they come, though each may yield nothing or much."""
    text = "".join(f"{number} é😀\n" for number in range(5000))
    payload = Deflater()(text)

    def script(peer: Peer) -> None:
        peer.accept_handshake(AGREED)
        peer.send_bytes(in_fragments(payload, 9))
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, compression="deflate", **address.options) as ws:
        received = list(ws.recv_streaming())
    assert len(received) == -(-len(payload) // 9)
    assert "".join(received) == text


# Test what is wrong.


@pytest.mark.parametrize("name", CORRUPT)
@pytest.mark.parametrize("form", ["whole", "fragments"])
def test_recv_corrupt_data(scripted, name, form):
    """What does not inflate fails the connection with 1002 and is not delivered."""
    payload = CORRUPT[name]
    raw = compressed(payload) if form == "whole" else in_fragments(payload, 2)
    options = {"compression": "deflate", "headers": [AGREED]}
    for cause in fail_each_cut(scripted, raw, 1002, **options):
        assert type(cause) is ProtocolError
        assert "decompression" in str(cause)


def test_recv_corrupt_data_before_the_frame_ends(scripted):
    """What can't be inflated is found before the rest of its frame has come."""
    raw = encode_frame(BINARY, bytes(100_000), rsv=RSV1)[:10] + b"\x07"
    options = {"compression": "deflate", "headers": [AGREED]}
    fail_each_cut(scripted, raw, 1002, **options)


def test_recv_reference_to_an_earlier_message(scripted):
    """A server that has agreed to compress each message by itself must do so."""
    deflate = Deflater()
    raw = compressed(deflate(JSON)) + compressed(deflate(JSON))
    options = {"compression": "deflate", "headers": [ALONE]}
    fail_each_cut(scripted, raw, 1002, before=[JSON], **options)


@pytest.mark.parametrize("name", RESERVED)
def test_recv_reserved_bit_beside_compression(scripted, name):
    """Compression gives a meaning to one bit of the first frame of a message only."""
    options = {"compression": "deflate", "headers": [AGREED]}
    for cause in fail_each_cut(scripted, RESERVED[name], 1002, **options):
        assert "reserved bits" in str(cause)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_recv_compressed_without_agreement(scripted, compression):
    """A server that has not agreed to compression must not compress."""
    raw = compressed(HELLO)[:2]
    fail_each_cut(scripted, raw, 1002, compression=compression)


BAD_TEXTS = {
    "bad byte": b"text \xff",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\x80",
    "cut by another character": b"\xf0\x9f\x98A",
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_recv_bad_compressed_text(scripted, name):
    """Text that is not UTF-8 once inflated is 1007, as soon as its bytes are there."""
    payload = Deflater()(BAD_TEXTS[name], fin=False)
    options = {"compression": "deflate", "headers": [AGREED]}
    # The first message ends there; the frame of the second, and the third, never do.
    unfinished = encode_frame(TEXT, payload + bytes(1000), rsv=RSV1)[:4] + payload
    for raw in [
        compressed(payload.removesuffix(b"\x00\x00\xff\xff")),
        unfinished,
        in_fragments(payload + b"\x00", 3)[: -len(encode_frame(0, b"\x00"))],
    ]:
        for cause in fail_each_cut(scripted, raw, 1007, **options):
            assert type(cause) is ProtocolError


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_recv_compressed_text_ends_inside_character(scripted, size):
    """Text that ends inside of a character once inflated is not delivered."""
    raw = in_fragments(Deflater()(b"caf\xc3"), size)
    options = {"compression": "deflate", "headers": [AGREED]}
    fail_each_cut(scripted, raw, 1007, **options)


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
def test_peer_vanishes_inside_compressed_message(scripted, end):
    """What has been inflated of a message that does not end is no message."""
    raw = in_fragments(Deflater()(JSON), 15)
    places = range(1, len(raw), 4)
    pending = iter(places)

    def script(peer: Peer) -> None:
        peer.accept_handshake(ALONE)
        peer.send_bytes(compressed(HELLO) + raw[: next(pending)])
        assert peer.read_message() == b"ready"
        end(peer)

    address = scripted(script)
    options = {**address.options, "compression": "deflate"}
    for _ in places:
        with connect(address.url, **options) as ws:
            assert ws.recv() == "Hello"
            ws.send("ready")
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            assert (caught.value.rcvd, caught.value.code) == (None, 1006)


FAULTS = {
    "corrupt": (compressed(CORRUPT["noise"]), 1002),
    "reserved bit": (RESERVED["second fragment"], 1002),
    "bad text": (compressed(Deflater()(b"\xff")), 1007),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_async_recv_compressed_fault(scripted, name):
    """A broken rule fails the connection, whole and in single bytes."""
    raw, code = FAULTS[name]
    pending = iter(few_cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake(AGREED)
        peer.send_text("before")
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().close_code == code
        peer.close()

    address = scripted(script)
    options = {**address.options, "compression": "deflate"}
    for _ in few_cuts(raw):
        async with connect_async(address.url, **options) as ws:
            assert await ws.recv() == "before"
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert caught.value.sent.code == code
