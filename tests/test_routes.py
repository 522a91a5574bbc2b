"""The ways to a server without a proxy: given sockets, Unix sockets, addresses."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from answers import LATE
from raw_server import MS, Peer, close_payload
from routes import (
    MIB,
    open_async,
    open_sync,
    options_for,
    refused_by,
)
from support import (
    Background,
    asleep,
    descriptors,
    wait_until,
)
from websocket_rs import _core
from websocket_rs._client.tls.values import TlsArguments
from websocket_rs._client.values import Proxy, Route
from websocket_rs.exceptions import (
    ConnectError,
    ConnectionClosedOK,
    InvalidURI,
    ResolveError,
)


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import RawServerFactory


# Test given sockets.


def connected(server: Any) -> socket.socket:
    """Return a socket that is connected to a server."""
    return socket.create_connection((server.host, server.port))


def test_socket_is_used(echo_server):
    """A connected socket is used, and its descriptor is the caller's to close."""
    sock = connected(echo_server)
    sock.setblocking(False)
    options = options_for("ws://example.test/").with_socket(sock.fileno())
    name = sock.getsockname()
    sock.close()
    with open_sync(options) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        assert ws.local_address == name


async def test_async_socket_is_used(echo_server):
    """The same holds for the asyncio client."""
    sock = connected(echo_server)
    options = options_for("ws://example.test/").with_socket(sock.fileno())
    sock.close()
    async with open_async(options) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"


def test_socket_under_tls(tls_echo_server, tmp_path):
    """TLS is done over a given socket, for the name in the URL."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(tls_echo_server.certificate)
    with connected(tls_echo_server) as sock:
        options = options_for("wss://localhost/", ca_file=str(ca_file)).with_socket(
            sock.fileno()
        )
    with open_sync(options) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"


def test_socket_is_used_once(echo_server):
    """A second attempt with the same options is told that the socket was used."""
    with connected(echo_server) as sock:
        options = options_for("ws://example.test/").with_socket(sock.fileno())
    other = options.with_elapsed(0)
    open_sync(options).close()
    for again in [options, other]:
        with pytest.raises(ValueError, match="has been used"):
            open_sync(again)


def closes(sock: socket.socket) -> bool:
    """Await the end of a socket's peer."""
    sock.settimeout(5000 * MS)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 16):
            pass
    return True


def test_socket_is_closed_if_attempt_fails():
    """Whatever fails, a given socket is closed."""
    ours, theirs = socket.socketpair()
    options = options_for("ws://example.test/").with_socket(ours.fileno())
    ours.close()
    theirs.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    refused_by(options)
    assert closes(theirs)
    theirs.close()

    # This fails before anything is sent.
    ours, theirs = socket.socketpair()
    options = options_for("wss://example.test/").with_socket(ours.fileno())
    ours.close()
    options = options.with_tls(TlsArguments(anchors=[b"no certificate"]))
    assert type(refused_by(options)) is ValueError
    assert closes(theirs)
    theirs.close()


def test_socket_is_closed_if_never_used():
    """Options that nobody uses close their socket when they go."""
    ours, theirs = socket.socketpair()
    options = options_for("ws://example.test/").with_socket(ours.fileno())
    other = options.with_proxy(Proxy("http", "h", 1))
    ours.close()
    del options
    with pytest.raises(BlockingIOError):
        theirs.recv(1, socket.MSG_DONTWAIT)
    del other
    assert closes(theirs)
    theirs.close()


def test_socket_needs_no_proxy(echo_server):
    """A proxy isn't used where the socket is given."""
    with connected(echo_server) as sock:
        options = options_for("ws://example.test/").with_socket(sock.fileno())
    with open_sync(options.with_proxy(Proxy("http", "127.0.0.1", 1))) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"


def test_with_socket_wrong():
    """What is no stream socket is refused, and its descriptor is left alone."""
    options = options_for("ws://example.test/")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(ValueError, match="isn't a stream socket"):
            options.with_socket(datagrams.fileno())
        datagrams.getsockname()
    before = descriptors()
    for number in [-1, 1 << 30]:
        with pytest.raises(ConnectError) as caught:
            options.with_socket(number)
        assert caught.value.errno == errno.EBADF
    assert descriptors() == before


def test_socket_that_is_not_connected():
    """A socket that isn't connected fails like one that was connected no more."""
    with socket.socket() as sock:
        options = options_for("ws://example.test/").with_socket(sock.fileno())
    assert isinstance(refused_by(options), OSError)


# Test Unix sockets.


class UnixServer:
    """A Unix socket whose connections follow a script, or go to a server on TCP."""

    def __init__(self, path: str, script: Callable[[Peer], None]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._script = script
        self._serving = Background(self._serve)

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with sock:
            self._script(Peer(sock, 5000 * MS))

    def stop(self) -> None:
        """Await the end of the script."""
        self._serving.result()
        self._listener.close()


def echo_once(peer: Peer) -> None:
    """Accept, send one message back, and answer the closing handshake."""
    peer.accept_handshake()
    peer.send_frame(2, peer.read_message())
    peer.answer_close()


@pytest.fixture(params=["path", "abstract"])
def unix_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a Unix socket can be."""
    if request.param == "path":
        return str(tmp_path / "sock-é")
    return f"\0websocket-rs-{os.urandom(8).hex()}"


def test_unix_socket(unix_path):
    """A Unix socket is connected to, with the addresses that Python shows."""
    server = UnixServer(unix_path, echo_once)
    options = options_for("ws://example.test/").with_route(
        Route(path=os.fsencode(unix_path))
    )
    with open_sync(options) as ws:
        ws.send(b"x" * MIB)
        assert ws.recv() == b"x" * MIB
        is_path = not unix_path.startswith("\0")
        assert ws.local_address == ""
        assert ws.remote_address == (unix_path if is_path else os.fsencode(unix_path))
    assert ws.close_code == 1000
    server.stop()


async def test_async_unix_socket(unix_path):
    """The same holds for the asyncio client, which needs no proxy for it either."""
    server = UnixServer(unix_path, echo_once)
    options = options_for("ws://example.test/").with_route(
        Route(path=os.fsencode(unix_path))
    )
    options = options.with_proxy(Proxy("http", "127.0.0.1", 1))
    async with open_async(options) as ws:
        await ws.send(b"x" * MIB)
        assert await ws.recv() == b"x" * MIB
        assert ws.local_address == ""
    assert ws.close_code == 1000
    server.stop()


def test_unix_socket_under_tls(unix_path, certificates):
    """TLS is done over a Unix socket, for the name in the URL."""
    context = certificates.server_context()

    def script(peer: Peer) -> None:
        with context.wrap_socket(peer.sock, server_side=True) as sock:
            echo_once(Peer(sock, 5000 * MS))

    server = UnixServer(unix_path, script)
    options = options_for("wss://localhost/", ca_file=certificates.ca_file)
    with open_sync(options.with_route(Route(path=os.fsencode(unix_path)))) as ws:
        ws.send(b"hello")
        assert ws.recv() == b"hello"
    server.stop()


def test_unix_socket_close_while_receiving(unix_path):
    """A reader is sent away by close, and the peer's late answer is still received."""
    reading, closing = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        reading.set()
        assert peer.read_close().close_code == 1000
        # By now the reader has been sent away.
        assert closing.wait(5000 * MS)
        peer.send_frame(8, close_payload(1000, "late"))
        peer.close()

    server = UnixServer(unix_path, script)
    options = options_for("ws://example.test/").with_route(
        Route(path=os.fsencode(unix_path))
    )
    ws = open_sync(options)
    assert reading.wait(5000 * MS)
    receiving = Background(ws.recv, 5000 * MS)
    wait_until(lambda: asleep(receiving), "recv is blocked")
    close = Background(ws.close)
    with pytest.raises(ConnectionClosedOK):
        receiving.result()
    closing.set()
    close.result()
    assert (ws.close_code, ws.close_reason) == (1000, "late")
    server.stop()


def test_unix_socket_is_not_there(tmp_path):
    """A path without a socket is an OSError that names it."""
    path = str(tmp_path / "nothing")
    options = options_for("ws://example.test/").with_route(Route(path=path.encode()))
    error = refused_by(options)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOENT
    assert path in str(error)


def test_unix_socket_full_queue(unix_path):
    """A server whose queue is full is waited for, as long as there is time."""
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as one,
    ):
        listener.bind(unix_path)
        listener.listen(0)
        one.connect(unix_path)
        path = os.fsencode(unix_path)
        options = options_for("ws://example.test/", 200 * MS).with_route(
            Route(path=path)
        )
        start = time.monotonic()
        error = refused_by(options)
        assert type(error) is TimeoutError
        assert str(error).startswith("timed out in connecting after")
        assert 199 * MS <= time.monotonic() - start < 200 * MS + LATE

        options = options_for("ws://example.test/").with_route(Route(path=path))
        opening = Background(open_sync, options)
        listener.accept()[0].close()
        sock, _ = listener.accept()
        with sock:
            peer = Peer(sock, 5000 * MS)
            peer.accept_handshake()
            ws = opening.result()
            closing = Background(ws.close)
            peer.answer_close()
            closing.result()


@pytest.mark.parametrize("path", [b"", b"/a\0b", b"x" * 108, b"\0" + b"x" * 108])
def test_with_unix_path_wrong(path):
    """A path that no socket can have is a ValueError."""
    with pytest.raises(ValueError, match="path of a Unix socket"):
        options_for("ws://example.test/").with_route(Route(path=path))


# Test addresses.


def test_address_is_connected_to(raw_server: RawServerFactory):
    """Another host and port are connected to; the Host header stays the URL's."""
    server = raw_server(lambda peer: (peer.accept_handshake(), peer.answer_close()))
    options = options_for("ws://example.test:99/")
    open_sync(options.with_route(Route(address=("127.0.0.1", server.port)))).close()
    server.join()
    [peer] = server._peers
    assert peer.request.one("Host") == "example.test:99"


def test_address_under_tls(raw_server, certificates):
    """The name that TLS verifies stays the URL's, too."""
    script = lambda peer: (peer.accept_handshake(), peer.answer_close())  # noqa: E731
    context = certificates.context_for("example.test")
    server = raw_server(script, tls=context)
    options = options_for("wss://example.test/", ca_file=certificates.ca_file)
    open_sync(options.with_route(Route(address=("127.0.0.1", server.port)))).close()


def test_address_of_one_part(echo_server):
    """Host and port can be given apart."""
    options = options_for(f"ws://example.test:{echo_server.port}/")
    open_sync(options.with_route(Route(address=("127.0.0.1", None)))).close()
    open_sync(
        options_for("ws://127.0.0.1:1/").with_route(
            Route(address=(None, echo_server.port))
        )
    ).close()


@pytest.mark.parametrize(
    ("host", "port"),
    [("", None), ("a b", None), ("[::1]", None), (None, 0), (None, -1)],
)
def test_with_address_wrong(host, port):
    """What can't be an address is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011
        options_for("ws://example.test/").with_route(Route(address=(host, port)))


def test_dialing_from_source(echo_server):
    """The program chooses where it connects from."""
    options = options_for(echo_server.url)
    with open_sync(options.with_route(Route(source=("source", "127.1.2.3", 0)))) as ws:
        assert ws.local_address[0] == "127.1.2.3"
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    source = ("source", "localhost", port)
    with open_sync(
        options.with_route(Route(source=source, family=socket.AF_INET))
    ) as ws:
        assert ws.local_address == ("127.0.0.1", port)


def test_dialing_from_source_that_is_not_ours(echo_server):
    """An address that can't be bound is named in an OSError."""
    options = options_for(echo_server.url)
    error = refused_by(options.with_route(Route(source=("source", "192.0.2.1", 0))))
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRNOTAVAIL
    assert "cannot connect from 192.0.2.1:0" in str(error)


def test_dialing_of_one_family(echo_server):
    """The program chooses the family of addresses."""
    options = options_for(f"ws://localhost:{echo_server.port}/")
    open_sync(options.with_route(Route(family=socket.AF_INET))).close()
    error = refused_by(
        options_for(echo_server.url).with_route(Route(family=socket.AF_INET6))
    )
    assert type(error) is ResolveError
    assert isinstance(error, socket.gaierror)


@pytest.mark.parametrize("delay", [0, 0.001, 5, math.inf])
def test_dialing_with_head_start(delay, echo_server):
    """Any head start leads to a connection."""
    options = options_for(f"ws://localhost:{echo_server.port}/")
    open_sync(options.with_route(Route(happy_eyeballs_delay=delay))).close()


@pytest.mark.parametrize(
    ("family", "source", "delay"),
    [
        (socket.AF_UNIX, None, None),
        (-1, None, None),
        (0, ("source", "a b", 0), None),
        (0, ("source", "h", 65536), None),
        (0, ("source", "h", -1), None),
        (0, None, -1.0),
        (0, None, math.nan),
    ],
)
def test_with_route_wrong(family, source, delay):
    """What can't be is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011
        options_for("ws://example.test/").with_route(Route(None, source, family, delay))


# Test the time that is left.


def test_elapsed_time_counts(raw_server):
    """What earlier attempts have used is not there any more; errors name the whole."""
    server = raw_server(Peer.wait_eof)
    options = options_for(server.url, 10_000 * MS).with_elapsed(9_800 * MS)
    start = time.monotonic()
    error = refused_by(options)
    assert 199 * MS <= time.monotonic() - start < 200 * MS + LATE
    assert str(error) == f"timed out in the opening handshake after {10_000 * MS:g} s"
    start = time.monotonic()
    for elapsed in [10_000 * MS, 1e300, math.inf]:
        error = refused_by(options.with_elapsed(elapsed))
        assert type(error) is TimeoutError
    assert time.monotonic() - start < LATE


async def test_async_elapsed_time_counts(raw_server):
    """The same holds for the asyncio client."""
    server = raw_server(Peer.wait_eof)
    options = options_for(server.url, 10_000 * MS).with_elapsed(9_800 * MS)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=f"after {10_000 * MS:g} s"):
        await open_async(options)
    assert time.monotonic() - start < 200 * MS + LATE


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_with_elapsed_wrong(seconds):
    """Time can't have run backwards."""
    with pytest.raises(ValueError, match="elapsed"):
        options_for("ws://example.test/").with_elapsed(seconds)


# Test parse_uri.


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("ws://h", (False, "h", 80, "/", "", None, None)),
        ("wss://H:8443/a?b?c", (True, "h", 8443, "/a", "b?c", None, None)),
        ("wss://[::1]?x=1", (True, "::1", 443, "/", "x=1", None, None)),
        ("ws://u:p%40@h/?", (False, "h", 80, "/", "", "u", "p@")),
        (
            "ws://bücher.example",
            (False, "xn--bcher-kva.example", 80, "/", "", None, None),
        ),
    ],
)
def test_parse_uri(uri, parts):
    """A URI is taken apart."""
    names = ("secure", "host", "port", "path", "query", "username", "password")
    parsed = _core.parse_uri(uri)
    assert tuple(getattr(parsed, name) for name in names) == parts


def test_parse_uri_wrong():
    """A URI that breaks a rule is InvalidURI, without its credentials."""
    with pytest.raises(InvalidURI, match="scheme") as caught:
        _core.parse_uri("http://user:secret@h/")
    assert "secret" not in str(caught.value)
