"""Messages that the sync client sends in fragments."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import BINARY, CLOSE, CONTINUATION, MS, PING, PONG, TEXT, Peer
from remote import Remote
from support import QUICK, Background, wait_until
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect
from wire import unread_by_client


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that keeps all frames."""
    return Remote(raw_server)


class Gate:
    """An iterator whose second fragment comes when it is opened."""

    def __init__(self, *fragments: Any) -> None:
        self.fragments = fragments
        self.opened = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield self.fragments[0]
        assert self.opened.wait(5000 * MS)
        yield from self.fragments[1:]


def failing(*fragments: Any, error: BaseException) -> Iterator[Any]:
    """Yield fragments and raise."""
    yield from fragments
    raise error


ITERABLES: list[Callable[[list], Any]] = [
    list, tuple, deque, iter, lambda items: (item for item in items),
    lambda items: dict.fromkeys(items).keys(),
]  # fmt: skip
MESSAGES = [
    (["a", "é", ""], None, TEXT, [b"a", "é".encode(), b""]),
    ([b"a", bytearray(b"b")], None, BINARY, [b"a", b"b"]),
    ([memoryview(b"c.d.")[::2]], None, BINARY, [b"cd"]),
    ([b"a", b"b"], True, TEXT, [b"a", b"b"]),
    (["a", "é"], False, BINARY, [b"a", "é".encode()]),
    (["a"], True, TEXT, [b"a"]),
    ([b"a"], False, BINARY, [b"a"]),
    (["é".encode()[:1], "é".encode()[1:]], True, TEXT, [b"\xc3", b"\xa9"]),
    ([b"x" * 300_000, b"y" * 70_000], None, BINARY, [b"x" * 300_000, b"y" * 70_000]),
]  # fmt: skip
NO_MESSAGES = [None, 7, {"a": 1}, {}, object(), [1], [None], [["a"]], [{}], ["\ud800"]]
WRONG_LATER = [["a", 1], ["a", b"b"], [b"a", "b"], ["a", None], ["a", "\ud800"]]


def shown(item: object) -> str:
    """Return the text of an object, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(item))


def as_sent(opcode: int, payloads: list[bytes]) -> list[tuple[int, bool, bytes]]:
    """Return what a fragmented message looks like on the wire."""
    opcodes = [opcode] + [CONTINUATION] * len(payloads)
    fragments = [*payloads, b""]
    fins = [False] * len(payloads) + [True]
    return list(zip(opcodes, fins, fragments, strict=True))


# Test the sync client.


@pytest.mark.parametrize("kind", ITERABLES)
def test_send_iterable(remote, kind):
    """Any iterable is sent as one message: a frame for each item, and an empty end."""
    with connect(remote.url, **QUICK) as ws:
        ws.send(kind(["a", "b", "c"]))
        ws.send("whole")
    expected = [*as_sent(TEXT, [b"a", b"b", b"c"]), (TEXT, True, b"whole")]
    assert remote.payloads() == expected


@pytest.mark.parametrize(("items", "text", "opcode", "payloads"), MESSAGES)
def test_send_fragments_text(remote, items, text, opcode, payloads):
    """The items say what the message carries, unless the argument does."""
    with connect(remote.url, **QUICK) as ws:
        ws.send(iter(items), text=text)
    assert remote.payloads() == as_sent(opcode, payloads)


def test_send_fragments_at_once(remote):
    """Each fragment is on its way before the next one is asked for."""

    def fragments() -> Iterator[bytes]:
        for count in range(5):
            remote.wait(count)
            yield b"%d" % count

    with connect(remote.url, **QUICK) as ws:
        ws.send(fragments())
    assert len(remote.payloads()) == 6


@pytest.mark.parametrize("empty", [[], (), iter([]), set()])
def test_send_no_fragments(remote, empty):
    """An iterable without items sends nothing."""
    with connect(remote.url, **QUICK) as ws:
        ws.send(empty)
        ws.send("alive")
    assert remote.payloads() == [(TEXT, True, b"alive")]


@pytest.mark.parametrize("message", NO_MESSAGES, ids=shown)
def test_send_no_message(remote, message):
    """What is no message, and a wrong first item, is refused and sends nothing."""
    error = ValueError if message == ["\ud800"] else TypeError
    with connect(remote.url, **QUICK) as ws:
        with pytest.raises(error):
            ws.send(message)
        ws.send("alive")
    assert remote.payloads() == [(TEXT, True, b"alive")]


def test_send_async_iterable(remote):
    """The sync client has no loop to iterate over an async generator in."""

    async def fragments():
        yield "a"

    with connect(remote.url, **QUICK) as ws:
        with pytest.raises(TypeError, match="async_generator"):
            ws.send(fragments())
        ws.send("alive")
    assert remote.payloads() == [(TEXT, True, b"alive")]


def assert_failed(ws: Any, remote: Remote, reason: str) -> None:
    """Check that a connection has failed, and that the peer has been told."""
    assert ws.state is not State.OPEN
    assert remote.closed() == (1011, reason)


def assert_closed_by(error: BaseException, reason: str) -> None:
    """Check what the calls of a connection raise that has failed."""
    assert isinstance(error, ConnectionClosedError)
    assert (error.sent.code, error.sent.reason) == (1011, reason)
    assert isinstance(error.__cause__, ProtocolError)
    assert str(error.__cause__) == reason


@pytest.mark.parametrize("items", WRONG_LATER, ids=repr)
def test_send_wrong_later_item(remote, items):
    """A wrong item inside of a message fails the connection: it can't be taken back."""
    error = ValueError if items[1] == "\ud800" else TypeError
    with connect(remote.url, **QUICK) as ws:
        with pytest.raises(error):
            ws.send(items)
        assert_failed(ws, remote, "error in fragmented message")
        for call in [lambda: ws.send("x"), ws.recv, ws.ping]:
            with pytest.raises(ConnectionClosedError) as caught:
                call()
            assert_closed_by(caught.value, "error in fragmented message")
    opcode = TEXT if items[0] == "a" else BINARY
    assert [frame.opcode for frame in remote.frames] == [opcode, CLOSE]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), EOFError()])
def test_send_iterator_raises(remote, error):
    """What the iterable raises comes out, and fails the connection if it is late."""
    with connect(remote.url, **QUICK) as ws:
        with pytest.raises(type(error)) as caught:
            ws.send(failing(error=error))
        assert caught.value is error
        ws.send("alive")
        with pytest.raises(type(error)) as caught:
            ws.send(failing("a", error=error))
        assert caught.value is error
        assert_failed(ws, remote, "error in fragmented message")
    assert remote.payloads() == [(TEXT, True, b"alive"), (TEXT, False, b"a")]


@pytest.mark.parametrize(
    "message", ["x", b"x" * 300_000, ["x", "y"], iter(["x"])], ids=type
)
def test_send_during_fragments(remote, message):
    """Other messages are refused meanwhile; control frames go in between."""
    gate = Gate("a", "b")
    with connect(remote.url, **QUICK) as ws:
        sending = Background(ws.send, gate)
        remote.wait(1)
        with pytest.raises(ConcurrencyError, match="send"):
            ws.send(message)
        ws.pong(b"between")
        ws.ping(b"between")
        gate.opened.set()
        sending.result()
        ws.send("after")
    assert remote.payloads() == [
        (TEXT, False, b"a"),
        (PONG, True, b"between"),
        (PING, True, b"between"),
        (CONTINUATION, False, b"b"),
        (CONTINUATION, True, b""),
        (TEXT, True, b"after"),
    ]


def test_send_inside_of_fragments(remote):
    """An iterable that sends a message itself breaks its own."""

    def fragments() -> Iterator[str]:
        yield "a"
        ws.send("b")

    with connect(remote.url, **QUICK) as ws:
        with pytest.raises(ConcurrencyError):
            ws.send(fragments())
        assert_failed(ws, remote, "error in fragmented message")


def test_close_during_fragments(remote):
    """close inside of a message fails the connection, and ends the other calls."""
    gate = Gate("a", "b")
    reason = "close during fragmented message"
    with connect(remote.url, **QUICK) as ws:
        sending, receiving = Background(ws.send, gate), Background(ws.recv)
        remote.wait(1)
        ws.close()
        assert ws.state is State.CLOSED
        gate.opened.set()
        for call in [sending, receiving]:
            with pytest.raises(ConnectionClosedError) as caught:
                call.result()
            assert_closed_by(caught.value, reason)
    assert remote.closed() == (1011, reason)
    assert remote.payloads() == [(TEXT, False, b"a")]


def test_send_fragments_of_closed_connection(raw_server):
    """If the peer closes meanwhile, the next fragment says so, and changes nothing."""
    gate, noticed, answers = Gate("a", "b"), threading.Event(), []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.read_frame()
        peer.send_close(1001)
        answers.append(peer.read_close())
        assert noticed.wait(5000 * MS)

    with connect(raw_server(script).url, **QUICK) as ws:
        sending = Background(ws.send, gate)
        wait_until(lambda: answers, "the close is answered")
        gate.opened.set()
        with pytest.raises(ConnectionClosedOK):
            sending.result()
        with pytest.raises(ConnectionClosedOK) as caught:
            ws.recv()
        noticed.set()
    assert caught.value.rcvd_then_sent is True
    assert caught.value.__cause__ is None
    assert answers[0].close_code == 1001


def test_failed_connection_receives_nothing(raw_server):
    """What comes after a failure is neither delivered nor answered (section 7.1.7)."""
    remote = Remote(raw_server, closes=False)
    with connect(remote.url, close_timeout=500 * MS, **QUICK) as ws:
        unread = unread_by_client(remote.peer)
        with pytest.raises(EOFError):
            ws.send(failing("a", error=EOFError()))
        remote.wait(2)
        remote.peer.send_frame(PING, b"late")
        remote.send(b"late")
        remote.peer.send_close(1000)
        wait_until(lambda: not unread(), "the client has read all")
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.rcvd is None
    assert remote.payloads() == [(TEXT, False, b"a")]
