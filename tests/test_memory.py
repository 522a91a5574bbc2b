"""What bombs, floods and large messages may cost a client, in memory.

Bounds are generous: they tell what is bounded from what is not.
"""

from __future__ import annotations

import contextlib
import threading
import zlib

import pytest

from conftest import tls_address
from measured import HALF_MINUTE, MIB, begin, end, run_client
from raw_server import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    encode_frame,
)
from support import QUICK, Address, Background
from wire import AGREED, ALONE, RSV1, Deflater


NOISE = 6 * MIB
"""What the interpreter and the allocator may do by themselves."""

FACES = pytest.mark.parametrize("face", ["sync", "async"])


def zeros() -> tuple[bytes, bytes]:
    """Return a mebibyte of zeros, compressed, twice: as the first, and as a later."""
    deflate = Deflater()
    return deflate(bytes(MIB), fin=False), deflate(bytes(MIB), fin=False)


# Test bombs.


def bomb(kind: str) -> tuple[bytes, int]:
    """Return a message that becomes large, or takes long, and what comes of it."""
    first, later = zeros()
    if kind == "one to a thousand":
        return encode_frame(BINARY, first + later * 1000, rsv=RSV1), 1009
    if kind == "text":
        return encode_frame(TEXT, first + later * 1000, rsv=RSV1), 1009
    if kind == "fragments":
        raw = encode_frame(BINARY, first, fin=False, rsv=RSV1)
        return raw + encode_frame(CONTINUATION, later, fin=False) * 1000, 1009
    if kind == "bomb inside of a bomb":
        # It is inflated once.
        inner = first + later * 1000
        return encode_frame(BINARY, Deflater()(inner), rsv=RSV1), len(inner)
    if kind == "empty blocks":
        blocks = b"\x00\x00\x00\xff\xff" * 800_000
        return encode_frame(BINARY, blocks + b"\x00", rsv=RSV1), 0
    if kind == "final blocks":
        return encode_frame(BINARY, b"\x03\x00" * 300_000, rsv=RSV1), 0
    assert kind == "final blocks of one byte"
    state = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = state.compress(b"x") + state.flush(zlib.Z_FINISH)
    return encode_frame(BINARY, block * 300_000, rsv=RSV1), 300_000


BOMBS = [
    "one to a thousand",
    "text",
    "fragments",
    "bomb inside of a bomb",
    "empty blocks",
    "final blocks",
    "final blocks of one byte",
]

RECEIVE = """
before = memory()
await ws.send("ready")
try:
    outcome = len(await ws.recv())
except ConnectionClosed as error:
    outcome = error.sent.code
peak, after = memory("VmHWM") - before, memory() - before
report(outcome=outcome, peak=peak, after=after)
"""


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("header", [AGREED, ALONE], ids=["context", "alone"])
def test_bomb(raw_server, kind, header):
    """What is inflated of a message takes max_size and a window, and no more."""
    raw, outcome = bomb(kind)

    def script(peer: Peer) -> None:
        begin(peer, header)
        closing = Background(end, peer)
        with contextlib.suppress(OSError):
            peer.send_bytes(raw)
        closing.result(peer.timeout)

    address = Address(raw_server(script).url, HALF_MINUTE)
    options = {"compression": "deflate", "max_size": 8 * MIB}
    found = run_client(address, RECEIVE, **options)
    assert found["outcome"] == outcome
    assert found["peak"] < 8 * MIB + NOISE
    # The fragments that fitted can still be taken one by one.
    kept = 8 * MIB if kind == "fragments" else 0
    assert found["after"] < kept + NOISE


QUEUE = """
before, most = memory(), 0
await ws.send("ready")
for number in range(6000):
    assert len(await ws.recv()) == 65536
    if number % 1000 == 0:
        # Nobody takes anything for some time, so the queue fills.
        time.sleep(0.1)
    if number % 20 == 0:
        most = max(most, memory() - before)
report(most=most)
"""


@FACES
def test_queue_of_compressed_messages(raw_server, face):
    """The limit of what is received ahead is one on what messages inflate to."""
    deflate = Deflater()
    payloads = [deflate(bytes(65536)) for _ in range(2)]
    first, later = (encode_frame(BINARY, payload, rsv=RSV1) for payload in payloads)

    def script(peer: Peer) -> None:
        begin(peer, AGREED)
        closing = Background(end, peer)
        with contextlib.suppress(OSError):
            peer.send_bytes(first + later * 20_000)
        closing.result(peer.timeout)

    options = {"compression": "deflate", "inbox_limit": 65536, "close_timeout": 0.5}
    address = Address(raw_server(script).url, HALF_MINUTE)
    found = run_client(address, QUEUE, face=face, **options)
    assert found["most"] < 16 * MIB + NOISE


# Test floods.


FLOODED = """
before = memory()
await ws.send("ready")
time.sleep(given)
assert await ws.recv() == "end"
peak = memory("VmHWM") - before
assert await ws.recv() == "answered"
report(peak=peak)
"""


@pytest.mark.parametrize(
    ("face", "pause"),
    [("sync", 0.3), ("sync", 0), ("async", 0)],
    ids=["idle", "in recv", "async"],
)
def test_flood_of_pings_peer_does_not_read(scripted, face, pause):
    """Pongs that can't be sent don't pile up, and the last of them goes out."""

    def script(peer: Peer) -> None:
        begin(peer)
        pings = encode_frame(PING, bytes(125)) * 1000
        for _ in range(300):
            peer.send_bytes(pings)
        peer.send_bytes(encode_frame(PING, b"last") + encode_frame(TEXT, b"end"))
        while peer.read_frame().payload != b"last":
            pass
        peer.send_text("answered")
        end(peer)

    found = run_client(scripted(script), FLOODED, face=face, given=pause)
    assert found["peak"] < NOISE


SENDER = """
def send():
    try:
        while True:
            ws.send(data)
            sent.append(len(data))
    except ConnectionClosed:
        ended.append(time.monotonic())

data, sent, ended = bytes(given), [], []
before = memory()
ws.send("ready")
sending = threading.Thread(target=send)
sending.start()
settled(lambda: len(sent))
start = time.monotonic()
ws.close()
sending.join(5)
peak = memory("VmHWM") - before
report(sent=sum(sent), peak=peak, elapsed=ended[0] - start)
"""


@pytest.mark.parametrize("size", [10, 65536, 4 * MIB])
def test_sender_peer_does_not_read(raw_server, size):
    """send waits for the peer, holds one message at most, and ends with close."""
    release = threading.Event()

    def script(peer: Peer) -> None:
        begin(peer)
        assert release.wait(peer.timeout)

    address = Address(raw_server(script).url, HALF_MINUTE)
    found = run_client(address, SENDER, given=size, close_timeout=0.2)
    release.set()
    # What was taken is in the buffers of the kernel.
    assert found["sent"] < 24 * MIB
    # The list of what was sent costs a little too.
    assert found["peak"] < NOISE + 10 * found["sent"] // size
    assert found["elapsed"] < 1.5


# Test what remains.


def exchanged(form: str) -> bytes:
    """Return 64 MiB in a form that the wire may have."""
    if form == "whole":
        return encode_frame(BINARY, bytes(64 * MIB))
    if form == "fragments":
        fragment = encode_frame(CONTINUATION, bytes(4096), fin=False)
        raw = encode_frame(BINARY, b"", fin=False)
        return raw + fragment * (16 * 1024) + encode_frame(CONTINUATION)
    if form == "compressed":
        first, later = zeros()
        return encode_frame(BINARY, first + later * 63 + b"\x00", rsv=RSV1)
    assert form == "small"
    return encode_frame(BINARY, bytes(128)) * (512 * 1024)


EXCHANGE = """
await ws.send("ready")
assert await ws.recv() == "first"
before = memory()
await ws.send(bytes(64 * MIB))
assert await ws.recv() == "sent"
after_sending = memory() - before
await ws.send("next")
if given == "small":
    # All of them are received before the first is taken.
    soon(lambda: settled(memory) - before > 60 * MIB)
taken = 0
while taken < 64 * MIB:
    message = await ws.recv()
    taken += len(message)
del message
soon(lambda: memory() - before < 32 * MIB)
report(after_sending=after_sending, after=memory() - before)
"""


@pytest.mark.parametrize("form", ["whole", "fragments", "compressed", "small"])
@FACES
@pytest.mark.timeout(40)
def test_memory_returns_after_large_message(raw_server, form, face):
    """An idle connection keeps nothing of the 64 MiB that it has sent and received."""

    def script(peer: Peer) -> None:
        begin(peer, AGREED)
        peer.send_text("first")
        peer.read_frame()
        peer.send_text("sent")
        assert peer.read_message() == b"next"
        peer.send_bytes(exchanged(form))
        end(peer)

    address = Address(raw_server(script).url, HALF_MINUTE)
    options = {"given": form, "compression": "deflate", "inbox_limit": 1 << 30}
    found = run_client(address, EXCHANGE, face=face, **options)
    # The allocator keeps some of what was freed, but not all of it.
    assert found["after_sending"] < 32 * MIB
    assert found["after"] < 32 * MIB


BUSY = """
client = async_client if given == "async" else sync_client
before, many, connections = memory(), 50, []
for _ in range(many):
    another = await client.connect(url, **options)
    connections.append(another)
    for _ in range(4):
        await another.send(bytes(250_000))
        assert len(await another.recv()) == 250_000
busy = memory() - before
for _ in range(5):
    # Each waits for two seconds at most.
    soon(lambda: memory() - before < 64 * 1024 * many)
report(busy=busy / many, idle=(memory() - before) / many)
for another in connections:
    await another.close()
"""


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@FACES
def test_connection_that_was_busy(echo_server, tls_echo_server, tmp_path, scheme, face):
    """What large messages have taken is given back when none comes for a while."""
    if scheme == "ws":
        address, most = Address(echo_server.url, QUICK), 64
    else:
        # OpenSSL has buffers of its own, and makes its handshake deep in the stack.
        address, most = tls_address(tls_echo_server, tmp_path), 160
    found = run_client(address, BUSY, face=face, given=face)
    assert found["busy"] > 256 * 1024
    assert found["idle"] < most * 1024


COUNT = 300_000
QUEUED = """
before = memory()
await ws.send("ready")
assert await ws.recv() == "begin"
# A pong tells that all has come, without taking it.
pong = await ws.ping()
assert await pong if hasattr(pong, "cancel") else pong.wait(20)
queued = memory() - before
messages = [await ws.recv() for _ in range(given)]
taken = memory() - before
assert messages == [b"%09d." % number for number in range(given)]
report(queued=queued, taken=taken)
"""


@FACES
def test_small_messages_cost_about_their_size(raw_server, face):
    """Neither a queue nor a program that keeps small messages keeps much more."""

    def script(peer: Peer) -> None:
        begin(peer)
        peer.send_text("begin")
        numbers = map(b"%09d.".__mod__, range(COUNT))
        peer.send_bytes(b"".join(encode_frame(BINARY, number) for number in numbers))
        frame = peer.read_frame()
        assert frame.opcode == PING
        peer.send_frame(PONG, frame.payload)
        end(peer)

    address = Address(raw_server(script).url, HALF_MINUTE)
    options = {"face": face, "given": COUNT, "inbox_limit": 1 << 40}
    found = run_client(address, QUEUED, **options)
    # Ten bytes are 48 as an object of Python, and 8 in the list.
    assert found["queued"] < 80 * COUNT
    assert found["taken"] < 150 * COUNT


ONE_BY_ONE = """
before = memory()
await ws.send("ready")
for number in range(given):
    assert len(await ws.recv()) == 20_000
    await ws.send("next")
report(grown=memory() - before)
"""


@FACES
def test_messages_that_begin_with_the_end_of_the_last(scripted, face):
    """A message whose first fragment comes with the end of the last costs nothing."""
    count = 2000

    def script(peer: Peer) -> None:
        begin(peer)
        first = encode_frame(BINARY, bytes(10_000), fin=False)
        last = encode_frame(CONTINUATION, bytes(10_000))
        peer.send_bytes(first)
        for _ in range(count):
            peer.send_bytes(last + first)
            assert peer.read_message() == b"next"
        end(peer)

    found = run_client(scripted(script), ONE_BY_ONE, face=face, given=count)
    # All of them together are 40 MB.
    assert found["grown"] < NOISE
