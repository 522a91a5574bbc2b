"""Messages that the asyncio client receives fragment by fragment."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing

import pytest

from raw_server import BINARY, MS, PING, PONG, TEXT, Peer, encode_frame, messages
from remote import Remote
from support import QUICK, wait_until_async
from test_duplex import kernel_buffers
from test_streaming import DECODED, end_broken, end_closed
from websocket_rs.async_client import AsyncWebSocket, connect
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that does what the test says."""
    return Remote(raw_server)


async def fragments_of(ws: AsyncWebSocket, decode: bool | None = None) -> list:
    """Return what recv_streaming yields."""
    return [fragment async for fragment in ws.recv_streaming(decode)]


@pytest.mark.parametrize(("opcode", "pieces", "decode", "expected"), DECODED)
async def test_recv_streaming_decode(remote, opcode, pieces, decode, expected):
    """Fragments are str or bytes; a cut character comes with the next fragment."""
    async with connect(remote.url, **QUICK) as ws:
        for _ in range(2):
            remote.send(*pieces, opcode=opcode)
            remote.send(b"between")
            assert await fragments_of(ws, decode) == expected
            assert await ws.recv() == "between"


async def test_recv_streaming_as_they_arrive(remote):
    """A fragment is yielded when it arrives, and pings between them are answered."""
    async with connect(remote.url, **QUICK) as ws:
        remote.send(b"first", fin=False)
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "first"
        for number in range(5):
            waiting = asyncio.create_task(anext(fragments))
            await asyncio.sleep(0)
            remote.peer.send_frame(PING, b"%d" % number)
            remote.peer.send_frame(0, str(number), fin=False)
            assert await waiting == str(number)
        remote.peer.send_frame(0, "last")
        assert [fragment async for fragment in fragments] == ["last"]
    assert remote.payloads() == [(PONG, True, b"%d" % number) for number in range(5)]


async def test_recv_streaming_that_had_arrived(remote):
    """Fragments that came before the call are yielded one by one, in their turn."""
    raw = messages("whole", b"whole") + encode_frame(TEXT, b"a", fin=False)
    async with connect(remote.url, **QUICK) as ws:
        remote.peer.send_bytes(raw + encode_frame(0, b"b", fin=False))
        assert await fragments_of(ws) == ["whole"]
        assert await ws.recv() == b"whole"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.recv(), 20 * MS)
        remote.peer.send_bytes(encode_frame(0, b"c") + messages("next"))
        assert await fragments_of(ws) == ["a", "b", "c"]
        assert await fragments_of(ws) == ["next"]


async def test_recv_streaming_timeout(remote):
    """After a timeout, another iterator goes on where the first one was."""
    options = {**QUICK, "receive_timeout": 30 * MS}
    async with connect(remote.url, **options) as ws:
        with pytest.raises(TimeoutError, match="waiting for a message"):
            await anext(ws.recv_streaming())
        remote.send(b"a\xc3", fin=False)
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "a"
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            await anext(fragments)
        assert 29 * MS < time.monotonic() - start < 500 * MS
        remote.peer.send_frame(0, b"\xa9b")
        rest = await wait_until_async_result(ws)
        assert rest == ["éb"]


async def wait_until_async_result(ws: AsyncWebSocket) -> list:
    """Return the rest of a message, however many timeouts it takes."""
    for _ in range(100):
        try:
            return await fragments_of(ws)
        except TimeoutError:
            pass
    raise AssertionError("the rest never comes")


async def test_recv_during_streaming(remote):
    """recv is refused while a message is taken in part, and works after it."""
    async with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", b"b", b"c")
        remote.send(b"next")
        async for fragment in ws.recv_streaming():
            assert fragment == "a"
            break
        for call in [ws.recv, lambda: anext(aiter(ws))]:
            with pytest.raises(ConcurrencyError, match="recv"):
                await call()
        async with aclosing(ws.recv_streaming()) as fragments:
            assert await anext(fragments) == "b"
        with pytest.raises(ConcurrencyError):
            await ws.recv()
        assert await fragments_of(ws) == ["c"]
        assert await ws.recv() == "next"


@pytest.mark.parametrize("begun", [False, True], ids=["first", "later"])
async def test_recv_streaming_concurrent(remote, begun):
    """Another task inside of recv_streaming refuses both kinds of calls."""
    async with connect(remote.url, **QUICK) as ws:
        fragments = ws.recv_streaming()
        if begun:
            remote.send(b"a", fin=False)
            assert await anext(fragments) == "a"
        waiting = asyncio.create_task(anext(fragments))
        await asyncio.sleep(0)
        with pytest.raises(ConcurrencyError, match="recv_streaming"):
            await anext(ws.recv_streaming())
        with pytest.raises(ConcurrencyError, match="recv"):
            await ws.recv()
        remote.peer.send_frame(0 if begun else TEXT, b"b")
        assert await waiting == "b"
        remote.send(b"next")
        assert await ws.recv() == "next"


async def test_recv_streaming_during_recv(remote):
    """Another task in recv refuses recv_streaming, and goes on."""
    async with connect(remote.url, **QUICK) as ws:
        waiting = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        with pytest.raises(ConcurrencyError, match="recv_streaming"):
            await anext(ws.recv_streaming())
        remote.send(b"a", b"b")
        assert await waiting == "ab"


async def test_recv_streaming_cancelled_before_the_first(remote):
    """Nothing was taken, so recv still can receive the message."""
    async with connect(remote.url, **QUICK) as ws:
        waiting = asyncio.create_task(anext(ws.recv_streaming()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        remote.send(b"a", b"b")
        assert await ws.recv() == "ab"


async def test_recv_streaming_cancellation_loses_nothing(raw_server):
    """recv_streaming cancelled at any moment neither loses nor reorders fragments."""
    count = 300

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        chance = random.Random(5)
        for number in range(count):
            frame = encode_frame(0 if number else TEXT, b"%d;" % number, fin=False)
            peer.send_bytes(frame, pieces=3)
            time.sleep(chance.random() * MS)
        peer.send_bytes(encode_frame(0) + messages("next"))
        peer.answer_close()

    chance = random.Random(6)
    taken, cancelled = "", 0
    async with connect(raw_server(script).url, **QUICK) as ws:
        while not taken.endswith(f"{count - 1};"):
            task = asyncio.create_task(anext(ws.recv_streaming()))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * MS)
            task.cancel()
            try:
                taken += await task
            except asyncio.CancelledError:
                cancelled += 1
        assert await fragments_of(ws) == [""]
        assert await ws.recv() == "next"
    assert taken == "".join(f"{number};" for number in range(count))
    assert cancelled > 10


async def test_recv_streaming_changing_decode(remote):
    """No byte is lost if what is left of a text is taken in another form."""
    async with connect(remote.url, **QUICK) as ws:
        remote.send(b"\xe2", b"\x9c", b"\x93")
        assert await anext(ws.recv_streaming()) == ""
        assert b"".join(await fragments_of(ws, decode=False)) == "✓".encode()
        remote.send(b"abc")
        assert await fragments_of(ws) == ["abc"]


@pytest.mark.parametrize("limits", [{"inbox_limit": 200_000}, {"max_queue": 4}])
async def test_recv_streaming_back_pressure(raw_server, limits):
    """A message larger than every buffer is not received further ahead than allowed."""
    piece, ahead = bytes(50_000), kernel_buffers() + 1_000_000
    taken = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(BINARY, b"first", fin=False)
        raw = encode_frame(0, piece, fin=False)
        taken.append(peer.send_until_blocked(raw, stalled=300 * MS, limit=2 * ahead))
        peer.send_rest()
        peer.send_frame(0, b"last")
        peer.answer_close()

    async with connect(raw_server(script).url, **limits, **QUICK) as ws:
        fragments = ws.recv_streaming()
        assert await anext(fragments) == b"first"
        await wait_until_async(lambda: taken, "the peer is slowed down", 10_000 * MS)
        assert taken[0] < ahead
        *rest, last = [fragment async for fragment in fragments]
        assert last == b"last"
        assert set(rest) == {piece}
        assert len(rest) == taken[0] // (len(piece) + 4) + 1


@pytest.mark.parametrize(
    ("end", "error", "code"),
    [
        (end_closed, ConnectionClosedOK, 1000),
        (Remote.end, ConnectionClosedError, None),
        (end_broken, ConnectionClosedError, 1002),
    ],
)
async def test_recv_streaming_end(raw_server, end, error, code):
    """Fragments that had come are yielded before the end of the connection is told."""
    remote = Remote(raw_server, closes=False)
    async with connect(remote.url, close_timeout=100 * MS, **QUICK) as ws:
        remote.send(b"a", b"b", fin=False)
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "a"
        end(remote)
        await wait_until_async(lambda: ws.state is not State.OPEN, "the end is noticed")
        assert await anext(fragments) == "b"
        with pytest.raises(error) as caught:
            await anext(fragments)
        assert (caught.value.sent and caught.value.sent.code) == code


async def test_recv_after_streaming_end(remote):
    """Once no fragment is left, a closed connection says so to every call."""
    async with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", fin=False)
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "a"
        remote.peer.send_close(1000)
        with pytest.raises(ConnectionClosedOK):
            await anext(fragments)
        with pytest.raises(ConnectionClosedOK):
            await anext(ws.recv_streaming())
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()
        assert [message async for message in ws] == []


async def test_close_during_streaming(remote):
    """close ends a recv_streaming that waits in another task."""
    async with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", fin=False)
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "a"
        waiting = asyncio.create_task(anext(fragments))
        await asyncio.sleep(0)
        await ws.close()
        with pytest.raises(ConnectionClosed):
            await waiting
