"""The sync client: `websocket_rs.sync_client`."""

from __future__ import annotations

import inspect
import random
import threading
import time
import uuid

import pytest

from raw_server import (
    BINARY,
    CONTINUATION,
    MS,
    PING,
    PONG,
    TEXT,
    Peer,
    encode_frame,
    messages,
)
from support import QUICK, Background, wait_until
from websocket_rs import sync_client
from websocket_rs._client.route import RouteKeywords, TlsKeywords
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import WebSocket, connect


SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
WRONG_MESSAGES = [None, 3.5, 7, [7], {"a": 1}, "\ud800"]
OPTIONS = {
    "proxy": True,
    "logger": None,
    "create_connection": None,
    "additional_headers": None,
    "origin": None,
    "subprotocols": None,
    "close_timeout": 10.0,
    "compression": None,
    "extensions": None,
    "ping_interval": None,
    "ping_timeout": 20.0,
    "max_size": 2**27,
    "max_queue": None,
    "inbox_limit": 2**24,
}


def silent(peer: Peer) -> None:
    """Accept, say nothing, and never answer the closing handshake."""
    peer.accept_handshake()
    peer.wait_eof()


# Test connect.


def test_connect_signature():
    """connect has the documented parameters and defaults, and no others."""
    parameters = inspect.signature(connect).parameters
    assert list(parameters)[:3] == ["url", "connect_timeout", "receive_timeout"]
    assert parameters["url"].default is inspect.Parameter.empty
    assert parameters["connect_timeout"].default == 30.0
    assert parameters["receive_timeout"].default == 30.0
    keywords = {k: p for k, p in parameters.items() if k not in list(parameters)[:3]}
    for name in (*TlsKeywords.__annotations__, *RouteKeywords.__annotations__):
        assert keywords.pop(name).default == {"family": 0, "unix": False}.get(name)
    assert all(p.kind is p.KEYWORD_ONLY for p in keywords.values())
    assert keywords.pop("user_agent_header").default
    assert {k: p.default for k, p in keywords.items()} == OPTIONS


def test_connect_positional_arguments(echo_server):
    """The timeouts can be given by position, as the documentation declares them."""
    with connect(echo_server.url, 5.0, 5.0) as ws:
        ws.send("x")
        assert ws.recv() == "x"


def test_connect_unknown_argument(echo_server):
    """An option that does not exist is refused, not swallowed."""
    with pytest.raises(TypeError, match="recieve_timeout"):
        connect(echo_server.url, recieve_timeout=1.0)


def test_connect_returns_open_connection(echo):
    """connect returns once the opening handshake is complete."""
    with connect(echo.url, **echo.options) as ws:
        assert isinstance(ws, WebSocket)
        assert ws.state is State.OPEN
        assert isinstance(ws.id, uuid.UUID)
        assert ws.close_code is None
        assert ws.close_reason is None
        assert ws.subprotocol is None


def test_connect_sends_request(answering):
    """The request has the headers of RFC 6455 and those that were asked for."""
    server = answering(lambda peer: requests.append(peer.request))
    requests = []
    with connect(
        server.url + "/chat?room=1",
        additional_headers={"X-Trace": "7"},
        origin="https://example.com",
        user_agent_header="agent/1",
        **QUICK,
    ):
        pass
    server.join()
    [request] = requests
    assert request.line == "GET /chat?room=1 HTTP/1.1"
    assert request.one("Host") == f"{server.host}:{server.port}"
    assert request.one("Upgrade").lower() == "websocket"
    assert request.one("Connection").lower() == "upgrade"
    assert request.one("Sec-WebSocket-Version") == "13"
    assert request.one("X-Trace") == "7"
    assert request.one("Origin") == "https://example.com"
    assert request.one("User-Agent") == "agent/1"


def test_connect_without_path(answering):
    """A URL of a host and a query asks for the path / with that query."""
    targets = []
    server = answering(lambda peer: targets.append(peer.request.target))
    with connect(server.url + "?q=1", **QUICK):
        pass
    server.join()
    assert targets == ["/?q=1"]


def test_connect_subprotocol(raw_server):
    """The subprotocol that the server selects is the connection's."""

    def script(peer: Peer) -> None:
        request = peer.accept_handshake("Sec-WebSocket-Protocol: superchat")
        assert request.one("Sec-WebSocket-Protocol") == "chat, superchat"
        peer.answer_close()

    url = raw_server(script).url
    with connect(url, subprotocols=["chat", "superchat"], **QUICK) as ws:
        assert ws.subprotocol == "superchat"


def test_connect_message_behind_response(raw_server):
    """A frame in the same segment as the response is not lost."""

    def script(peer: Peer) -> None:
        peer.accept_handshake(followed_by=messages("early", b"bird"))
        peer.answer_close()

    with connect(raw_server(script).url, **QUICK) as ws:
        assert [ws.recv(), ws.recv()] == ["early", b"bird"]


def test_addresses(echo_server):
    """The addresses of both ends are known, like those of a socket."""
    with connect(echo_server.url, **QUICK) as ws:
        assert ws.remote_address[:2] == (echo_server.host, echo_server.port)
        assert ws.local_address[0] == "127.0.0.1"


def test_repr_without_credentials(answering):
    """repr tells where a connection leads but not by which credentials."""
    server = answering(lambda peer: None)
    url = server.url.replace("ws://", "ws://alice:secret-word@")
    with connect(
        url + "/?token=secret-token",
        additional_headers={"X-Api-Key": "secret-key"},
        **QUICK,
    ) as ws:
        assert "WebSocket" in repr(ws)
        assert "secret" not in repr(ws)


# Test send and recv.


@pytest.mark.parametrize("size", SIZES)
def test_send_recv_text(echo, size):
    """Text of every length encoding comes back as the same str."""
    text = ("é" + "x" * size)[:size]
    with connect(echo.url, **echo.options) as ws:
        ws.send(text)
        assert ws.recv() == text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_send_recv_binary(echo_server, kind, size):
    """Bytes-like objects of every length encoding come back as bytes."""
    data = random.Random(size).randbytes(size)
    with connect(echo_server.url, **QUICK) as ws:
        ws.send(kind(data))
        received = ws.recv()
    assert type(received) is bytes
    assert received == data


def test_send_non_contiguous_memoryview(echo_server):
    """A strided view is either sent as its bytes or refused, never as others."""
    view = memoryview(b"a.b.c.d.")[::2]
    with connect(echo_server.url, **QUICK) as ws:
        try:
            ws.send(view)
        except (BufferError, TypeError, ValueError):
            ws.send(bytes(view))
        assert ws.recv() == b"abcd"


@pytest.mark.timeout(60)
def test_send_recv_100_megabytes(echo):
    """A message of 100 MB passes although it is larger than the inbox."""
    data = random.Random(1).randbytes(1 << 20) * 100
    with connect(echo.url, **{**echo.options, "receive_timeout": 40.0}) as ws:
        ws.send(data)
        assert ws.recv() == data


def test_send_is_masked_with_fresh_keys(answering):
    """Two equal messages differ on the wire, since their masking keys do."""
    raw = []

    def script(peer: Peer) -> None:
        raw.append(bytes(peer.read_bytes(2 * (2 + 4 + 8))))

    with connect(answering(script).url, **QUICK) as ws:
        ws.send(b"8 bytes.")
        ws.send(b"8 bytes.")
    assert raw[0][:14] != raw[0][14:]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_recv_fragmented_message(scripted, chunk):
    """Fragments are joined, and a ping between them is answered."""
    text = "fragmented ✓ message"
    pongs = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        raw = text.encode()
        pieces = [raw[i : i + chunk] for i in range(0, len(raw), chunk)]
        peer.send_frame(TEXT, pieces[0], fin=len(pieces) == 1)
        peer.send_frame(PING, b"between")
        for number, piece in enumerate(pieces[1:], 2):
            peer.send_frame(CONTINUATION, piece, fin=number == len(pieces))
        pongs.append(peer.read_frame())
        peer.send_frame(BINARY, b"next")
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        assert ws.recv() == text
        assert ws.recv() == b"next"
    assert (pongs[0].opcode, pongs[0].payload) == (PONG, b"between")


def test_recv_bytes_one_by_one(scripted):
    """The segmentation of the stream does not matter."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("a" * 200, b"b" * 3, ""), pieces=1)
        peer.answer_close()

    address = scripted(script)
    with connect(address.url, **address.options) as ws:
        assert [ws.recv() for _ in range(3)] == ["a" * 200, b"bbb", ""]


def test_recv_timeout_argument(echo_server):
    """The timeout of recv overrides the connection's, and loses nothing."""
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises(TimeoutError, match="waiting for a message"):
            ws.recv(timeout=20 * MS)
        ws.send("after")
        assert ws.recv(timeout=None) == "after"


def test_recv_timeouts_lose_nothing(raw_server):
    """A storm of expiring timeouts neither loses nor reorders a message."""
    count = 500

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        chance = random.Random(3)
        for number in range(count):
            peer.send_bytes(messages(f"{number}-{'x' * 200}"), pieces=70)
            time.sleep(chance.random() * MS)
        peer.answer_close()

    chance = random.Random(4)
    received: list[str] = []
    with connect(raw_server(script).url, **QUICK) as ws:
        while len(received) < count:
            try:
                message = ws.recv(timeout=chance.random() * 2 * MS)
            except TimeoutError:
                continue
            received.append(message.split("-")[0])
    assert received == [str(number) for number in range(count)]


def test_recv_concurrent(raw_server):
    """A second thread in recv gets ConcurrencyError; the first one its message."""
    with connect(raw_server(silent).url, close_timeout=50 * MS, **QUICK) as ws:
        first = Background(ws.recv)
        wait_until(lambda: concurrent_recv_refused(ws), "the first recv waits")
        assert first.thread.is_alive()
        ws.close()
        with pytest.raises(ConnectionClosed):
            first.result()


def concurrent_recv_refused(ws: WebSocket) -> bool:
    """Tell whether another thread is inside recv."""
    try:
        ws.recv(timeout=0)
    except ConcurrencyError:
        return True
    except TimeoutError:
        return False
    raise AssertionError("nobody sent a message")


# Test iteration and context managers.


def test_iteration_ends_on_normal_close(raw_server):
    """Iteration yields every message and ends silently with a normal closure."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("a", b"b", "c"))
        peer.finish(1001)

    with connect(raw_server(script).url, **QUICK) as ws:
        assert list(ws) == ["a", b"b", "c"]
        assert ws.close_code == 1001


def test_iteration_raises_on_failure(raw_server):
    """Iteration raises when the connection was not closed normally."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_text("a")
        peer.finish(1011)

    with connect(raw_server(script).url, **QUICK) as ws:
        received = []
        with pytest.raises(ConnectionClosedError) as caught:
            received.extend(message for message in ws)
        assert caught.value.code == 1011


@pytest.mark.parametrize("error", [None, RuntimeError("body"), KeyboardInterrupt()])
def test_context_manager_closes(answering, error):
    """Leaving the block closes the connection, by an exception too."""
    server = answering(lambda peer: None)
    caught = None
    try:
        with connect(server.url, **QUICK) as ws:
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt) as exception:
        caught = exception
    assert caught is error
    assert ws.state is State.CLOSED
    assert ws.close_code == (1000 if error is None else ws.close_code)


def test_connection_is_its_own_context_manager(echo_server):
    """A connection made before the block is closed by the block."""
    ws = connect(echo_server.url, **QUICK)
    with ws as same:
        assert same is ws
    assert ws.state is State.CLOSED


# Test that mistakes of the caller leave the connection alone.


@pytest.mark.parametrize("message", WRONG_MESSAGES, ids=repr)
def test_send_wrong_message(echo_server, message):
    """A message of a wrong type or with a lone surrogate sends nothing."""
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((TypeError, ValueError)) as caught:
            ws.send(message)
        kind = ValueError if message == "\ud800" else TypeError
        assert isinstance(caught.value, kind)
        ws.send("alive")
        assert ws.recv() == "alive"


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1e9])
def test_close_wrong_code(echo_server, code):
    """A close code that may not be sent is refused and named."""
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((ValueError, TypeError), match=f"{code}|code"):
            ws.close(code)
        ws.send("alive")
        assert ws.recv() == "alive"


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "\ud800", None, b"x"])
def test_close_wrong_reason(echo_server, reason):
    """A reason that does not fit into a Close frame is refused."""
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((ValueError, TypeError)):
            ws.close(1000, reason)
        ws.send("alive")
        assert ws.recv() == "alive"


@pytest.mark.parametrize("timeout", [float("nan"), "1"])
@pytest.mark.parametrize("call", ["recv", "wait_closed"])
def test_wrong_timeout(echo_server, call, timeout):
    """A timeout that is not a number is refused."""
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((ValueError, TypeError)):
            getattr(ws, call)(timeout=timeout)
        ws.send("alive")
        assert ws.recv() == "alive"


NO_TIME = pytest.mark.parametrize("timeout", [0, -0.0, -0.001, -1, -float("inf")])


@NO_TIME
def test_recv_without_time(raw_server, timeout):
    """Without time, or with less, recv takes what has been received already."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.read_frame()
        # Both come at once, so the one has been received when the other has.
        peer.send_bytes(encode_frame(TEXT, b"a") + encode_frame(TEXT, b"b"))
        peer.answer_close()

    with connect(raw_server(script).url, **QUICK) as ws:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            ws.recv(timeout=timeout)
        assert time.monotonic() - start < 1000 * MS
        ws.send("go")
        assert ws.recv() == "a"
        assert ws.recv(timeout=timeout) == "b"
        with pytest.raises(TimeoutError):
            ws.recv(timeout=timeout)


@NO_TIME
def test_wait_closed_without_time(echo_server, timeout):
    """Without time, or with less, wait_closed only looks."""
    ws = connect(echo_server.url, **QUICK)
    start = time.monotonic()
    assert ws.wait_closed(timeout) is False
    assert time.monotonic() - start < 1000 * MS
    ws.close()
    assert ws.wait_closed(timeout) is True


# Test what is public.


def test_exports():
    """The module exports the documented names."""
    assert {"connect", "WebSocket"} <= set(sync_client.__all__)


def test_instances_cannot_be_made():
    """A WebSocket comes from connect only."""
    with pytest.raises(TypeError):
        WebSocket()


def test_connections_have_different_ids(echo_server):
    """Each connection has an id of its own."""
    with connect(echo_server.url, **QUICK) as a, connect(echo_server.url, **QUICK) as b:
        assert a.id != b.id


def test_usable_from_other_threads(echo_server):
    """A connection is not bound to the thread that opened it."""
    with connect(echo_server.url, **QUICK) as ws:
        Background(ws.send, "from a thread").result()
        assert Background(ws.recv).result() == "from a thread"
        assert threading.current_thread().is_alive()


def test_recv_after_clean_close(raw_server):
    """recv raises ConnectionClosedOK again and again after a normal closure."""
    with connect(raw_server(lambda p: p.accept_handshake() and p.finish()).url) as ws:
        for _ in range(3):
            with pytest.raises(ConnectionClosedOK):
                ws.recv()


def test_iteration_of_subclass(echo_server):
    """Iterating over a subclass that overrides recv calls what it has overridden."""

    class Shouting(WebSocket):
        def recv(self, timeout=None, decode=None):
            return super().recv(timeout, decode).upper()

    with connect(echo_server.url, create_connection=Shouting, **QUICK) as ws:
        ws.send("quiet")
        assert next(ws) == "QUIET"
        ws.close()
        assert list(ws) == []
