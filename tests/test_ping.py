"""Pings and pongs of the sync client."""

from __future__ import annotations

import time

import pytest

from raw_server import MS, PING, PONG, Peer, messages
from remote import Remote, keep_little
from support import QUICK, Background, wait_until
from websocket_rs import _core
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect


PAYLOADS = [
    (b"", b""),
    ("", b""),
    ("é", "é".encode()),
    (b"x" * 125, b"x" * 125),
    ("é" * 62 + "x", ("é" * 62 + "x").encode()),
    (bytearray(b"abc"), b"abc"),
    (memoryview(b"a.b.")[::2], b"ab"),
]
WRONG_PAYLOADS = [
    (ValueError, b"x" * 126),
    (ValueError, "é" * 63),
    (ValueError, "\ud800"),
    (TypeError, 7),
    (TypeError, ["a"]),
    (TypeError, 1.5),
]


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that answers pings by itself."""
    return Remote(raw_server)


@pytest.fixture
def mute(raw_server) -> Remote:
    """A peer that answers pings only when it is told to."""
    return Remote(raw_server, pongs=False)


# Test ping.


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_ping_answered(raw_server, certificates, secure):
    """The waiter of a ping is set by its pong, and knows how long that took."""
    tls = certificates.server_context() if secure else None
    remote = Remote(raw_server, pongs=False, tls=tls)
    options = {**QUICK, "ca_file": certificates.ca_file} if secure else QUICK
    with connect(remote.url, **options) as ws:
        assert ws.latency == 0
        start = time.monotonic()
        waiter = ws.ping("hello")
        assert not waiter.is_set()
        assert waiter.latency is None
        remote.wait(1)
        assert remote.payloads() == [(PING, True, b"hello")]
        remote.peer.send_frame(PONG, b"hello")
        assert waiter.wait() is True
        assert waiter.is_set()
        assert 0 < waiter.latency < time.monotonic() - start
        assert waiter.result() == waiter.result(0) == waiter.latency == ws.latency


@pytest.mark.parametrize(("data", "payload"), PAYLOADS)
def test_ping_payload(remote, data, payload):
    """Whatever fits into a control frame can be sent with a ping or a pong."""
    with connect(remote.url, **QUICK) as ws:
        assert ws.ping(data).wait()
        ws.pong(data)
    assert remote.payloads() == [(PING, True, payload), (PONG, True, payload)]


def test_ping_default_payload(remote):
    """By default, pings carry four bytes that differ, and pongs nothing."""
    with connect(remote.url, **QUICK) as ws:
        waiters = [ws.ping() for _ in range(20)]
        assert all(waiter.wait() for waiter in waiters)
        ws.pong()
    *pings, pong = remote.payloads()
    assert {(opcode, len(payload)) for opcode, _, payload in pings} == {(PING, 4)}
    assert len({payload for _, _, payload in pings}) == 20
    assert pong == (PONG, True, b"")


@pytest.mark.parametrize(("error", "data"), WRONG_PAYLOADS, ids=repr)
def test_ping_wrong_payload(remote, error, data):
    """What does not fit into a control frame is refused, and sends nothing."""
    with connect(remote.url, **QUICK) as ws:
        for method in [ws.ping, ws.pong]:
            with pytest.raises(error):
                method(data)
        assert ws.ping(b"alive").wait()
    assert remote.payloads() == [(PING, True, b"alive")]


def test_pong_none(remote):
    """A pong has no payload by default; None is none."""
    with connect(remote.url, **QUICK) as ws, pytest.raises(TypeError):
        ws.pong(None)
    assert remote.payloads() == []


def test_ping_duplicate(mute):
    """A payload that waits for its pong can't be sent again before that."""
    with connect(mute.url, **QUICK) as ws:
        waiter = ws.ping(b"same")
        for data in [b"same", "same"]:
            with pytest.raises(ConcurrencyError, match="pong"):
                ws.ping(data)
        assert not waiter.is_set()
        mute.peer.send_frame(PONG, b"same")
        assert waiter.wait()
        again = ws.ping(b"same")
        assert not again.is_set()
        mute.peer.send_frame(PONG, b"same")
        assert again.wait()
    assert mute.payloads() == [(PING, True, b"same")] * 2


def test_ping_later_pong(mute):
    """A pong acknowledges its ping and all before it, but none after it."""
    with connect(mute.url, **QUICK) as ws:
        waiters = [ws.ping(f"{number}") for number in range(5)]
        mute.peer.send_frame(PONG, b"2")
        assert waiters[2].wait()
        set_ = [waiter.is_set() for waiter in waiters]
        assert set_ == [True, True, True, False, False]
        assert waiters[0].latency > waiters[1].latency > waiters[2].latency
        assert ws.latency == waiters[2].latency
        mute.peer.send_frame(PONG, b"1")
        mute.peer.send_frame(PONG, b"4")
        assert waiters[3].wait()
        assert waiters[4].wait()


def test_pong_unsolicited(mute):
    """Pongs that nobody waits for change nothing."""
    with connect(mute.url, **QUICK) as ws:
        waiter = ws.ping(b"asked")
        for payload in [b"", b"unasked", b"Asked", b"asked too", b"x" * 125]:
            mute.peer.send_frame(PONG, payload)
        mute.send(b"after them")
        assert ws.recv() == "after them"
        assert not waiter.is_set()
        assert ws.latency == 0
        assert ws.state is State.OPEN


def test_ping_while_nobody_receives(remote):
    """A pong is noticed though no thread is in recv, behind messages too."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"first")
        assert ws.recv() == "first"
        for number in range(5):
            remote.send(b"%d" % number)
            assert ws.ping().wait(2000 * MS)
        assert [ws.recv() for _ in range(5)] == list("01234")


def test_ping_right_after_recv(remote):
    """The pong is read at once, though the program has just been in recv."""
    latencies = []
    with connect(remote.url, **QUICK) as ws:
        for _ in range(10):
            remote.send(b"x")
            assert ws.recv() == "x"
            latencies.append(ws.ping().result())
    # Whoever is late is so every time.
    assert min(latencies) < 25 * MS


def test_ping_while_another_thread_receives(remote):
    """A pong is noticed by the thread in recv, which goes on waiting."""
    with connect(remote.url, **QUICK) as ws:
        receiving = Background(ws.recv)
        for _ in range(5):
            assert ws.ping().wait(2000 * MS)
        assert receiving.thread.is_alive()
        remote.send(b"message")
        assert receiving.result() == "message"


def test_ping_from_many_threads(remote):
    """Pings of many threads find their pongs, beside messages."""
    count = 100

    def ping() -> None:
        for _ in range(count):
            assert ws.ping().wait(2000 * MS)

    with connect(remote.url, **QUICK) as ws:
        threads = [Background(ping) for _ in range(4)]
        for number in range(count):
            ws.send(str(number))
        for thread in threads:
            thread.result()
    assert sum(opcode == PING for opcode, *_ in remote.payloads()) == 4 * count


def test_ping_wait_timeout(mute):
    """Waiting can be given up, and taken up again by several threads."""
    with connect(mute.url, **QUICK) as ws:
        waiter = ws.ping(b"late")
        start = time.monotonic()
        assert waiter.wait(30 * MS) is False
        assert 29 * MS < time.monotonic() - start < 1000 * MS
        assert waiter.wait(0) is False
        with pytest.raises(TimeoutError, match="pong"):
            waiter.result(10 * MS)
        for call in [waiter.wait, waiter.result]:
            with pytest.raises(ValueError, match="-1"):
                call(-1)
        waiting = [Background(waiter.wait), Background(waiter.result)]
        mute.peer.send_frame(PONG, b"late")
        assert waiting[0].result() is True
        assert waiting[1].result() == waiter.latency > 30 * MS


@pytest.mark.parametrize("ack", [False, True], ids=["plain", "ack_on_close"])
@pytest.mark.parametrize("end", [Remote.end, lambda remote: remote.peer.send_close()])
def test_ping_connection_ends(mute, ack, end):
    """The end of the connection ends waiting; whether as an answer was asked for."""
    with connect(mute.url, **QUICK) as ws:
        answered = ws.ping(b"answered", ack_on_close=ack)
        mute.peer.send_frame(PONG, b"answered")
        assert answered.wait()
        waiter = ws.ping(ack_on_close=ack)
        waiting = [Background(waiter.wait), Background(waiter.result)]
        end(mute)
        assert waiting[0].result() is ack
        with pytest.raises(ConnectionClosed):
            waiting[1].result()
        assert (waiter.wait(), waiter.wait(0), waiter.is_set()) == (ack, ack, ack)
        assert waiter.latency is None
        assert answered.is_set()
        assert answered.result() == ws.latency


def test_ping_own_close(mute):
    """close ends waiting in other threads."""
    with connect(mute.url, **QUICK) as ws:
        waiter = ws.ping()
        waiting = Background(waiter.result)
        ws.close()
        with pytest.raises(ConnectionClosedOK):
            waiting.result()


def test_ping_closed_connection(remote):
    """Neither a ping nor a pong can be sent on a closed connection."""
    ws = connect(remote.url, **QUICK)
    ws.close()
    for method in [ws.ping, ws.pong]:
        with pytest.raises(ConnectionClosedOK):
            method()
    remote.server.join()
    assert remote.payloads() == []


def test_ping_outlives_the_connection(mute):
    """A waiter may be kept for longer than its connection."""
    with connect(mute.url, **QUICK) as ws:
        waiter = ws.ping()
    del ws
    assert waiter.wait() is False
    with pytest.raises(ConnectionClosed):
        waiter.result()


def test_pong_waiter_is_not_made_by_hand():
    """A PongWaiter comes from ping only."""
    with pytest.raises(TypeError):
        _core.PongWaiter()


# Test the answers to the peer's pings.


def test_pings_of_the_peer(remote):
    """Pings are answered in order, whatever the program does."""
    with connect(remote.url, **QUICK) as ws:
        for number in range(50):
            remote.peer.send_frame(PING, b"%d" % number)
            if number % 10 == 0:
                remote.peer.send_bytes(messages(str(number)))
        remote.wait(50)
        assert [ws.recv() for _ in range(5)] == ["0", "10", "20", "30", "40"]
    assert remote.payloads() == [(PONG, True, b"%d" % number) for number in range(50)]


def test_ping_to_a_peer_that_does_not_read(raw_server):
    """A ping waits for its turn behind a message, as send does."""
    gone = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        keep_little(peer)
        wait_until(lambda: gone, "the client has gone")
        peer.close()

    with connect(raw_server(script).url, close_timeout=100 * MS, **QUICK) as ws:
        sending = Background(ws.send, bytes(40_000_000))
        pinging = Background(ws.ping)
        ws.close()
        for call in [sending, pinging]:
            with pytest.raises(ConnectionClosed):
                call.result()
        gone.append(True)
