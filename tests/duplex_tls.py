"""A server's TLS socket that one thread may read while another writes.

`ssl.SSLSocket` is not made for that: OpenSSL's session must not be used by two threads
at once, and before CPython 3.13 nothing prevents it. So the session works in memory,
under a lock that is not held while the socket waits.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import socket


class DuplexTLS:
    """The methods of a socket that the scripted peer uses."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )
        # Guards the session and its two buffers.
        self._lock = threading.Lock()
        # Held while ciphertext is written, so that its order is kept.
        self._writing = threading.Lock()
        self._pending = b""
        self._handshake()

    def _handshake(self) -> None:
        while True:
            try:
                self._session.do_handshake()
                return self._flush()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                # The alert says why.
                with contextlib.suppress(OSError):
                    self._flush()
                raise

    def _flush(self) -> None:
        with self._writing:
            with self._lock:
                self._pending += self._outgoing.read()
            while self._pending:
                # What a timeout leaves is kept: nothing may follow half a record.
                self._pending = self._pending[self._sock.send(self._pending) :]

    def _feed(self) -> None:
        ciphertext = self._sock.recv(1 << 16)
        with self._lock:
            if ciphertext:
                self._incoming.write(ciphertext)
            else:
                self._incoming.write_eof()

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the data; a timeout means that none of it was taken."""
        self._flush()
        taken = memoryview(data)[: 1 << 14]
        with self._lock:
            self._session.write(taken)
        with contextlib.suppress(TimeoutError):
            self._flush()
        return len(taken)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of the data."""
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]
        self._flush()

    def recv(self, size: int) -> bytes:
        """Receive some data, none at the end of the stream."""
        while True:
            try:
                with self._lock:
                    return self._session.read(size)
            except ssl.SSLWantReadError:
                self._feed()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def recv_into(self, buffer: memoryview) -> int:
        """Receive some data into a buffer, none at the end of the stream."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def end_with(self, data: bytes) -> None:
        """Send the data and the end of TLS in one segment, and await the client's end.

        That may be the end of its TLS or, if it has nothing more to say, of its TCP.
        """
        with self._lock:
            self._session.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self._session.unwrap()
        self._flush()
        while True:
            try:
                with self._lock:
                    self._session.unwrap()
                return
            except ssl.SSLWantReadError:
                self._feed()
            except ssl.SSLEOFError:
                return

    def settimeout(self, timeout: float | None) -> None:
        """Limit each wait for the network."""
        self._sock.settimeout(timeout)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option of the TCP socket."""
        self._sock.setsockopt(level, option, value)

    def getpeername(self) -> tuple[str, int]:
        """Return the client's address."""
        address: tuple[str, int] = self._sock.getpeername()
        return address

    def shutdown(self, how: int) -> None:
        """End the TCP connection."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the TCP socket."""
        self._sock.close()
