"""The keywords of `connect` that say how to reach the server."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from support import descriptors
from websocket_rs.asyncio.client import connect, unix_connect
from websocket_rs.sync import client as sync
from websocket_rs.sync.client import reconnect


URL = "ws://localhost:1"


@pytest.mark.parametrize("make", [connect, reconnect, sync.connect])
@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"bogus": 1}, TypeError, "unexpected keyword argument 'bogus'"),
        ({"host": 1}, TypeError, "host must be a str, not 1"),
        ({"host": "a\r\nX: y"}, ValueError, "host .* isn't a host name"),
        ({"host": ""}, ValueError, "host .* isn't a host name"),
        ({"host": "[::1]"}, ValueError, "host .* isn't a host name"),
        ({"local_addr": ("a b", 0)}, ValueError, "local_addr .* isn't a host name"),
        ({"port": "80"}, TypeError, "port must be a number, not '80'"),
        ({"port": 65536}, ValueError, "port must be a port, 1 to 65535, not 65536"),
        ({"address": "host"}, TypeError, "address must be a host and a port"),
        ({"address": ("a", 1), "port": 1}, ValueError, "can't be combined"),
        ({"local_addr": 5}, TypeError, "local_addr must be a host and a port"),
        ({"source_address": ("a",)}, TypeError, "source_address must be a host"),
        ({"family": 1}, ValueError, "family must be 0, AF_INET or AF_INET6"),
        ({"happy_eyeballs_delay": "1"}, TypeError, "happy_eyeballs_delay must be"),
        ({"happy_eyeballs_delay": -1}, ValueError, "happy_eyeballs_delay must be"),
        ({"happy_eyeballs_delay": float("nan")}, ValueError, "happy_eyeballs_delay"),
        ({"sock": 3}, TypeError, "sock must be a socket.socket, not 3"),
        ({"unix": True}, ValueError, "missing path argument"),
        ({"unix": True, "path": "x" * 200}, ValueError, "path of a Unix socket"),
        ({"unix": True, "path": "a\0b"}, ValueError, "path of a Unix socket"),
        ({"path": "x"}, TypeError, "unexpected keyword argument 'path'"),
        ({"ssl_handshake_timeout": 1}, NotImplementedError, "open_timeout limits"),
        ({"all_errors": True}, NotImplementedError, "all_errors isn't supported"),
        ({"proxy": False}, TypeError, "proxy must be a URL, True or None, not False"),
        ({"proxy_ssl": True, "proxy": "http://p"}, ValueError, "incompatible with an"),
        ({"ssl": True}, ValueError, "ssl argument is incompatible with a ws:// URI"),
        (
            {"proxy_ssl": False},
            TypeError,
            "proxy_ssl must be an ssl.SSLContext, .* not",
        ),
        (
            {"proxy_server_hostname": 5},
            TypeError,
            "proxy_server_hostname must be a str",
        ),
        (
            {"proxy_server_hostname": ""},
            ValueError,
            "proxy_server_hostname must not be",
        ),
        ({"compression": "gzip"}, ValueError, "unsupported compression"),
        ({"subprotocols": "chat"}, TypeError, "must be a list, not a str"),
        ({"max_queue": (4, 8)}, ValueError, "high must be greater than or equal"),
    ],
)
def test_connect_misused(make, keywords, error, text):
    """A wrong argument is named at once, before anything is sent."""
    with pytest.raises(error, match=text):
        make(URL, **keywords)


@pytest.mark.parametrize("make", [connect, reconnect])
def test_connect_old_names(make):
    """Names of earlier versions are taken, with a warning."""
    with pytest.warns(DeprecationWarning, match="extra_headers was renamed"):
        make(URL, extra_headers={"X": "y"})
    with pytest.warns(DeprecationWarning, match="ssl_context was renamed to ssl"):
        make("wss://localhost", ssl_context=None)


def test_connect_extra_headers_are_sent(answering):
    """Headers under their old name reach the server."""
    seen = []
    server = answering(lambda peer: seen.append(peer.request.one("X-Token")))
    with (
        pytest.warns(DeprecationWarning, match="extra_headers"),
        sync.connect(server.url, extra_headers={"X-Token": "t"}),
    ):
        pass
    assert seen == ["t"]


def test_connect_host_and_port(echo_server):
    """The connection goes where it is told; the URI stays what the request is for."""
    host, port = echo_server.host, echo_server.port
    for keywords in [
        {"host": host, "port": port},
        {"address": (host, port)},
    ]:
        with sync.connect("ws://original.invalid/", **keywords) as ws:
            assert ws.request.headers["Host"] == "original.invalid"
            assert ws.remote_address == (host, port)
            ws.send("x")
            assert ws.recv() == "x"


async def test_connect_host_and_port_on_asyncio(echo_server):
    """The asyncio client goes where it is told too."""
    uri = f"ws://original.invalid:{echo_server.port}"
    async with connect(uri, host=echo_server.host) as ws:
        await ws.send("x")
        assert await ws.recv() == "x"


@pytest.mark.parametrize("name", ["local_addr", "source_address"])
def test_connect_source(echo_server, name):
    """The connection comes from the address that was given."""
    with sync.connect(echo_server.url, **{name: ("127.0.0.5", 0)}) as ws:
        assert ws.local_address[0] == "127.0.0.5"


@pytest.mark.parametrize("host", ["", None])
def test_connect_source_any(echo_server, host):
    """An empty host is any address, from which the given port is used."""
    with sync.connect(echo_server.url, source_address=(host, 0)) as ws:
        assert ws.local_address[0] == "127.0.0.1"


def test_connect_sock(echo_server):
    """A socket that was given is used, and belongs to the connection from then on."""
    sock = socket.create_connection((echo_server.host, echo_server.port))
    name = sock.getsockname()
    with sync.connect("ws://any.invalid", sock=sock) as ws:
        assert sock.fileno() == -1
        assert ws.local_address == name
        ws.send("x" * 100_000)
        assert ws.recv() == "x" * 100_000


async def test_connect_sock_on_asyncio(echo_server):
    """The asyncio client takes a socket that was set not to block."""
    sock = socket.create_connection((echo_server.host, echo_server.port))
    sock.setblocking(False)
    async with connect("ws://any.invalid", sock=sock) as ws:
        await ws.send("x")
        assert await ws.recv() == "x"


def test_connect_sock_twice(echo_server):
    """A socket serves one connection."""
    sock = socket.create_connection((echo_server.host, echo_server.port))
    connector = reconnect("ws://any.invalid", sock=sock)
    with connector:
        pass
    with pytest.raises(ValueError, match="sock has been closed, or used"):
        connector.connect()


def test_connect_sock_not_connected():
    """A socket that isn't connected fails as the network does, and is closed."""
    before = descriptors()
    with pytest.raises(OSError, match="opening handshake"):
        sync.connect(URL, sock=socket.socket(), open_timeout=5)
    assert descriptors() == before


def test_connect_sock_of_tls(tls_echo_server, certificates):
    """A socket under TLS is refused: the connection speaks TLS itself."""
    import ssl

    context = ssl.create_default_context(cadata=tls_echo_server.certificate)
    address = ("127.0.0.1", tls_echo_server.port)
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
        pytest.raises(NotImplementedError, match="sock must be a plain socket"),
    ):
        sync.connect(URL, sock=sock)


@contextlib.contextmanager
def unix_echo(folder, echo_server):
    """Relay a Unix socket to the echo server, for one connection."""
    import threading

    path = str(folder / "echo.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def pump(source, target):
            with contextlib.suppress(OSError):
                while data := source.recv(1 << 16):
                    target.sendall(data)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        def relay():
            near, _ = listener.accept()
            far = socket.create_connection((echo_server.host, echo_server.port))
            with near, far:
                back = threading.Thread(target=pump, args=(far, near))
                back.start()
                pump(near, far)
                back.join()

        thread = threading.Thread(target=relay)
        thread.start()
        yield path
        thread.join()


def test_unix_connect(tmp_path, echo_server):
    """A Unix socket leads to the server; the request is for localhost."""
    with (
        unix_echo(tmp_path, echo_server) as path,
        sync.unix_connect(path) as ws,
    ):
        assert ws.request.headers["Host"] == "localhost"
        assert ws.remote_address == path
        assert ws.local_address == ""
        ws.send("x")
        assert ws.recv() == "x"


async def test_unix_connect_on_asyncio(tmp_path, echo_server):
    """The asyncio client connects to Unix sockets, of any form of path."""
    with unix_echo(tmp_path, echo_server) as path:
        async with unix_connect(os.fsencode(path), "ws://name/chat") as ws:
            assert ws.request.headers["Host"] == "name"
            assert ws.request.path == "/chat"
            await ws.send("x")
            assert await ws.recv() == "x"


def test_unix_reconnect(tmp_path, echo_server):
    """Unix sockets can be connected to again and again."""
    with unix_echo(tmp_path, echo_server) as path:
        for ws in sync.unix_reconnect(tmp_path / "echo.sock"):
            assert ws.remote_address == path
            ws.close()
            break


def test_unix_connect_missing_path():
    """A Unix socket needs a path."""
    with pytest.raises(ValueError, match="missing path argument"):
        sync.unix_connect()
    with pytest.raises(FileNotFoundError):
        sync.unix_connect("/nonexistent/socket")
