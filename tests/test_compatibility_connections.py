"""Connections behave the same in `websockets` and in `websocket_rs`.

What they tell of themselves, what several calls at once do, and subclasses of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid

import pytest

from counterparts import (
    PACKAGES,
    WITH_WEBSOCKETS_17,
    Library,
    Recorder,
    ending,
    error_of,
    same,
)
from raw_server import BINARY, CONTINUATION, MS, TEXT
from support import Background, wait_until


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_open_connection(compare):
    """An open connection tells the same of itself."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            host, port = ws.local_address[:2]
            return (
                ws.state.name,
                ws.state == 1,
                ws.state is library.State.OPEN,
                ws.close_code,
                ws.close_reason,
                ws.latency,
                ws.subprotocol,
                isinstance(ws.id, uuid.UUID),
                isinstance(ws.logger, logging.LoggerAdapter),
                ws.debug,
                (host, port > 0),
                f"ws://{ws.remote_address[0]}:{ws.remote_address[1]}" == uri,
                ws.request.method,
                ws.request.protocol,
                ws.response.status_code,
                ws.response.reason_phrase,
                ws.response.body,
                # The value of the last one isn't the same twice.
                list(ws.response.headers.raw_items())[:2],
            )

    same(compare(scenario))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fragments_fail(compare, number):
    """An exception of the generator of fragments is passed on."""

    def fragments():
        for index in range(number):
            yield f"{index}"
        raise LookupError("mine")

    async def scenario(library, uri):
        seen = []
        async with library.connect(uri, compression=None) as ws:
            try:
                await ws.send(fragments())
            except LookupError as exc:
                seen.append(str(exc))
            # Ours has the reason as the cause, too.
            seen.append(await error_of(ws.send("later")) | {"cause": None})
        return seen, ending(ws)

    (theirs, *_, their_frames), (ours, *_, our_frames) = compare(scenario)
    assert ours[0][0] == theirs[0][0]
    if number == 0:
        # Nothing was sent, so nothing is wrong with the connection.
        assert ours[0][1]["value"] is None
    else:
        assert ours == theirs
        assert our_frames == their_frames


def test_fragments_of_async_generator(raw_server):
    """An asynchronous generator is a message in fragments."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "asyncio")
        recorder = Recorder()
        server = raw_server(recorder)

        async def fragments():
            for part in [b"a", bytearray(b"b"), memoryview(b"c")]:
                await asyncio.sleep(0)
                yield part

        async def run(library=library, uri=server.url, fragments=fragments):
            async with library.connect(uri, compression=None) as ws:
                await ws.send(fragments())
                await ws.send(fragments(), text=True)

        asyncio.run(run())
        server.join()
        seen.append(recorder.frames)
    assert seen[0] == seen[1]
    assert seen[1][0] == (BINARY, False, 0, b"a")


def test_send_waits_for_fragments(raw_server):
    """A message waits for the end of another one in fragments; a ping doesn't."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "asyncio")
        recorder = Recorder()
        server = raw_server(recorder)

        async def run(library=library, uri=server.url):
            go_on = asyncio.Event()

            async def fragments():
                yield "a"
                await go_on.wait()
                yield "b"

            async with library.connect(uri, compression=None) as ws:
                first = asyncio.create_task(ws.send(fragments()))
                await asyncio.sleep(20 * MS)
                second = asyncio.create_task(ws.send("whole"))
                await ws.pong(b"between")
                await asyncio.sleep(20 * MS)
                go_on.set()
                await asyncio.gather(first, second)

        asyncio.run(run())
        server.join()
        seen.append(recorder.frames)
    assert seen[0] == seen[1]


def test_send_beside_fragments_blocking(raw_server):
    """A thread can't send beside another one that sends fragments."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")
        server = raw_server(Recorder())
        begun, go_on = threading.Event(), threading.Event()

        def fragments(begun=begun, go_on=go_on):
            yield "a"
            begun.set()
            go_on.wait()
            yield "b"

        with library.client.connect(server.url, proxy=None, compression=None) as ws:
            other = Background(ws.send, fragments())
            begun.wait()
            with pytest.raises(library.exceptions.ConcurrencyError) as caught:
                ws.send("whole")
            go_on.set()
            other.result()
            ws.send("later")
        seen.append(str(caught.value))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("timeout", [0, 0.05, -1])
def test_recv_timeout(raw_server, timeout):
    """The timeout of recv is the same exception; the connection stays open."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")

        def speech(peer):
            peer.read_message()
            peer.send_frame(TEXT, "fra", fin=False)
            peer.read_message()
            peer.send_frame(CONTINUATION, "gments")

        server = raw_server(Recorder(speech))
        options = {"proxy": None, "compression": None}
        with library.client.connect(server.url, **options) as ws:
            outcome = []
            for _ in range(2):
                with pytest.raises(TimeoutError) as caught:
                    ws.recv(timeout=timeout)
                outcome.append(str(caught.value))
                ws.send("go on")
            outcome.append(ws.recv(timeout=5))
        seen.append(outcome)
    assert seen[1][2] == seen[0][2] == "fragments"
    # Ours says what it has waited for.
    assert all(text.startswith("timed out in") for pair in seen for text in pair[:2])


def test_recv_timeout_zero_takes_what_is_there(raw_server):
    """A timeout of zero receives what has arrived."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")
        server = raw_server(Recorder(lambda peer: peer.send_text("here")))
        with library.client.connect(server.url, proxy=None) as ws:

            def taken(ws=ws):
                with contextlib.suppress(TimeoutError):
                    return ws.recv(timeout=0)

            seen.append(wait_until(taken, "the message is there"))
    assert seen[0] == seen[1]


def test_recv_streaming_beside_recv(compare):
    """recv while a message is received in fragments is a ConcurrencyError."""

    def speech(peer):
        peer.send_frame(TEXT, "a", fin=False)
        peer.send_frame(CONTINUATION, "b")

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            seen = []
            async for fragment in ws.recv_streaming():
                seen.append(fragment)
                if fragment == "a":
                    error = await error_of(ws.recv())
                    seen.append(error["type"])
            return seen

    same(compare(scenario, speech))


async def test_ping_at_the_end(raw_server):
    """A ping that is never answered fails when the connection ends."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "asyncio")

        def speech(peer):
            peer.accept_handshake()
            peer.read_frame()
            peer.send_close(4000, "why")
            peer.read_close()
            peer.close()

        server = raw_server(speech)
        ws = await library.open(server.url)
        waiter = await ws.ping()
        seen.append(await error_of(asyncio.wait_for(waiter, 5)))
        await ws.close()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("ack_on_close", [False, True])
def test_ping_at_the_end_blocking(raw_server, ack_on_close):
    """The event of a ping is set at the end of the connection if that is asked for."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")

        def speech(peer):
            peer.accept_handshake()
            peer.answer_close()

        server = raw_server(speech)
        ws = library.client.connect(server.url, proxy=None, legacy=True)
        event = ws.ping(b"x", ack_on_close=ack_on_close)
        before = event.is_set()
        ws.close()
        ws.wait_closed()
        after = event.wait(5 if ack_on_close else 0)
        seen.append((before, after, event.is_set()))
    assert seen[0] == seen[1]


def test_pong_acknowledges_earlier_pings(compare):
    """A pong is also for the pings before the one that it answers."""

    def speech(peer):
        peer.accept_handshake()
        peer.send_frame(0xA, b"unasked")
        peer.read_frame()
        peer.read_frame()
        peer.send_frame(0xA, b"second")
        peer.answer_close()

    async def scenario(library, uri):
        ws = await library.open(uri)
        waiters = [await ws.ping(b"first"), await ws.ping("second")]
        if library.face == "asyncio":
            seen = [type(await asyncio.wait_for(waiter, 5)) for waiter in waiters]
        else:
            seen = [waiter.wait(5) for waiter in waiters]
        # The same data may be sent again.
        await ws.ping(b"first")
        await ws.close()
        return seen

    same(compare(scenario, speech, accepts=False))


def test_subclass(compare):
    """What a subclass overrides is used by the methods that stand upon it."""

    async def scenario(library, uri):
        noted = []
        base = library.client.ClientConnection

        if library.face == "sync":

            class Noting(base):
                def recv(self, *arguments, **keywords):
                    noted.append("recv")
                    return super().recv(*arguments, **keywords)

                def close(self, *arguments, **keywords):
                    noted.append("close")
                    return super().close(*arguments, **keywords)

        else:

            class Noting(base):
                async def recv(self, *arguments, **keywords):
                    noted.append("recv")
                    return await super().recv(*arguments, **keywords)

                async def close(self, *arguments, **keywords):
                    noted.append("close")
                    return await super().close(*arguments, **keywords)

        async with library.connect(uri, create_connection=Noting) as ws:
            async for message in ws:
                noted.append(message)
        return noted

    def speech(peer):
        peer.send_text("one")
        peer.send_close(1000)

    same(compare(scenario, speech))


def test_create_connection_function(compare):
    """A function may make the connection, too."""

    async def scenario(library, uri):
        made = []

        def create(*arguments, **keywords):
            ws = library.client.ClientConnection(*arguments, **keywords)
            made.append(type(ws).__name__)
            return ws

        async with library.connect(uri, create_connection=create) as ws:
            await ws.send("x")
        return len(made)

    same(compare(scenario))


def test_logger_adapter(compare, caplog):
    """A LoggerAdapter is taken as a logger."""
    caplog.set_level(logging.DEBUG, "mine")

    class Prefixed(logging.LoggerAdapter):
        def process(self, message, keywords):
            return f"prefix {message}", keywords

    async def scenario(library, uri):
        caplog.clear()
        logger = Prefixed(logging.getLogger("mine"), {})
        async with library.connect(uri, logger=logger) as ws:
            await ws.send("x")
        records = [record for record in caplog.records if record.name == "mine"]
        return all(record.getMessage().startswith("prefix ") for record in records)

    assert same(compare(scenario))[0] is True
