"""Tasks that never have to wait for the server, and the others on their event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from raw_server import MS
from support import QUICK
from websocket_rs.async_client import AsyncWebSocket, connect


ENDLESS = f"{1 << 40} 100"
"""What has the embedded server push messages for as long as the tests may take."""


def work() -> None:
    """Compute for a millisecond, as a consumer does that is slower than its server."""
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass


async def call_recv(ws: AsyncWebSocket) -> None:
    """Receive for ever."""
    while True:
        await ws.recv()
        work()


async def iterate(ws: AsyncWebSocket) -> None:
    """Receive for ever, as most programs do."""
    async for _ in ws:
        work()


async def stream(ws: AsyncWebSocket) -> None:
    """Receive for ever, message by message in fragments."""
    while True:
        async for _ in ws.recv_streaming():
            work()


async def send(ws: AsyncWebSocket) -> None:
    """Send for ever what the server takes as fast as it comes."""
    while True:
        await ws.send(b"x" * 100)
        work()


BUSY = pytest.mark.parametrize(
    ("path", "busy"),
    [("/flood", call_recv), ("/flood", iterate), ("/flood", stream), ("/sink", send)],
    ids=["recv", "iteration", "recv_streaming", "send"],
)


async def begin(ws: AsyncWebSocket, path: str) -> None:
    """Have the server send for ever, if it is to."""
    if path == "/flood":
        await ws.send(ENDLESS)


@BUSY
async def test_other_tasks_get_their_turn(echo_server, path, busy):
    """A task that sleeps wakes up in time beside one that never waits."""
    async with connect(echo_server.url + path, **QUICK, close_timeout=100 * MS) as ws:
        await begin(ws, path)
        task = asyncio.create_task(busy(ws))
        for _ in range(5):
            start = time.monotonic()
            await asyncio.sleep(0.02)
            assert time.monotonic() - start < 0.02 + 250 * MS
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@BUSY
async def test_timeout_of_a_task_that_never_waits(echo_server, path, busy):
    """A timeout ends a task that has something to do all the time."""
    async with connect(echo_server.url + path, **QUICK, close_timeout=100 * MS) as ws:
        await begin(ws, path)
        start = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(busy(ws), 0.1)
        assert time.monotonic() - start < 0.1 + 250 * MS


async def test_nothing_is_lost_by_taking_turns(echo_server):
    """All messages come, in order, while other tasks get their turn."""
    async with connect(echo_server.url, **QUICK, write_limit=1 << 30) as ws:
        count = 20_000

        async def send_all() -> None:
            for number in range(count):
                await ws.send(str(number))

        sending = asyncio.create_task(send_all())
        for number in range(count):
            assert await ws.recv() == str(number)
        await sending
