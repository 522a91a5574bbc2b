"""Redirects of the opening handshake: what is followed, and what is kept to oneself."""

from __future__ import annotations

import socket
import threading

import pytest

from raw_server import MS
from redirecting import Site
from websocket_rs import asyncio as aio, sync
from websocket_rs.asyncio import client as _aio_client  # noqa: F401
from websocket_rs.exceptions import InvalidStatus, InvalidURI, SecurityError
from websocket_rs.sync import client as _sync_client  # noqa: F401


MOVED = [300, 301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", MOVED)
def test_connect_redirected(raw_server, status):
    """A redirect of any kind is followed, and its target is what is connected to."""
    site = Site(raw_server, {"/old": "/new?x=1"}, status)
    with sync.client.connect(site.url + "/old") as ws:
        assert ws.request.path == "/new?x=1"
    assert site.targets == ["/old", "/new?x=1"]


async def test_connect_redirected_on_asyncio(raw_server):
    """The asyncio client follows redirects too."""
    site = Site(raw_server, {"/old": "new", "/new": "/newer"})
    async with aio.client.connect(site.url + "/old") as ws:
        assert ws.request.path == "/newer"
    assert site.targets == ["/old", "/new", "/newer"]


def test_connect_redirected_to_absolute_location(raw_server):
    """The location may name another server."""
    target = Site(raw_server)
    site = Site(raw_server, {"/": target.url + "/there"})
    with sync.client.connect(site.url):
        pass
    assert target.targets == ["/there"]


def test_connect_redirected_within_origin_keeps_headers(raw_server):
    """The same server is told the same credentials again."""
    site = Site(raw_server, {"/": "/new"})
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Other": "y"}
    with sync.client.connect(site.url, additional_headers=iter(headers.items())):
        pass
    for request in site.requests:
        for name, value in headers.items():
            assert request.one(name) == value


def test_connect_redirected_across_origins_strips_credentials(raw_server):
    """Another server is told no credentials, neither of headers nor of the URI."""
    target = Site(raw_server)
    site = Site(raw_server, {"/": target.url})
    headers = {
        "Host": "internal.example",
        "Cookie": "a=b",
        "proxy-authorization": "Basic eDp5",
        "X-Other": "y",
    }
    url = site.url.replace("ws://", "ws://user:secret@")
    with sync.client.connect(url, additional_headers=headers):
        pass
    [first], [second] = site.requests, target.requests
    assert first.one("Authorization").startswith("Basic ")
    assert first.one("Cookie") == "a=b"
    assert first.one("Host") == "internal.example"
    assert second.one("Host") == target.url.removeprefix("ws://")
    assert second.one("X-Other") == "y"
    for name in ["Authorization", "Cookie", "Proxy-Authorization"]:
        assert second.all(name) == []


def test_connect_redirected_to_another_port_strips_authorization(raw_server):
    """Another port of the same host is another origin."""
    target = Site(raw_server)
    site = Site(raw_server, {"/": target.url})
    headers = {"AUTHORIZATION": "Bearer x"}
    with sync.client.connect(site.url, additional_headers=headers):
        pass
    assert target.requests[0].all("Authorization") == []


def test_connect_redirected_to_credentials(raw_server):
    """Credentials in the location are sent to where it leads."""
    target = Site(raw_server)
    site = Site(raw_server, {"/": target.url.replace("ws://", "ws://me:pw@")})
    with sync.client.connect(site.url):
        pass
    assert target.requests[0].one("Authorization") == "Basic bWU6cHc="


def test_connect_redirected_to_tls(raw_server, certificates):
    """A plain server may lead to a secure one."""
    context = certificates.server_context()
    target = Site(raw_server, tls=context, tls_refused=True)
    site = Site(raw_server, {"/": target.url + "/"})
    with pytest.raises(OSError, match="certificate verify failed"):
        sync.client.connect(site.url)
    assert target.requests == []


def test_connect_redirected_from_tls_to_plain(raw_server, certificates):
    """A secure server can't lead to a plain one."""
    target = Site(raw_server)
    site = Site(raw_server, {"/": target.url}, tls=certificates.server_context())
    with pytest.raises(SecurityError, match="cannot follow redirect to non-secure"):
        sync.client.connect(site.url, ca_file=certificates.ca_file)
    assert target.requests == []


@pytest.mark.parametrize("location", ["http://other/", "ws://a b/", "ws://[::1/"])
def test_connect_redirected_to_no_websocket_uri(raw_server, location):
    """What isn't a WebSocket URI isn't connected to, and is named."""
    site = Site(raw_server, {"/": location})
    with pytest.raises(InvalidURI) as caught:
        sync.client.connect(site.url)
    assert isinstance(caught.value.__cause__, InvalidStatus)


@pytest.mark.parametrize("head", ["", "Location: /a\r\nLocation: /b\r\n"])
def test_connect_redirected_without_one_location(raw_server, head):
    """A redirect that doesn't say where to is a refusal."""

    def script(peer):
        peer.read_request()
        answer = f"HTTP/1.1 302 Found\r\n{head}Content-Length: 0\r\n\r\n"
        peer.sock.sendall(answer.encode())
        peer.wait_eof()

    with pytest.raises(InvalidStatus) as caught:
        sync.client.connect(raw_server(script).url)
    assert caught.value.response.status_code == 302


def test_connect_redirected_in_circles(raw_server):
    """Ten redirects are followed, and no more."""
    site = Site(raw_server, {"/": "/"})
    with pytest.raises(SecurityError, match="more than 10 redirects"):
        sync.client.connect(site.url)
    assert len(site.requests) == 10


async def test_connect_redirected_in_circles_on_asyncio(raw_server):
    """Ten redirects are followed by the asyncio client, and no more."""
    site = Site(raw_server, {"/": "/"})
    with pytest.raises(SecurityError, match="more than 10 redirects"):
        await aio.client.connect(site.url)
    assert len(site.requests) == 10


def test_connect_redirected_has_one_deadline(raw_server):
    """All redirects together have the time that was given, not each of them."""
    answered = threading.Event()

    def script(peer):
        peer.read_request()
        if answered.is_set():
            peer.wait_eof()
            return
        answered.wait(400 * MS)
        answered.set()
        peer.sock.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
        )
        peer.wait_eof()

    with pytest.raises(TimeoutError, match=rf"after {700 * MS:g} s"):
        sync.client.connect(raw_server(script).url, open_timeout=700 * MS)


def test_connect_redirected_with_sock(raw_server):
    """A socket that was given can't be used twice."""
    site = Site(raw_server, {"/": "/new"})
    sock = socket.create_connection((site.server.host, site.server.port))
    with pytest.raises(ValueError, match="with a preexisting socket"):
        sync.client.connect(site.url, sock=sock)


@pytest.mark.parametrize("override", ["host", "port", "address"])
def test_connect_redirected_with_other_address(raw_server, override):
    """An address that was given is for one server, and not for another one."""
    site = Site(raw_server, {"/": "ws://elsewhere.invalid/"})
    host, port = site.server.host, site.server.port
    given = {"host": host, "port": port, "address": (host, port)}
    url = site.url if override == "port" else f"ws://original.invalid:{port}"
    with pytest.raises(ValueError, match="with an explicit host or port"):
        sync.client.connect(url, **{override: given[override]})
