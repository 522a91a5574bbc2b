"""The asyncio client: `websocket_rs.async_client`, on asyncio's loop and uvloop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import time
import uuid
import warnings

import pytest

from raw_server import BINARY, CONTINUATION, MS, PING, PONG, TEXT, Peer, messages
from support import QUICK, Background, connection_threads, wait_until_async
from test_sync_client import OPTIONS, SIZES, WRONG_MESSAGES, silent
from websocket_rs import async_client
from websocket_rs._client.route import RouteKeywords, TlsKeywords
from websocket_rs.async_client import AsyncWebSocket, connect
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websocket_rs.protocol import State


# Test connect.


def test_connect_signature():
    """connect has the documented parameters and defaults, and no others."""
    parameters = inspect.signature(connect).parameters
    assert list(parameters)[:3] == ["url", "connect_timeout", "receive_timeout"]
    assert parameters["connect_timeout"].default == 30.0
    assert parameters["receive_timeout"].default == 30.0
    keywords = {k: p for k, p in parameters.items() if k not in list(parameters)[:3]}
    for name in (*TlsKeywords.__annotations__, *RouteKeywords.__annotations__):
        assert keywords.pop(name).default == {"family": 0, "unix": False}.get(name)
    assert all(p.kind is p.KEYWORD_ONLY for p in keywords.values())
    assert keywords.pop("user_agent_header").default
    assert keywords.pop("write_limit").default
    assert keywords.pop("reader").default == "loop"
    assert {k: p.default for k, p in keywords.items()} == OPTIONS


def test_connect_outside_of_loop(raw_server):
    """Bad arguments raise where connect is called, with no loop and no I/O."""
    with pytest.raises(ValueError, match="http"):
        connect("http://localhost:1")
    with pytest.raises(ValueError, match="-1"):
        connect("ws://localhost:1", connect_timeout=-1)


async def test_connect_await(echo):
    """Awaiting connect gives an open connection."""
    ws = await connect(echo.url, **echo.options)
    assert isinstance(ws, AsyncWebSocket)
    assert ws.state is State.OPEN
    assert isinstance(ws.id, uuid.UUID)
    assert ws.close_code is None
    assert ws.subprotocol is None
    assert ws.local_address[0] == "127.0.0.1"
    await ws.close()
    assert ws.state is State.CLOSED


async def test_connect_async_with(echo):
    """async with gives an open connection and closes it."""
    async with connect(echo.url, **echo.options) as ws:
        assert isinstance(ws, AsyncWebSocket)
        await ws.send("x")
        assert await ws.recv() == "x"
    assert ws.state is State.CLOSED
    assert ws.close_code == 1000


async def test_connect_create_task(echo_server):
    """connect can be given to create_task and to gather."""
    task = asyncio.create_task(connect(echo_server.url, **QUICK))
    others = await asyncio.gather(*(connect(echo_server.url, **QUICK) for _ in "ab"))
    for ws in [await task, *others]:
        async with ws as same:
            assert same is ws


async def test_connect_wait_for(raw_server):
    """Cancelling a connect gives up at once and leaves nothing behind."""
    server = raw_server(lambda peer: peer.wait_eof())
    start = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(connect(server.url, **QUICK), 50 * MS)
    assert time.monotonic() - start < 250 * MS


async def test_context_manager_exception(answering):
    """An exception leaves the block unchanged, and the connection closed."""
    error = RuntimeError("body")
    with pytest.raises(RuntimeError) as caught:
        async with connect(answering(lambda peer: None).url, **QUICK) as ws:
            raise error
    assert caught.value is error
    assert ws.state is State.CLOSED


async def test_repr_without_credentials(answering):
    """repr tells where a connection leads but not by which credentials."""
    url = answering(lambda peer: None).url.replace("ws://", "ws://alice:secret@")
    async with connect(url + "/?token=secret", **QUICK) as ws:
        assert "AsyncWebSocket" in repr(ws)
        assert "secret" not in repr(ws)


# Test send and recv.


@pytest.mark.parametrize("size", SIZES)
async def test_send_recv(echo, size):
    """Text and bytes of every length encoding come back as they were."""
    text = ("é" + "x" * size)[:size]
    data = random.Random(size).randbytes(size)
    async with connect(echo.url, **echo.options) as ws:
        for message in [text, data]:
            await ws.send(message)
            received = await ws.recv()
            assert type(received) is type(message)
            assert received == message


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_send_bytes_like(echo_server, kind):
    """Bytes-like objects are sent as they were when send was called."""
    data = bytearray(b"x" * 100_000)
    async with connect(echo_server.url, **QUICK) as ws:
        await ws.send(kind(data))
        data[:] = b"y" * len(data)
        assert await ws.recv() == b"x" * 100_000


@pytest.mark.timeout(60)
async def test_send_recv_100_megabytes(echo):
    """A message of 100 MB passes although it is larger than every buffer."""
    data = random.Random(1).randbytes(1 << 20) * 100
    async with connect(echo.url, **{**echo.options, "receive_timeout": 40.0}) as ws:
        await ws.send(data)
        assert await ws.recv() == data


async def test_recv_fragmented_message(scripted):
    """Fragments are joined, and a ping between them is answered."""
    pongs = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(TEXT, "✓".encode()[:1], fin=False)
        peer.send_frame(PING, b"between")
        peer.send_frame(CONTINUATION, "✓".encode()[1:], fin=False)
        peer.send_frame(CONTINUATION, b"", fin=True)
        pongs.append(peer.read_frame())
        peer.send_frame(BINARY, b"next")
        peer.answer_close()

    address = scripted(script)
    async with connect(address.url, **address.options) as ws:
        assert await ws.recv() == "✓"
        assert await ws.recv() == b"next"
    assert (pongs[0].opcode, pongs[0].payload) == (PONG, b"between")


async def test_recv_timeout(raw_server):
    """receive_timeout ends a recv, which loses nothing."""
    server = raw_server(silent)
    options = {**QUICK, "receive_timeout": 50 * MS, "close_timeout": 50 * MS}
    async with connect(server.url, **options) as ws:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(TimeoutError, match="waiting for a message"):
                await ws.recv()
            assert 49 * MS < time.monotonic() - start < 150 * MS


async def test_recv_concurrent(echo_server):
    """A second task in recv gets ConcurrencyError; the first one its message."""
    async with connect(echo_server.url, **QUICK) as ws:
        first = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        with pytest.raises(ConcurrencyError):
            await ws.recv()
        await ws.send("for the first")
        assert await first == "for the first"


async def test_recv_as_task(echo_server):
    """recv and send are coroutines: create_task and wait_for take them."""
    async with connect(echo_server.url, **QUICK) as ws:
        receiving = asyncio.create_task(ws.recv())
        await asyncio.wait_for(ws.send("x"), 1)
        assert await receiving == "x"


@pytest.mark.parametrize("storm", ["wait_for", "cancel"])
async def test_recv_cancellation_loses_nothing(raw_server, storm):
    """recv cancelled at any moment neither loses nor reorders a message."""
    count = 500

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        chance = random.Random(3)
        for number in range(count):
            peer.send_bytes(messages(f"{number}-{'x' * 200}"), pieces=70)
            time.sleep(chance.random() * MS)
        peer.answer_close()

    chance = random.Random(4)
    received: list[str] = []
    cancelled = 0
    async with connect(raw_server(script).url, **QUICK) as ws:
        while len(received) < count:
            try:
                if storm == "wait_for":
                    message = await asyncio.wait_for(ws.recv(), chance.random() * MS)
                else:
                    message = await cancelled_at_random(ws, chance)
            except (asyncio.TimeoutError, asyncio.CancelledError):
                cancelled += 1
                continue
            received.append(message.split("-")[0])
    assert received == [str(number) for number in range(count)]
    assert cancelled > 10


async def cancelled_at_random(ws: AsyncWebSocket, chance: random.Random) -> str | bytes:
    """Receive in a task that is cancelled after a few turns of the loop."""
    task = asyncio.create_task(ws.recv())
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0)
    if chance.random() < 0.5:
        await asyncio.sleep(chance.random() * MS)
    task.cancel()
    return await task


async def test_send_cancellation_keeps_frames_whole(raw_server):
    """A cancelled send has sent its message whole or not at all."""
    received = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        while (frame := peer.read_frame()).opcode == BINARY:
            assert len(set(frame.payload)) == 1
            assert len(frame.payload) == 300_000
            received.append(frame.payload[0])
            time.sleep(MS)
        peer.send_frame(frame.opcode, frame.payload)

    server = raw_server(script)
    async with connect(server.url, **QUICK) as ws:
        completed = []
        for number in range(60):
            try:
                await asyncio.wait_for(ws.send(bytes([number]) * 300_000), 0.5 * MS)
                completed.append(number)
            except asyncio.TimeoutError:
                pass
    await asyncio.to_thread(server.join)
    assert set(completed) <= set(received)
    assert received == sorted(set(received))


async def test_iteration(raw_server):
    """Iteration yields every message and ends silently with a normal closure."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(messages("a", b"b", "c"))
        peer.finish(1001)

    async with connect(raw_server(script).url, **QUICK) as ws:
        assert [message async for message in ws] == ["a", b"b", "c"]
        assert ws.close_code == 1001


async def test_iteration_raises_on_failure(raw_server):
    """Iteration raises when the connection was not closed normally."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_text("a")
        peer.finish(1011)

    async with connect(raw_server(script).url, **QUICK) as ws:
        assert await anext(aiter(ws)) == "a"
        with pytest.raises(ConnectionClosedError) as caught:
            await anext(aiter(ws))
        assert caught.value.code == 1011


async def test_recv_without_inbox(echo):
    """With an inbox limit of zero messages are received, in recv or before it."""
    async with connect(echo.url, inbox_limit=0, **echo.options) as ws:
        for texts in [["a"], ["b", "c" * 100_000, "d"]]:
            for text in texts:
                await ws.send(text)
            assert [await ws.recv() for _ in texts] == texts


@pytest.mark.parametrize("message", WRONG_MESSAGES, ids=repr)
async def test_send_wrong_message(echo_server, message):
    """A message of a wrong type or with a lone surrogate sends nothing."""
    kind = ValueError if message == "\ud800" else TypeError
    async with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises(kind):
            await ws.send(message)
        await ws.send("alive")
        assert await ws.recv() == "alive"


@pytest.mark.parametrize("arguments", [(999,), (1006,), (1000, "x" * 124), (1000, 5)])
async def test_close_wrong_arguments(echo_server, arguments):
    """A code or reason that may not be sent is refused."""
    async with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((ValueError, TypeError)):
            await ws.close(*arguments)
        await ws.send("alive")
        assert await ws.recv() == "alive"


# Test close.


async def test_close_code_and_reason(raw_server):
    """The peer reads the code and the reason that close was given."""
    frames = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        frames.append(peer.answer_close())

    server = raw_server(script)
    ws = await connect(server.url, **QUICK)
    await ws.close(4001, "done")
    await ws.close()
    await asyncio.to_thread(server.join)
    assert (frames[0].close_code, frames[0].close_reason) == (4001, "done")
    assert (ws.close_code, ws.close_reason) == (4001, "done")


async def test_close_ends_blocked_recv(raw_server):
    """A recv waiting in another task ends at once, a silent peer or not."""
    close_timeout = 1000 * MS
    ws = await connect(raw_server(silent).url, close_timeout=close_timeout, **QUICK)
    ended = []

    async def receive() -> None:
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        ended.append(time.monotonic())

    receiving = asyncio.create_task(receive())
    await asyncio.sleep(20 * MS)
    start = time.monotonic()
    await ws.close()
    assert time.monotonic() - start < close_timeout + 200 * MS
    await receiving
    assert ended[0] - start < 200 * MS
    assert ws.state is State.CLOSED


async def test_close_cancelled(raw_server):
    """A cancelled close still frees the connection."""
    ws = await connect(raw_server(silent).url, close_timeout=500 * MS, **QUICK)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(ws.close(), 20 * MS)
    await wait_until_async(lambda: ws.state is State.CLOSED, "the close ends")


async def test_use_after_close(echo_server):
    """send and recv raise the closed exception, which is a RuntimeError."""
    ws = await connect(echo_server.url, **QUICK)
    await ws.close()
    with pytest.raises(ConnectionClosedOK):
        await ws.send("x")
    with pytest.raises(RuntimeError):
        await ws.recv()
    assert [message async for message in ws] == []


async def test_peer_closes_while_idle(scripted):
    """The peer's Close is answered and noticed, and messages before it are kept."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_text("before")
        assert peer.finish(1001).close_code == 1001

    address = scripted(script)
    ws = await connect(address.url, **address.options)
    await wait_until_async(lambda: ws.state is State.CLOSED, "the close is noticed")
    assert await ws.recv() == "before"
    with pytest.raises(ConnectionClosedOK) as caught:
        await ws.recv()
    assert caught.value.rcvd_then_sent is True
    await ws.close()


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["eof", "reset"])
async def test_peer_vanishes(scripted, end):
    """The end of the stream without a Close is ConnectionClosedError 1006."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.read_message()
        end(peer)

    address = scripted(script)
    async with connect(address.url, **address.options) as ws:
        await ws.send("go")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        assert caught.value.rcvd is None
        assert ws.close_code == 1006


# Test event loops.


def test_other_loop(echo_server):
    """A connection belongs to the loop that opened it, and says so elsewhere."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        ws = first.run_until_complete(open_connection(echo_server.url))
        for call in [lambda: ws.send("x"), ws.recv]:
            with pytest.raises(RuntimeError, match="loop"):
                second.run_until_complete(as_coroutine(call))
        first.run_until_complete(ws.send("alive"))
        assert first.run_until_complete(ws.recv()) == "alive"
        first.run_until_complete(ws.close())
    finally:
        first.close()
        second.close()


async def open_connection(url: str) -> AsyncWebSocket:
    """Open a connection on the running loop."""
    return await connect(url, **QUICK)


async def as_coroutine(call):
    """Call a coroutine function on the running loop."""
    return await call()


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("waiting", [False, True])
def test_loop_closed_first(echo_server, kind, waiting):
    """A loop closed under an open connection leaks no thread and no descriptor."""
    from conftest import new_event_loop

    before = len(connection_threads())
    loop = new_event_loop(kind)
    ws = loop.run_until_complete(open_connection(echo_server.url))
    assert len(connection_threads()) == before + 1
    if waiting:
        task = loop.create_task(ws.recv())
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        del task
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del ws, loop
        gc.collect()


async def test_abandoned_connection(echo_server):
    """A connection that nobody closed is reported, and freed while the loop runs."""
    before = connection_threads()

    async def forget() -> None:
        ws = await connect(echo_server.url, **QUICK)
        await ws.send("x")
        assert await ws.recv() == "x"

    await asyncio.create_task(forget_and_collect(forget))
    await wait_until_async(
        lambda: connection_threads() == before, "the thread has ended"
    )


async def forget_and_collect(forget) -> None:
    """Expect the warning about a connection that was forgotten."""
    with pytest.warns(ResourceWarning, match="WebSocket"):  # noqa: PT031
        await forget()
        gc.collect()


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_two_loops_in_turn(echo_server, kind):
    """Each of several loops in a process has connections that work."""
    from conftest import run_on_loop

    async def round_trip() -> None:
        async with connect(echo_server.url, **QUICK) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"

    for _ in range(3):
        run_on_loop(kind, round_trip, {}, 5.0)


def test_loops_in_parallel(echo_server):
    """Loops on several threads have connections at the same time."""
    from conftest import run_on_loop

    async def round_trips() -> None:
        async with connect(echo_server.url, **QUICK) as ws:
            for number in range(200):
                await ws.send(str(number))
                assert await ws.recv() == str(number)

    calls = [Background(run_on_loop, "asyncio", round_trips, {}, 10.0) for _ in "abcd"]
    for call in calls:
        call.result()


async def test_loop_without_add_reader(echo_server, monkeypatch, loop_kind):
    """A loop that cannot watch descriptors is woken in the other way."""
    if loop_kind == "uvloop":
        pytest.skip("uvloop's methods cannot be replaced")

    def add_reader(*args: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
    async with connect(echo_server.url, **QUICK) as ws:
        for number in range(100):
            await ws.send(str(number))
            assert await ws.recv() == str(number)


async def test_no_python_thread(echo_server):
    """A connection has one OS thread named after it and no Python thread."""
    import threading

    python, before = threading.enumerate(), connection_threads()
    async with connect(echo_server.url, **QUICK):
        assert threading.enumerate() == python
        assert len(connection_threads()) == len(before) + 1


def test_exports():
    """The module exports the documented names."""
    assert {"connect", "AsyncWebSocket"} <= set(async_client.__all__)
