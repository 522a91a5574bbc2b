"""Answers to the opening handshake, the ways to cut them, and what comes of them."""

from __future__ import annotations

import contextlib
import fcntl
import re
import socket
import struct
import termios
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import MS, Peer, accept_key
from support import Address, descriptors, resident_bytes
from websocket_rs.exceptions import InvalidHandshake
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from raw_server import Script


SWITCHING = "HTTP/1.1 101 Switching Protocols"
LATE = 400 * MS
"""So late may a deadline be kept on a busy machine, beside a tenth of the timeout."""

ACCEPT = "Sec-WebSocket-Accept: {accept}"
KEY = re.compile(r"[A-Za-z0-9+/]{27}=")


def head(
    *more: str,
    status: str = SWITCHING,
    upgrade: str | None = "Upgrade: websocket",
    connection: str | None = "Connection: Upgrade",
    accept: str | None = ACCEPT,
) -> str:
    """Return an acceptance, changed; ``{accept}`` becomes what the key asks for."""
    lines = [status, upgrade, connection, accept, *more, "", ""]
    return "\r\n".join(line for line in lines if line is not None)


def raw_answer(peer: Peer, text: str) -> bytes:
    """Return the bytes of an answer to the request that the peer has read."""
    assert peer.request is not None
    key = accept_key(peer.request.one("Sec-WebSocket-Key"))
    return text.replace("{accept}", key).encode("latin-1")


# How answers are sent.


def whole(raw: bytes) -> list[bytes]:
    """Return the bytes in one segment."""
    return [raw]


def single_bytes(raw: bytes) -> list[bytes]:
    """Return the bytes one by one."""
    return [raw[index : index + 1] for index in range(len(raw))]


CUTS = [whole, single_bytes]
"""Both extremes of how a stream can be cut into segments."""


def answer(
    text: str,
    *cuts: Callable[[bytes], Iterable[bytes]],
    then: Callable[[Peer], object] = Peer.wait_eof,
) -> Script:
    """Return a script that answers with that text, each request by the next cut."""
    turns = cycle(cuts)

    def script(peer: Peer) -> None:
        peer.read_request()
        send_segments(peer, next(turns)(raw_answer(peer, text)))
        then(peer)

    return script


def send_segments(peer: Peer, segments: Iterable[bytes]) -> None:
    """Send each segment only after the client has read the one before it.

    So none is joined to another on its way. The client has to live in this process.
    Once it has closed its socket, the rest is not sent.
    """
    port = peer.sock.getpeername()[1]
    client = next(fd for fd in descriptors() if local_port(fd) == port)
    deadline = time.monotonic() + peer.timeout
    for segment in segments:
        if local_port(client) != port:
            return
        try:
            peer.send_bytes(segment)
        except OSError:
            return
        while local_port(client) == port and unread_bytes(client):
            assert time.monotonic() < deadline, "the client has stopped reading"
            time.sleep(1e-6)


def local_port(descriptor: int) -> int | None:
    """Return the local port of a descriptor; None unless it is a TCP socket."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return int(sock.getsockname()[1])
    except (OSError, IndexError):
        return None
    finally:
        sock.detach()


def unread_bytes(descriptor: int) -> int:
    """Return how many bytes a socket has received that nobody has read yet."""
    with contextlib.suppress(OSError):
        found = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", found)[0])
    return 0


# What comes of them.


def refused(
    scripted: Callable[[Script], Address],
    text: str,
    then: Callable[[Peer], object] = Peer.wait_eof,
    **options: Any,
) -> Any:
    """Return the InvalidHandshake that an answer makes, the same in any segments."""
    address = scripted(answer(text, *CUTS, then=then))
    raised = [error_of(address, **options) for _ in CUTS]
    seen = [
        # The values of Sec-WebSocket-Accept are not those of another connection.
        (type(exc), getattr(exc, "response", None), KEY.sub("a key", repr(exc)))
        for exc in raised
    ]
    assert seen[0] == seen[1], "the segments of the answer make a difference"
    return raised[1]


def error_of(address: Address, **options: Any) -> Any:
    """Return the InvalidHandshake that connect raises."""
    options = {**address.options, "close_timeout": 100 * MS, **options}
    with pytest.raises(InvalidHandshake) as caught:
        # Where it is not raised, nothing is left behind.
        connect(address.url, **options).close()
    return caught.value


@contextlib.contextmanager
def peak_growth() -> Iterator[Callable[[], int]]:
    """Give a function that tells by how much the resident memory grew at its peak."""
    # This makes the peak start anew (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_bytes()

    def growth() -> int:
        status = Path("/proc/self/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024 - before

    yield growth
