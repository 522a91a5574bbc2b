"""A scripted peer: the other end of a connection, told what to do byte by byte.

A script is a plain function that runs on a thread of its own and is given one
`Peer` for each accepted connection. Nothing here knows the package under test:
frames are encoded and decoded by these few lines, so that a mistake of the
package cannot hide behind the same mistake in its peer.

Every wait has a deadline, so a script ends by itself. Whatever it raises is kept
and raised again by `RawServer.stop`, which fails the test.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from duplex_tls import DuplexTLS


MS = 0.001 * float(os.environ.get("WEBSOCKET_RS_TESTS_TIMEOUT_FACTOR", "1"))
"""One millisecond, the unit of every time in the tests; scaled for slow machines."""

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UNMASK_CHUNK = 1 << 20
HEAD_LIMIT = 1 << 17


@dataclass
class Frame:
    """A frame as it stood on the wire, with its payload unmasked."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code of a Close frame; None when its payload is empty."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def close_reason(self) -> str:
        """The reason of a Close frame."""
        return self.payload[2:].decode()


@dataclass
class Request:
    """The opening handshake as the client wrote it."""

    raw: bytes
    line: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Return the values of every header line of that name."""
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def one(self, name: str) -> str:
        """Return the value of a header that must be there exactly once."""
        values = self.all(name)
        assert len(values) == 1, f"{name}: expected one header, got {values}"
        return values[0]

    @property
    def target(self) -> str:
        """The request target, between the method and the version."""
        return self.line.split(" ")[1]


def encode_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0
) -> bytes:
    """Return an unmasked frame, as servers send them."""
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 126, size)
    else:
        head = struct.pack("!BBQ", first, 127, size)
    return head + payload


def close_payload(code: int, reason: str = "") -> bytes:
    """Return the payload of a Close frame."""
    return struct.pack("!H", code) + reason.encode()


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept value that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def unmask(payload: bytearray, mask: bytes) -> bytes:
    """Undo the masking, a megabyte of integer arithmetic at a time."""
    size = min(len(payload), UNMASK_CHUNK)
    pattern = int.from_bytes(mask * (size // 4 + 1), "little")
    for start in range(0, len(payload), UNMASK_CHUNK):
        chunk = payload[start : start + UNMASK_CHUNK]
        key = pattern & ((1 << (8 * len(chunk))) - 1)
        plain = int.from_bytes(chunk, "little") ^ key
        payload[start : start + UNMASK_CHUNK] = plain.to_bytes(len(chunk), "little")
    return bytes(payload)


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket | DuplexTLS, timeout: float) -> None:
        self.sock = sock
        self.timeout = timeout
        self.sock.settimeout(timeout)
        self.request: Request | None = None
        self.rest = b""
        self._buffer = bytearray()

    # Opening handshake.

    def read_request(self) -> Request:
        """Read the client's request and leave it unanswered."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
            assert len(self._buffer) <= HEAD_LIMIT, "the request head does not end"
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        line, *lines = head.decode("latin-1").split("\r\n")
        pairs = [tuple(text.split(":", 1)) for text in lines]
        headers = [(name, value.strip()) for name, value in pairs]
        self.request = Request(head + b"\r\n\r\n", line, headers)
        return self.request

    def response(self, *headers: str, accept: str | None = None) -> bytes:
        """Return the 101 response to the request that was read."""
        assert self.request is not None
        key = self.request.one("Sec-WebSocket-Key")
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept or accept_key(key)}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def accept_handshake(self, *headers: str, followed_by: bytes = b"") -> Request:
        """Answer 101, and send `followed_by` in the same segment as the response."""
        request = self.read_request()
        self.sock.sendall(self.response(*headers) + followed_by)
        return request

    # Frames.

    def read_frame(self) -> Frame:
        """Read the next frame, which must be masked as a client's have to be."""
        first, second = self.read_bytes(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.read_bytes(2))
            assert size >= 126, "the length is not in its shortest form"
        elif size == 127:
            (size,) = struct.unpack("!Q", self.read_bytes(8))
            assert size >= 65536, "the length is not in its shortest form"
        assert second & 0x80, "a client's frame is not masked"
        mask = bytes(self.read_bytes(4))
        payload = unmask(self.read_bytes(size), mask)
        opcode = first & 0x0F
        if opcode >= CLOSE:
            assert size <= 125, "a control frame is too long"
            assert first & 0x80, "a control frame is fragmented"
        return Frame(bool(first & 0x80), (first >> 4) & 7, opcode, payload)

    def read_message(self) -> bytes:
        """Read the frames of one data message and return their joined payload."""
        frame = self.read_frame()
        assert frame.opcode in (TEXT, BINARY), f"expected a message, got {frame}"
        payload = frame.payload
        while not frame.fin:
            frame = self.read_frame()
            assert frame.opcode == CONTINUATION, f"expected a fragment, got {frame}"
            payload += frame.payload
        return payload

    def read_close(self) -> Frame:
        """Read up to the Close frame, passing over every frame before it."""
        while (frame := self.read_frame()).opcode != CLOSE:
            pass
        return frame

    def send_frame(
        self,
        opcode: int,
        payload: bytes | str = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
    ) -> None:
        """Send one frame."""
        if isinstance(payload, str):
            payload = payload.encode()
        self.sock.sendall(encode_frame(opcode, payload, fin=fin, rsv=rsv))

    def send_text(self, text: str) -> None:
        """Send a text message of one frame."""
        self.send_frame(TEXT, text)

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close frame; a code of None sends an empty one."""
        self.send_frame(CLOSE, b"" if code is None else close_payload(code, reason))

    def finish(self, code: int = 1000) -> Frame:
        """Start the closing handshake, await the answer, and end the connection."""
        self.send_close(code)
        frame = self.read_close()
        self.close()
        return frame

    def answer_close(self) -> Frame:
        """Await the client's Close frame, echo it, and end the connection."""
        frame = self.read_close()
        self.send_frame(CLOSE, frame.payload)
        self.close()
        return frame

    # Bytes.

    def send_bytes(
        self, raw: bytes, *, pieces: int | None = None, delay: float = 0.0
    ) -> None:
        """Send raw bytes, in pieces of that many bytes with a pause after each."""
        step = pieces or max(1, len(raw))
        for start in range(0, len(raw), step):
            self.sock.sendall(raw[start : start + step])
            if delay:
                time.sleep(delay)

    def drip(self, raw: bytes, every: float = 10 * MS) -> int:
        """Send one byte at a time until they end or the client has gone.

        Returns:
            How many bytes were sent.
        """
        for sent in range(len(raw)):
            try:
                self.sock.sendall(raw[sent : sent + 1])
            except (OSError, ssl.SSLError):
                return sent
            time.sleep(every)
        return len(raw)

    def send_until_blocked(self, raw: bytes, *, stalled: float, limit: int) -> int:
        """Send `raw` again and again until nothing moves for `stalled` seconds.

        What is missing of the copy that was cut by the stall is kept in `rest`.

        Returns:
            How many bytes were taken before the stall, at most about `limit`.
        """
        total = 0
        self.sock.settimeout(stalled)
        try:
            while total < limit:
                view = memoryview(raw)
                while view:
                    try:
                        sent = self.sock.send(view)
                    except TimeoutError:
                        self.rest = bytes(view)
                        return total
                    total += sent
                    view = view[sent:]
            return total
        finally:
            self.sock.settimeout(self.timeout)

    def send_rest(self) -> None:
        """Complete the copy that `send_until_blocked` could not."""
        self.sock.sendall(self.rest)

    def send_until_gone(self, raw: bytes, *, limit: int = 1 << 40) -> int:
        """Send `raw` again and again until the client has ended the connection.

        Returns:
            How many bytes the client's end has taken.

        Raises:
            AssertionError: The client took `limit` bytes and is still there.
            TimeoutError: The client neither took more nor ended the connection.
        """
        total = 0
        while total < limit:
            try:
                self.sock.sendall(raw)
            except TimeoutError:
                raise
            except OSError:
                return total
            total += len(raw)
        raise AssertionError(f"the client took {total} bytes without end")

    def wait_eof(self) -> None:
        """Await the client's end of the connection, discarding what still comes."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while self.sock.recv(1 << 16):
                pass

    def close(self) -> None:
        """End the connection in the ordinary way: a FIN."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """End the connection with a RST, which a linger time of zero makes of it."""
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    def _fill(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError("the client ended the connection before it was expected")
        self._buffer += data

    def read_bytes(self, size: int) -> bytearray:
        """Read exactly that many bytes, in place and not gathered in pieces."""
        taken = self._buffer[:size]
        del self._buffer[:size]
        if len(taken) == size:
            return taken
        data = bytearray(size)
        data[: len(taken)] = taken
        view, filled = memoryview(data), len(taken)
        while filled < size:
            got = self.sock.recv_into(view[filled:])
            if not got:
                raise EOFError("the client ended the connection inside a frame")
            filled += got
        view.release()
        return data


Script = Callable[[Peer], None]


class RawServer:
    """A listening socket on a free port whose connections follow a script.

    Args:
        script: What to do with each connection, on a thread of its own.
        tls: Context of the TLS server; None for a plain one.
        silent_tls: Accept TCP but never speak TLS; the script sees the raw socket.
        tls_refused: The client is expected to break the TLS handshake off.
        timeout: Longest wait of any one step of the script, in seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        silent_tls: bool = False,
        tls_refused: bool = False,
        timeout: float = 15000 * MS,
    ) -> None:
        self.script = script
        self.tls = tls
        self.scheme = "wss" if tls or silent_tls else "ws"
        self.timeout = timeout
        self.tls_refused = tls_refused
        self.accepted = 0
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        """The address to connect to."""
        name = "localhost" if self.tls else self.host
        return f"{self.scheme}://{name}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                try:
                    sock = DuplexTLS(sock, self.tls)
                except OSError:
                    if not self.tls_refused:
                        raise
                    return
                assert not self.tls_refused, "the client accepted the certificate"
            peer = Peer(sock, self.timeout)
            self._peers.append(peer)
            self.script(peer)
        except BaseException as error:
            self.errors.append(error)
        finally:
            sock.close()

    def join(self, timeout: float | None = None) -> None:
        """Await the end of every script that was started."""
        deadline = time.monotonic() + (timeout or self.timeout)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), "a script of the raw server did not end"

    def stop(self) -> None:
        """Stop listening, await the scripts, and raise the first of their errors."""
        # Closing a descriptor does not wake a thread blocked in accept(), but a
        # shutdown does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(self.timeout)
        self.join()
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()


def messages(*payloads: bytes | str) -> bytes:
    """Return one frame for each payload: text for str, binary for bytes."""
    return b"".join(_message(payload) for payload in payloads)


def _message(payload: bytes | str) -> bytes:
    if isinstance(payload, str):
        return encode_frame(TEXT, payload.encode())
    return encode_frame(BINARY, payload)
