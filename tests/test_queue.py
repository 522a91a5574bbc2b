"""Messages that nobody takes: the server is slowed down, and nothing is lost.

How much memory they take is in `test_memory.py`; `test_duplex.py` has floods of equal
messages against `inbox_limit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING

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
    messages,
)
from support import QUICK, Background, wait_until, wait_until_async
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect
from wire import AGREED, RSV1, Deflater, unread_by_client


if TYPE_CHECKING:
    from collections.abc import Callable


MIB = 1 << 20
COUNT = 4000
SIZE = 8192
SLACK = 20 * MIB
"""What the kernel's socket buffers may hold; the whole flood is larger."""

LIMITS = {
    "max_queue of 0": {"max_queue": 0},
    "max_queue of 1": {"max_queue": 1},
    "max_queue of 16 to 15": {"max_queue": (16, 15)},
    "max_queue of 16 to 0": {"max_queue": (16, 0)},
    "inbox_limit of 0": {"inbox_limit": 0},
    "both": {"max_queue": 50, "inbox_limit": 300_000},
}


def numbered(number: int) -> bytes:
    """Return a message that tells which one it is."""
    return b"%07d" % number * (SIZE // 7)


class NumberedFlood:
    """A peer that sends messages which differ, and counts those that were taken."""

    def __init__(self, *, fragments: int = 1) -> None:
        self.fragments = fragments
        self.sent = 0

    def __call__(self, peer: Peer) -> None:
        """Send them all, and then the Close frame."""
        peer.accept_handshake()
        for self.sent in range(COUNT):
            peer.send_bytes(self.frames(numbered(self.sent)))
        peer.finish(1000)

    def frames(self, payload: bytes) -> bytes:
        """Return a message, in as many fragments as was asked for."""
        step = -(-len(payload) // self.fragments)
        pieces = [payload[at : at + step] for at in range(0, len(payload), step)]
        return b"".join(
            encode_frame(
                CONTINUATION if number else BINARY, piece, fin=number == len(pieces) - 1
            )
            for number, piece in enumerate(pieces)
        )


def is_settled(count: Callable[[], int]) -> Callable[[], bool]:
    """Return a condition: that a count has not changed for some time."""
    last, since = -1, 0.0

    def condition() -> bool:
        nonlocal last, since
        if count() != last:
            last, since = count(), time.monotonic()
        return time.monotonic() - since > 200 * MS

    return condition


# Test back-pressure.


@pytest.mark.parametrize("name", LIMITS)
def test_flood_of_different_messages(raw_server, name):
    """A server is stopped by a full queue, and then all comes in order."""
    flood = NumberedFlood()
    with connect(raw_server(flood).url, **LIMITS[name], **QUICK) as ws:
        wait_until(is_settled(lambda: flood.sent), "the server is stopped")
        assert flood.sent * SIZE < SLACK
        for number in range(COUNT):
            assert ws.recv() == numbered(number)
        with pytest.raises(ConnectionClosedOK):
            ws.recv()


async def test_async_flood_of_different_messages(scripted):
    """A server is stopped by a full queue, and then all comes in order."""
    flood = NumberedFlood()
    address = scripted(flood)
    async with connect_async(address.url, max_queue=16, **address.options) as ws:
        await wait_until_async(is_settled(lambda: flood.sent), "the server is stopped")
        assert flood.sent * SIZE < SLACK
        for number in range(COUNT):
            assert await ws.recv() == numbered(number)
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()


def test_flood_taken_with_pauses(scripted):
    """Each pause and each end of one loses nothing, however often they come."""
    address = scripted(NumberedFlood(fragments=3))
    options = {**address.options, "max_queue": (9, 2)}
    with connect(address.url, **options) as ws:
        for number in range(COUNT):
            # Longer than the connection thread waits before it reads ahead.
            if number % 500 == 0:
                time.sleep(60 * MS)
            assert ws.recv() == numbered(number)
        with pytest.raises(ConnectionClosedOK):
            ws.recv()


@pytest.mark.parametrize("max_queue", [0, 3, (16, 1)])
def test_message_of_more_fragments_than_the_queue(scripted, max_queue):
    """A message may have more fragments than are received ahead."""
    text = b"0123456789" * 500

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        flood = NumberedFlood(fragments=5000)
        peer.send_bytes(flood.frames(text) * 3 + messages("end"))
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, max_queue=max_queue, **address.options) as ws:
        assert ws.recv() == text
        assert list(ws.recv_streaming()) == [bytes([byte]) for byte in text]
        assert ws.recv() == text
        assert ws.recv() == "end"


async def test_async_message_of_more_fragments_than_the_queue(raw_server):
    """A message may have more fragments than are received ahead."""
    text = b"0123456789" * 500

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        flood = NumberedFlood(fragments=5000)
        peer.send_bytes(flood.frames(text) * 3 + messages("end"))
        peer.answer_close()

    async with connect_async(raw_server(script).url, max_queue=3, **QUICK) as ws:
        assert await ws.recv() == text
        fragments = [fragment async for fragment in ws.recv_streaming()]
        assert fragments == [bytes([byte]) for byte in text]
        assert await ws.recv() == text
        assert await ws.recv() == "end"


def test_flood_of_compressed_messages(raw_server):
    """Compression changes neither the order nor what a full queue does."""
    deflate = Deflater()
    sent = []

    def script(peer: Peer) -> None:
        peer.accept_handshake(AGREED)
        for number in range(2000):
            payload = deflate(numbered(number))
            peer.send_bytes(encode_frame(BINARY, payload, rsv=RSV1))
            sent.append(number)
        peer.finish()

    options = {**QUICK, "compression": "deflate", "max_queue": 4}
    with connect(raw_server(script).url, **options) as ws:
        wait_until(is_settled(lambda: len(sent)), "the server is stopped or done")
        assert [ws.recv() for _ in range(2000)] == [*map(numbered, range(2000))]


def test_ping_behind_a_full_queue(scripted):
    """A ping that comes while the queue is full is answered once there is room."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages(*["x"] * 10))
        unread = unread_by_client(peer)
        wait_until(lambda: not unread(), "the client has read the messages")
        peer.send_frame(PING, b"late")
        frame = peer.read_frame()
        if frame.opcode == TEXT:
            frame = peer.read_frame()
        assert (frame.opcode, frame.payload) == (PONG, b"late")
        peer.send_text("answered")
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, max_queue=1, **address.options) as ws:
        assert [ws.recv() for _ in range(10)] == ["x"] * 10
        ws.send("taken")
        assert ws.recv() == "answered"


# Test the end of a connection whose queue is full.


QUEUED = [b"%03d" % number * 30 for number in range(200)]
"""Few enough for the buffer of a socket, which a reset leaves readable."""
FINAL = encode_frame(CLOSE, close_payload(4000, "why"))
ENDS: dict[str, tuple[bytes, Callable[[Peer], None], int | None, int | None]] = {
    "close": (FINAL, Peer.close, 4000, 4000),
    "close and reset": (FINAL, Peer.reset, 4000, 4000),
    "eof": (b"", Peer.close, None, None),
    "reset": (b"", Peer.reset, None, None),
    "broken rule": (b"\x83\x00", Peer.wait_eof, None, 1002),
    "too large": (b"\x82\x7f" + b"\x00\x01" * 4, Peer.wait_eof, None, 1009),
}
"""What the peer sends last, what it does, and the codes that are received and sent."""


def ending_with(name: str, done: threading.Event) -> Callable[[Peer], None]:
    """Return a script that sends many messages and ends the connection."""
    last, end, _, _ = ENDS[name]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages(*QUEUED) + last)
        if end is not Peer.wait_eof:
            end(peer)
        done.set()
        if end is Peer.wait_eof:
            with contextlib.suppress(EOFError, ConnectionError):
                peer.read_close()
                peer.close()

    return script


@pytest.mark.parametrize("name", ENDS)
def test_peer_ends_while_the_queue_is_full(scripted, name):
    """All that came before the end is received after it, and then how it ended."""
    done = threading.Event()
    address = scripted(ending_with(name, done))
    with connect(address.url, inbox_limit=1000, **address.options) as ws:
        assert done.wait(10)
        received = [ws.recv() for _ in QUEUED]
        assert received == QUEUED
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        _, _, rcvd, sent = ENDS[name]
        closed = caught.value
        assert (closed.rcvd and closed.rcvd.code) == rcvd
        assert (closed.sent and closed.sent.code) == sent or "reset" in name
    assert ws.close_code == (rcvd or 1006)


@pytest.mark.parametrize("name", ENDS)
async def test_async_peer_ends_while_the_queue_is_full(raw_server, name):
    """All that came before the end is received after it, and then how it ended."""
    done = threading.Event()
    url = raw_server(ending_with(name, done)).url
    async with connect_async(url, max_queue=2, **QUICK) as ws:
        await asyncio.to_thread(done.wait, 10)
        received = [await ws.recv() for _ in QUEUED]
        assert received == QUEUED
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        rcvd = ENDS[name][2]
        assert (caught.value.rcvd and caught.value.rcvd.code) == rcvd


@pytest.mark.parametrize("limits", [{"max_queue": 2}, {"inbox_limit": 1000}, {}])
def test_close_while_the_queue_is_full(scripted, limits):
    """What was received before close is there after it, in order and without gaps."""
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages(*QUEUED))
        done.set()
        peer.answer_close()

    address = scripted(script)
    ws = connect(address.url, **address.options, **limits)
    assert done.wait(10)
    assert ws.recv() == QUEUED[0]
    ws.close()
    received = []
    with pytest.raises(ConnectionClosedOK):
        received.extend(itertools.starmap(ws.recv, itertools.repeat(())))
    assert received == QUEUED[1 : len(received) + 1]
    assert ws.close_code == 1000


def test_close_ends_while_the_queue_is_full(raw_server):
    """close gets its answer from behind messages that nobody takes."""
    flood = NumberedFlood()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        closing = Background(peer.read_close)
        for flood.sent in range(COUNT):
            peer.send_bytes(flood.frames(numbered(flood.sent)))
            if not closing.thread.is_alive():
                break
        peer.send_frame(CLOSE, closing.result().payload)
        peer.close()

    url = raw_server(script).url
    ws = connect(url, max_queue=4, close_timeout=5000 * MS, **QUICK)
    wait_until(is_settled(lambda: flood.sent), "the server is stopped")
    start = time.monotonic()
    ws.close(4000)
    assert time.monotonic() - start < 3000 * MS
    assert (ws.close_code, ws.state) == (4000, State.CLOSED)
    received = []
    with contextlib.suppress(ConnectionClosed):
        received.extend(itertools.starmap(ws.recv, itertools.repeat(())))
    assert received == [*map(numbered, range(len(received)))]


# Test fragments that nobody takes.


async def test_async_recv_streaming_cancelled_while_fragments_come(raw_server):
    """A cancelled recv_streaming does not stop the connection from receiving."""
    waiting, arrived, go_on = (threading.Event() for _ in range(3))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert waiting.wait(peer.timeout)
        unread = unread_by_client(peer)
        peer.send_frame(TEXT, "a", fin=False)
        peer.send_bytes(encode_frame(CONTINUATION, b"b", fin=False) * 50)
        wait_until(lambda: not unread(), "the client has read the fragments")
        arrived.set()
        assert go_on.wait(peer.timeout)
        peer.send_frame(CONTINUATION, "c")
        peer.answer_close()

    options = {**QUICK, "receive_timeout": 2000 * MS, "close_timeout": 500 * MS}
    async with connect_async(raw_server(script).url, max_queue=10, **options) as ws:
        receiving = asyncio.create_task(anext(ws.recv_streaming()))
        await asyncio.sleep(0)
        waiting.set()
        # It blocks the loop on purpose: what has come can't be taken meanwhile.
        assert arrived.wait(5)
        receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await receiving
        go_on.set()
        assert await ws.recv() == "a" + "b" * 50 + "c"


def test_recv_streaming_left_while_the_queue_is_full(scripted):
    """What is left of a message can be taken later, however much that is."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(NumberedFlood(fragments=3000).frames(b"x" * 3000))
        peer.send_text("next")
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, max_queue=5, **address.options) as ws:
        fragments = ws.recv_streaming()
        assert [next(fragments) for _ in range(7)] == [b"x"] * 7
        fragments.close()
        with pytest.raises(ConcurrencyError):
            ws.recv()
        assert list(ws.recv_streaming()) == [b"x"] * 2993
        assert ws.recv() == "next"
