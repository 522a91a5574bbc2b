"""The same ways lead to a server with `websockets` and with `websocket_rs`.

Other addresses, sockets, proxies, and connecting again.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import socket

import pytest

from counterparts import (
    FACES,
    PACKAGES,
    WITH_WEBSOCKETS_17,
    Library,
    Recorder,
    describe,
    error_of,
    same,
)
from raw_server import MS, Peer
from support import Background


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize(
    "uri",
    [
        "ws://EXAMPLE.test",
        "ws://example.test:80/",
        "ws://example.test:8080",
        "ws://bücher.example",
        "ws://[::1]",
        "ws://[::1]:9",
    ],
)
def test_other_address(compare, uri):
    """The address may be another one; the host that is asked for is the URI's."""

    async def scenario(library, server):
        async with library.connect(uri, **library.direct(server)) as ws:
            return ws.request.headers["Host"]

    same(compare(scenario))


def test_given_socket(compare):
    """A connected socket is used."""

    async def scenario(library, uri):
        host, _, port = uri.removeprefix("ws://").partition(":")
        sock = socket.create_connection((host, int(port)))
        async with library.connect("ws://example.test/x", sock=sock) as ws:
            await ws.send("x")
            return ws.request.headers["Host"], ws.request.path

    same(compare(scenario))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("uri", [None, "ws://example.test/path"])
def test_unix_connect(tmp_path, face, uri):
    """A server on a Unix socket is connected to, and asked for the same."""
    seen = []
    for package in PACKAGES:
        library = Library(package, face)
        path = str(tmp_path / package)
        recorder = Recorder(lambda peer: peer.send_text("here"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()

            def serve(listener=listener, recorder=recorder):
                sock, _ = listener.accept()
                with sock:
                    recorder(Peer(sock, 5000 * MS))

            server = Background(serve)
            if face == "sync":
                with library.client.unix_connect(path, uri) as ws:
                    received = ws.recv()
            else:

                async def run(library=library, path=path):
                    async with library.client.unix_connect(path, uri) as ws:
                        return ws.request.headers["Host"], await ws.recv()

                received = asyncio.run(run())
            server.result()
        seen.append((received, recorder.line, recorder.headers, recorder.frames))
    assert seen[0] == seen[1]


class Flaky:
    """A server that answers each connection in another way: a status, 0, or None.

    With 0 it doesn't answer, and with None it accepts.
    """

    def __init__(self, *answers):
        self.answers = iter(answers)

    def __call__(self, peer):
        status = next(self.answers)
        if status is None:
            peer.accept_handshake()
            peer.send_text("hello")
            peer.answer_close()
        else:
            peer.read_request()
            answer = f"HTTP/1.1 {status} Why\r\nContent-Length: 0\r\n\r\n"
            peer.sock.sendall(answer.encode() if status else b"")
        peer.close()


@pytest.mark.parametrize("rule", [None, "all", "own"])
def test_reconnect(compare, rule):
    """Connections are made again after the same failures and the same pauses."""
    answers = [503, None, 0, 500, 502, None, 404, None, 403]
    current = []

    async def scenario(library, uri):
        current[:] = [Flaky(*answers)]
        seen = []

        def delays():
            for number in itertools.count():
                seen.append(f"pause {number}")
                yield 0

        def process_exception(exc):
            seen.append(type(exc).__name__)
            status = exc.response.status_code if hasattr(exc, "response") else None
            if status == 403:
                return LookupError("enough") if rule == "own" else exc
            return None

        options = {"reconnect_delays": delays}
        if rule:
            options["process_exception"] = process_exception
        try:
            async for ws in library.reconnect(uri, **options):
                seen.append(await ws.recv())
                continue
        except Exception as exc:
            seen.append(describe(exc))
        return seen

    same(compare(scenario, lambda peer: current[0](peer), accepts=False))


def test_reconnect_body_fails(compare):
    """An exception in the body of the loop ends it."""

    async def scenario(library, uri):
        try:
            async for ws in library.reconnect(uri):
                await ws.close()
                raise LookupError("mine")
        except LookupError as exc:
            return str(exc)

    same(compare(scenario))


def test_unknown_keyword(compare):
    """A keyword that nobody knows is a TypeError."""

    async def scenario(library, uri):
        seen = await error_of(library.open(uri, bogus=1))
        return seen["type"], "unexpected keyword argument 'bogus'" in seen["text"]

    def speech(peer):
        with contextlib.suppress(EOFError):
            peer.accept_handshake()

    same(compare(scenario, speech, accepts=False))


def test_connect_entered_twice(compare):
    """An object can be used again, but not twice at once."""

    async def scenario(library, uri):
        make = library.client.connect
        if library.face == "sync":
            make = library.client.reconnect
        connector = make(uri, proxy=None)
        seen = []
        if library.face == "sync":
            with connector, pytest.raises(RuntimeError) as caught, connector:
                pass
            with connector as ws:
                seen.append(ws.state.name)
        else:
            async with connector:
                with pytest.raises(RuntimeError) as caught:
                    async with connector:
                        pass
            async with connector as ws:
                seen.append(ws.state.name)
        # The blocking one is called reconnect in one of them.
        return seen, str(caught.value).partition("()")[2]

    same(compare(scenario))


@pytest.mark.parametrize("way", ["wait_for", "gather", "ensure_future", "await"])
def test_connect_awaited(raw_server, way):
    """The object that connect makes is awaited in the same ways."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "asyncio")
        server = raw_server(Recorder())

        async def run(library=library, uri=server.url):
            connecting = library.client.connect(uri, proxy=None)
            assert inspect.isawaitable(connecting)
            if way == "wait_for":
                ws = await asyncio.wait_for(connecting, 5)
            elif way == "gather":
                [ws] = await asyncio.gather(connecting)
            elif way == "ensure_future":
                ws = await asyncio.ensure_future(connecting)
            else:
                ws = await connecting
            await ws.close()
            return type(ws).__mro__[0].__module__.split(".")[0], ws.state.name

        seen.append(asyncio.run(run())[1])
    assert seen[0] == seen[1]


async def test_connect_cancelled(raw_server):
    """Cancelling an attempt to connect ends it."""

    def speech(peer):
        peer.read_request()
        peer.wait_eof()

    for package in PACKAGES:
        library = Library(package, "asyncio")
        server = raw_server(speech)
        task = asyncio.ensure_future(library.open(server.url))
        await asyncio.sleep(50 * MS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.join)


PORT_80 = ("Host", "example.test:80")


@pytest.mark.parametrize("credentials", ["", "me:s%40cret@"])
@pytest.mark.parametrize("target", ["ws://example.test", "ws://example.test:99/x"])
def test_proxy(compare, credentials, target):
    """An HTTP proxy is asked for the same."""
    requests = []

    def speech(peer):
        requests.append(peer.read_request())
        peer.sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        requests.append(peer.accept_handshake())
        peer.answer_close()

    async def scenario(library, uri):
        requests.clear()
        proxy = uri.replace("ws://", f"http://{credentials}")
        options = {"proxy": proxy, "user_agent_header": "Mine/1.0"}
        async with library.connect(target, **options) as ws:
            seen = [ws.request.path]
        for request in requests:
            seen.append(request.line)
            seen += [pair for pair in request.headers if "Key" not in pair[0]]
        # Ours names the port to the proxy, also if it is 80 (RFC 9110, section 9.3.6).
        return [("Host", "example.test") if pair == PORT_80 else pair for pair in seen]

    same(compare(scenario, speech, accepts=False))


REFUSALS = {
    "credentials": "HTTP/1.1 407 Who\r\nX-A: 1\r\n\r\n",
    "unreachable": "HTTP/1.1 502 Bad\r\n\r\n",
    "not HTTP": "SSH-2.0\r\n\r\n",
    "nothing": "",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=list(REFUSALS))
def test_proxy_refuses(compare, answer):
    """A proxy that doesn't connect is the same exception."""

    def speech(peer):
        peer.read_request()
        peer.sock.sendall(answer.encode())
        peer.close()

    async def scenario(library, uri):
        proxy = uri.replace("ws://", "http://")
        try:
            await library.open("ws://example.test", proxy=proxy)
        except library.exceptions.InvalidHandshake as exc:
            seen = describe(exc)
            response = getattr(exc, "response", None)
            status = response and (response.status_code, str(response.headers))
            return seen["type"], seen["text"], status

    same(compare(scenario, speech, accepts=False))
