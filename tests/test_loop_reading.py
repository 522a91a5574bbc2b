"""Event loops that read their connections, and who stands in for busy ones."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import threading
import time
from pathlib import Path

import pytest

from conftest import new_event_loop
from raw_server import MS, PING, PONG, Peer, encode_frame
from support import (
    QUICK,
    connection_threads,
    voluntary_switches,
    wait_until,
)
from websocket_rs.async_client import connect
from websocket_rs.asyncio.client import connect as websockets_connect


@pytest.fixture(autouse=True)
def loop_reads(request: pytest.FixtureRequest) -> None:
    """Skip what is about event loops that read where others are to."""
    if request.config.getoption("reader") != "loop":
        pytest.skip("the connection threads read")


KINDS = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


@pytest.mark.parametrize("given", ["thread", "loop"])
async def test_reader(echo_server, given):
    """The connection thread reads if it is to, and the loop does otherwise."""
    known = connection_threads()
    async with connect(echo_server.url, reader=given, **QUICK) as ws:
        [thread] = set(connection_threads()) - set(known)
        batches = []
        for _ in range(20):
            before = voluntary_switches(thread)
            for _ in range(50):
                await ws.send("x")
                assert await ws.recv() == "x"
            batches.append(voluntary_switches(thread) - before)
    if given == "thread":
        assert min(batches) > 10
    else:
        # A machine that keeps the loop waiting has the thread stand in, so that
        # the quietest of many batches tells.
        assert min(batches) < 10


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("process", ValueError, "reader must be 'loop' or 'thread', not 'process'"),
        (None, TypeError, "reader must be a str, not None"),
    ],
)
def test_reader_wrong(given, error, text):
    """What can't read is refused before anything is done."""
    for door in [connect, websockets_connect]:
        with pytest.raises(error, match=f"^{text}$"):
            door("ws://localhost/", reader=given)


async def test_pings_are_answered_while_the_loop_is_blocked(raw_server):
    """What a blocked loop does not read, the connection thread does."""
    is_answered = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_text("begin")
        peer.read_message()
        for number in range(3):
            peer.send_bytes(encode_frame(PING, str(number).encode()))
            frame = peer.read_frame()
            assert (frame.opcode, frame.payload) == (PONG, str(number).encode())
        peer.send_text("end")
        is_answered.set()
        peer.read_message()

    server = raw_server(script)
    async with connect(server.url, **QUICK, close_timeout=100 * MS) as ws:
        assert await ws.recv() == "begin"
        # From here on the loop has the socket, and after that it doesn't poll.
        waiting = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        await ws.send("now")
        assert is_answered.wait(5000 * MS)
        assert await waiting == "end"
        await ws.send("thanks")


async def test_messages_wait_while_the_loop_is_blocked(echo_server):
    """What has come while the loop was blocked is received in order."""
    async with connect(echo_server.url + "/flood", **QUICK) as ws:
        await ws.send("2 1")
        await ws.recv()
        await ws.recv()
        for _ in range(3):
            await ws.send("1000 100")
            time.sleep(0.2)  # noqa: ASYNC251
            for _ in range(1000):
                assert len(await ws.recv()) == 100


async def test_full_inbox_stops_the_loop_from_reading(echo_server):
    """A program that takes nothing slows the server down, and costs no processor."""
    async with connect(echo_server.url + "/flood", **QUICK, inbox_limit=1000) as ws:
        await ws.send("1 1")
        await ws.recv()
        await ws.send("20000 1000")
        await asyncio.sleep(0.1)
        before = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - before < 0.2
        for _ in range(20_000):
            assert len(await ws.recv()) == 1000


def watchers() -> set[str]:
    """Return the ids of the threads that watch over an event loop."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().strip() == "websocket-watch":
                found.add(task.name)
    return found


def use_and_close(loop: asyncio.AbstractEventLoop, url: str) -> None:
    """Use a connection, and close the loop that it belongs to."""
    ws = loop.run_until_complete(connect(url, **QUICK))
    loop.run_until_complete(ws.send("x"))
    assert loop.run_until_complete(ws.recv()) == "x"
    # A thread has its name when it has run for the first time.
    wait_until(watchers, "there is a watcher")
    loop.close()
    ws.abandon()
    wait_until(lambda: ws.has_ended, "the connection has ended")


@KINDS
def test_loop_is_closed_with_its_connections(kind, echo_server):
    """A loop that is gone leaves its connections to their threads, and no watcher."""
    known = watchers()
    use_and_close(new_event_loop(kind), echo_server.url)
    # Loops and what they have registered refer to each other.
    gc.collect()
    wait_until(lambda: watchers() == known, "the watcher has ended")


class FullEventLoop(asyncio.SelectorEventLoop):
    """An event loop that can't wait for what it is to read by itself."""

    def add_reader(self, fd, callback, *args):
        """Fail as the system does that has no memory for one more."""
        if callback.__name__ == "read":
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().add_reader(fd, callback, *args)


def test_loop_that_cannot_wait_for_sockets(echo_server):
    """The connection threads read all, and no watcher has to notice first."""
    known = watchers()
    with contextlib.closing(FullEventLoop()) as loop:
        ws = loop.run_until_complete(connect(echo_server.url, **QUICK))
        loop.run_until_complete(ws.send("x"))
        assert loop.run_until_complete(ws.recv()) == "x"
        wait_until(lambda: watchers() == known, "there is no watcher")
        loop.run_until_complete(ws.close())


def test_loops_of_several_threads(echo_server):
    """Each loop reads its own connections."""
    received: list[str] = []

    async def talk(name: str) -> None:
        async with connect(echo_server.url, **QUICK) as ws:
            for number in range(200):
                await ws.send(f"{name} {number}")
                received.append(await ws.recv())

    threads = [
        threading.Thread(target=lambda name=name: asyncio.run(talk(name)))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "abcd":
        own = [text for text in received if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(200)]


async def test_sends_with_pauses_leave_the_thread_alone(echo_server):
    """A program that sends now and then writes itself, without waking the thread."""
    known = connection_threads()
    async with connect(echo_server.url + "/sink", **QUICK) as ws:
        [thread] = set(connection_threads()) - set(known)
        batches = []
        for _ in range(20):
            before = voluntary_switches(thread)
            for _ in range(20):
                await ws.send("x")
                await asyncio.sleep(1 * MS)
            batches.append(voluntary_switches(thread) - before)
        assert min(batches) < 5
        await ws.send("report")
        assert await ws.recv() == "400 400"
