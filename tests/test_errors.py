"""Connections that fail: what is raised, and that nothing is left behind.

Each case runs on both clients. A failure to connect is the exception that a Python
user expects of a socket and a RuntimeError as well. What comes of each answer to
the opening handshake is in `test_opening_response.py` and its neighbours.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from typing import Any

import pytest

from conftest import new_event_loop
from raw_server import MS, Peer
from support import QUICK, run_script
from websocket_rs import _core, async_client, sync_client
from websocket_rs.exceptions import (
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)


def sync_connect(url: str, **options: Any) -> None:
    """Connect and close with the sync client."""
    sync_client.connect(url, **{**QUICK, **options}).close()


def async_connect(url: str, **options: Any) -> None:
    """Connect and close with the asyncio client, on a loop of its own."""

    async def main() -> None:
        async with async_client.connect(url, **{**QUICK, **options}):
            pass

    loop = new_event_loop("asyncio")
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.fixture(params=[sync_connect, async_connect], ids=["sync", "async"])
def connect(request):
    """Connect and close, with each client."""
    return request.param


def assert_of_the_network(error: BaseException) -> None:
    """Check that an error is caught by what is documented, and by nothing before it."""
    assert isinstance(error, OSError)
    assert isinstance(error, RuntimeError)
    assert not isinstance(error, WebSocketException)
    assert error.errno


# Test the network.


def test_refused(connect):
    """A refused connection is a ConnectionRefusedError with its number."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            connect(f"ws://127.0.0.1:{port}")
    assert_of_the_network(caught.value)
    assert caught.value.errno == 111
    assert str(port) in str(caught.value)


def test_unresolvable_name(connect):
    """A name that does not resolve is a socket.gaierror naming it."""
    with pytest.raises(socket.gaierror, match=r"no-such-host\.invalid") as caught:
        connect("ws://no-such-host.invalid/")
    assert_of_the_network(caught.value)


def test_second_address_is_tried(connect, answering, monkeypatch):
    """localhost is reached at 127.0.0.1 although nobody listens at ::1."""
    server = answering(lambda peer: None)
    connect(f"ws://localhost:{server.port}/")


def test_reset_in_handshake(connect, raw_server):
    """A reset instead of a response is a ConnectionResetError."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    with pytest.raises(ConnectionResetError) as caught:
        connect(raw_server(script).url)
    assert_of_the_network(caught.value)


# Test TLS.


def test_unknown_authority(connect, raw_server, certificates):
    """A certificate of an unknown authority is an SSLCertVerificationError."""
    tls = certificates.server_context()
    url = raw_server(lambda peer: None, tls=tls, tls_refused=True).url
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(url)
    assert_of_the_network(caught.value)
    assert isinstance(caught.value, OSError)


def test_wrong_name(connect, raw_server, certificates):
    """A certificate for another host is an SSLCertVerificationError naming the host."""
    tls = certificates.context_for("other.example")
    server = raw_server(lambda peer: None, tls=tls, tls_refused=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
        connect(server.url, ca_file=certificates.ca_file)


def test_self_signed_certificate(connect, tls_echo_server):
    """The embedded server's certificate is not trusted unless it is named."""
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tls_echo_server.url)


def test_trusted_certificate(connect, answering, certificates):
    """ca_file names the authority to trust."""
    server = answering(lambda peer: None, tls=certificates.server_context())
    connect(server.url, ca_file=certificates.ca_file)
    connect(server.url.replace("localhost", "127.0.0.1"), ca_file=certificates.ca_file)


def test_tls_to_plain_server(connect, raw_server):
    """wss to a server of plain HTTP is an ssl.SSLError, not a wait."""

    def script(peer: Peer) -> None:
        peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_eof()

    server = raw_server(script, silent_tls=True)
    with pytest.raises(ssl.SSLError) as caught:
        connect(server.url)
    assert_of_the_network(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_missing_client_certificate(connect, raw_server, certificates, version):
    """A client certificate that is missed is an ssl.SSLError whenever it is told.

    With TLS 1.3, that is after the handshake, and the request may have failed by then.
    """
    tls = certificates.server_context(ask_client=True)
    tls.minimum_version = tls.maximum_version = version
    url = raw_server(lambda peer: None, tls=tls, tls_refused=True).url
    for _ in range(20):
        with pytest.raises(ssl.SSLError, match="pass client_cert") as caught:
            connect(url, ca_file=certificates.ca_file)
        assert_of_the_network(caught.value)


OUT_OF_DESCRIPTORS = """
import asyncio, os, resource, sys
from websocket_rs import async_client, sync_client

def sync_connect(spare):
    with scarce(spare):
        sync_client.connect(sys.argv[1], proxy=None)

def async_connect(spare):
    async def main():
        await async_client.connect(sys.argv[1], proxy=None)
    loop = asyncio.new_event_loop()
    try:
        with scarce(spare):
            loop.run_until_complete(main())
    finally:
        loop.close()

class scarce:
    def __init__(self, spare):
        self.spare = spare

    def __enter__(self):
        self.held = []
        try:
            while True:
                self.held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(self.spare):
                os.close(self.held.pop())

    def __exit__(self, *_):
        for number in self.held:
            os.close(number)

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for connect in (sync_connect, async_connect):
    # With descriptors enough, so that whatever is imported when it is needed has been.
    connect(40)
    for spare in range(8):
        try:
            connect(spare)
            print("connected")
        except OSError as exc:
            print(exc.errno, isinstance(exc, RuntimeError))
            print(spare, repr(exc), file=sys.stderr)
"""


def test_out_of_descriptors(echo_server):
    """Whatever there is no descriptor for, the OSError has its number."""
    done = run_script(OUT_OF_DESCRIPTORS, echo_server.url)
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 16, done.stderr
    assert set(lines) == {f"{errno.EMFILE} True", "connected"}, done.stderr


def test_sources_without_address(connect, echo_server):
    """What the system has not said itself has a number, too."""
    with pytest.raises(OSError, match="same family") as caught:
        connect(
            echo_server.url.replace("localhost", "127.0.0.1"),
            host="127.0.0.1",
            local_addr=("::1", 0),
        )
    assert_of_the_network(caught.value)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_echo_server_port_in_use(echo_server):
    """The embedded server says which error it is that it can't listen."""
    with pytest.raises(OSError, match="in use") as caught:
        _core.EchoServer("127.0.0.1", echo_server.port)
    assert caught.value.errno == errno.EADDRINUSE


def test_missing_ca_file(connect, tmp_path):
    """A ca_file that cannot be read is named."""
    missing = str(tmp_path / "missing.pem")
    with pytest.raises((OSError, ValueError), match=r"missing\.pem"):
        connect("wss://localhost:1/", ca_file=missing)


# Test HTTP.


def respond(raw: bytes):
    """Return a script that answers any request with these bytes and ends."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(raw)
        peer.close()

    return script


FORBIDDEN = (
    b"%b 403 Forbidden\r\nContent-Type: text/plain\r\nX-Reason: no\r\n"
    b"Content-Length: 6\r\n\r\nGo on!"
)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_status_403(connect, raw_server, version):
    """Another status than 101 is InvalidStatus with the whole response."""
    with pytest.raises(InvalidStatus, match="403") as caught:
        connect(raw_server(respond(FORBIDDEN % version)).url)
    response = caught.value.response
    assert response.status_code == 403
    assert response.reason_phrase == "Forbidden"
    assert response.headers["x-reason"] == "no"
    assert response.body == b"Go on!"


@pytest.mark.parametrize("status", [200, 400, 401, 404, 407, 426, 429, 500, 503])
def test_status_without_body(connect, raw_server, status):
    """The status is told also if the response has no body and no reason."""
    raw = f"HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(InvalidStatus, match=str(status)) as caught:
        connect(raw_server(respond(raw)).url)
    assert caught.value.response.status_code == status
    assert not caught.value.response.body


def test_endless_chunk_extension(connect, raw_server):
    """A refusal whose body does not begin ends in time, before it fills the memory."""

    def script(peer: Peer) -> None:
        peer.read_request()
        chunked = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send_bytes(chunked + b"1;")
        peer.send_until_gone(b"a" * 65536, limit=100 << 20)

    start = time.monotonic()
    with pytest.raises(InvalidHandshake):
        connect(raw_server(script).url, connect_timeout=2000 * MS)
    assert time.monotonic() - start < 2200 * MS


# Test that a failed connect has no consequences.


def test_failures_leave_nothing(raw_server):
    """A hundred failed connects leave no thread and no descriptor (see no_leaks)."""
    server = raw_server(respond(FORBIDDEN % b"HTTP/1.1"))
    for _ in range(100):
        with pytest.raises(InvalidStatus):
            sync_connect(server.url)


async def test_cancelled_connects_leave_nothing(raw_server):
    """Connects that are cancelled at any moment leave nothing (see no_leaks)."""

    def script(peer: Peer) -> None:
        try:
            peer.accept_handshake()
            peer.answer_close()
        except (EOFError, OSError):
            peer.wait_eof()

    server = raw_server(script)
    for number in range(40):
        task = asyncio.ensure_future(open_and_close(server.url))
        await asyncio.sleep(number * 0.05 * MS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def open_and_close(url: str) -> None:
    """Open a connection and close it."""
    async with async_client.connect(url, close_timeout=100 * MS, **QUICK):
        pass
