"""Both clients through forward proxies that others have written."""

from __future__ import annotations

import pytest

import software
from websocket_rs.asyncio.client import connect as connect_async
from websocket_rs.exceptions import InvalidProxyStatus, ProxyError
from websocket_rs.sync.client import connect


@pytest.fixture(params=["tinyproxy", "microsocks", "dante"], scope="module")
def address(request, tmp_path_factory):
    """Every proxy, one after the other: its name and address."""
    folder = tmp_path_factory.mktemp("proxy")
    start = {
        "tinyproxy": lambda: software.tinyproxy(folder),
        "microsocks": software.microsocks,
        "dante": lambda: software.dante(folder),
    }
    with start[request.param]() as found:
        yield request.param, found


SCHEMES = {
    "tinyproxy": ["http"],
    "microsocks": ["socks5", "socks5h"],
    # Dante doesn't speak SOCKS 4a: it connects to the address that stands for a name.
    "dante": ["socks4", "socks5", "socks5h"],
}


@pytest.fixture
def urls(address):
    """The URLs of the proxy, for all the schemes that it speaks."""
    name, found = address
    return [f"{scheme}://{found}" for scheme in SCHEMES[name]]


def options_of(echo):
    """Return the options by which an echo server is trusted."""
    return {k: v for k, v in echo.options.items() if k == "ca_file"}


def test_echo(urls, echo):
    """Messages come back through the proxy, with and without TLS."""
    for url in urls:
        with connect(echo.url, proxy=url, **options_of(echo)) as ws:
            for message in ["hello", b"x" * 1_000_000]:
                ws.send(message)
                assert ws.recv(timeout=10) == message


async def test_echo_on_asyncio(urls, echo):
    """Messages come back to the asyncio client through the proxy."""
    for url in urls:
        async with connect_async(echo.url, proxy=url, **options_of(echo)) as ws:
            for message in ["hello", b"x" * 1_000_000]:
                await ws.send(message)
                assert await ws.recv() == message


def test_echo_by_name(urls, echo_server):
    """Names are looked up, by the proxy or here."""
    for url in urls:
        with connect(f"ws://localhost:{echo_server.port}", proxy=url) as ws:
            ws.send("hello")
            assert ws.recv(timeout=10) == "hello"


def test_no_server_there(urls):
    """A server that isn't there is an error of the proxy."""
    for url in urls:
        with pytest.raises(ProxyError):
            connect("ws://127.0.0.1:1", proxy=url)


@pytest.fixture(params=["tinyproxy", "microsocks"], scope="module")
def guarded(request, tmp_path_factory):
    """A proxy that wants a user name and password, and its scheme."""
    folder = tmp_path_factory.mktemp("guarded")
    if request.param == "tinyproxy":
        with software.tinyproxy(folder, "me:secret") as address:
            yield "http", address
    else:
        with software.microsocks("me:secret") as address:
            yield "socks5h", address


def test_credentials(guarded, echo_server):
    """Credentials in the URL are accepted; without them, or with others, it refuses."""
    scheme, address = guarded
    with connect(echo_server.url, proxy=f"{scheme}://me:secret@{address}") as ws:
        ws.send("hello")
        assert ws.recv(timeout=10) == "hello"
    refused = InvalidProxyStatus if scheme == "http" else ProxyError
    for user in ["", "me:wrong@", "other:secret@"]:
        with pytest.raises(refused):
            connect(echo_server.url, proxy=f"{scheme}://{user}{address}")
