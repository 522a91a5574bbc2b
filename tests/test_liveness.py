"""A sync connection lives while nobody receives, and sleeps while nothing happens."""

from __future__ import annotations

import threading
import time

import pytest

from raw_server import MS, PING, PONG, Peer
from support import (
    QUICK,
    Background,
    connection_threads,
    voluntary_switches,
    wait_until,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect


LIMIT = 100 * MS


class Pinging:
    """A peer that measures how long each of its pings remains unanswered."""

    def __init__(self, count: int = 10, pause: float = 50 * MS) -> None:
        self.count = count
        self.pause = pause
        self.delays: list[float] = []
        self.done = threading.Event()

    def __call__(self, peer: Peer) -> None:
        """Send the pings one after the other."""
        try:
            peer.accept_handshake()
            for number in range(self.count):
                start = time.monotonic()
                peer.send_frame(PING, str(number).encode())
                frame = peer.read_frame()
                self.delays.append(time.monotonic() - start)
                assert (frame.opcode, frame.payload) == (PONG, str(number).encode())
                time.sleep(self.pause)
        finally:
            self.done.set()
        peer.answer_close()


def test_pings_answered_while_sleeping(scripted):
    """Pings are answered within 100 ms while the client is in time.sleep."""
    pinging = Pinging()
    address = scripted(pinging)
    with connect(address.url, **address.options):
        time.sleep(700 * MS)
        assert pinging.done.wait(5)
    assert max(pinging.delays) < LIMIT


def test_pings_answered_while_computing(tmp_path):
    """Pings are answered within 100 ms while the client computes in pure Python.

    The peer is a process of its own: on a thread of this one it would measure how
    long it waits for the interpreter itself.
    """
    import os
    import subprocess
    import sys
    from pathlib import Path

    source = """
import sys
from raw_server import RawServer
from test_liveness import Pinging

pinging = Pinging(count=10)
with RawServer(pinging) as server:
    print(server.url, flush=True)
    pinging.done.wait(20)
print(max(pinging.delays), flush=True)
"""
    folder = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": folder},
    )
    with process:
        url = process.stdout.readline().strip()
        with connect(url, **QUICK):
            end = time.monotonic() + 900 * MS
            while time.monotonic() < end:
                sum(n * n for n in range(100_000))
        assert float(process.stdout.readline()) < LIMIT
    assert process.returncode == 0


def test_pings_answered_while_receiving(scripted):
    """Pings are answered within 100 ms while the client is in recv."""
    pinging = Pinging(pause=5 * MS)
    address = scripted(pinging)
    with connect(address.url, **address.options) as ws:
        with pytest.raises(TimeoutError):
            ws.recv(timeout=300 * MS)
        assert pinging.done.wait(5)
    assert max(pinging.delays) < LIMIT


def test_pings_answered_between_receives(raw_server):
    """Pings are answered at every moment of a change between the two readers."""
    pinging = Pinging(count=60, pause=7 * MS)
    with connect(raw_server(pinging).url, **QUICK) as ws:
        pause = 0.0
        while not pinging.done.is_set():
            with pytest.raises(TimeoutError):
                ws.recv(timeout=3 * MS)
            pause = (pause + 5 * MS) % (60 * MS)
            time.sleep(pause)
    assert max(pinging.delays) < LIMIT


async def test_pings_answered_while_loop_is_blocked(raw_server):
    """The event loop being blocked does not keep a ping from its answer."""
    from websocket_rs.async_client import connect as connect_async

    pinging = Pinging()
    async with connect_async(raw_server(pinging).url, **QUICK):
        time.sleep(700 * MS)  # noqa: ASYNC251  Blocking the loop is the point.
        assert pinging.done.wait(5)
    assert max(pinging.delays) < LIMIT


def test_close_noticed_while_sleeping(raw_server):
    """The peer's Close is answered while the client does nothing."""
    answered = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        start = time.monotonic()
        peer.finish(1001)
        answered.append(time.monotonic() - start)

    server = raw_server(script)
    ws = connect(server.url, **QUICK)
    server.join()
    assert answered[0] < LIMIT
    wait_until(lambda: ws.state is State.CLOSED, "the state follows", 100 * MS)
    assert ws.close_code == 1001
    ws.close()


# Test threads.


def idle_switches(thread: int) -> int:
    """Return how often a thread was woken in a second in which nothing happens."""
    counts: list[int] = []

    def quiet() -> bool:
        counts.append(voluntary_switches(thread))
        time.sleep(100 * MS)
        return voluntary_switches(thread) == counts[-1]

    wait_until(quiet, "the thread has settled")
    before = voluntary_switches(thread)
    time.sleep(1.0)
    return voluntary_switches(thread) - before


def test_idle_connection_causes_no_wakeups(echo):
    """The thread of an idle connection sleeps through a second."""
    known = connection_threads()
    with connect(echo.url, **echo.options) as ws:
        ws.send("x")
        ws.recv()
        [thread] = set(connection_threads()) - set(known)
        assert idle_switches(thread) == 0
        ws.send("still alive")
        assert ws.recv() == "still alive"


def test_connection_that_was_busy_causes_no_wakeups(echo_server):
    """Large buffers are given back once, and nothing ticks after that."""
    known = connection_threads()
    with connect(echo_server.url, **QUICK) as ws:
        ws.send(bytes(1_000_000))
        assert len(ws.recv()) == 1_000_000
        [thread] = set(connection_threads()) - set(known)
        # It looks after them when they have not been used for two seconds.
        before = voluntary_switches(thread)
        time.sleep(4.5)
        assert voluntary_switches(thread) - before <= 4
        assert idle_switches(thread) == 0


def test_blocked_recv_causes_no_wakeups(echo_server):
    """A recv that waits wakes neither its own thread nor the connection's."""
    known = connection_threads()
    with connect(echo_server.url, **QUICK) as ws:
        [thread] = set(connection_threads()) - set(known)
        receiving = Background(ws.recv)
        assert idle_switches(receiving.thread.native_id) == 0
        assert idle_switches(thread) == 0
        ws.send("x")
        assert receiving.result() == "x"


def test_round_trips_do_not_wake_the_thread(echo_server):
    """The connection thread stays out of the way of a request-response loop."""
    known = connection_threads()
    with connect(echo_server.url, **QUICK) as ws:
        [thread] = set(connection_threads()) - set(known)
        ws.send("x")
        ws.recv()
        before, count = voluntary_switches(thread), 2000
        start = time.monotonic()
        for _ in range(count):
            ws.send("x")
            ws.recv()
        # It looks every 50 ms whether there still is a reader, and stands in for one
        # that the machine has kept waiting for longer than that.
        looks = (time.monotonic() - start) / 0.05
        assert voluntary_switches(thread) - before < count / 20 + 4 * looks


def test_one_thread_per_connection(echo_server):
    """Each connection has one OS thread, named after it, and no Python thread."""
    python, known = threading.enumerate(), connection_threads()
    connections = [connect(echo_server.url, **QUICK) for _ in range(5)]
    new = {k: v for k, v in connection_threads().items() if k not in known}
    assert len(new) == 5
    assert len(set(new.values())) == 5
    assert threading.enumerate() == python
    for ws in connections:
        ws.close()
    wait_until(lambda: connection_threads() == known, "their threads have ended")
