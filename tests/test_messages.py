"""Messages that keep to RFC 6455, cut into fragments and segments at every byte.

What was received before a connection ends, in whatever way, is delivered; what was not
received to its end never is.
"""

from __future__ import annotations

import errno
import itertools
import socket

import pytest

from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    close_payload,
    encode_frame,
    messages,
)
from support import QUICK
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError, ConnectionClosedOK
from websocket_rs.sync_client import connect
from wire import cuts, few_cuts, send_cut


CHARACTER = "😀"


def fragments(*payloads: bytes, opcode: int = TEXT) -> bytes:
    """Return a message of these fragments."""
    last = len(payloads) - 1
    return b"".join(
        encode_frame(CONTINUATION if number else opcode, payload, fin=number == last)
        for number, payload in enumerate(payloads)
    )


def compositions(raw: bytes) -> list[list[bytes]]:
    """Return every way to cut bytes into pieces that aren't empty."""
    ways = []
    for places in itertools.product([False, True], repeat=len(raw) - 1):
        ends = [place for place, cut in enumerate(places, 1) if cut]
        ways.append([raw[a:b] for a, b in itertools.pairwise([0, *ends, len(raw)])])
    return ways


STREAMS = {
    "empty text": (messages(""), [""]),
    "empty binary": (messages(b""), [b""]),
    "empty messages": (messages("", b"", ""), ["", b"", ""]),
    "two messages": (messages("first", b"second"), ["first", b"second"]),
    "empty fragments": (fragments(b"", b"", b"", b""), [""]),
    "empty binary fragments": (fragments(b"", b"", opcode=BINARY), [b""]),
    "FIN on empty": (fragments(b"te", b"xt", b""), ["text"]),
    "empty first": (fragments(b"", b"text"), ["text"]),
    "empty between": (fragments(b"\xc3", b"", b"", b"\xa9"), ["é"]),
    "ping between fragments": (
        encode_frame(TEXT, b"a", fin=False)
        + encode_frame(PING, b"!")
        + encode_frame(CONTINUATION, b"\xe2\x82", fin=False)
        + encode_frame(PONG, b"?")
        + encode_frame(PING, b"")
        + encode_frame(CONTINUATION, b"\xac"),
        ["a€"],
    ),
    "ping inside of a character": (
        encode_frame(TEXT, b"\xf0\x9f", fin=False)
        + encode_frame(PING, b"\xff")
        + encode_frame(CONTINUATION, b"\x98\x80"),
        [CHARACTER],
    ),
    "ping before and after": (
        encode_frame(PING, b"1")
        + messages("a")
        + encode_frame(PING, b"2")
        + messages("b"),
        ["a", "b"],
    ),
    "last characters": (
        messages("\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"),
        ["\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"],
    ),
    **{
        f"{size} bytes": (messages("x" * size, bytes(size)), ["x" * size, bytes(size)])
        for size in [125, 126, 127, 65535, 65536, 65537]
    },
    "large fragments": (
        fragments(b"a" * 70000, b"b" * 20000, b"c" * 5, opcode=BINARY),
        [b"a" * 70000 + b"b" * 20000 + b"c" * 5],
    ),
}


def pings_in(name: str) -> list[bytes]:
    """Return the payloads of the pings in one of the streams."""
    return {
        "ping between fragments": [b"!", b""],
        "ping inside of a character": [b"\xff"],
        "ping before and after": [b"1", b"2"],
    }.get(name, [])


def streaming(raw: bytes, places: list[tuple[int, ...]], pings: list[bytes]):
    """Return a script that sends bytes in every way and checks the answers."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for way in places:
            send_cut(peer, raw, way)
            for payload in pings:
                frame = peer.read_frame()
                assert (frame.opcode, frame.payload) == (PONG, payload)
        peer.answer_close()

    return script


# Test messages.


@pytest.mark.parametrize("name", STREAMS)
def test_recv_stream(scripted, name):
    """Messages are the same wherever the stream is cut, and pings are answered."""
    raw, expected = STREAMS[name]
    address = scripted(streaming(raw, cuts(raw), pings_in(name)))
    with connect(address.url, **address.options) as ws:
        for _ in cuts(raw):
            for message in expected:
                received = ws.recv()
                assert type(received) is type(message)
                assert received == message


@pytest.mark.parametrize("name", ["ping between fragments", "65536 bytes"])
async def test_async_recv_stream(scripted, name):
    """Messages are the same wherever the stream is cut, and pings are answered."""
    raw, expected = STREAMS[name]
    address = scripted(streaming(raw, cuts(raw), pings_in(name)))
    async with connect_async(address.url, **address.options) as ws:
        for _ in cuts(raw):
            assert [await ws.recv() for _ in expected] == expected


def test_recv_character_in_fragments(scripted):
    """A character may be cut by the edges of fragments, and those by segments."""
    ways = compositions(b"a" + CHARACTER.encode() + b"b")
    raws = [fragments(*pieces) for pieces in ways]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for raw in raws:
            for places in few_cuts(raw):
                send_cut(peer, raw, places)
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        for raw in raws:
            for _ in few_cuts(raw):
                assert ws.recv() == f"a{CHARACTER}b"


def test_recv_streaming_character_in_fragments(scripted):
    """Fragments of text are joined to the same, with a cut character in the next."""
    ways = compositions(b"a" + CHARACTER.encode() + b"b")

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for pieces in ways:
            peer.send_bytes(fragments(*pieces))
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        for pieces in ways:
            received = list(ws.recv_streaming())
            assert len(received) == len(pieces)
            assert "".join(received) == f"a{CHARACTER}b"


# Test ends inside of frames.


UNFINISHED = {
    "text": encode_frame(TEXT, b"0123456789"),
    "long text": encode_frame(TEXT, b"x" * 70000),
    "fragments": fragments(b"one", b"two"),
    "ping": encode_frame(PING, b"ping"),
    "close": encode_frame(CLOSE, close_payload(1000, "bye")),
}
"""Frames of which the last byte, or more, will be missing."""


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
@pytest.mark.parametrize("name", UNFINISHED)
def test_peer_vanishes_at_each_byte(scripted, name, end):
    """The end of the stream inside of a frame is 1006, and the frame is no message."""
    raw = UNFINISHED[name]
    places = [place for (place,) in cuts(raw)[1:-1]]
    pending = iter(places)

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("before") + raw[: next(pending)])
        assert peer.read_message() == b"ready"
        end(peer)

    address = scripted(script)
    for place in places:
        with connect(address.url, **address.options) as ws:
            assert ws.recv() == "before"
            ws.send("ready")
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            closed = caught.value
            assert (closed.rcvd, closed.sent, closed.code) == (None, None, 1006), place
            assert ws.close_code == 1006
            cause = closed.__cause__
            if end is Peer.reset:
                assert isinstance(cause, OSError)
                assert cause.errno == errno.ECONNRESET
            else:
                assert isinstance(cause, (EOFError, OSError))


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
async def test_async_peer_vanishes_inside_frame(scripted, end):
    """The end of the stream inside of a frame is 1006, and the frame is no message."""
    raw = UNFINISHED["text"]
    pending = iter(range(1, len(raw)))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("before") + raw[: next(pending)])
        assert peer.read_message() == b"ready"
        end(peer)

    address = scripted(script)
    for _ in range(1, len(raw)):
        async with connect_async(address.url, **address.options) as ws:
            assert await ws.recv() == "before"
            await ws.send("ready")
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert (caught.value.rcvd, caught.value.code) == (None, 1006)
            assert isinstance(caught.value.__cause__, (EOFError, OSError))


# Test ends behind messages.


LAST_SEGMENT = (
    messages("a", b"b")
    + fragments(b"c", b"d")
    + encode_frame(CLOSE, close_payload(4000, "why"))
)


def ending_in_one_segment(peer: Peer) -> None:
    """Answer a message with others, a Close frame and FIN, all in one segment."""
    peer.accept_handshake()
    assert peer.read_message() == b"ready"
    # The kernel keeps it until it knows what follows, which is the FIN.
    peer.sock.send(LAST_SEGMENT, socket.MSG_MORE)
    peer.sock.shutdown(socket.SHUT_WR)
    assert peer.read_frame().close_code == 4000
    peer.close()


def test_send_answered_by_the_last_segment(raw_server):
    """First come the messages, then the end; and neither spoils send or the answer.

    All of it may have come before send has returned.
    """
    url = raw_server(ending_in_one_segment).url
    for _ in range(200):
        with connect(url, **QUICK) as ws:
            ws.send("ready")
            assert [ws.recv() for _ in range(3)] == ["a", b"b", "cd"]
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            rcvd = caught.value.rcvd
            assert (rcvd.code, rcvd.reason) == (4000, "why")


async def test_async_send_answered_by_the_last_segment(raw_server):
    """First come the messages, then the end; and neither spoils send or the answer."""
    url = raw_server(ending_in_one_segment).url
    for _ in range(100):
        async with connect_async(url, **QUICK) as ws:
            await ws.send("ready")
            assert [await ws.recv() for _ in range(3)] == ["a", b"b", "cd"]
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            rcvd = caught.value.rcvd
            assert (rcvd.code, rcvd.reason) == (4000, "why")


def test_recv_messages_before_close_cut_anywhere(scripted):
    """Messages and a Close that follows at once are both received in any cut."""
    raw = messages("a", b"b") + encode_frame(CLOSE, close_payload(1001, "going"))
    pending = iter(cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().close_code == 1001
        peer.close()

    address = scripted(script)
    for _ in cuts(raw):
        with connect(address.url, **address.options) as ws:
            assert [ws.recv(), ws.recv()] == ["a", b"b"]
            with pytest.raises(ConnectionClosedOK) as caught:
                ws.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "going")
