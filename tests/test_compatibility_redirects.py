"""Redirects lead to the same places with `websockets` and with `websocket_rs`."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
import ssl

import pytest

from counterparts import (
    FACES,
    PACKAGES,
    WITH_WEBSOCKETS_17,
    Library,
    describe,
    error_of,
    same,
)


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


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
        options = library.direct(uri)
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
