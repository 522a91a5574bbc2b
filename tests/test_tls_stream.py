"""The TLS stream after its handshake: how it ends, and what may arrive with its end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from raw_server import CLOSE, MS, Peer, accept_key, encode_frame, messages
from support import QUICK, Background, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.sync_client import connect


PROMPTLY = 500 * MS
CLOSE_TIMEOUT = 5000 * MS


@pytest.fixture
def ending(raw_server, certificates):
    """Start servers that end TLS in the segment of what they send last.

    Each of them ends TCP only after the client has ended TLS as well.
    """

    def start(last):
        def script(peer: Peer) -> None:
            peer.accept_handshake()
            peer.sock.end_with(last(peer.read_frame()))

        server = raw_server(script, tls=certificates.server_context())
        options = {"ca_file": certificates.ca_file, "close_timeout": CLOSE_TIMEOUT}
        return server.url, {**QUICK, **options}

    return start


def test_close_answered_with_close_notify(ending):
    """close returns at once if the answer and the end of TLS are one segment."""
    url, options = ending(lambda frame: encode_frame(CLOSE, frame.payload))
    ws = connect(url, **options)
    start = time.monotonic()
    ws.close()
    assert time.monotonic() - start < PROMPTLY
    assert ws.close_code == 1000


async def test_async_close_answered_with_close_notify(ending):
    """The same holds for the asyncio client."""
    url, options = ending(lambda frame: encode_frame(CLOSE, frame.payload))
    ws = await connect_async(url, **options)
    start = time.monotonic()
    await ws.close()
    assert time.monotonic() - start < PROMPTLY
    assert ws.close_code == 1000


def test_recv_message_with_close_notify(ending):
    """A message that came with the end of TLS is received, and then the end at once."""
    url, options = ending(lambda frame: messages("bye"))
    ws = connect(url, **options)
    ws.send("go")
    assert ws.recv() == "bye"
    start = time.monotonic()
    with pytest.raises(ConnectionClosedError) as caught:
        ws.recv()
    assert time.monotonic() - start < PROMPTLY
    assert caught.value.rcvd is None
    ws.close()


async def test_async_recv_message_with_close_notify(ending):
    """The same holds for the asyncio client."""
    url, options = ending(lambda frame: messages("bye"))
    ws = await connect_async(url, **options)
    await ws.send("go")
    assert await ws.recv() == "bye"
    start = time.monotonic()
    with pytest.raises(ConnectionClosedError) as caught:
        await ws.recv()
    assert time.monotonic() - start < PROMPTLY
    assert caught.value.rcvd is None
    await ws.close()


# Test renegotiation, for which Python's ssl module has no call.


class OpenSSLServer:
    """A TLS 1.2 server that is told what to send, and tells what it sees."""

    def __init__(self, cert_file: str, key_file: str) -> None:
        command = ["openssl", "s_server", "-tls1_2", "-state", "-accept", "0"]
        self._process = subprocess.Popen(
            [*command, "-cert", cert_file, "-key", key_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.output = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait(rb"ACCEPT \S*:(\d+)")[1])

    def _read(self) -> None:
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            self.output += data

    def wait(self, pattern: bytes) -> re.Match[bytes]:
        """Await something that the server tells."""
        return wait_until(lambda: re.search(pattern, self.output), f"it says {pattern}")

    def write(self, data: bytes) -> None:
        """Send data, or give a command if it is a line of one letter."""
        self._process.stdin.write(data)

    def stop(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def openssl_server(certificates):
    """A server that can renegotiate."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command")
    server = OpenSSLServer(certificates.cert_file, certificates.key_file)
    yield server
    server.stop()


def test_recv_renegotiation(openssl_server, certificates):
    """A renegotiation that the peer of a TLS 1.2 connection asks for is answered."""

    def accept() -> None:
        openssl_server.wait(rb"\r\n\r\n")
        key = openssl_server.wait(rb"Sec-WebSocket-Key: (\S+)")[1].decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
        ]
        openssl_server.write("\r\n".join([*lines, "", ""]).encode())

    accepting = Background(accept)
    url = f"wss://localhost:{openssl_server.port}"
    options = {"ca_file": certificates.ca_file, "close_timeout": 100 * MS, **QUICK}
    ws = connect(url, **options)
    accepting.result()
    receiving = Background(ws.recv)
    openssl_server.output = b""
    openssl_server.write(b"r\n")
    openssl_server.wait(rb"read client hello(?s:.)*read finished")
    # A line that is no command is sent as it is, with its line feed for payload.
    openssl_server.write(b"\x81\x04abc\n")
    assert receiving.result() == "abc\n"
    ws.close()
