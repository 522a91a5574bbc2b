"""Both directions at once, many threads, many messages, and bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading
from pathlib import Path

import pytest

from raw_server import BINARY, MS, Peer, encode_frame
from support import QUICK, Background, resident_bytes, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosed
from websocket_rs.sync_client import connect


MIB = 1 << 20
HUNDRED = 100
BLOCK = random.Random(0).randbytes(MIB)
SLACK = 24 * MIB
"""What the memory of this process may grow by beside the messages themselves."""


def kernel_buffers() -> int:
    """Return what the system's socket buffers may hold, with those of a connection."""
    folder = Path("/proc/sys/net/ipv4")
    limits = [(folder / name).read_text().split()[2] for name in BUFFERS]
    return sum(map(int, limits)) + 2 * MIB


BUFFERS = ["tcp_rmem", "tcp_wmem"]


def exchange_100_megabytes(digests: list[str]):
    """Return a script that sends 100 MiB while it receives 100 MiB."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()

        def send() -> None:
            for _ in range(HUNDRED):
                peer.send_frame(BINARY, BLOCK)

        sending = Background(send)
        digest = hashlib.sha256()
        for _ in range(HUNDRED):
            digest.update(peer.read_message())
        digests.append(digest.hexdigest())
        sending.result(peer.timeout)
        peer.answer_close()

    return script


EXPECTED = hashlib.sha256(BLOCK * HUNDRED).hexdigest()


@pytest.mark.timeout(60)
def test_sync_both_sides_send_100_megabytes(scripted):
    """Neither direction waits for the other."""
    digests: list[str] = []
    address = scripted(exchange_100_megabytes(digests))
    with connect(address.url, **address.options) as ws:

        def send() -> None:
            for _ in range(HUNDRED):
                ws.send(BLOCK)

        sending = Background(send)
        for _ in range(HUNDRED):
            assert ws.recv() == BLOCK
        sending.result(30)
    wait_until(lambda: digests, "the script has ended")
    assert digests == [EXPECTED]


@pytest.mark.timeout(60)
async def test_async_both_sides_send_100_megabytes(scripted):
    """Neither direction waits for the other."""
    digests: list[str] = []
    address = scripted(exchange_100_megabytes(digests))
    async with connect_async(address.url, **address.options) as ws:

        async def send() -> None:
            for _ in range(HUNDRED):
                await ws.send(BLOCK)

        async def receive() -> None:
            for _ in range(HUNDRED):
                assert await ws.recv() == BLOCK

        await asyncio.gather(send(), receive())
    assert digests == [EXPECTED]


def send_all_before_reading(peer: Peer) -> None:
    """Send 100 MiB in frames before reading anything, then read a message."""
    peer.accept_handshake()
    for _ in range(HUNDRED):
        peer.send_frame(BINARY, BLOCK)
    assert len(peer.read_message()) == HUNDRED * MIB
    peer.answer_close()


@pytest.mark.timeout(60)
def test_sync_recv_while_send_is_blocked(scripted):
    """A send of 100 MiB that the peer does not read yet does not delay recv."""
    address = scripted(send_all_before_reading)
    with connect(address.url, **address.options) as ws:
        sending = Background(ws.send, BLOCK * HUNDRED)
        for _ in range(HUNDRED):
            assert ws.recv() == BLOCK
        sending.result(30)


@pytest.mark.timeout(60)
async def test_async_recv_while_send_is_blocked(scripted):
    """A send of 100 MiB that the peer does not read yet does not delay recv."""
    address = scripted(send_all_before_reading)
    async with connect_async(address.url, **address.options) as ws:
        sending = asyncio.create_task(ws.send(BLOCK * HUNDRED))
        for _ in range(HUNDRED):
            assert await ws.recv() == BLOCK
        await sending


# Test many senders.


def test_sync_16_threads_send_while_one_receives(echo):
    """Frames of 16 threads stay whole and each thread's in order."""
    threads, each = 16, 100
    with connect(echo.url, **echo.options) as ws:

        def send(number: int) -> None:
            chance = random.Random(number)
            for turn in range(each):
                ws.send(f"{number} {turn} " + "x" * chance.randrange(5000))

        calls = [Background(send, number) for number in range(threads)]
        turns: dict[int, list[int]] = {number: [] for number in range(threads)}
        for _ in range(threads * each):
            number, turn, rest = ws.recv().split(" ")
            assert set(rest) <= {"x"}
            turns[int(number)].append(int(turn))
        for call in calls:
            call.result()
    assert all(turn == list(range(each)) for turn in turns.values())


async def test_async_16_tasks_send_while_one_receives(echo):
    """Frames of 16 tasks stay whole and each task's in order."""
    tasks, each = 16, 100
    async with connect_async(echo.url, **echo.options) as ws:

        async def send(number: int) -> None:
            chance = random.Random(number)
            for turn in range(each):
                await ws.send(f"{number} {turn} " + "x" * chance.randrange(5000))

        async def receive() -> dict[int, list[int]]:
            turns: dict[int, list[int]] = {number: [] for number in range(tasks)}
            for _ in range(tasks * each):
                number, turn, rest = (await ws.recv()).split(" ")
                assert set(rest) <= {"x"}
                turns[int(number)].append(int(turn))
            return turns

        turns, *_ = await asyncio.gather(receive(), *map(send, range(tasks)))
    assert all(turn == list(range(each)) for turn in turns.values())


def test_sync_send_is_not_delayed_by_recv(echo_server):
    """A thread blocked in recv delays no send of another thread."""
    with connect(echo_server.url, **QUICK) as ws:
        for number in range(50):
            receiving = Background(ws.recv)
            ws.send(str(number))
            assert receiving.result(2) == str(number)


# Test batches.


@pytest.mark.parametrize(("count", "size"), [(1000, 10), (100, 65536)])
def test_sync_batch(echo, count, size):
    """All messages can be sent before the first is received."""
    with connect(echo.url, **echo.options) as ws:
        batch = [f"Message {n} ".ljust(size, "x") for n in range(count)]
        for message in batch:
            ws.send(message)
        assert [ws.recv() for _ in batch] == batch


@pytest.mark.parametrize(("count", "size"), [(1000, 10), (100, 65536)])
async def test_async_batch(echo, count, size):
    """All messages can be sent before the first is received."""
    async with connect_async(echo.url, **echo.options) as ws:
        batch = [f"Message {n} ".ljust(size, "x") for n in range(count)]
        for message in batch:
            await ws.send(message)
        assert [await ws.recv() for _ in batch] == batch


# Test bounded memory.


class Flood:
    """A peer that sends as much as the client takes, and counts it."""

    def __init__(self, size: int) -> None:
        self.frame = encode_frame(BINARY, b"x" * size)
        self.size = size
        self.taken = 0
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.whole = 0

    def __call__(self, peer: Peer) -> None:
        """Flood until the client takes no more, then finish what was begun."""
        peer.accept_handshake()
        try:
            # Small frames are sent many at a time, or the peer would be too slow.
            frames = self.frame * max(1, 65536 // self.size)
            self.taken = peer.send_until_blocked(
                frames, stalled=400 * MS, limit=400 * MIB
            )
            self.whole = (self.taken + len(peer.rest)) // len(self.frame)
        finally:
            self.stalled.set()
        assert self.go_on.wait(peer.timeout)
        peer.send_rest()
        peer.finish(1000)


@pytest.mark.parametrize("size", [1, 1000, 65536, 5 * MIB])
@pytest.mark.parametrize("limit", [MIB, 16 * MIB])
def test_sync_flood_not_consumed(raw_server, size, limit):
    """Messages that nobody receives stop the peer, and none of them is lost."""
    flood = Flood(size)
    before = resident_bytes()
    options = {**QUICK, "inbox_limit": limit}
    with connect(raw_server(flood).url, **options) as ws:
        assert flood.stalled.wait(20)
        assert flood.taken < limit + size + kernel_buffers()
        # The memory a small message costs beyond its bytes counts as well.
        assert resident_bytes() - before < 4 * limit + 2 * size + 2 * SLACK
        flood.go_on.set()
        received = [message == b"x" * size for message in ws]
    assert len(received) == flood.whole
    assert all(received)


async def test_async_flood_not_consumed(raw_server):
    """Messages that nobody receives stop the peer, and none of them is lost."""
    flood = Flood(65536)
    before = resident_bytes()
    async with connect_async(raw_server(flood).url, **QUICK) as ws:
        assert await asyncio.to_thread(flood.stalled.wait, 20)
        assert flood.taken < 16 * MIB + 65536 + kernel_buffers()
        assert resident_bytes() - before < 16 * MIB + 2 * SLACK
        flood.go_on.set()
        received = [len(message) async for message in ws]
    assert received == [65536] * flood.whole


def test_sync_flood_does_not_hide_close(raw_server):
    """close ends a connection whose inbox is full."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(BINARY, b"x" * 65536))

    options = {**QUICK, "inbox_limit": 65536, "close_timeout": 300 * MS}
    ws = connect(raw_server(script).url, **options)
    ws.close()
    received = list(drain(ws))
    assert len(received) < 1000


def drain(ws):
    """Yield what is left in the inbox of a closed connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield ws.recv()


async def test_async_send_waits_for_the_peer(raw_server):
    """Past write_limit send waits, so that memory does not grow with the backlog."""
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert release.wait(peer.timeout)
        for _ in range(sent[0]):
            assert len(peer.read_message()) == 65536
        peer.answer_close()

    sent = [0]
    before = resident_bytes()
    server = raw_server(script)
    async with connect_async(server.url, write_limit=MIB, **QUICK) as ws:

        async def push() -> None:
            while True:
                await ws.send(b"x" * 65536)
                sent[0] += 1

        task = asyncio.create_task(push())
        quiet = -1
        while quiet != sent[0]:
            quiet = sent[0]
            await asyncio.sleep(200 * MS)
        assert sent[0] * 65536 < MIB + SLACK
        assert resident_bytes() - before < 2 * SLACK
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        release.set()


def test_sync_memory_returns_after_large_message(echo_server):
    """A connection does not keep the memory of its largest message."""
    with connect(echo_server.url, **QUICK) as ws:
        ws.send("x")
        ws.recv()
        before = resident_bytes()
        ws.send(BLOCK * 50)
        assert len(ws.recv()) == 50 * MIB
        ws.send("x")
        ws.recv()
        # The embedded server lives in this process and may keep its own copies.
        wait_until(
            lambda: resident_bytes() - before < 160 * MIB, "the buffers are given back"
        )
