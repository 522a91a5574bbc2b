"""Compression of messages: permessage-deflate (RFC 7692), of both clients."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
    encode_frame,
)
from support import QUICK, Background
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import (
    NegotiationError,
)
from websocket_rs.extensions import ClientPerMessageDeflateFactory as Factory


if TYPE_CHECKING:
    from collections.abc import Callable

    from raw_server import RawServer


TAIL = b"\0\0\xff\xff"
RSV1 = 4
MEGABYTE = 1 << 20
CONNECTS = [sync_client.connect, async_client.connect]
OFFERED = "permessage-deflate; client_max_window_bits"
TEXTS = [f'{{"id":{n},"type":"trade","symbol":"BTC-USD","px":{n}}}' for n in range(30)]
"""Messages that compress well in each other's company, and hardly alone."""
ALIKE = {"compression": "deflate", **QUICK}


def deflate(message: bytes, state: Any = None) -> bytes:
    """Return the payload of a compressed message."""
    state = state or zlib.compressobj(wbits=-15)
    return (state.compress(message) + state.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(payload: bytes, state: Any = None) -> bytes:
    """Return the message of a compressed payload."""
    return (state or zlib.decompressobj(wbits=-15)).decompress(payload + TAIL)


def record(
    raw_server: Callable[..., RawServer], parameters: str = "", *, sends: bytes = b""
) -> tuple[RawServer, list[Frame]]:
    """Start a peer that agrees to compression, sends something, and keeps frames."""
    frames: list[Frame] = []

    def script(peer: Peer) -> None:
        header = f"Sec-WebSocket-Extensions: permessage-deflate{parameters}"
        peer.accept_handshake(header, followed_by=sends)
        while (frame := peer.read_frame()).opcode != CLOSE:
            frames.append(frame)
        peer.send_frame(CLOSE, frame.payload)

    return raw_server(script), frames


# Test the negotiation.


OFFERS = [
    ({"compression": "deflate"}, [OFFERED]),
    ({"compression": None}, []),
    ({"extensions": []}, []),
    ({"extensions": [Factory()], "compression": "deflate"}, [OFFERED]),
    ({"extensions": [Factory(client_max_window_bits=None)]}, ["permessage-deflate"]),
    (
        {"extensions": [Factory(True, True, 10, 12, {"level": 1, "memLevel": 5})]},
        [
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            "; server_max_window_bits=10; client_max_window_bits=12"
        ],
    ),
]
REFUSED = [
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; unknown",
    "permessage-deflate, permessage-deflate",
    "x-webkit-deflate-frame",
]


class Declining:
    """A script that accepts without any extension, and sends one message back."""

    def __call__(self, peer: Peer) -> None:
        request = peer.accept_handshake()
        self.offers = request.all("Sec-WebSocket-Extensions")
        frame = peer.read_frame()
        peer.send_frame(frame.opcode, frame.payload, rsv=frame.rsv)
        peer.answer_close()


@pytest.mark.parametrize(("options", "header"), OFFERS)
def test_connect_offer(raw_server, options, header):
    """What is offered is what was asked for, and nothing by default."""
    script = Declining()
    with sync_client.connect(raw_server(script).url, **options, **QUICK) as ws:
        ws.send("x")
    assert script.offers == header


@pytest.mark.parametrize(("options", "header"), OFFERS)
async def test_connect_offer_async(raw_server, options, header):
    """The asyncio client offers the same."""
    script = Declining()
    async with async_client.connect(raw_server(script).url, **options, **QUICK) as ws:
        await ws.send("x")
    assert script.offers == header


def test_connect_declined(raw_server):
    """A server that declines gets, and sends, messages as they are."""
    with sync_client.connect(raw_server(Declining()).url, **ALIKE) as ws:
        ws.send(TEXTS[0] * 10)
        assert ws.recv() == TEXTS[0] * 10


async def test_connect_declined_async(raw_server):
    """The asyncio client does without compression, too."""
    async with async_client.connect(raw_server(Declining()).url, **ALIKE) as ws:
        await ws.send(TEXTS[0] * 10)
        assert await ws.recv() == TEXTS[0] * 10


@pytest.mark.parametrize("answer", REFUSED)
async def test_connect_answer_refused(raw_server, answer):
    """An answer that was not offered, or is none, ends the attempt of both clients."""

    def script(peer: Peer) -> None:
        peer.accept_handshake(f"Sec-WebSocket-Extensions: {answer}")
        peer.wait_eof()

    url = raw_server(script).url
    with pytest.raises(NegotiationError):
        await async_client.connect(url, **ALIKE)
    with pytest.raises(NegotiationError):
        await asyncio.to_thread(sync_client.connect, url, **ALIKE)
    with pytest.raises(NegotiationError, match="offered"):
        await asyncio.to_thread(sync_client.connect, url, **QUICK)


@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"compression": "gzip"}),
        (ValueError, {"compression": True}),
        (TypeError, {"extensions": "permessage-deflate"}),
        (TypeError, {"extensions": Factory()}),
        (ValueError, {"extensions": [Factory(), Factory()]}),
        (NotImplementedError, {"extensions": [object()]}),
    ],
)
def test_connect_wrong_compression(connect, error, options):
    """What can't be offered is refused before anything is sent."""
    with pytest.raises(error):
        connect("ws://localhost:1", **options)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ValueError, {"server_max_window_bits": 7}),
        (ValueError, {"client_max_window_bits": 16}),
        (TypeError, {"server_max_window_bits": True}),
        (TypeError, {"client_max_window_bits": "10"}),
        (ValueError, {"compress_settings": {"wbits": 10}}),
        (ValueError, {"compress_settings": {"level": 10}}),
        (TypeError, {"compress_settings": {"level": "high"}}),
        (ValueError, {"compress_settings": {"speed": 1}}),
    ],
)
def test_factory_wrong_argument(error, arguments):
    """A parameter that RFC 7692 or zlib does not have is refused and named."""
    name = next(iter(arguments.get("compress_settings", arguments)))
    with pytest.raises(error, match=name):
        Factory(**arguments)


# Test sending.


@pytest.mark.parametrize("message", [TEXTS[0] * 20, b"x" * 1000, "é✓🎉" * 500])
def test_send_compressed(raw_server, message):
    """A message that becomes smaller is sent compressed, and marked as such."""
    server, frames = record(raw_server)
    with sync_client.connect(server.url, **ALIKE) as ws:
        ws.send(message)
    [frame] = frames
    raw = message.encode() if isinstance(message, str) else message
    assert frame.opcode == (TEXT if isinstance(message, str) else BINARY)
    assert (frame.fin, frame.rsv) == (True, RSV1)
    assert len(frame.payload) < len(raw) / 4
    assert inflate(frame.payload) == raw


async def test_send_compressed_async(raw_server):
    """The asyncio client compresses messages in the order of the calls."""
    server, frames = record(raw_server)
    async with async_client.connect(server.url, **ALIKE) as ws:
        await asyncio.gather(*(ws.send(text * 2) for text in TEXTS))
    state = zlib.decompressobj(wbits=-15)
    assert {frame.rsv for frame in frames} == {RSV1}
    texts = [inflate(frame.payload, state).decode() for frame in frames]
    assert texts == [text * 2 for text in TEXTS]
    assert sum(len(frame.payload) for frame in frames) < len("".join(texts)) / 3


def test_send_small(raw_server):
    """A message of less than 48 bytes is never compressed, so never made larger."""
    server, frames = record(raw_server)
    with sync_client.connect(server.url, **ALIKE) as ws:
        for size in range(48):
            ws.send(b"a" * size)
    assert {frame.rsv for frame in frames} == {0}
    assert [frame.payload for frame in frames] == [b"a" * size for size in range(48)]


@pytest.mark.parametrize("takeover", [True, False])
def test_send_incompressible(raw_server, takeover):
    """A message that would not become smaller is sent as it is, the first one too."""
    parameter = "" if takeover else "; client_no_context_takeover"
    server, frames = record(raw_server, parameter)
    chance = random.Random(1)
    noise = [chance.randbytes(size) for size in [48, 60, 300, 5000, 100_000] * 3]
    with sync_client.connect(server.url, **ALIKE) as ws:
        for message in noise:
            ws.send(message)
    assert [len(frame.payload) for frame in frames] == [len(data) for data in noise]
    assert [(frame.rsv, frame.payload) for frame in frames] == [(0, n) for n in noise]


def noise(chance: random.Random) -> bytes:
    """Return what looks like something that is compressed already."""
    return chance.randbytes(200)


def token(chance: random.Random) -> bytes:
    """Return what does not look like it, but is too short to become smaller."""
    return base64.b64encode(chance.randbytes(45))


def send_all(
    raw_server: Callable[..., RawServer], messages: list[str | bytes]
) -> list[Frame]:
    """Send messages, check that they come out, and return their frames."""
    server, frames = record(raw_server)
    with sync_client.connect(server.url, **ALIKE) as ws:
        for message in messages:
            ws.send(message)
    state, received = zlib.decompressobj(wbits=-15), []
    for frame in frames:
        raw = inflate(frame.payload, state) if frame.rsv else frame.payload
        received.append(raw.decode() if frame.opcode == TEXT else raw)
    assert received == messages
    return frames


@pytest.mark.parametrize("other", [noise, token])
def test_send_after_incompressible(raw_server, other):
    """Messages that were sent as they are leave no trace in the compression."""
    chance = random.Random(1)
    messages: list[str | bytes] = list(TEXTS[:2])
    for text in TEXTS * 4:
        messages.append(other(chance) if chance.random() < 0.2 else text)
    frames = send_all(raw_server, messages)
    assert (RSV1, TEXT) in {(frame.rsv, frame.opcode) for frame in frames}


@pytest.mark.parametrize("other", [noise, token])
def test_send_between_incompressible(raw_server, other):
    """Messages that compress well are compressed, whatever is sent between them."""
    chance = random.Random(1)
    pairs = [(text, other(chance)) for text in TEXTS * 3]
    frames = send_all(raw_server, [message for pair in pairs for message in pair])
    texts = [frame for frame in frames if frame.opcode == TEXT]
    assert sum(frame.rsv == RSV1 for frame in texts) > len(texts) / 3


@pytest.mark.parametrize(
    ("offer", "answer"),
    [(8, ""), (8, "; client_max_window_bits=8"), (True, "; client_max_window_bits=8")],
)
def test_send_with_window_of_eight(raw_server, offer, answer):
    """In a window of 256 bytes, for which there is no compressor, nothing is."""
    reply = encode_frame(TEXT, deflate(b"as before"), rsv=RSV1)
    server, frames = record(raw_server, answer, sends=reply)
    extension = Factory(client_max_window_bits=offer)
    with sync_client.connect(server.url, extensions=[extension], **QUICK) as ws:
        ws.send(TEXTS[0] * 100)
        ws.send([TEXTS[0], TEXTS[0]])
        assert ws.recv() == "as before"
    assert [frame.rsv for frame in frames] == [0] * 4
    assert frames[0].payload.decode() == TEXTS[0] * 100


@pytest.mark.parametrize(
    ("offer", "answer", "takeover"),
    [
        ({}, "", True),
        ({}, "; client_no_context_takeover", False),
        ({"client_no_context_takeover": True}, "", False),
    ],
)
def test_send_context_takeover(raw_server, offer, answer, takeover):
    """A message refers to those before it, unless either side does without."""
    server, frames = record(raw_server, answer)
    message = random.Random(2).randbytes(30).hex() * 2
    options = {"extensions": [Factory(**offer)], **QUICK}
    with sync_client.connect(server.url, **options) as ws:
        for _ in range(3):
            ws.send(message)
    sizes = [len(frame.payload) for frame in frames]
    state = zlib.decompressobj(wbits=-15)
    for frame in frames:
        state = state if takeover else zlib.decompressobj(wbits=-15)
        assert inflate(frame.payload, state).decode() == message
    if takeover:
        assert max(sizes[1:]) < 12 < sizes[0]
    else:
        assert len(set(sizes)) == 1


def test_send_level(raw_server):
    """The level says how hard messages are compressed."""
    message = " ".join(random.Random(3).choices(TEXTS, k=2000))
    sizes = []
    for level in [1, 6, 9]:
        server, frames = record(raw_server)
        extension = Factory(compress_settings={"level": level})
        with sync_client.connect(server.url, extensions=[extension], **QUICK) as ws:
            ws.send(message)
        assert inflate(frames[0].payload).decode() == message
        sizes.append(len(frames[0].payload))
    assert sizes[0] > sizes[1] >= sizes[2]


def test_send_level_zero(raw_server):
    """At level 0, which compresses nothing, messages are sent as they are."""
    server, frames = record(raw_server)
    extension = Factory(compress_settings={"level": 0})
    with sync_client.connect(server.url, extensions=[extension], **QUICK) as ws:
        ws.send(TEXTS[0] * 100)
        ws.send([TEXTS[0], TEXTS[0]])
    assert [frame.rsv for frame in frames] == [0] * 4
    assert frames[0].payload.decode() == TEXTS[0] * 100


def test_send_fragments(raw_server):
    """A fragment of a compressed message is flushed, so that it can be read at once."""
    server, frames = record(raw_server)
    with sync_client.connect(server.url, **ALIKE) as ws:
        ws.send(iter(TEXTS))
        ws.send(["small", TEXTS[0], TEXTS[0]])
        ws.send(TEXTS[0])
    compressed, plain, last = frames[:31], frames[31:35], frames[35]
    assert [frame.rsv for frame in compressed] == [RSV1] + [0] * 30
    assert [frame.fin for frame in compressed] == [False] * 30 + [True]
    state = zlib.decompressobj(wbits=-15)
    for frame, text in zip(compressed, TEXTS, strict=False):
        assert state.decompress(frame.payload).decode() == text
    assert inflate(compressed[-1].payload, state) == b""
    assert [frame.rsv for frame in plain] == [0] * 4
    assert plain[1].payload.decode() == TEXTS[0]
    assert inflate(last.payload, state).decode() == TEXTS[0]


def test_send_control_frames_between_fragments(raw_server):
    """Control frames go between compressed fragments, as they are."""
    server, frames = record(raw_server)

    def pieces():
        for number, text in enumerate(TEXTS[:3]):
            yield text * 3
            ws.ping(f"{number}" * 100)
            ws.pong(f"{number}")

    with sync_client.connect(server.url, **ALIKE) as ws:
        ws.send(pieces())
    control = [frame for frame in frames if frame.opcode in (PING, PONG)]
    payload = b"".join(f.payload for f in frames if f.opcode in (TEXT, CONTINUATION))
    assert [frame.opcode for frame in frames[:3]] == [TEXT, PING, PONG]
    assert {(frame.rsv, frame.fin) for frame in control} == {(0, True)}
    assert control[0].payload == b"0" * 100
    assert inflate(payload).decode() == "".join(text * 3 for text in TEXTS[:3])


@pytest.mark.timeout(60)
def test_send_from_many_threads(raw_server):
    """Messages of many threads are compressed in the order in which they are sent."""
    server, frames = record(raw_server)
    count = 300

    def send(thread: int) -> None:
        for number in range(count):
            filling = TEXTS[number % 30] * (1 + number % 50 // 49 * 1000)
            ws.send(json.dumps([thread, number, filling]))

    with sync_client.connect(server.url, **ALIKE) as ws:
        threads = [Background(send, thread) for thread in range(6)]
        for thread in threads:
            thread.result(30)
    state = zlib.decompressobj(wbits=-15)
    received: dict[int, list[int]] = {}
    for frame in frames:
        assert frame.rsv == RSV1
        thread, number, _ = json.loads(inflate(frame.payload, state))
        received.setdefault(thread, []).append(number)
    assert received == {thread: list(range(count)) for thread in range(6)}
