"""What the tests of frames share: cutting bytes into segments, and compressing.

A segment is sent when the client has read the one before it, so that the client sees
each cut. The compressor is Python's own zlib, so that a mistake of the package cannot
hide behind the same mistake in its peer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import zlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import BINARY, Peer, encode_frame
from support import descriptors, wait_until
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support import Address
    from websocket_rs.sync_client import WebSocket


Scripted = Callable[[Callable[[Peer], None]], "Address"]
"""The type of the fixture that starts scripted peers, in the clear and over TLS."""

AGREED = "Sec-WebSocket-Extensions: permessage-deflate"
"""The header by which a peer agrees to compression."""

ALONE = f"{AGREED}; server_no_context_takeover; client_no_context_takeover"
"""The same, where each message is compressed by itself."""

RSV1 = 4
"""The bit that marks a compressed message, as `encode_frame` takes it."""


# Segments.


def cuts(raw: bytes) -> list[tuple[int, ...]]:
    """Return where to cut: nowhere, at one byte, for each of them, and at all of them.

    The middle of what is long is like its beginning, and is left whole.
    """
    size = len(raw)
    places = [place for place in range(1, size) if place < 24 or place > size - 6]
    return [(), *((place,) for place in places), tuple(places)]


def few_cuts(raw: bytes) -> list[tuple[int, ...]]:
    """Return where to cut if that is expensive: nowhere, and at all bytes."""
    return [(), cuts(raw)[-1]]


def cuts_for(address: Address, raw: bytes) -> list[tuple[int, ...]]:
    """Return where to cut what ends the connection: fewer where that is TLS."""
    return few_cuts(raw) if address.url.startswith("wss") else cuts(raw)


def send_cut(peer: Peer, raw: bytes, places: Sequence[int]) -> None:
    """Send bytes in segments that end at these places, which the client reads apart."""
    unread = unread_by_client(peer) if places else int
    for start, end in pairwise([0, *places, len(raw)]):
        peer.send_bytes(raw[start:end])
        if end < len(raw):
            wait_until(lambda: not unread(), "the client has read the segment")


def unread_by_client(peer: Peer) -> Callable[[], int]:
    """Return what counts the bytes in the client's socket, which is in this process."""
    for number, target in descriptors().items():
        if target.startswith("socket:"):
            with (
                contextlib.suppress(OSError),
                socket.socket(fileno=os.dup(number)) as sock,
            ):
                if sock.getsockname() == peer.sock.getpeername():
                    return partial(_unread, number)
    raise AssertionError("the client is not in this process")


def _unread(number: int) -> int:
    # A client that has gone reads nothing more, and is not waited for.
    with contextlib.suppress(OSError):
        return struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, bytes(4)))[0]
    return 0


# Failures.


def expect_failure(
    ws: WebSocket, code: int, before: Sequence[str | bytes] = ()
) -> BaseException:
    """Receive what came before a fault, and then the failure, again and again.

    Returns:
        The cause of the failure.
    """
    assert [ws.recv() for _ in before] == list(before)
    for _ in range(2):
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
    closed = caught.value
    assert (closed.sent.code, closed.rcvd, closed.code) == (code, None, 1006)
    assert closed.__cause__ is not None
    # What the peer was told is what the program is told.
    assert closed.sent.reason == str(closed.__cause__)
    return closed.__cause__


def fail_each_cut(
    scripted: Scripted,
    raw: bytes,
    code: int,
    *,
    headers: Sequence[str] = (),
    before: Sequence[str | bytes] = (),
    **options: Any,
) -> list[BaseException]:
    """Send bytes that break a rule with their last, cut in every way.

    Nothing follows them until the client has failed the connection; then messages do.

    Args:
        scripted: Starts the peer.
        raw: The bytes.
        code: The close code that the peer is to be told.
        headers: Headers of the response.
        before: What the bytes bring that can be received.
        options: Further arguments of `connect`.

    Returns:
        The causes of the failures.
    """
    pending: Iterator[tuple[int, ...]] = iter(())

    def script(peer: Peer) -> None:
        peer.accept_handshake(*headers)
        # It fits under every max_size.
        peer.send_text("")
        send_cut(peer, raw, next(pending))
        frame = peer.read_frame()
        assert (frame.opcode, frame.close_code) == (8, code)
        peer.send_bytes(encode_frame(BINARY, b"after") * 2)
        peer.close()

    address = scripted(script)
    causes = []
    ways = cuts_for(address, raw)
    pending = iter(ways)
    for _ in ways:
        with connect(address.url, **{**address.options, **options}) as ws:
            causes.append(expect_failure(ws, code, ["", *before]))
    return causes


# Compression.


class Deflater:
    """Compresses messages as RFC 7692 has it.

    Args:
        alone: Compress each message by itself.
        level: How hard to try.
    """

    def __init__(self, *, alone: bool = False, level: int = 9) -> None:
        self.alone = alone
        self.level = level
        self._state = self._new()

    def _new(self) -> Any:
        return zlib.compressobj(self.level, zlib.DEFLATED, -15)

    def __call__(self, data: bytes | str, *, fin: bool = True) -> bytes:
        """Return the payload of a frame, by default that of a whole message."""
        raw = data.encode() if isinstance(data, str) else data
        payload = self._state.compress(raw) + self._state.flush(zlib.Z_SYNC_FLUSH)
        if fin:
            payload = payload.removesuffix(b"\x00\x00\xff\xff")
            if self.alone:
                self._state = self._new()
        return payload


class Inflater:
    """Decompresses what a client sends."""

    def __init__(self) -> None:
        self._state = zlib.decompressobj(-15)

    def __call__(self, payload: bytes) -> bytes:
        """Return a message, given its payload."""
        return self._state.decompress(payload + b"\x00\x00\xff\xff")
