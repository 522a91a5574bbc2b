"""A scripted proxy: HTTP CONNECT, SOCKS 4, 4A and 5, behaving as badly as it is told.

It is a `RawServer` whose script plays the proxy. Nothing here knows the package under
test. What it was asked is kept, so that a test can see it.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raw_server import Peer, RawServer


if TYPE_CHECKING:
    import ssl


Address = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """What a client has asked for.

    Attributes:
        host: The name or the address to connect to, as it stood in the request.
        port: The port.
        is_name: Whether the host was given as a name, in SOCKS.
        credentials: User name and password, where they were given.
        head: The request line and headers, of HTTP.
    """

    host: str
    port: int
    is_name: bool = False
    credentials: tuple[str, str] | None = None
    head: str = ""


class Stopped(Exception):
    """The proxy has said all that it was to say."""


@dataclass
class Visit:
    """One connection of a client."""

    peer: Peer
    pieces: int | None
    left: int | None
    upstream: socket.socket | None = None

    def say(self, raw: bytes) -> None:
        """Send bytes to the client, no more than are to be said."""
        part = raw[: self.left]
        self.peer.send_bytes(part, pieces=self.pieces)
        if self.left is not None:
            self.left -= len(part)
            if self.left == 0:
                raise Stopped


class ProxyServer(RawServer):
    """A proxy on a free port, for any number of connections.

    Args:
        scheme: ``"http"``, ``"https"``, ``"socks4"``, ``"socks4a"``, ``"socks5"`` or
            ``"socks5h"``.
        tls: Context of the TLS server, for ``https``.
        credentials: User name and password to ask for. SOCKS 4 looks at the user name.
        names: Where to connect to if asked for this name.
        refusal: The status (HTTP) or code (SOCKS) to refuse with.
        answer: What to answer the request to connect with, instead of connecting.
        pieces: Answer in pieces of that many bytes.
        stop_after: Say no more after that many bytes.
        hangs: Then keep the connection open, instead of ending it.
        tls_refused: The client is expected to break the TLS handshake off.

    Attributes:
        visits: How many clients have come, and done their TLS.
        asked: What they have asked for, unless they lacked the credentials.
    """

    def __init__(
        self,
        scheme: str,
        *,
        tls: ssl.SSLContext | None = None,
        credentials: tuple[str, str] | None = None,
        names: dict[str, str] | None = None,
        refusal: int | None = None,
        answer: bytes | None = None,
        pieces: int | None = None,
        stop_after: int | None = None,
        hangs: bool = False,
        tls_refused: bool = False,
    ) -> None:
        assert (scheme == "https") == (tls is not None)
        self.asked: list[Asked] = []
        self.visits = 0
        self._credentials = credentials
        self._names = names or {}
        self._refusal = refusal
        self._answer = answer
        self._pieces = pieces
        self._stop_after = stop_after
        self._hangs = hangs
        speak = {"h": self._speak_http, "4": self._speak_4, "5": self._speak_5}
        self._speak = speak["h" if scheme.startswith("http") else scheme[5]]
        super().__init__(self._run, tls=tls, tls_refused=tls_refused)
        self.scheme = scheme

    def _run(self, peer: Peer) -> None:
        self.visits += 1
        visit = Visit(peer, self._pieces, self._stop_after)
        try:
            if self._stop_after == 0 and self._hangs:
                raise Stopped
            self._speak(visit)
            if visit.upstream is not None:
                return relay(peer, visit.upstream)
        except (Stopped, BrokenPipeError, ConnectionResetError):
            # A client need not listen to all that is said.
            pass
        finally:
            if visit.upstream is not None:
                visit.upstream.close()
        if self._hangs:
            peer.wait_eof()
        else:
            end(peer)

    def _connect(self, visit: Visit, asked: Asked) -> bool:
        """Connect to where a client has asked for, unless that is to be refused."""
        self.asked.append(asked)
        if self._refusal is None:
            address = self._names.get(asked.host, asked.host), asked.port
            with contextlib.suppress(OSError):
                visit.upstream = socket.create_connection(address, self.timeout)
        return visit.upstream is not None

    # HTTP.

    def _speak_http(self, visit: Visit) -> None:
        request = visit.peer.read_request()
        method, target, version = request.line.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1"), request.line
        host, _, port = target.rpartition(":")
        given = None
        if request.all("Proxy-Authorization"):
            kind, _, value = request.one("Proxy-Authorization").partition(" ")
            assert kind == "Basic"
            name, _, password = base64.b64decode(value).decode().partition(":")
            given = name, password
        head = request.raw.decode("latin-1")
        asked = Asked(host.strip("[]"), int(port), credentials=given, head=head)
        if self._credentials not in (None, given):
            return visit.say(http_refusal(407))
        if not self._connect(visit, asked):
            visit.say(self._answer or http_refusal(self._refusal or 502))
        else:
            visit.say(self._answer or http_acceptance())

    # SOCKS.

    def _speak_4(self, visit: Visit) -> None:
        peer = visit.peer
        version, command, port, address = struct.unpack("!BBH4s", peer.read_bytes(8))
        assert (version, command) == (4, 1)
        user = read_text(peer)
        host = socket.inet_ntoa(address)
        is_name = address[:3] == bytes(3) and address[3] != 0
        if is_name:
            host = read_text(peer)
        if self._credentials is not None and user != self._credentials[0]:
            code = 93
        elif self._connect(visit, Asked(host, port, is_name, (user, ""))):
            code = 90
        else:
            code = self._refusal or 91
        visit.say(self._answer or struct.pack("!BBH4s", 0, code, 0, bytes(4)))

    def _speak_5(self, visit: Visit) -> None:
        peer = visit.peer
        version, count = peer.read_bytes(2)
        assert version == 5
        methods = set(peer.read_bytes(count))
        given = None
        if self._credentials is None:
            assert 0 in methods
            visit.say(b"\x05\x00")
        elif 2 not in methods:
            return visit.say(b"\x05\xff")
        else:
            visit.say(b"\x05\x02")
            assert peer.read_bytes(1) == b"\x01"
            given = read_sized(peer), read_sized(peer)
            if given != self._credentials:
                return visit.say(b"\x01\x01")
            visit.say(b"\x01\x00")
        version, command, _, kind = peer.read_bytes(4)
        assert (version, command) == (5, 1)
        if kind == 3:
            host = read_sized(peer)
        else:
            family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
            host = socket.inet_ntop(family, peer.read_bytes(size))
        (port,) = struct.unpack("!H", peer.read_bytes(2))
        if self._connect(visit, Asked(host, port, kind == 3, given)):
            # The longest form of the reply, of which clients must read all.
            reply = b"\x05\x00\x00\x03\x05proxy\x00\x50"
        else:
            reply = bytes([5, self._refusal or 5, 0, 1, 0, 0, 0, 0, 0, 0])
        visit.say(self._answer or reply)


def http_acceptance() -> bytes:
    """Return the response of a proxy that has connected."""
    return b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"


def http_refusal(status: int) -> bytes:
    """Return a response with a body."""
    return (
        f"HTTP/1.1 {status} Refused\r\nX-Proxy: yes\r\nContent-Length: 2\r\n\r\nno"
    ).encode()


def read_text(peer: Peer) -> str:
    """Read a text that ends with a zero byte."""
    text = b""
    while (byte := bytes(peer.read_bytes(1))) != b"\0":
        text += byte
    return text.decode()


def read_sized(peer: Peer) -> str:
    """Read a text that begins with its size."""
    return peer.read_bytes(peer.read_bytes(1)[0]).decode()


def end(peer: Peer) -> None:
    """End the connection, without a reset that would destroy what was said."""
    with contextlib.suppress(OSError):
        peer.sock.shutdown(socket.SHUT_WR)
    peer.wait_eof()


def relay(peer: Peer, upstream: socket.socket) -> None:
    """Carry bytes both ways until the server has ended the connection."""

    def outwards() -> None:
        with contextlib.suppress(OSError):
            while data := peer.sock.recv(1 << 16):
                upstream.sendall(data)
        with contextlib.suppress(OSError):
            upstream.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=outwards, daemon=True)
    thread.start()
    with contextlib.suppress(OSError):
        while data := upstream.recv(1 << 16):
            peer.sock.sendall(data)
    with contextlib.suppress(OSError):
        peer.sock.shutdown(socket.SHUT_RDWR)
    thread.join()
