"""Messages that come compressed, and what compression costs the interpreter."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import zlib

import pytest

from raw_server import BINARY, CONTINUATION, MS, PING, PONG, TEXT, encode_frame
from support import QUICK, resident_bytes
from test_compression import ALIKE, CONNECTS, RSV1, TEXTS, deflate, record
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import ConnectionClosedError, PayloadTooBig, ProtocolError
from websocket_rs.extensions import ClientPerMessageDeflateFactory as Factory


MEGABYTE = 1 << 20


# Test receiving.


@pytest.mark.parametrize("takeover", [True, False])
def test_recv_context_takeover(raw_server, takeover):
    """Messages of a server that keeps its context, or does without, are inflated."""
    state, sends = zlib.compressobj(wbits=-15), b""
    for text in TEXTS:
        state = state if takeover else zlib.compressobj(wbits=-15)
        sends += encode_frame(TEXT, deflate(text.encode(), state), rsv=RSV1)
        sends += encode_frame(TEXT, b"as it is")
    server, _ = record(
        raw_server, "" if takeover else "; server_no_context_takeover", sends=sends
    )
    with sync_client.connect(server.url, **ALIKE) as ws:
        for text in TEXTS:
            assert ws.recv() == text
            assert ws.recv() == "as it is"


async def test_recv_context_takeover_async(raw_server):
    """The asyncio client inflates them, too."""
    state, sends = zlib.compressobj(wbits=-15), b""
    for text in TEXTS:
        sends += encode_frame(TEXT, deflate(text.encode(), state), rsv=RSV1)
    server, _ = record(raw_server, sends=sends)
    async with async_client.connect(server.url, **ALIKE) as ws:
        assert [await ws.recv() for _ in TEXTS] == TEXTS


def test_recv_empty(raw_server):
    """Empty messages are received and sent like others."""
    sends = encode_frame(TEXT, b"\0", rsv=RSV1) + encode_frame(BINARY, b"")
    server, frames = record(raw_server, sends=sends * 2)
    with sync_client.connect(server.url, **ALIKE) as ws:
        assert [ws.recv() for _ in range(4)] == ["", b""] * 2
        ws.send("")
        ws.send([b"", b""])
    assert [(frame.rsv, frame.payload) for frame in frames] == [(0, b"")] * 4


async def test_recv_control_frames_between_fragments(raw_server):
    """Control frames between compressed fragments are answered, and harm nothing."""
    payload = deflate("✓ ".encode() * 500)
    sends = encode_frame(TEXT, payload[:5], fin=False, rsv=RSV1)
    for start in range(5, len(payload), 3):
        sends += encode_frame(PING, b"%d" % start) + encode_frame(PONG, b"none")
        fin = start + 3 >= len(payload)
        sends += encode_frame(CONTINUATION, payload[start : start + 3], fin=fin)
    for connect in CONNECTS:
        server, frames = record(raw_server, sends=sends)
        if connect is sync_client.connect:
            received = await asyncio.to_thread(receive_one, server.url)
        else:
            async with connect(server.url, **ALIKE) as ws:
                received = await ws.recv()
        assert received == "✓ " * 500
        pongs = [frame.payload for frame in frames if frame.opcode == PONG]
        assert pongs == [b"%d" % start for start in range(5, len(payload), 3)]


def receive_one(url: str) -> str | bytes:
    """Return the first message of a connection."""
    with sync_client.connect(url, **ALIKE) as ws:
        return ws.recv()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1007, deflate(b"\xff")),
        (1007, deflate("✓".encode()[:2])),
        (1002, b"\xff" * 10),
        (1002, b"plain"),
    ],
)
def test_recv_broken(raw_server, code, message):
    """Text that isn't UTF-8 is 1007, and what is no compression 1002."""
    server, _ = record(raw_server, sends=encode_frame(TEXT, message, rsv=RSV1))
    with sync_client.connect(server.url, **ALIKE) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.sent.code == code
        assert isinstance(caught.value.__cause__, ProtocolError)


@pytest.mark.parametrize("limits", [20 * MEGABYTE, (None, MEGABYTE), MEGABYTE])
def test_recv_bomb(raw_server, limits):
    """The limits hold for what a message inflates to, before it fills the memory."""
    state = zlib.compressobj(wbits=-15)
    payload = b"".join(state.compress(bytes(MEGABYTE)) for _ in range(80))
    payload += state.flush(zlib.Z_SYNC_FLUSH)
    assert len(payload) < MEGABYTE
    server, _ = record(raw_server, sends=encode_frame(BINARY, payload[:-4], rsv=RSV1))
    before = resident_bytes()
    with sync_client.connect(server.url, max_size=limits, **ALIKE) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.sent.code == 1009
        assert isinstance(caught.value.__cause__, PayloadTooBig)
    assert resident_bytes() - before < 50 * MEGABYTE


# Test that the interpreter is free meanwhile.


class Ticks:
    """A thread that does nothing but run, and notes the longest time it could not."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        last = time.monotonic()
        while not self.ended:
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def __enter__(self) -> Ticks:
        self.thread.start()
        self.start = time.monotonic()
        return self

    def __exit__(self, *args: object) -> None:
        self.total = time.monotonic() - self.start
        self.ended = True
        self.thread.join()


def test_send_leaves_the_interpreter_free(raw_server):
    """Another Python thread runs while a large message is being compressed."""
    words = [f"{number:x}" for number in range(5000)]
    message = " ".join(random.Random(4).choices(words, k=2_000_000))
    server, frames = record(raw_server)
    extension = Factory(compress_settings={"level": 9})
    with sync_client.connect(server.url, extensions=[extension], **QUICK) as ws:
        with Ticks() as ticks:
            ws.send(message)
        assert ticks.total > 50 * MS
    assert ticks.longest < ticks.total / 2
    assert len(frames[0].payload) < len(message) / 2


def test_recv_leaves_the_interpreter_free(raw_server):
    """Another Python thread runs while a large message is being inflated."""
    payload = deflate(bytes(100 * MEGABYTE))
    server, _ = record(raw_server, sends=encode_frame(BINARY, payload, rsv=RSV1))
    with sync_client.connect(server.url, **ALIKE) as ws, Ticks() as ticks:
        assert len(ws.recv()) == 100 * MEGABYTE
    assert ticks.longest < ticks.total / 2
