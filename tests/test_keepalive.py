"""Keepalive: pings of the connection itself, and what it makes of silence."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from raw_server import BINARY, CLOSE, MS, PING, PONG, Peer, encode_frame
from remote import Remote, keep_little
from support import QUICK, Background, wait_until
from websocket_rs import async_client
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.protocol import State
from websocket_rs.sync_client import WebSocket, connect


if TYPE_CHECKING:
    from collections.abc import Callable


INTERVAL, TIMEOUT = 60 * MS, 90 * MS
QUICK_PINGS = {"ping_interval": INTERVAL, "ping_timeout": TIMEOUT, **QUICK}
MARGIN = 500 * MS
DEAD = "keepalive ping timeout"


def assert_dead(error: ConnectionClosedError) -> None:
    """Check what the calls of a connection raise whose peer is taken for dead."""
    assert (error.sent.code, error.sent.reason) == (1011, DEAD)
    assert error.rcvd is None
    assert isinstance(error.__cause__, TimeoutError)
    assert str(error.__cause__) == DEAD


# Test pings that are answered.


def sleep(remote: Remote) -> None:
    """Wait in a call that lets other threads run."""
    remote.wait(5)


def compute(remote: Remote) -> None:
    """Keep the interpreter busy."""
    deadline = time.monotonic() + 5000 * MS
    while len(remote.frames) < 5:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("occupation", [sleep, compute])
def test_keepalive_while_nobody_receives(raw_server, certificates, secure, occupation):
    """Pings are sent an interval apart whatever the program does, and answered."""
    tls = certificates.server_context() if secure else None
    remote = Remote(raw_server, tls=tls)
    options = {"ca_file": certificates.ca_file} if secure else {}
    start = time.monotonic()
    with connect(remote.url, **options, **QUICK_PINGS) as ws:
        occupation(remote)
        assert ws.state is State.OPEN
        assert 0 < ws.latency < TIMEOUT
    pings = remote.payloads()[:5]
    assert {(opcode, len(payload)) for opcode, _, payload in pings} == {(PING, 4)}
    assert len({payload for _, _, payload in pings}) == 5
    assert remote.times[4] - start >= 5 * INTERVAL


def test_keepalive_while_receiving(raw_server):
    """Pings are sent and their pongs noticed while a thread is in recv."""
    remote = Remote(raw_server)
    with connect(remote.url, **QUICK_PINGS) as ws:
        receiving = Background(ws.recv)
        remote.wait(8)
        assert receiving.thread.is_alive()
        remote.send(b"message")
        assert receiving.result() == "message"
        assert ws.state is State.OPEN


def test_keepalive_between_messages(raw_server):
    """Pongs are noticed among messages that are exchanged without a pause."""
    pings = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        while (frame := peer.read_frame()).opcode != CLOSE:
            if frame.opcode == PING:
                pings.append(frame.payload)
            opcode = PONG if frame.opcode == PING else frame.opcode
            peer.send_frame(opcode, frame.payload)
        peer.send_frame(CLOSE, frame.payload)

    with connect(raw_server(script).url, **QUICK_PINGS) as ws:
        while len(pings) < 8:
            ws.send("x")
            assert ws.recv() == "x"
        assert ws.state is State.OPEN


def test_keepalive_while_polling(raw_server):
    """Pongs are noticed by a program that only polls, again and again."""
    remote = Remote(raw_server)
    with connect(remote.url, **QUICK_PINGS) as ws:
        while len(remote.frames) < 8:
            with contextlib.suppress(TimeoutError):
                ws.recv(timeout=0)
        assert ws.state is State.OPEN


def test_keepalive_acknowledged_by_a_later_pong(raw_server):
    """The pong of a later ping counts: a peer may answer the latest only."""
    remote = Remote(raw_server, pongs=False)
    with connect(remote.url, **QUICK_PINGS) as ws:
        for number in range(6):
            remote.wait(2 * number + 1)
            assert remote.frames[2 * number].opcode == PING
            waiter = ws.ping(f"{number}")
            remote.peer.send_frame(PONG, f"{number}")
            assert waiter.wait()
        assert ws.state is State.OPEN
        assert {len(ping.payload) for ping in remote.frames[::2]} == {4}


# Test pings that are not.


def recv(ws: WebSocket, _: Remote) -> None:
    """Wait for a message."""
    ws.recv()


def idle(ws: WebSocket, remote: Remote) -> None:
    """Do nothing until the peer has been told, and then send."""
    wait_until(lambda: remote.frames[-1:] and remote.frames[-1].opcode == CLOSE, "told")
    ws.send("x")


def poll(ws: WebSocket, _: Remote) -> None:
    """Look for messages, again and again."""
    while True:
        with contextlib.suppress(TimeoutError):
            ws.recv(timeout=5 * MS)


def wait_for_pong(ws: WebSocket, _: Remote) -> None:
    """Wait for the pong of a ping of one's own."""
    ws.ping().result()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("call", [recv, idle, poll, wait_for_pong])
def test_keepalive_silent_peer(raw_server, certificates, call, secure):
    """A peer without pongs is dead after interval and timeout, whoever waits for it."""
    tls = certificates.server_context() if secure else None
    remote = Remote(raw_server, pongs=False, tls=tls)
    options = {"ca_file": certificates.ca_file} if secure else {}
    start = time.monotonic()
    with connect(remote.url, **options, **QUICK_PINGS) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            call(ws, remote)
        elapsed = time.monotonic() - start
        assert INTERVAL + TIMEOUT <= elapsed < INTERVAL + TIMEOUT + MARGIN
        assert_dead(caught.value)
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert_dead(caught.value)
    assert remote.closed() == (1011, DEAD)


def test_keepalive_vanished_peer(raw_server):
    """A peer that does not even close is given up after close_timeout."""
    remote = Remote(raw_server, pongs=False, closes=False)
    options = {**QUICK_PINGS, "close_timeout": 100 * MS}
    start = time.monotonic()
    with connect(remote.url, **options) as ws:
        assert ws.wait_closed(5000 * MS)
        assert time.monotonic() - start < INTERVAL + TIMEOUT + 100 * MS + MARGIN
        assert ws.close_code == 1006


def test_keepalive_messages_are_no_pongs(raw_server):
    """Neither messages nor other pongs are the answer to a ping."""
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        raw = encode_frame(BINARY, b"x") + encode_frame(PONG) + encode_frame(PONG, b"x")
        with contextlib.suppress(OSError):
            while not ended.wait(5 * MS):
                peer.send_bytes(raw)
        peer.close()

    options = {**QUICK_PINGS, "close_timeout": 100 * MS}
    start = time.monotonic()
    with connect(raw_server(script).url, **options) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            list(ws)
        ended.set()
        assert time.monotonic() - start < INTERVAL + TIMEOUT + MARGIN
        assert_dead(caught.value)


def test_keepalive_blocked_send(raw_server):
    """A send to a peer that has vanished ends, too."""
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keep_little(peer)
        assert ended.wait(10_000 * MS)
        peer.close()

    options = {**QUICK_PINGS, "close_timeout": 100 * MS}
    start = time.monotonic()
    with connect(raw_server(script).url, **options) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.send(bytes(60_000_000))
        ended.set()
        assert time.monotonic() - start < INTERVAL + TIMEOUT + 100 * MS + MARGIN
        assert_dead(caught.value)


def test_keepalive_during_a_long_send(raw_server):
    """A peer that takes a large message slowly is alive; no ping gets through to it."""
    size, pongs = 40_000_000, []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keep_little(peer)
        header = 14
        for _ in range(size // 1_000_000):
            peer.read_bytes(1_000_000)
            time.sleep(50 * MS)
        peer.read_bytes(header)
        while (frame := peer.read_frame()).opcode != CLOSE:
            pongs.append(frame.payload)
            peer.send_frame(PONG, frame.payload)
        peer.send_frame(CLOSE, frame.payload)

    # What the system keeps of the message goes before the ping, too.
    timeout = 800 * MS
    options = {**QUICK_PINGS, "ping_timeout": timeout, "close_timeout": 1000 * MS}
    start = time.monotonic()
    with connect(raw_server(script).url, **options) as ws:
        ws.send(bytes(size))
        assert time.monotonic() - start > INTERVAL + timeout
        wait_until(lambda: pongs, "a ping has come")
        assert ws.state is State.OPEN


# Test a program that does not take what has come.


@pytest.mark.parametrize("limits", [{"inbox_limit": 100_000}, {"max_queue": 8}])
def test_keepalive_full_inbox(raw_server, limits):
    """A peer is not taken for dead while its pong can't be seen behind messages."""
    message, count = bytes(40_000), 400
    pings: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        sending = Background(peer.send_bytes, encode_frame(BINARY, message) * count)
        frame = peer.read_frame()
        while frame.opcode != CLOSE:
            pings.append(frame.payload)
            # The pong stands behind all that was sent before.
            sending.result(15_000 * MS)
            peer.send_frame(PONG, frame.payload)
            frame = peer.read_frame()
        peer.send_frame(CLOSE, frame.payload)

    with connect(raw_server(script).url, **limits, **QUICK_PINGS) as ws:
        assert not ws.wait_closed(4 * (INTERVAL + TIMEOUT))
        assert ws.state is State.OPEN
        for _ in range(count):
            assert ws.recv() == message
        seen = len(pings)
        wait_until(lambda: len(pings) >= seen + 3, "pings go on")
        assert ws.state is State.OPEN


# Test without.


def test_keepalive_off(raw_server):
    """Without an interval no pings are sent, though another connection sends many."""
    quiet, other = Remote(raw_server), Remote(raw_server)
    options = {"ping_interval": None, "ping_timeout": 1 * MS, **QUICK}
    with connect(quiet.url, **options) as ws, connect(other.url, **QUICK_PINGS):
        other.wait(5)
        ws.send("x")
        quiet.wait(1)
        assert ws.state is State.OPEN
    assert [frame.opcode for frame in quiet.frames] == [1, CLOSE]


def test_keepalive_by_default(raw_server):
    """By default no pings are sent, and no peer is taken for dead."""
    quiet, other = Remote(raw_server, pongs=False), Remote(raw_server)
    with connect(quiet.url, **QUICK), connect(other.url, **QUICK_PINGS):
        other.wait(5)
    assert [frame.opcode for frame in quiet.frames] == [CLOSE]


def test_keepalive_without_timeout(raw_server):
    """Without a timeout pings are sent whether or not they are answered."""
    remote = Remote(raw_server, pongs=False)
    options = {"ping_interval": 10 * MS, "ping_timeout": None, **QUICK}
    with connect(remote.url, **options) as ws:
        remote.wait(20)
        assert ws.state is State.OPEN
        assert ws.latency == 0


CONNECTS: list[Callable] = [connect, async_client.connect]


@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan"), "1", True])
def test_connect_wrong_keepalive(connect, name, value):
    """What is no duration is refused before anything is sent, and named."""
    with pytest.raises((ValueError, TypeError), match=name):
        connect("ws://localhost:1", **{name: value})


@pytest.mark.parametrize("connect", CONNECTS)
def test_connect_interval_of_zero(connect):
    """Pings without a pause between them are refused."""
    with pytest.raises(ValueError, match="ping_interval"):
        connect("ws://localhost:1", ping_interval=0)
