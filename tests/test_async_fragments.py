"""Messages that the asyncio client sends in fragments."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import BINARY, CLOSE, MS, PONG, TEXT, Peer
from remote import Remote, keep_little
from support import QUICK, wait_until_async
from test_fragments import (
    ITERABLES,
    MESSAGES,
    NO_MESSAGES,
    WRONG_LATER,
    as_sent,
    assert_closed_by,
    assert_failed,
    shown,
)
from websocket_rs.async_client import connect
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
)
from websocket_rs.protocol import State


if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that keeps all frames."""
    return Remote(raw_server)


async def as_async(items: Any) -> Any:
    """Yield items, each after a turn of the loop."""
    for item in items:
        await asyncio.sleep(0)
        yield item


ASYNC_ITERABLES = [*ITERABLES, as_async]


@pytest.mark.parametrize("kind", ASYNC_ITERABLES)
async def test_send_iterable(remote, kind):
    """Iterables and asynchronous iterables are sent as one message."""
    async with connect(remote.url, **QUICK) as ws:
        await ws.send(kind(["a", "b", "c"]))
        await ws.send("whole")
    expected = [*as_sent(TEXT, [b"a", b"b", b"c"]), (TEXT, True, b"whole")]
    assert remote.payloads() == expected


@pytest.mark.parametrize(("items", "text", "opcode", "payloads"), MESSAGES)
async def test_send_fragments_text(remote, items, text, opcode, payloads):
    """The items say what the message carries, unless the argument does."""
    async with connect(remote.url, **QUICK) as ws:
        await ws.send(as_async(items), text=text)
    assert remote.payloads() == as_sent(opcode, payloads)


@pytest.mark.parametrize("message", [*NO_MESSAGES, [], as_async([])], ids=shown)
async def test_send_no_message(remote, message):
    """What is no message, or has no items, sends nothing."""
    async with connect(remote.url, **QUICK) as ws:
        if message == [] or hasattr(message, "__aiter__"):
            await ws.send(message)
        else:
            with pytest.raises((TypeError, ValueError)):
                await ws.send(message)
        await ws.send("alive")
    assert remote.payloads() == [(TEXT, True, b"alive")]


async def test_send_type(remote):
    """A type is refused as what it is, though its instances can be iterated over."""
    async with connect(remote.url, **QUICK) as ws:
        for message in (str, list):
            with pytest.raises(TypeError, match=r"data must be .*, not type"):
                await ws.send(message)


@pytest.mark.parametrize("kind", [list, as_async])
@pytest.mark.parametrize("items", WRONG_LATER, ids=repr)
async def test_send_wrong_later_item(remote, items, kind):
    """A wrong item inside of a message fails the connection."""
    async with connect(remote.url, **QUICK) as ws:
        with pytest.raises((TypeError, ValueError)):
            await ws.send(kind(items))
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.send("x")
        assert_closed_by(caught.value, "error in fragmented message")
        await ws.wait_closed()
        assert_failed(ws, remote, "error in fragmented message")


async def test_send_during_fragments(remote):
    """Other messages wait until then, and go out in the order of their calls."""
    opened = asyncio.Event()

    async def fragments():
        yield "a"
        await opened.wait()
        yield "b"

    async with connect(remote.url, **QUICK) as ws:
        sending = asyncio.create_task(ws.send(fragments()))
        await asyncio.to_thread(remote.wait, 1)
        messages = ["1", ["2", "2"], "3", ["4"], b"5"]
        others = [asyncio.create_task(ws.send(message)) for message in messages]
        cancelled = asyncio.create_task(ws.send("never"))
        await asyncio.sleep(0)
        await ws.pong(b"between")
        cancelled.cancel()
        opened.set()
        await asyncio.gather(sending, *others)
    payloads = [payload for _, _, payload in remote.payloads()]
    expected = [
        b"a",
        b"between",
        b"b",
        b"",
        b"1",
        b"2",
        b"2",
        b"",
        b"3",
        b"4",
        b"",
        b"5",
    ]
    assert payloads == expected


async def test_send_while_the_first_fragment_is_awaited(remote):
    """A message that has not begun keeps no other one waiting."""
    opened = asyncio.Event()

    async def fragments():
        await opened.wait()
        yield "a"

    async with connect(remote.url, **QUICK) as ws:
        sending = asyncio.create_task(ws.send(fragments()))
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(ws.send("meanwhile"), 500 * MS)
        finally:
            opened.set()
            await sending
    assert remote.payloads()[0] == (TEXT, True, b"meanwhile")


async def test_send_inside_of_fragments(remote):
    """An asynchronous iterable that sends a message itself does not wait for itself."""

    async def fragments():
        yield "a"
        await ws.send("b")

    async with connect(remote.url, **QUICK) as ws:
        with pytest.raises(ConcurrencyError):
            await ws.send(fragments())
        assert_failed(ws, remote, "error in fragmented message")


async def test_send_cancelled(remote):
    """A message that is cancelled after it has begun fails the connection."""

    async def fragments(*begun: str):
        for fragment in begun:
            yield fragment
        await asyncio.sleep(3600)

    async with connect(remote.url, **QUICK) as ws:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.send(fragments()), 20 * MS)
        await ws.send("alive")
        waiting = asyncio.create_task(ws.send(fragments("a")))
        await asyncio.to_thread(remote.wait, 2)
        other = asyncio.create_task(ws.send("b"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(ConnectionClosedError) as caught:
            await other
        assert_closed_by(caught.value, "error in fragmented message")
    assert remote.payloads() == [(TEXT, True, b"alive"), (TEXT, False, b"a")]
    assert remote.closed() == (1011, "error in fragmented message")


async def test_close_during_fragments(remote):
    """close inside of a message fails the connection, and ends the other calls."""
    opened = asyncio.Event()

    async def fragments():
        yield "a"
        await opened.wait()
        yield "b"

    reason = "close during fragmented message"
    async with connect(remote.url, **QUICK) as ws:
        calls = [ws.send(fragments()), ws.recv(), ws.send("later")]
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.to_thread(remote.wait, 1)
        await ws.close()
        opened.set()
        for task in tasks:
            with pytest.raises(ConnectionClosed) as caught:
                await task
            assert_closed_by(caught.value, reason)
    assert remote.closed() == (1011, reason)
    assert remote.payloads() == [(TEXT, False, b"a")]


@pytest.mark.parametrize("kind", [iter, as_async])
async def test_send_fragments_waits_for_room(raw_server, kind):
    """While the peer does not read, fragments are not taken out of the iterable."""
    reads, taken = threading.Event(), []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keep_little(peer)
        assert reads.wait(5000 * MS)
        peer.answer_close()

    def fragments() -> Iterator[bytes]:
        for number in range(400):
            taken.append(number)
            yield bytes(100_000)

    url = raw_server(script).url
    async with connect(url, write_limit=100_000, **QUICK) as ws:
        sending = asyncio.create_task(ws.send(kind(fragments())))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), 200 * MS)
        stalled = len(taken)
        assert 1 < stalled < 400
        await asyncio.sleep(20 * MS)
        assert len(taken) == stalled
        reads.set()
        await sending
        assert len(taken) == 400


async def test_send_cancelled_after_the_end(raw_server):
    """A message all of which is on its way stays whole if the call is cancelled."""
    reads, messages = threading.Event(), []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keep_little(peer)
        assert reads.wait(5000 * MS)
        while (frame := peer.read_frame()).opcode != CLOSE:
            if frame.opcode != PONG:
                messages.append((frame.opcode, frame.fin, frame.payload))
        peer.send_frame(CLOSE, frame.payload)

    async def fragments():
        yield b"a"
        # Control frames go in between, as many as it takes to block the writer.
        while ws.has_room():
            await ws.pong(bytes(125))

    url = raw_server(script).url
    async with connect(url, write_limit=10_000_000, **QUICK) as ws:
        sending = asyncio.create_task(ws.send(fragments()))
        await wait_until_async(lambda: not ws.has_room(), "the writer is blocked")
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert ws.state is State.OPEN
        reads.set()
    assert messages == as_sent(BINARY, [b"a"])
