"""Pings and pongs of the asyncio client."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from raw_server import MS, PING, PONG
from remote import Remote
from support import QUICK, wait_until_async
from test_ping import PAYLOADS, WRONG_PAYLOADS
from websocket_rs.async_client import connect
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that answers pings by itself."""
    return Remote(raw_server)


@pytest.fixture
def mute(raw_server) -> Remote:
    """A peer that answers pings only when it is told to."""
    return Remote(raw_server, pongs=False)


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_ping_answered(raw_server, certificates, secure):
    """The future of a ping is completed by its pong, with the time that took."""
    tls = certificates.server_context() if secure else None
    remote = Remote(raw_server, pongs=False, tls=tls)
    options = {**QUICK, "ca_file": certificates.ca_file} if secure else QUICK
    async with connect(remote.url, **options) as ws:
        assert ws.latency == 0
        start = time.monotonic()
        future = await ws.ping("hello")
        assert not future.done()
        await asyncio.to_thread(remote.wait, 1)
        assert remote.payloads() == [(PING, True, b"hello")]
        remote.peer.send_frame(PONG, b"hello")
        latency = await future
        assert latency == ws.latency
        assert 0 < latency < time.monotonic() - start


@pytest.mark.parametrize(("data", "payload"), PAYLOADS)
async def test_ping_payload(remote, data, payload):
    """Whatever fits into a control frame can be sent with a ping or a pong."""
    async with connect(remote.url, **QUICK) as ws:
        await (await ws.ping(data))
        await ws.pong(data)
    assert remote.payloads() == [(PING, True, payload), (PONG, True, payload)]


async def test_ping_default_payload(remote):
    """By default, pings carry four bytes that differ, and pongs nothing."""
    async with connect(remote.url, **QUICK) as ws:
        await asyncio.gather(*[await ws.ping() for _ in range(20)])
        await ws.pong()
    *pings, pong = remote.payloads()
    assert {(opcode, len(payload)) for opcode, _, payload in pings} == {(PING, 4)}
    assert len({payload for _, _, payload in pings}) == 20
    assert pong == (PONG, True, b"")


@pytest.mark.parametrize(("error", "data"), WRONG_PAYLOADS, ids=repr)
async def test_ping_wrong_payload(remote, error, data):
    """What does not fit into a control frame is refused, and sends nothing."""
    async with connect(remote.url, **QUICK) as ws:
        for method in [ws.ping, ws.pong]:
            with pytest.raises(error):
                await method(data)
        await (await ws.ping(b"alive"))
    assert remote.payloads() == [(PING, True, b"alive")]


async def test_pong_none(remote):
    """A pong has no payload by default; None is none."""
    async with connect(remote.url, **QUICK) as ws:
        with pytest.raises(TypeError):
            await ws.pong(None)
    assert remote.payloads() == []


async def test_ping_duplicate(mute):
    """A payload that waits for its pong can't be sent again before that."""
    async with connect(mute.url, **QUICK) as ws:
        future = await ws.ping(b"same")
        with pytest.raises(ConcurrencyError, match="pong"):
            await ws.ping("same")
        mute.peer.send_frame(PONG, b"same")
        await future
        again = await ws.ping(b"same")
        mute.peer.send_frame(PONG, b"same")
        await again


async def test_ping_later_pong(mute):
    """A pong acknowledges its ping and all before it, but none after it."""
    async with connect(mute.url, **QUICK) as ws:
        futures = [await ws.ping(f"{number}") for number in range(5)]
        mute.peer.send_frame(PONG, b"2")
        await futures[2]
        done = [future.done() for future in futures]
        assert done == [True, True, True, False, False]
        latencies = [future.result() for future in futures[:3]]
        assert latencies == sorted(latencies, reverse=True)
        assert ws.latency == latencies[2]
        mute.peer.send_frame(PONG, b"1")
        mute.peer.send_frame(PONG, b"4")
        await asyncio.gather(*futures)


async def test_pong_unsolicited(mute):
    """Pongs that nobody waits for change nothing."""
    async with connect(mute.url, **QUICK) as ws:
        future = await ws.ping(b"asked")
        for payload in [b"", b"unasked", b"asked too", b"x" * 125]:
            mute.peer.send_frame(PONG, payload)
        mute.send(b"after them")
        assert await ws.recv() == "after them"
        assert not future.done()
        assert ws.latency == 0
        assert ws.state is State.OPEN


async def test_ping_while_another_task_receives(remote):
    """A pong completes its future beside a task in recv, or none."""
    async with connect(remote.url, **QUICK) as ws:
        await asyncio.wait_for(await ws.ping(), 2000 * MS)
        receiving = asyncio.create_task(ws.recv())
        for _ in range(5):
            await asyncio.wait_for(await ws.ping(), 2000 * MS)
        assert not receiving.done()
        remote.send(b"message")
        assert await receiving == "message"


async def test_ping_given_up(mute):
    """A future that was cancelled harms nothing when its pong comes after all."""
    reports: list = []
    handler = lambda _, context: reports.append(context)  # noqa: E731
    asyncio.get_running_loop().set_exception_handler(handler)
    async with connect(mute.url, **QUICK) as ws:
        given_up = await ws.ping(b"given up")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(given_up, 10 * MS)
        forgotten = await ws.ping(b"forgotten")
        del forgotten
        waited_for = await ws.ping(b"waited for")
        mute.peer.send_frame(PONG, b"waited for")
        assert await waited_for == ws.latency
        # The payload of one that was given up is free again, too.
        await ws.ping(b"given up")
    assert given_up.cancelled()
    assert not reports


@pytest.mark.parametrize("end", [Remote.end, lambda remote: remote.peer.send_close()])
async def test_ping_connection_ends(mute, end):
    """The end of the connection fails the futures, whether or not someone looks."""
    reports: list = []
    handler = lambda _, context: reports.append(context)  # noqa: E731
    asyncio.get_running_loop().set_exception_handler(handler)
    async with connect(mute.url, **QUICK) as ws:
        answered = await ws.ping(b"answered")
        mute.peer.send_frame(PONG, b"answered")
        await answered
        futures = [await ws.ping() for _ in range(3)]
        end(mute)
        with pytest.raises(ConnectionClosed):
            await futures[0]
        await ws.wait_closed()
        assert answered.result() == ws.latency
    del futures
    gc.collect()
    await asyncio.sleep(0)
    assert not reports


async def test_ping_own_close(mute):
    """close fails the futures of pings without an answer."""
    async with connect(mute.url, **QUICK) as ws:
        waiting = asyncio.create_task(as_coroutine(await ws.ping()))
        await ws.close()
        with pytest.raises(ConnectionClosedOK):
            await waiting


async def as_coroutine(future: asyncio.Future) -> float:
    """Await a future."""
    return await future


async def test_ping_closed_connection(remote):
    """Neither a ping nor a pong can be sent on a closed connection."""
    ws = await connect(remote.url, **QUICK)
    await ws.close()
    for method in [ws.ping, ws.pong]:
        with pytest.raises(ConnectionClosedOK):
            await method()
    await asyncio.to_thread(remote.server.join)
    assert remote.payloads() == []


def test_ping_other_loop(remote):
    """A ping belongs to the loop of its connection, and says so elsewhere."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def open_connection():
        return await connect(remote.url, **QUICK)

    try:
        ws = first.run_until_complete(open_connection())
        for method in [ws.ping, ws.pong]:
            with pytest.raises(RuntimeError, match="loop"):
                second.run_until_complete(method())
        first.run_until_complete(ws.close())
    finally:
        first.close()
        second.close()
    remote.server.join()
    assert remote.payloads() == []


# Test keepalive.


async def test_keepalive_silent_peer(mute):
    """A peer without pongs is dead after interval and timeout, for recv and others."""
    interval, timeout = 60 * MS, 90 * MS
    options = {"ping_interval": interval, "ping_timeout": timeout, **QUICK}
    start = time.monotonic()
    async with connect(mute.url, **options) as ws:
        receiving = asyncio.create_task(ws.recv())
        with pytest.raises(ConnectionClosedError) as caught:
            await receiving
        assert interval + timeout <= time.monotonic() - start
        assert time.monotonic() - start < interval + timeout + 500 * MS
        error = caught.value
        assert (error.sent.code, error.sent.reason) == (1011, "keepalive ping timeout")
        assert error.rcvd is None
        assert isinstance(error.__cause__, TimeoutError)
        with pytest.raises(ConnectionClosedError):
            await ws.send("x")
    assert mute.closed() == (1011, "keepalive ping timeout")


async def test_keepalive_while_the_loop_is_blocked(remote):
    """Pings are sent and answered while the loop does something else, or nothing."""
    options = {"ping_interval": 20 * MS, "ping_timeout": 500 * MS, **QUICK}
    async with connect(remote.url, **options) as ws:
        # The event loop does not run meanwhile.
        remote.wait(5)
        await wait_until_async(lambda: len(remote.frames) >= 10, "pings go on")
        assert ws.state is State.OPEN
        assert ws.latency > 0
    assert {opcode for opcode, *_ in remote.payloads()} == {PING}
