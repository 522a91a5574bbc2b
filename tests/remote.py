"""A peer that does what the test says, while the test goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from raw_server import CLOSE, CONTINUATION, MS, PING, PONG, TEXT, Frame, Peer
from support import wait_until


if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from raw_server import RawServer


class Remote:
    """The other end of a connection: it keeps all frames, and sends what it is told.

    Args:
        raw_server: Starts servers.
        headers: Further headers of the response.
        pongs: Whether Pings are answered.
        closes: Whether a Close frame is answered, and ends the connection.
        tls: Context of the TLS server; None for a plain one.

    Attributes:
        frames: The frames that have come.
        times: When each of them had come.
        peer: What sends, once a connection is open.
        url: The address to connect to.
    """

    def __init__(
        self,
        raw_server: Callable[..., RawServer],
        *headers: str,
        pongs: bool = True,
        closes: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.frames: list[Frame] = []
        self.times: list[float] = []
        self.headers = headers
        self.pongs = pongs
        self.closes = closes
        self._peer: Peer | None = None
        self._open = threading.Event()
        self.server = raw_server(self._script, tls=tls)
        self.url = self.server.url

    def _script(self, peer: Peer) -> None:
        peer.accept_handshake(*self.headers)
        self._peer = peer
        self._open.set()
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                frame = peer.read_frame()
                self.times.append(time.monotonic())
                self.frames.append(frame)
                if frame.opcode == PING and self.pongs:
                    peer.send_frame(PONG, frame.payload)
                if frame.opcode == CLOSE and self.closes:
                    peer.send_frame(CLOSE, frame.payload)
                    break

    @property
    def peer(self) -> Peer:
        """The end of the open connection."""
        assert self._open.wait(5000 * MS)
        assert self._peer
        return self._peer

    def send(self, *fragments: bytes, opcode: int = TEXT, fin: bool = True) -> None:
        """Send fragments of a message, the last of which ends it."""
        for number, fragment in enumerate(fragments, 1):
            is_last = fin and number == len(fragments)
            self.peer.send_frame(opcode, fragment, fin=is_last)
            opcode = CONTINUATION

    def end(self) -> None:
        """End the stream without a Close frame."""
        self.peer.sock.shutdown(socket.SHUT_WR)

    def wait(self, count: int) -> None:
        """Await that many frames."""
        wait_until(lambda: len(self.frames) >= count, f"{count} frames have come")

    def payloads(self) -> list[tuple[int, bool, bytes]]:
        """Return opcode, whether it is the last, and payload of all but the Close."""
        return [
            (frame.opcode, frame.fin, frame.payload)
            for frame in self.frames
            if frame.opcode != CLOSE
        ]

    def closed(self) -> tuple[int | None, str]:
        """Return the code and the reason of the Close frame that has come."""
        self.server.join()
        assert self.frames[-1].opcode == CLOSE
        return self.frames[-1].close_code, self.frames[-1].close_reason


def keep_little(peer: Peer) -> None:
    """Let the system receive no more than little ahead of the peer.

    Some systems receive tens of megabytes ahead, by which a message would be gone.
    """
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
