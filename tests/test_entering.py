"""One `connect` or `reconnect` object that is entered more than once."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from raw_server import MS
from support import Background, wait_until_async
from websocket_rs import async_client
from websocket_rs.asyncio.client import connect
from websocket_rs.exceptions import InvalidStatus
from websocket_rs.sync.client import reconnect


class Gate:
    """A server that answers handshakes when it is told to, and notes how each ends."""

    def __init__(self, raw_server):
        self.asked, self.opened = threading.Event(), threading.Event()
        self.closes = []
        self.server = raw_server(self._script)
        self.url = self.server.url

    def _script(self, peer):
        peer.read_request()
        self.asked.set()
        assert self.opened.wait(5000 * MS)
        # Whoever has given up is not there for the answer.
        with contextlib.suppress(OSError, EOFError):
            peer.sock.sendall(peer.response())
            self.closes.append(peer.answer_close().close_code)

    def closed(self):
        """Return the codes of the closes, when all of its connections have ended."""
        self.server.join()
        return self.closes


@pytest.fixture
def gate(raw_server):
    """A server that takes its time."""
    return Gate(raw_server)


@pytest.mark.parametrize("make", [connect, async_client.connect])
async def test_connect_entered_by_two_tasks(gate, make):
    """The second task is refused, whether the first is connecting or connected."""
    connecting = make(gate.url)
    done = asyncio.Event()

    async def use():
        async with connecting as ws:
            assert connecting.connection is ws
            await done.wait()

    first = asyncio.ensure_future(use())
    assert await asyncio.to_thread(gate.asked.wait, 5000 * MS)
    with pytest.raises(RuntimeError, match="reentrant"):
        await use()
    gate.opened.set()
    await wait_until_async(lambda: hasattr(connecting, "connection"), "it is open")
    with pytest.raises(RuntimeError, match="reentrant"):
        async for _ in connecting:
            pass
    done.set()
    await first
    # It can be used again then, and has left nothing behind.
    async with connecting:
        pass
    assert not hasattr(connecting, "connection")
    assert gate.closed() == [1000, 1000]
    assert gate.server.accepted == 2


async def test_connect_entered_after_cancellation(gate):
    """Whoever gives up entering leaves the place to the next."""
    connecting = connect(gate.url)
    first = asyncio.ensure_future(connecting.__aenter__())
    assert await asyncio.to_thread(gate.asked.wait, 5000 * MS)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    gate.opened.set()
    async with connecting:
        pass
    # The handshake that was given up may have been answered too, before or after.
    assert gate.closed().count(1000) == 1


def test_reconnect_entered_by_two_threads(gate):
    """The second thread is refused, and the connection of the first one is closed."""
    connecting = reconnect(gate.url)
    done = threading.Event()

    def use():
        with connecting as ws:
            assert connecting.connection is ws
            assert done.wait(5000 * MS)

    first = Background(use)
    assert gate.asked.wait(5000 * MS)
    with pytest.raises(RuntimeError, match="reentrant"):
        use()
    gate.opened.set()
    done.set()
    first.result()
    with connecting, pytest.raises(RuntimeError, match="reentrant"):
        use()
    assert gate.closed() == [1000, 1000]
    assert gate.server.accepted == 2


def test_reconnect_entered_by_many_threads(echo_server):
    """Of any number of threads that come at one moment, one at a time is inside."""
    connecting = reconnect(echo_server.url)
    barrier = threading.Barrier(8)
    inside = []

    def use():
        barrier.wait(5000 * MS)
        with contextlib.suppress(RuntimeError), connecting as ws:
            inside.append(ws)
            ws.send("x")
            assert ws.recv() == "x"
            assert inside.pop() is ws
            assert not inside

    for call in [Background(use) for _ in range(8)]:
        call.result()


def test_reconnect_entered_after_failure(raw_server):
    """An attempt that fails leaves the place to the next."""

    def refuse(peer):
        peer.read_request()
        peer.send_bytes(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    connecting = reconnect(raw_server(refuse).url)
    for _ in range(2):
        with pytest.raises(InvalidStatus), connecting:
            pass


@pytest.mark.parametrize("make", [connect, async_client.connect])
async def test_connect_awaited_twice(echo_server, make):
    """Awaiting it twice makes two connections, of which each caller has one."""
    connecting = make(echo_server.url)

    async def use():
        return await connecting

    first, second = await asyncio.gather(use(), use())
    assert first is not second
    await first.close()
    await second.close()
