"""The end of a sync connection: closing handshakes, lost peers, closed connections."""

from __future__ import annotations

import threading
import time

import pytest

from raw_server import BINARY, CLOSE, MS, TEXT, Peer, encode_frame, messages
from support import QUICK, Background, asleep, wait_until
from websocket_rs.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect


def silent(peer: Peer) -> None:
    """Accept, say nothing, and never answer the closing handshake."""
    peer.accept_handshake()
    peer.wait_eof()


# Test close.


def test_close_sends_code_and_reason(raw_server):
    """The peer reads the code and the reason that close was given."""
    frames = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        frames.append(peer.answer_close())

    server = raw_server(script)
    ws = connect(server.url, **QUICK)
    ws.close(4001, "done ✓")
    server.join()
    assert (frames[0].close_code, frames[0].close_reason) == (4001, "done ✓")
    assert ws.state is State.CLOSED
    assert (ws.close_code, ws.close_reason) == (4001, "done ✓")


def test_close_defaults(raw_server):
    """Without arguments the connection closes with code 1000."""
    frames = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        frames.append(peer.answer_close())

    server = raw_server(script)
    connect(server.url, **QUICK).close()
    server.join()
    assert (frames[0].close_code, frames[0].close_reason) == (1000, "")


def test_close_longest_reason(echo_server):
    """A reason of 123 bytes is the longest that fits."""
    ws = connect(echo_server.url, **QUICK)
    ws.close(1000, "x" * 123)
    assert ws.close_reason == "x" * 123


def test_close_is_idempotent(raw_server):
    """Only the first close sends a frame; the others return at once."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(CLOSE, peer.read_close().payload)
        with pytest.raises((EOFError, OSError)):
            peer.read_frame()

    ws = connect(raw_server(script).url, close_timeout=100 * MS, **QUICK)
    for _ in range(3):
        ws.close()
    assert ws.close_code == 1000


def test_close_from_many_threads(echo_server):
    """Concurrent closes all return and agree about the code."""
    ws = connect(echo_server.url, **QUICK)
    for closing in [Background(ws.close, 4000 + n) for n in range(8)]:
        closing.result()
    assert ws.state is State.CLOSED
    assert 4000 <= ws.close_code < 4008


def test_close_ends_blocked_recv(raw_server):
    """A recv blocked in another thread ends at once, a silent peer or not."""
    close_timeout = 1000 * MS
    ws = connect(raw_server(silent).url, close_timeout=close_timeout, **QUICK)
    receiving = Background(ws.recv)
    wait_until(lambda: asleep(receiving), "recv is blocked")
    start = time.monotonic()
    closing = Background(ws.close)
    with pytest.raises(ConnectionClosed):
        receiving.result()
    assert receiving.ended_at - start < 200 * MS
    closing.result()
    assert closing.ended_at - start < close_timeout + 200 * MS
    assert ws.state is State.CLOSED


def test_close_peer_never_answers(raw_server):
    """close gives up after close_timeout and frees the connection."""
    close_timeout = 200 * MS
    ws = connect(raw_server(silent).url, close_timeout=close_timeout, **QUICK)
    start = time.monotonic()
    ws.close()
    elapsed = time.monotonic() - start
    assert elapsed < close_timeout + 200 * MS
    assert ws.state is State.CLOSED


def test_close_peer_goes_on_sending(raw_server):
    """A peer that talks on instead of answering does not prolong close."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(BINARY, b"x" * 1000))

    close_timeout = 300 * MS
    ws = connect(raw_server(script).url, close_timeout=close_timeout, **QUICK)
    start = time.monotonic()
    ws.close()
    assert time.monotonic() - start < close_timeout + 300 * MS


def test_close_unsent_messages_and_reset(raw_server):
    """close returns at once when the peer resets what it never read."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert closing_began.wait(peer.timeout)
        peer.reset()

    def send_for_ever() -> None:
        while True:
            ws.send(b"x" * 200_000)

    closing_began = threading.Event()
    ws = connect(raw_server(script).url, close_timeout=5000 * MS, **QUICK)
    receiving, sending = Background(ws.recv), Background(send_for_ever)
    wait_until(lambda: asleep(receiving) and asleep(sending), "both are blocked")
    closing = Background(ws.close)
    wait_until(lambda: ws.state is State.CLOSING, "the closing handshake has begun")
    start = time.monotonic()
    closing_began.set()
    closing.result()
    assert closing.ended_at - start < 500 * MS
    for call in [receiving, sending]:
        with pytest.raises(ConnectionClosed):
            call.result()


def test_messages_before_close_are_readable(raw_server):
    """What came before the peer's Close can be received after it."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("a", b"b", "c"))
        peer.finish(1000)

    ws = connect(raw_server(script).url, **QUICK)
    wait_until(lambda: ws.state is State.CLOSED, "the close is noticed")
    assert [ws.recv(), ws.recv(), ws.recv()] == ["a", b"b", "c"]
    with pytest.raises(ConnectionClosedOK):
        ws.recv()
    ws.close()


def test_messages_before_reset_are_readable(raw_server):
    """What came before the peer vanished can be received after it."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("a", "b"))
        peer.close()

    ws = connect(raw_server(script).url, **QUICK)
    wait_until(lambda: ws.state is State.CLOSED, "the end is noticed")
    assert [ws.recv(), ws.recv()] == ["a", "b"]
    with pytest.raises(ConnectionClosedError):
        ws.recv()
    ws.close()


# Test the peer's close.


@pytest.mark.parametrize("code", [1000, 1001])
def test_peer_closes_normally(scripted, code):
    """Codes 1000 and 1001 are a normal closure, with both frames on the exception."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert peer.finish(code).close_code == code

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        with pytest.raises(ConnectionClosedOK) as caught:
            ws.recv()
        assert caught.value.rcvd.code == code
        assert caught.value.sent.code == code
        assert caught.value.rcvd_then_sent is True
        assert caught.value.code == code
        assert ws.close_code == code


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1011, 1012, 3000, 4999])
def test_peer_closes_with_error(raw_server, code):
    """Every other code is an error that carries the code and the reason."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_close(code, "why")
        assert peer.read_close().close_code == code
        peer.close()

    with connect(raw_server(script).url, **QUICK) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert (caught.value.code, caught.value.reason) == (code, "why")
        assert (ws.close_code, ws.close_reason) == (code, "why")


def test_peer_closes_without_code(raw_server):
    """An empty Close frame is code 1005, which is a normal closure for websockets."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_close(None)
        assert peer.read_close().close_code is None
        peer.close()

    with connect(raw_server(script).url, **QUICK) as ws:
        with pytest.raises(ConnectionClosed):
            ws.recv()
        assert ws.close_code == 1005


def test_peer_closes_while_idle(scripted):
    """The peer's Close is answered and noticed although nobody calls recv."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_close(1001, "going")
        assert peer.read_close().close_code == 1001
        peer.close()

    address = scripted(script)
    ws = connect(address.url, **address.options)
    wait_until(lambda: ws.state is State.CLOSED, "the close is noticed")
    assert (ws.close_code, ws.close_reason) == (1001, "going")
    ws.close()


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
@pytest.mark.parametrize("idle", [False, True], ids=["in recv", "idle"])
def test_peer_vanishes(scripted, end, idle):
    """The end of the stream without a Close is ConnectionClosedError 1006."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        if not idle:
            peer.read_message()
        end(peer)

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        if idle:
            wait_until(lambda: ws.state is State.CLOSED, "the end is noticed")
        else:
            ws.send("go")
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.rcvd is None
        assert caught.value.code == 1006
        assert ws.close_code == 1006


def test_peer_vanishes_inside_frame(raw_server):
    """Half a frame is not a message."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(encode_frame(TEXT, b"half")[:4])
        peer.close()

    with (
        connect(raw_server(script).url, **QUICK) as ws,
        pytest.raises(ConnectionClosedError),
    ):
        ws.recv()


# Test broken rules.

BROKEN = [
    ("reserved bit", encode_frame(TEXT, b"x", rsv=4), 1002),
    ("reserved opcode", encode_frame(0x3, b"x"), 1002),
    ("continuation of nothing", encode_frame(0x0, b"x"), 1002),
    ("fragmented ping", encode_frame(0x9, b"x", fin=False), 1002),
    ("long ping", encode_frame(0x9, b"x" * 126), 1002),
    ("masked", b"\x81\x81\x00\x00\x00\x00x", 1002),
    ("bad UTF-8", encode_frame(TEXT, b"\xff"), 1007),
    ("too large", encode_frame(BINARY, b"x" * 2001), 1009),
    ("huge length", b"\x82\x7f\x7f" + b"\xff" * 7, 1009),
    ("negative length", b"\x82\x7f\xff" + b"\xff" * 7, 1002),
    ("length in 2 bytes for 1", b"\x82\x7e\x00\x05hello", 1002),
    ("length in 8 bytes for 1", b"\x81\x7f" + b"\x00" * 7 + b"\x05hello", 1002),
    ("length in 8 bytes for 2", b"\x81\x7f" + b"\x00" * 6 + b"\x04\x00x", 1002),
    ("close with one byte", encode_frame(CLOSE, b"x"), 1002),
    ("close with code 999", encode_frame(CLOSE, b"\x03\xe7"), 1002),
    ("close with bad reason", encode_frame(CLOSE, b"\x03\xe8\xff"), 1007),
]


@pytest.mark.parametrize(
    ("raw", "code"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_peer_breaks_rule(raw_server, raw, code):
    """A broken rule fails the connection for good, with the code that names it."""
    codes = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("before") + raw + messages("after"))
        codes.append(peer.read_close().close_code)
        peer.wait_eof()

    server = raw_server(script)
    with connect(server.url, max_size=2000, close_timeout=100 * MS, **QUICK) as ws:
        assert ws.recv() == "before"
        for _ in range(2):
            with pytest.raises(ConnectionClosedError) as caught:
                ws.recv()
            assert caught.value.sent.code == code
    server.join()
    if raw[:2] == b"\x82\x7f":
        assert codes[0] in {1002, 1009}
    else:
        assert codes == [code]


# Test use after the end.


def test_use_after_close(echo_server):
    """send and recv raise the closed exception, which is a RuntimeError."""
    ws = connect(echo_server.url, **QUICK)
    ws.close()
    for _ in range(2):
        with pytest.raises(ConnectionClosedOK):
            ws.send("x")
        with pytest.raises(RuntimeError):
            ws.recv()
        assert list(ws) == []


def test_send_after_peer_vanished(raw_server):
    """send raises ConnectionClosedError once the end has been noticed."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.reset()

    ws = connect(raw_server(script).url, **QUICK)
    wait_until(lambda: ws.state is State.CLOSED, "the reset is noticed")
    with pytest.raises(ConnectionClosedError):
        ws.send("x")
    ws.close()


def test_state_while_closing(raw_server):
    """Between the two Close frames the state is CLOSING, and send is over."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.read_close()
        peer.wait_eof()

    ws = connect(raw_server(script).url, close_timeout=500 * MS, **QUICK)
    closing = Background(ws.close)
    wait_until(lambda: ws.state is not State.OPEN, "the closing handshake has begun")
    assert ws.state is State.CLOSING
    with pytest.raises(ConnectionClosed):
        ws.send("late")
    closing.result()
    assert ws.state is State.CLOSED


def test_abandoned_connection(echo_server):
    """A connection that nobody closed is reported and freed."""
    with pytest.warns(ResourceWarning, match="WebSocket"):
        forget(echo_server.url)


def forget(url: str) -> None:
    """Open a connection and lose it."""
    ws = connect(url, **QUICK)
    ws.send("x")
    assert ws.recv() == "x"
