"""A server for the benchmarks of compression: it compresses all that it pushes.

Run as a script; it knows the options of the embedded echo server that the suite passes.

* `/inflate/SIZE` pushes text messages of about SIZE bytes while they are read.
  They are compressed once, so that the server costs the same whoever reads them.
* `/deflate/SIZE/COUNT` answers each COUNT messages with one; it looks only at the
  headers of
  their frames.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import sys
import zlib
from pathlib import Path


# The suite runs this file as a script.
sys.path.insert(0, str(Path(__file__).parent))

from payloads import texts


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK = 256 * 1024
MESSAGE, CLOSE = 0x81, 0x88


def frame(first: int, payload: bytes) -> bytes:
    """Return an unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def compressed(size: int) -> bytes:
    """Return whole frames, which may be repeated as often as one likes.

    Each refers to those before it, as a server with context takeover does it, but the
    first one to nothing.
    """
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    frames = []
    for text in texts(size):
        payload = deflater.compress(text.encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)
        frames.append(frame(0xC0 | 1, payload[:-4]))
    once = b"".join(frames)
    return once * max(1, CHUNK // len(once))


class Connection(asyncio.Protocol):
    """One connection, from its request to its end."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.push: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.portion = self.count = 0
        self.accepted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop pushing."""
        if self.push:
            self.push.cancel()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Push on."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Take what the client says."""
        self.buffer += data
        if not self.accepted:
            if b"\r\n\r\n" in self.buffer:
                self.accept()
        elif self.push:
            # The client says nothing but that it has had enough.
            self.close()
        else:
            self.count_frames()

    def accept(self) -> None:
        """Answer the opening handshake, and begin what the path says."""
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        self.accepted = True
        line, *lines = head.split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        assert b"permessage-deflate" in headers[b"sec-websocket-extensions"]
        key = hashlib.sha1(headers[b"sec-websocket-key"] + GUID).digest()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(key) + b"\r\n\r\n"
        )
        match line.split(b" ")[1].decode().split("/")[1:]:
            case ["inflate", size]:
                chunk = compressed(int(size))
                self.push = asyncio.get_running_loop().create_task(self.flood(chunk))
            case ["deflate", _, portion]:
                self.portion = int(portion)
                self.count_frames()
            case path:
                raise ValueError(path)

    async def flood(self, chunk: bytes) -> None:
        """Push for as long as the client reads."""
        while True:
            await self.writable.wait()
            self.transport.write(chunk)

    def count_frames(self) -> None:
        """Count the frames that are whole, and confirm each portion."""
        buffer, position = self.buffer, 0
        while len(buffer) >= position + 6:
            start = position + 6
            size = buffer[position + 1] & 0x7F
            if size == 126:
                size = int.from_bytes(buffer[position + 2 : position + 4], "big")
                start += 2
            elif size == 127:
                size = int.from_bytes(buffer[position + 2 : position + 10], "big")
                start += 8
            if len(buffer) < start + size:
                break
            if buffer[position] == CLOSE:
                return self.close()
            position = start + size
            self.count += 1
            if self.count % self.portion == 0:
                self.transport.write(frame(MESSAGE, b"counted"))
        del buffer[:position]

    def close(self) -> None:
        """End the connection, whatever is still to be written."""
        if self.push:
            self.push.cancel()
        self.transport.write(frame(CLOSE, b""))
        self.transport.close()


async def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, options.host, options.port)
    host, port = server.sockets[0].getsockname()
    print(f"listening on ws://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
