"""Connections are opened in the same way with `websockets` and with `websocket_rs`."""

from __future__ import annotations

import pytest

from counterparts import FACES, PACKAGES, WITH_WEBSOCKETS_17, Library, error_of, same
from raw_server import MS, accept_key


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 500, 503])
def test_refused(compare, status):
    """A refusal has the same exception, with the response."""

    def speech(peer):
        peer.read_request()
        peer.sock.sendall(
            f"HTTP/1.1 {status} Why\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody".encode()
        )
        peer.wait_eof()

    async def scenario(library, uri):
        try:
            await library.open(uri)
        except library.exceptions.InvalidStatus as exc:
            response = exc.response
            return (
                str(exc),
                response.status_code,
                response.reason_phrase,
                list(response.headers.raw_items()),
                response.body,
            )

    same(compare(scenario, speech, accepts=False))


ANSWERS = {
    "no upgrade": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {a}\r\n",
    "no connection": "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: {a}\r\n",
    "no accept": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "wrong accept": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    "subprotocol": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: {a}\r\nSec-WebSocket-Protocol: other\r\n",
    "extension": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: {a}\r\nSec-WebSocket-Extensions: other\r\n",
    "parameter": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: {a}\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; bogus\r\n",
    "not HTTP": "SSH-2.0-OpenSSH\r\n",
    "old HTTP": "HTTP/1.0 101 X\r\n",
    "nothing": None,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_wrong_answer(compare, answer):
    """A response that isn't an acceptance is the same exception."""

    def speech(peer):
        request = peer.read_request()
        if answer is not None:
            key = accept_key(request.one("Sec-WebSocket-Key"))
            peer.sock.sendall((answer.format(a=key) + "\r\n").encode())
        peer.close()

    async def scenario(library, uri):
        # Both count a reset by the peer as the end of the stream or as an OSError.
        seen = await error_of(library.open(uri, subprotocols=["chat"]))
        return seen["type"], seen["cause"]

    same(compare(scenario, speech, accepts=False))


REQUESTS = {
    "default": {},
    "no compression": {"compression": None},
    "origin": {"origin": "https://example.com"},
    "subprotocols": {"subprotocols": ["a", "b"]},
    "no user agent": {"user_agent_header": None},
    "dict": {"additional_headers": {"X-A": "1", "X-B": "2"}},
    "pairs": {"additional_headers": [("X-A", "1"), ("X-A", "2")]},
}


@pytest.mark.parametrize("options", REQUESTS.values(), ids=list(REQUESTS))
def test_request(compare, options):
    """The request has the same headers in the same order."""

    async def scenario(library, uri):
        async with library.connect(uri + "/path?query=1", **options) as ws:
            names = [name for name, _ in ws.request.headers.raw_items()]
            return ws.request.path, names, ws.response.status_code, ws.subprotocol

    same(compare(scenario))


def test_request_credentials(compare):
    """User name and password of the URI are sent as Basic authentication."""

    async def scenario(library, uri):
        async with library.connect(uri.replace("//", "//me:p%40ss@")):
            pass

    _, _, headers, _ = same(compare(scenario))
    assert ("Authorization", "Basic bWU6cEBzcw==") in headers


def test_subprotocol(compare):
    """The subprotocol that the server chooses is agreed upon."""

    async def scenario(library, uri):
        async with library.connect(uri, subprotocols=["a", "b"]) as ws:
            return ws.subprotocol

    result, *_ = same(compare(scenario, None, "Sec-WebSocket-Protocol: b"))
    assert result == "b"


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost",
        "localhost",
        "ws://",
        "ws://localhost/#fragment",
        "ws://user@localhost",
    ],
)
@pytest.mark.parametrize("face", FACES)
def test_wrong_uri(uri, face):
    """A URI that is none of WebSocket is refused at once, for the same reason."""
    texts = []
    for package in PACKAGES:
        library = Library(package, face)
        make = library.client.connect if face == "asyncio" else library.client.reconnect
        with pytest.raises(library.exceptions.InvalidURI) as caught:
            make(uri)
        texts.append(caught.value.msg)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"subprotocols": "chat"}, TypeError),
        ({"subprotocols": ["a b"]}, ValueError),
        ({"compression": "gzip"}, ValueError),
        ({"ssl": True}, ValueError),
    ],
)
@pytest.mark.parametrize("face", FACES)
def test_misuse(options, error, face):
    """Wrong arguments are the same errors at once."""
    texts = []
    for package in PACKAGES:
        library = Library(package, face)
        make = library.client.connect if face == "asyncio" else library.client.reconnect
        with pytest.raises(error) as caught:
            make("ws://localhost", **options)
        # Ours quotes the values that it names.
        texts.append(str(caught.value).replace("'", "").replace('"', ""))
    assert texts[0] == texts[1]


def test_open_timeout(compare):
    """A server that doesn't answer is a TimeoutError."""

    async def scenario(library, uri):
        seen = await error_of(library.open(uri, open_timeout=200 * MS))
        return seen["type"]

    def speech(peer):
        peer.read_request()
        peer.wait_eof()

    assert same(compare(scenario, speech, accepts=False))[0] == "TimeoutError"


def test_refused_connection(compare):
    """Where nobody listens is a ConnectionRefusedError."""

    async def scenario(library, uri):
        try:
            await library.open("ws://127.0.0.1:1")
        except ConnectionRefusedError as exc:
            return exc.errno

    same(compare(scenario, lambda peer: None, accepts=False))


def test_redirect(compare):
    """Redirects within the origin are followed."""
    hops = []

    def speech(peer):
        request = peer.read_request()
        hops.append(request.target)
        if request.target == "/new":
            peer.sock.sendall(peer.response())
            peer.answer_close()
        else:
            peer.sock.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n"
            )
            peer.wait_eof()

    async def scenario(library, uri):
        async with library.connect(uri + "/old") as ws:
            return ws.request.path

    same(compare(scenario, speech, accepts=False))
    assert hops == ["/old", "/new"] * 2
