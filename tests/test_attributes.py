"""What connections tell of their opening handshake, their logger and their loop."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import inspect
import logging
import pickle
import pprint
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from conftest import tls_address
from logged import Collector, connect_logged, connect_logged_async, new_logger
from support import QUICK, core_options
from websocket_rs._client.asyncio.event_loop import event_queue_of
from websocket_rs.async_client import AsyncWebSocket, connect as connect_async
from websocket_rs.datastructures import Headers, MultipleValuesError
from websocket_rs.exceptions import InvalidStatus
from websocket_rs.frames import Close
from websocket_rs.http11 import Request, Response
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable

    import raw_server as peers
    from raw_server import Peer


HEADERS = [
    ("X-Token", "one"),
    ("Cookie", "a=b"),
    ("X-Token", "two"),
    ("X-Latin", "caf\xe9"),
]
ANSWERED = ["Set-Cookie: a=1", "X-Latin: caf\xe9", "set-cookie: b=2", "X-Empty:"]
RECEIVED = [
    ("Set-Cookie", "a=1"),
    ("X-Latin", "caf\xe9"),
    ("set-cookie", "b=2"),
    ("X-Empty", ""),
]


class Server:
    """A peer that accepts with more headers, and keeps the requests."""

    def __init__(self, raw_server: Callable[..., Any]) -> None:
        self.requests: list[peers.Request] = []
        self.url = raw_server(self._script).url

    def _script(self, peer: Peer) -> None:
        self.requests.append(peer.read_request())
        peer.send_bytes(peer.response(*ANSWERED))
        peer.answer_close()


@pytest.fixture
def server(raw_server) -> Server:
    """A peer that accepts with more headers."""
    return Server(raw_server)


def assert_told(ws: Any, sent: peers.Request) -> None:
    """Compare what a connection tells with what its peer has read and written."""
    request, response = ws.request, ws.response
    assert type(request) is Request
    assert request.path == sent.target
    assert (request.method, request.protocol) == ("GET", "HTTP/1.1")
    assert type(request.headers) is Headers
    assert list(request.headers.raw_items()) == sent.headers
    assert type(response) is Response
    assert (response.status_code, response.body) == (101, b"")
    assert response.reason_phrase == "Switching Protocols"
    assert type(response.headers) is Headers
    assert list(response.headers.raw_items())[3:] == RECEIVED
    assert response.headers["upgrade"] == "websocket"
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    with pytest.raises(MultipleValuesError):
        response.headers["Set-Cookie"]


# Test request and response.


def test_request_and_response(server):
    """Both are told as they went over the wire, with all headers in order."""
    url = server.url.replace("://", "://alice:hunter2@") + "/chat?token=sesame"
    options = {"subprotocols": ["chat"], "compression": "deflate", "origin": "http://a"}
    with connect(url, additional_headers=HEADERS, **options, **QUICK) as ws:
        assert_told(ws, server.requests[0])
        assert ws.request.path == "/chat?token=sesame"
        assert ws.request.headers["Authorization"] == "Basic YWxpY2U6aHVudGVyMg=="
        assert ws.request.headers.get_all("x-token") == ["one", "two"]
        assert ws.request.headers["X-Latin"] == "caf\xe9"


async def test_async_request_and_response(server):
    """The same holds for the asyncio client."""
    async with connect_async(server.url, additional_headers=HEADERS, **QUICK) as ws:
        assert_told(ws, server.requests[0])


def test_request_over_tls(tls_echo_server, tmp_path):
    """They are told of connections over TLS, too."""
    address = tls_address(tls_echo_server, tmp_path)
    with connect(address.url, **address.options) as ws:
        assert ws.request.headers["Host"] in address.url
        assert ws.response.status_code == 101


def test_interim_responses_are_not_the_response(raw_server):
    """The response is the one that accepts, not those before it."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(b"HTTP/1.1 103 Early Hints\r\nX-Hint: a\r\n\r\n")
        peer.send_bytes(peer.response("X-Last: b"))
        peer.answer_close()

    with connect(raw_server(script).url, **QUICK) as ws:
        assert "X-Hint" not in ws.response.headers
        assert ws.response.headers["X-Last"] == "b"


def test_they_are_made_once(server):
    """Request and response are the same objects each time, as attributes are."""
    with connect(server.url, **QUICK) as ws:
        assert ws.request is ws.request
        assert ws.response is ws.response
        ws.request.headers["X-Note"] = "mine"
        assert ws.request.headers["X-Note"] == "mine"


def test_they_outlast_the_connection(server):
    """A closed connection still tells how it was opened."""
    ws = connect(server.url, **QUICK)
    ws.close()
    assert_told(ws, server.requests[0])


def test_each_connection_has_its_own(server):
    """Two connections have different requests, with different keys."""
    with connect(server.url, **QUICK) as a, connect(server.url, **QUICK) as b:
        keys = {ws.request.headers["Sec-WebSocket-Key"] for ws in (a, b)}
        assert len(keys) == 2


def test_refusal_has_the_same_headers(raw_server):
    """The response of a refusal is of the same class, with its body."""

    def script(peer: Peer) -> None:
        peer.read_request()
        head = "\r\n".join(["HTTP/1.1 429 Wait", *ANSWERED, "Content-Length: 2"])
        peer.send_bytes(head.encode("latin-1") + b"\r\n\r\nno")
        peer.close()

    with pytest.raises(InvalidStatus) as caught:
        connect(raw_server(script).url, **QUICK)
    response = caught.value.response
    assert type(response) is Response
    assert (response.reason_phrase, response.body) == ("Wait", b"no")
    assert list(response.headers.raw_items())[:4] == RECEIVED


async def test_before_the_connection_is_open(raw_server):
    """A connection that isn't open yet has neither."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.wait_eof()

    options = core_options(raw_server(script).url)
    ws = AsyncWebSocket(options, event_queue_of(asyncio.get_running_loop()))
    assert (ws.request, ws.response) == (None, None)
    assert ws.state is State.CONNECTING
    ws.abandon()


@pytest.mark.parametrize("ours", [Request, Response])
def test_fields_of_websockets(ours):
    """Request and Response begin with the fields that those of websockets have."""
    theirs = getattr(pytest.importorskip("websockets.http11"), ours.__name__)
    fields = [field.name for field in dataclasses.fields(theirs)]
    public = [name for name in fields if not name.startswith("_")]
    # Older versions have fewer.
    names = [field.name for field in dataclasses.fields(ours)]
    assert names[: len(public)] == public


def test_records_are_dataclasses():
    """What is a dataclass in websockets can be used as one."""
    response = Response(403, "Forbidden", Headers(A="b" * 100), b"body")
    assert dataclasses.is_dataclass(Response)
    assert "status_code=403" in pprint.pformat(response)
    changed = dataclasses.replace(response, status_code=404)
    assert (changed.status_code, changed.body) == (404, b"body")
    assert changed != response
    assert copy.deepcopy(response) == pickle.loads(pickle.dumps(response)) == response
    assert dataclasses.asdict(Close(1000)) == {"code": 1000, "reason": ""}
    assert [*inspect.signature(Close).parameters] == ["code", "reason"]
    match Close(1001, "later"):
        case Close(code, reason):
            assert (code, reason) == (1001, "later")
    for wrong in (
        lambda: Close(),
        lambda: Close(1, "", 2),
        lambda: Close(1, code=2),
        lambda: Close(1, unknown=2),
    ):
        with pytest.raises(TypeError):
            wrong()


# Test loop.


async def test_loop(echo_server):
    """The asyncio client tells the event loop that it belongs to."""
    async with connect_async(echo_server.url, **QUICK) as ws:
        assert ws.loop is asyncio.get_running_loop()


# Test logger.


def test_logger_of_the_package(server, logger):
    """Without a logger of its own, a connection has that of the package's clients."""
    logger.setLevel(logging.DEBUG)
    collector = Collector()
    logger.addHandler(collector)
    with connect(server.url, **QUICK) as ws:
        assert ws.own_logger is None
        assert ws.logger is ws.logger
        assert ws.logger.logger is logging.getLogger("websocket_rs.client")
        assert ws.debug is True
        collector.records.clear()
        ws.logger.warning("by %s", "the program")
        [record] = collector.records
        assert record.getMessage() == "by the program"
        assert type(record.websocket) is weakref.ProxyType
        assert record.websocket.id == ws.id
        logger.setLevel(logging.INFO)
        assert ws.debug is False


def test_own_logger(server):
    """The logger that a connection was given is wrapped like that of the package."""
    collector = Collector()
    own = new_logger(logging.INFO, collector)
    with connect_logged(server.url, own) as ws:
        assert ws.own_logger is own
        assert ws.logger.logger is own
        assert ws.debug is False
        ws.logger.info("mine")
        [record] = collector.records
        assert record.websocket.id == ws.id


async def test_async_own_adapter(server):
    """An adapter that a connection was given is wrapped, too."""
    collector = Collector()
    adapter = logging.LoggerAdapter(new_logger(logging.INFO, collector), {"a": 1})
    async with await connect_logged_async(server.url, adapter) as ws:
        assert ws.own_logger is adapter
        assert ws.logger.logger is adapter
        ws.logger.info("mine")
        [record] = collector.records
        assert record.a == 1


@pytest.mark.parametrize("own", [None, new_logger()], ids=["package", "own"])
def test_attributes_make_no_reference_cycle(server, own):
    """What is cached doesn't keep a connection alive, nor does its logger."""
    ws = connect_logged(server.url, own)
    assert ws.request
    assert ws.response
    assert ws.logger
    assert ws.id
    ws.close()
    gone = weakref.ref(ws)
    gc.disable()
    try:
        del ws
        assert gone() is None
    finally:
        gc.enable()
