"""Control frames that keep to RFC 6455: Close, Ping and Pong, cut at every byte."""

from __future__ import annotations

import socket
import threading

import pytest

from raw_server import (
    CLOSE,
    MS,
    PING,
    PONG,
    TEXT,
    Peer,
    close_payload,
    encode_frame,
    messages,
)
from support import Background, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect
from wire import cuts, cuts_for, few_cuts, send_cut


CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
NORMAL = {1000, 1001}


# Test Close.


@pytest.mark.parametrize("code", CODES)
def test_peer_closes_with_each_code(scripted, code):
    """Every code that may stand in a Close frame is reported and echoed, 1014 too."""
    raw = encode_frame(CLOSE, close_payload(code, "because"))
    pending = iter(few_cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().close_code == code
        peer.close()

    address = scripted(script)
    for _ in few_cuts(raw):
        with connect(address.url, **address.options) as ws:
            kind = ConnectionClosedOK if code in NORMAL else ConnectionClosedError
            with pytest.raises(kind) as caught:
                ws.recv()
            closed = caught.value
            assert (closed.rcvd.code, closed.rcvd.reason) == (code, "because")
            assert (closed.sent.code, closed.rcvd_then_sent) == (code, True)
            assert (ws.close_code, ws.close_reason) == (code, "because")


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        (close_payload(1000), 1000, ""),
        (close_payload(4000, "é" * 61), 4000, "é" * 61),
        (close_payload(4000, "x" * 123), 4000, "x" * 123),
        (close_payload(1000, "\x00😀"), 1000, "\x00😀"),
    ],
    ids=["empty", "code alone", "longest of é", "longest", "odd characters"],
)
def test_peer_closes_with_each_form(scripted, payload, code, reason):
    """An empty Close frame is 1005, which is normal; a reason has up to 123 bytes."""
    raw = encode_frame(CLOSE, payload)
    pending = iter(cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        send_cut(peer, raw, next(pending))
        assert peer.read_frame().payload[:2] == payload[:2]
        peer.close()

    address = scripted(script)
    for _ in cuts_for(address, raw):
        with connect(address.url, **address.options) as ws:
            kind = ConnectionClosedError if code == 4000 else ConnectionClosedOK
            with pytest.raises(kind) as caught:
                ws.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)
            assert (ws.close_code, ws.close_reason) == (code, reason)
            if kind is ConnectionClosedOK:
                assert list(ws) == []


BEHIND = {
    "text": messages("late", b"later"),
    "pings": encode_frame(PING, b"late") * 3,
    "a broken rule": b"\xff\xff\xff",
    "another close": encode_frame(CLOSE, close_payload(1011, "second")),
    "an empty close": encode_frame(CLOSE),
    "half of a message": encode_frame(TEXT, b"late", fin=False),
}


@pytest.mark.parametrize("name", BEHIND)
def test_frames_after_close_are_ignored(scripted, name):
    """Nothing that follows a Close frame is delivered, answered or complained of."""
    raw = encode_frame(CLOSE, close_payload(1001, "first")) + BEHIND[name]
    pending = iter(few_cuts(raw))

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        send_cut(peer, raw, next(pending))
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.read_frame().close_code == 1001
        with pytest.raises((EOFError, ConnectionError)):
            peer.read_frame()

    address = scripted(script)
    for _ in few_cuts(raw):
        with connect(address.url, **address.options) as ws:
            for _ in range(2):
                with pytest.raises(ConnectionClosedOK) as caught:
                    ws.recv()
                rcvd = caught.value.rcvd
                assert (rcvd.code, rcvd.reason) == (1001, "first")
        assert ws.close_code == 1001


@pytest.mark.parametrize("name", BEHIND)
async def test_async_frames_after_close_are_ignored(raw_server, name):
    """Nothing that follows a Close frame is delivered, answered or complained of."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        raw = encode_frame(CLOSE, close_payload(1001, "first")) + BEHIND[name]
        peer.send_bytes(raw)
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.read_frame().close_code == 1001
        with pytest.raises((EOFError, ConnectionError)):
            peer.read_frame()

    async with connect_async(raw_server(script).url) as ws:
        for _ in range(2):
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd.code == 1001
    assert (ws.state, ws.close_code) == (State.CLOSED, 1001)


def test_both_sides_close_at_once(scripted):
    """Two Close frames that cross are the closing handshake, with both codes."""
    begun = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert begun.wait(peer.timeout)
        # It answers nothing: the client's is unread.
        peer.send_bytes(messages("last") + encode_frame(CLOSE, close_payload(1001)))
        assert peer.read_frame().close_code == 4000
        peer.sock.shutdown(socket.SHUT_WR)
        with pytest.raises((EOFError, ConnectionError)):
            peer.read_frame()

    address = scripted(script)
    ws = connect(address.url, **address.options)
    closing = Background(ws.close, 4000)
    wait_until(lambda: ws.state is State.CLOSING, "the closing handshake has begun")
    begun.set()
    closing.result()
    assert ws.recv() == "last"
    with pytest.raises(ConnectionClosedError) as caught:
        ws.recv()
    closed = caught.value
    assert (closed.rcvd.code, closed.sent.code) == (1001, 4000)
    assert closed.rcvd_then_sent is False
    assert ws.close_code == 1001


# Test Ping.


def test_ping_while_closing_is_answered(scripted):
    """A ping is answered until the peer's Close frame has come (section 5.5.2)."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert peer.read_frame().opcode == CLOSE
        peer.send_frame(PING, b"still there?")
        frame = peer.read_frame()
        assert (frame.opcode, frame.payload) == (PONG, b"still there?")
        peer.send_bytes(encode_frame(CLOSE) + encode_frame(PING, b"late"))
        peer.sock.shutdown(socket.SHUT_WR)
        with pytest.raises((EOFError, ConnectionError)):
            peer.read_frame()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        ws.close()
    assert ws.close_code == 1005


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_ping_is_echoed_exactly(scripted, size):
    """A pong has all the bytes of its ping, wherever that was cut."""
    payload = bytes(range(256))[-size:] if size else b""
    raw = encode_frame(PING, payload)

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for places in cuts(raw):
            send_cut(peer, raw, places)
            frame = peer.read_frame()
            assert (frame.opcode, frame.rsv, frame.payload) == (PONG, 0, payload)
        peer.send_text("done")
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        assert ws.recv() == "done"


def answer_to_burst(peer: Peer, count: int) -> None:
    """Send many pings in one go, and check that their order and the last are kept."""
    peer.accept_handshake()
    pings = [b"%d" % number for number in range(count)]
    peer.send_bytes(b"".join(encode_frame(PING, payload) for payload in pings))
    answered = [-1]
    while answered[-1] != count - 1:
        frame = peer.read_frame()
        assert frame.opcode == PONG
        answered.append(int(frame.payload))
    assert answered == sorted(set(answered))
    peer.send_text("done")
    assert peer.read_frame().opcode == CLOSE
    peer.send_close()
    peer.close()


def test_burst_of_pings(scripted):
    """Of many pings at least the last is answered, and none out of order or twice."""
    address = scripted(lambda peer: answer_to_burst(peer, 2000))
    with connect(address.url, **address.options) as ws:
        assert ws.recv() == "done"


async def test_async_burst_of_pings(raw_server):
    """Of many pings at least the last is answered, and none out of order or twice."""
    url = raw_server(lambda peer: answer_to_burst(peer, 2000)).url
    async with connect_async(url) as ws:
        assert await ws.recv() == "done"


# Test Pong.


def test_pong_that_answers_nothing(scripted):
    """A pong that nobody waits for changes nothing, whatever it carries."""
    raw = b"".join(encode_frame(PONG, payload) for payload in [b"", b"x", bytes(125)])

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        for places in few_cuts(raw):
            send_cut(peer, raw, places)
            peer.send_text("next")
        assert peer.read_frame().opcode == CLOSE
        peer.send_close()
        peer.close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        assert [ws.recv() for _ in few_cuts(raw)] == ["next"] * 2
        assert ws.latency == 0


WRONG = [b"", b"pin", b"ping!", b"PING", b"ping\x00"]


def pong_wrongly_first(peer: Peer) -> None:
    """Answer a ping with other payloads, and then with its own."""
    peer.accept_handshake()
    frame = peer.read_frame()
    assert (frame.opcode, frame.payload) == (PING, b"ping")
    for payload in WRONG:
        peer.send_frame(PONG, payload)
    peer.send_text("wrong")
    assert peer.read_message() == b"go on"
    peer.send_bytes(encode_frame(PONG, b"ping") + messages("right"))
    peer.answer_close()


def test_pong_with_wrong_payload(scripted):
    """A pong answers only the ping with the same payload."""
    address = scripted(pong_wrongly_first)
    with connect(address.url, **address.options) as ws:
        waiter = ws.ping(b"ping")
        assert ws.recv() == "wrong"
        assert not waiter.is_set()
        assert not waiter.wait(timeout=20 * MS)
        assert ws.latency == 0
        ws.send("go on")
        assert ws.recv() == "right"
        assert waiter.is_set()
        assert waiter.result() == ws.latency > 0


async def test_async_pong_with_wrong_payload(scripted):
    """A pong answers only the ping with the same payload."""
    address = scripted(pong_wrongly_first)
    async with connect_async(address.url, **address.options) as ws:
        waiter = await ws.ping("ping")
        assert await ws.recv() == "wrong"
        assert not waiter.done()
        assert ws.latency == 0
        await ws.send("go on")
        assert await ws.recv() == "right"
        assert await waiter == ws.latency > 0


def test_pong_answers_earlier_pings_too(scripted):
    """A pong acknowledges its ping and those before it, but none after it."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        payloads = [peer.read_frame().payload for _ in range(4)]
        peer.send_bytes(encode_frame(PONG, payloads[2]) + messages("answered"))
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        waiters = [ws.ping() for _ in range(4)]
        assert ws.recv() == "answered"
        assert [waiter.is_set() for waiter in waiters] == [True, True, True, False]
    with pytest.raises(ConnectionClosedOK):
        waiters[3].result()
    assert not waiters[3].is_set()
