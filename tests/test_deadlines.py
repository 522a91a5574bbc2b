"""Timeouts are deadlines: they hold whatever the peer does meanwhile."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from typing import TYPE_CHECKING

import pytest

from raw_server import MS, TEXT, Peer, encode_frame
from support import QUICK, Background
from websocket_rs.async_client import connect as connect_async
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TIMEOUT = 50 * MS
LIMIT = 60 * MS
CONNECT_TIMEOUT = 200 * MS
CONNECT_LIMIT = CONNECT_TIMEOUT + 60 * MS
ROUNDS = 5


def silent(peer: Peer) -> None:
    """Accept and say nothing."""
    peer.accept_handshake()
    peer.wait_eof()


def elapsed(call: Callable[[], object], phase: str = "waiting for a message") -> float:
    """Return how long a call took to time out in that phase, in seconds."""
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=phase):
        call()
    return time.monotonic() - start


# Test recv. A machine that is busy elsewhere can delay a thread for a moment: the
# promise is that of the median, and no round may end early.


def test_recv_silent_peer(scripted):
    """recv with 50 ms against a silent peer ends within 60 ms."""
    address = scripted(silent)
    with connect(address.url, close_timeout=10 * MS, **address.options) as ws:
        times = [elapsed(lambda: ws.recv(timeout=TIMEOUT)) for _ in range(ROUNDS)]
    assert min(times) >= TIMEOUT - MS
    assert statistics.median(times) < LIMIT


@pytest.mark.parametrize("timeout", [0.1, 1, 2, 5])
def test_recv_short_timeout(raw_server, timeout):
    """Timeouts below the kernel's tick are not rounded up to it."""
    with connect(raw_server(silent).url, close_timeout=10 * MS, **QUICK) as ws:
        times = [elapsed(lambda: ws.recv(timeout=timeout * MS)) for _ in range(11)]
    assert statistics.median(times) < timeout * MS + 2 * MS


def test_recv_dripping_peer(scripted):
    """Bytes that drip in do not prolong recv, and the partial frame is kept."""
    text = "drip" * 8

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert peer.drip(encode_frame(TEXT, text.encode())) == len(text) + 2
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        times = [elapsed(lambda: ws.recv(timeout=TIMEOUT)) for _ in range(5)]
        assert min(times) >= TIMEOUT - MS
        assert statistics.median(times) < LIMIT
        assert ws.recv() == text


async def test_async_recv_dripping_peer(raw_server):
    """The same holds for the receive_timeout of the asyncio client."""
    text = "drip" * 8

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.drip(encode_frame(TEXT, text.encode()))
        peer.answer_close()

    options = {**QUICK, "receive_timeout": TIMEOUT}
    async with connect_async(raw_server(script).url, **options) as ws:
        received, times = None, []
        while received is None:
            start = time.monotonic()
            try:
                received = await ws.recv()
            except TimeoutError:
                times.append(time.monotonic() - start)
    assert received == text
    assert len(times) >= 3
    assert min(times) >= TIMEOUT - MS
    assert statistics.median(times) < LIMIT


def test_recv_endless_empty_fragments(raw_server):
    """Frames that never complete a message do not prolong recv."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(TEXT, b"", fin=False)
        fragments = encode_frame(0, b"", fin=False) * 1000
        peer.send_until_gone(fragments)

    options = {**QUICK, "close_timeout": 100 * MS}
    with connect(raw_server(script).url, **options) as ws:
        start = time.monotonic()
        # Whether there is a limit to the fragments of a message is not asked here.
        with pytest.raises((TimeoutError, RuntimeError)):
            ws.recv(timeout=TIMEOUT)
        assert time.monotonic() - start < 4 * LIMIT


def test_recv_endless_pings(raw_server):
    """A flood of pings does not prolong recv."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        discarding = Background(peer.wait_eof)
        peer.send_until_gone(encode_frame(9, b"ping") * 1000)
        discarding.result()

    options = {**QUICK, "close_timeout": 100 * MS}
    with connect(raw_server(script).url, **options) as ws:
        assert elapsed(lambda: ws.recv(timeout=TIMEOUT)) < 2 * LIMIT


def test_recv_receive_timeout(raw_server):
    """receive_timeout is the timeout of every recv that names none."""
    options = {"connect_timeout": 5.0, "receive_timeout": TIMEOUT}
    with connect(raw_server(silent).url, close_timeout=10 * MS, **options) as ws:
        assert elapsed(ws.recv) < 2 * LIMIT
        assert elapsed(lambda: next(iter(ws))) < 2 * LIMIT


async def test_async_recv_after_late_message(raw_server):
    """receive_timeout holds though the wake-up of an earlier message came late."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert asked.wait(peer.timeout)
        peer.send_text("late")
        sent.set()
        peer.wait_eof()

    async def receive_twice() -> float:
        assert await ws.recv() == "late"
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="waiting for a message"):
            await asyncio.wait_for(ws.recv(), 20 * timeout)
        return time.monotonic() - start

    def let_message_arrive() -> None:
        asked.set()
        assert sent.wait(5000 * MS)
        # If it arrives later still, the test holds as well but shows less.
        time.sleep(timeout / 4)

    asked, sent = threading.Event(), threading.Event()
    timeout = 100 * MS
    loop = asyncio.get_running_loop()
    options = {"connect_timeout": 5000 * MS, "close_timeout": 100 * MS}
    async with connect_async(
        raw_server(script).url, receive_timeout=timeout, **options
    ) as ws:
        # Its timer is left behind, and is due while the loop is blocked below.
        first = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        loop.call_soon(let_message_arrive)
        first.cancel()
        second = asyncio.create_task(receive_twice())
        loop.call_soon(time.sleep, timeout)
        # Blocked for that long, the loop may look at its timers late.
        assert timeout - MS < await second < 4 * timeout


# Test connect.


def test_connect_server_never_speaks(raw_server):
    """A server that accepts and says nothing ends connect in the handshake."""
    url = raw_server(lambda peer: peer.wait_eof()).url
    taken = elapsed(
        lambda: connect(url, connect_timeout=CONNECT_TIMEOUT), "opening handshake"
    )
    assert CONNECT_TIMEOUT - MS <= taken < CONNECT_LIMIT


def test_connect_timeout_is_named(raw_server):
    """The text of the TimeoutError tells the time that was given."""
    url = raw_server(lambda peer: peer.wait_eof()).url
    with pytest.raises(TimeoutError) as caught:
        connect(url, connect_timeout=0.15)
    assert str(caught.value) == "timed out in the opening handshake after 0.15 s"


def test_connect_server_drips_response(scripted):
    """A response that drips in for ever does not prolong connect."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(peer.response("X-Padding: " + "x" * 10_000))

    address = scripted(script)
    options = {**address.options, "connect_timeout": CONNECT_TIMEOUT}
    taken = elapsed(lambda: connect(address.url, **options), "opening handshake")
    assert CONNECT_TIMEOUT - MS <= taken < CONNECT_LIMIT + 40 * MS


def test_connect_response_in_single_bytes(scripted):
    """A response of single bytes that arrives in time is accepted."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(peer.response("X-Padding: " + "x" * 3000), pieces=1)
        peer.answer_close()

    address = scripted(script)
    connect(address.url, **address.options).close()


def test_connect_tls_server_never_speaks(raw_server, certificates):
    """A server that never answers the ClientHello ends connect in the TLS handshake."""
    url = raw_server(lambda peer: peer.wait_eof(), silent_tls=True).url
    options = {"connect_timeout": CONNECT_TIMEOUT, "ca_file": certificates.ca_file}
    # Trust anchors are read once for each set of options and before the deadline
    # matters, so the first attempt is not measured.
    elapsed(lambda: connect(url, **options), "TLS handshake")
    taken = elapsed(lambda: connect(url, **options), "TLS handshake")
    assert CONNECT_TIMEOUT - MS <= taken < CONNECT_LIMIT


@pytest.fixture
def full_backlog() -> Iterator[tuple[str, int]]:
    """A listener whose backlog is full, so that the kernel answers no SYN."""
    fillers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        try:
            while True:
                fillers.append(socket.socket())
                fillers[-1].settimeout(100 * MS)
                try:
                    fillers[-1].connect(address)
                except TimeoutError:
                    break
            yield address
        finally:
            for filler in fillers:
                filler.close()


def test_connect_blackhole(full_backlog):
    """connect_timeout covers the TCP handshake."""
    url = "ws://{}:{}".format(*full_backlog)
    taken = elapsed(lambda: connect(url, connect_timeout=CONNECT_TIMEOUT), "connecting")
    assert CONNECT_TIMEOUT - MS <= taken < CONNECT_LIMIT


async def test_async_connect_blackhole(full_backlog):
    """connect_timeout covers the TCP handshake on the asyncio client too."""
    url = "ws://{}:{}".format(*full_backlog)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="connecting"):
        await connect_async(url, connect_timeout=CONNECT_TIMEOUT)
    assert CONNECT_TIMEOUT - MS <= time.monotonic() - start < CONNECT_LIMIT


async def test_async_connect_server_never_speaks(raw_server):
    """A silent server ends the asyncio client's connect in the handshake."""
    url = raw_server(lambda peer: peer.wait_eof()).url
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="opening handshake"):
        await connect_async(url, connect_timeout=CONNECT_TIMEOUT)
    assert CONNECT_TIMEOUT - MS <= time.monotonic() - start < CONNECT_LIMIT
