"""Connections are opened in the same way with `websockets` and with `websocket_rs`."""

from __future__ import annotations

import asyncio
import threading
import zlib

import pytest

from counterparts import (
    FACES,
    PACKAGES,
    WITH_WEBSOCKETS_17,
    Library,
    error_of,
    same,
)
from raw_server import BINARY, MS, TEXT, accept_key


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
    "user agent": {"user_agent_header": "Mine/1.0"},
    "user agent in headers": {"additional_headers": {"User-Agent": "Mine/1.0"}},
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
            agents = [
                agent
                for agent in ws.request.headers.get_all("User-Agent")
                if "websocket" not in agent
            ]
            response = ws.response.status_code, str(ws.response.headers)[:60]
            return ws.request.path, names, agents, response, ws.subprotocol

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


@pytest.mark.parametrize("headers", [{"X-A": "1"}, [("X-A", "1"), ("x-a", "2")]])
def test_request_headers_object(compare, headers):
    """Headers are taken as an object of the package too."""

    async def scenario(library, uri):
        given = library.datastructures.Headers(headers)
        async with library.connect(uri, additional_headers=given) as ws:
            return ws.request.headers.get_all("x-a")

    same(compare(scenario))


TARGETS = ["", "/", "?a=b", "/a?b?c", "/a%20b", "//double", "/;p", "/pä?q=ü"]


@pytest.mark.parametrize("target", TARGETS)
def test_request_target(compare, target):
    """Path and query of the URI are what is requested."""

    async def scenario(library, uri):
        async with library.connect(uri + target) as ws:
            return ws.request.path

    same(compare(scenario))


HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
"""The text Hello, compressed (RFC 7692, section 7.2.3.1)."""
AGREEMENTS = [
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10",
    "permessage-deflate; client_max_window_bits=10",
    'permessage-deflate; client_max_window_bits="12"',
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=010",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate, permessage-deflate",
    "permessage-deflate; bogus",
    "Permessage-Deflate",
    "permessage-deflate;",
    "",
]


@pytest.mark.parametrize("agreement", AGREEMENTS)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_compression_agreed(compare, agreement, compression):
    """The same answers to the offer of compression are agreed to."""

    def speech(peer):
        request = peer.read_request()
        header = f"Sec-WebSocket-Extensions: {agreement}"
        peer.sock.sendall(peer.response(header))
        compressed = "permessage-deflate" in request.raw.decode().lower()
        try:
            peer.send_frame(TEXT, HELLO if compressed else "Hello", rsv=4 * compressed)
            peer.answer_close()
        except (EOFError, OSError):
            # The client doesn't agree.
            peer.close()

    async def scenario(library, uri):
        try:
            async with library.connect(uri, compression=compression) as ws:
                return await error_of(ws.recv())
        except library.exceptions.InvalidHandshake as exc:
            return type(exc).__name__

    same(compare(scenario, speech, accepts=False))


OFFERS = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 10},
    {"client_max_window_bits": 10},
    {"client_max_window_bits": None},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"compress_settings": {"level": 1, "memLevel": 4}},
]


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("offer", OFFERS)
def test_compression_offered(compare, offer, compression):
    """The parameters of compression are offered in the same words."""

    async def scenario(library, uri):
        deflate = library.module("extensions.permessage_deflate")
        factory = deflate.ClientPerMessageDeflateFactory(**offer)
        options = {"extensions": [factory], "compression": compression}
        async with library.connect(uri, **options) as ws:
            return ws.request.headers["Sec-WebSocket-Extensions"]

    same(compare(scenario))


def inflated(frames, alone):
    """Return the messages in the frames of a client, which may compress or not."""
    found, state = [], zlib.decompressobj(wbits=-15)
    for opcode, _, rsv, payload in frames:
        if opcode not in (TEXT, BINARY):
            continue
        if alone:
            state = zlib.decompressobj(wbits=-15)
        if rsv:
            payload = state.decompress(payload + b"\0\0\xff\xff")
        found.append((opcode, payload))
    return found


@pytest.mark.parametrize("alone", [False, True])
def test_compressed_messages(compare, alone):
    """What is sent compressed is what was sent; how it is compressed may differ."""
    messages = ["hello " * 50, "", b"\0" * 5000, "hello " * 50, b"short", "x" * 70_000]
    header = "Sec-WebSocket-Extensions: permessage-deflate"
    if alone:
        header += "; client_no_context_takeover"

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            for message in messages:
                await ws.send(message)

    theirs, ours = (
        inflated(frames, alone) for *_, frames in compare(scenario, None, header)
    )
    assert ours == theirs
    assert len(ours) == len(messages)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_server_of_websockets(face, compression):
    """Messages are echoed by a server of websockets as they were sent."""
    from websockets.sync.server import serve

    messages = ["text", b"bytes", "", "é" * 300_000, ["frag", "ments"], b"\0" * 90_000]

    def echo(ws):
        for message in ws:
            ws.send(message)
        ws.close(4000, "done")

    async def scenario(library, uri):
        async with library.connect(uri, compression=compression) as ws:
            received = []
            for message in messages:
                await ws.send(message)
                received.append(await ws.recv())
            return received, ws.response.headers.get("Sec-WebSocket-Extensions")

    with serve(echo, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        uri = "ws://{}:{}".format(*server.socket.getsockname())
        theirs, ours = (
            asyncio.run(scenario(Library(package, face), uri)) for package in PACKAGES
        )
        server.shutdown()
        serving.join()
    assert ours == theirs
    assert ours[0][4] == "fragments"
