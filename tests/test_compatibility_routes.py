"""The same ways lead to a server with `websockets` and with `websocket_rs`.

Other addresses, sockets, redirects, and connecting again.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import itertools
import re
import socket
import ssl

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


def direct(face, uri):
    """Return the keywords that lead to a server, whatever another URI says."""
    host, _, port = uri.removeprefix("ws://").partition(":")
    if face == "sync":
        return {"address": (host, int(port))}
    return {"host": host, "port": int(port)}


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
        async with library.connect(uri, **direct(library.face, server)) as ws:
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


class Site:
    """A server whose paths lead elsewhere.

    Args:
        status: The status of redirects.
        moved: Where each path leads to; others are accepted.
    """

    def __init__(self, moved, status=302):
        self.moved = moved
        self.status = status
        self.seen = []

    def __call__(self, peer):
        request = peer.read_request()
        kept = ("Authorization", "Cookie", "Proxy-Authorization", "X-A", "Origin")
        self.seen.append(
            (request.target, [pair for pair in request.headers if pair[0] in kept])
        )
        location = self.moved.get(request.target)
        if location is None:
            peer.sock.sendall(peer.response())
            peer.answer_close()
            return
        head = f"HTTP/1.1 {self.status} Moved\r\nContent-Length: 0\r\n"
        lines = f"Location: {location}\r\n" if location else ""
        peer.sock.sendall(f"{head}{lines}\r\n".encode())
        peer.wait_eof()


HEADERS = {"Authorization": "Bearer t", "Cookie": "a=b", "X-A": "1"}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
def test_redirect_status(compare, status):
    """The same statuses are redirects."""
    site = Site({"/": "/new"}, status)

    async def scenario(library, uri):
        site.seen.clear()
        seen = await error_of(opened(library, uri, additional_headers=HEADERS))
        return seen, list(site.seen)

    same(compare(scenario, site, accepts=False))


async def opened(library, uri, **options):
    """Open and close a connection; return the path that was connected to."""
    async with library.connect(uri, **options) as ws:
        return ws.request.path


def without_ports(seen):
    """Return a description in which ports, which differ, are left out."""
    # The clients of websockets have two words for the same.
    return {
        name: re.sub(r":\d+", "", str(value)).replace("host and port", "host or port")
        for name, value in seen.items()
    }


LOCATIONS = [
    "new",
    "../up",
    "?query",
    "//127.0.0.1:1/there",
    "ws://user@other.test/",
    "http://other.test/",
    "/#fragment",
    "/",
    "",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_redirect_location(compare, location):
    """Locations lead to the same place, or nowhere for the same reason."""
    site = Site({"/": location})

    async def scenario(library, uri):
        site.seen.clear()
        try:
            seen = {"path": await opened(library, uri + "/")}
        except OSError as exc:
            seen = {"errno": exc.errno}
        except Exception as exc:
            # Ours always names the response as the cause.
            seen = describe(exc) | {"cause": None}
        return without_ports(seen), list(site.seen)

    outcomes = compare(scenario, site, accepts=False)
    (theirs, *_), (ours, *_) = outcomes
    assert ours[1] == theirs[1]
    # Ours hides user names.
    assert ours[0] == {
        name: value.replace("user@", "***@") for name, value in theirs[0].items()
    }


@pytest.mark.parametrize("uri", ["ws://{}/a", "ws://me:secret@{}/a"])
def test_redirect_to_other_origin(compare, raw_server, uri):
    """Another origin gets the headers but for the credentials."""
    target = Site({})
    other = raw_server(target)

    async def scenario(library, server):
        target.seen.clear()
        address = server.removeprefix("ws://")
        options = {"additional_headers": HEADERS, "origin": "https://a.test"}
        if "secret" in uri:
            options["additional_headers"] = {"Cookie": "a=b"}
        path = await opened(library, uri.format(address), **options)
        return path, list(target.seen)

    site = Site({"/a": f"{other.url}/there"})
    same(compare(scenario, site, accepts=False))


@pytest.mark.parametrize("path", ["/cross", "/same"])
@pytest.mark.parametrize("way", ["sock", "address"])
def test_redirect_with_address(compare, path, way):
    """Where the program has chosen the address, redirects are followed alike."""
    site = Site({"/cross": "ws://other.test/", "/same": "/new"})

    async def scenario(library, uri):
        options = direct(library.face, uri)
        if way == "sock":
            host, _, port = uri.removeprefix("ws://").partition(":")
            options = {"sock": socket.create_connection((host, int(port)))}
        with contextlib.closing(options.get("sock") or io.BytesIO()):
            uri = f"ws://example.test{path}"
            # Ours always names the port.
            return without_ports(await error_of(opened(library, uri, **options)))

    same(compare(scenario, site, accepts=False))


@pytest.mark.parametrize("face", FACES)
def test_redirect_from_tls(raw_server, certificates, face):
    """TLS isn't given up for a redirect."""
    texts = []
    for package in PACKAGES:
        library = Library(package, face)
        script = Site({"/": "ws://other.test/"})
        server = raw_server(script, tls=certificates.server_context())
        context = ssl.create_default_context(cafile=certificates.ca_file)
        seen = asyncio.run(error_of(opened(library, server.url + "/", ssl=context)))
        texts.append((seen["type"], seen["text"].replace(":80", "")))
    assert texts[0] == texts[1]


def test_redirect_loop(compare):
    """Redirects that never end are given up."""
    site = Site({"/": "/"})

    async def scenario(library, uri):
        site.seen.clear()
        return await error_of(opened(library, uri + "/")), len(site.seen)

    same(compare(scenario, site, accepts=False))


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
