"""Connections end in the same way with `websockets` and with `websocket_rs`."""

from __future__ import annotations

import asyncio
import time

import pytest

from counterparts import (
    FACES,
    PACKAGES,
    WITH_WEBSOCKETS_17,
    Library,
    Recorder,
    describe,
    ending,
    error_of,
    same,
)
from raw_server import BINARY, CLOSE, MS, close_payload
from support import Background


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_received_before_the_end(compare):
    """Messages that came before the end are received after it."""

    def speech(peer):
        for text in ["one", "two"]:
            peer.send_text(text)
        peer.send_close(4000, "why")

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            await ws.wait_closed()
            seen = [await error_of(ws.recv()) for _ in range(4)]
            return seen, ending(ws)

    same(compare(scenario, speech))


def test_received_after_close(compare):
    """Messages that come while the client closes are received after it."""

    def speech(peer):
        peer.accept_handshake()
        frame = peer.read_close()
        peer.send_text("late")
        peer.send_frame(CLOSE, frame.payload)
        peer.close()

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            await ws.close()
            return await error_of(ws.recv()), await error_of(ws.recv())

    same(compare(scenario, speech, accepts=False))


def test_close_unanswered(compare):
    """A server that doesn't answer the close is given up after `close_timeout`."""

    def speech(peer):
        peer.accept_handshake()
        peer.read_close()
        peer.wait_eof()

    async def scenario(library, uri):
        ws = await library.open(uri, close_timeout=200 * MS)
        started = time.monotonic()
        await ws.close(1001, "bye")
        waited = time.monotonic() - started
        seen = await error_of(ws.recv())
        del seen["cause"]
        return waited < 5000 * MS, ending(ws), seen

    same(compare(scenario, speech, accepts=False))


@pytest.mark.parametrize("way", ["close", "reset"])
def test_close_answered_by_the_end(compare, way):
    """A server may end the connection instead of answering the close."""

    def speech(peer):
        peer.accept_handshake()
        peer.read_close()
        getattr(peer, way)()

    async def scenario(library, uri):
        ws = await library.open(uri)
        await ws.close()
        seen = await error_of(ws.recv())
        del seen["cause"]
        return ending(ws), seen

    same(compare(scenario, speech, accepts=False))


def test_close_answered_otherwise(compare):
    """The server's code is told, whatever the client's was."""

    def speech(peer):
        peer.accept_handshake()
        peer.read_close()
        peer.send_close(4001, "mine")
        peer.close()

    async def scenario(library, uri):
        ws = await library.open(uri)
        await ws.close(4000, "yours")
        return ending(ws), await error_of(ws.recv()), await error_of(ws.send("x"))

    same(compare(scenario, speech, accepts=False))


@pytest.mark.parametrize("code", [1000, 1001, 4000, None])
def test_loop_ends(compare, code):
    """A loop over messages ends silently or raises, as the close was."""

    def speech(peer):
        peer.send_text("one")
        peer.send_frame(BINARY, b"two")
        if code is None:
            peer.close()
        else:
            peer.send_close(code)

    async def scenario(library, uri):
        seen = []
        async with library.connect(uri) as ws:
            try:
                async for message in ws:
                    seen.append(message)
            except library.exceptions.ConnectionClosed as exc:
                seen.append(describe(exc) | {"cause": None})
            async for message in contextless(ws, library):
                seen.append(message)
        return seen, ending(ws)

    same(compare(scenario, speech))


async def contextless(ws, library):
    """Loop again over a closed connection; an error is yielded."""
    try:
        async for message in ws:
            yield message
    except library.exceptions.ConnectionClosed as exc:
        yield describe(exc) | {"cause": None}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("face", FACES)
def test_block_left_by(raw_server, error, face):
    """The close code says whether the block was left by an error."""
    seen = []
    for package in PACKAGES:
        library = Library(package, face)
        recorder = Recorder()
        server = raw_server(recorder)

        def blocking(library=library, uri=server.url):
            with library.client.connect(uri, proxy=None):
                raise error

        async def on_asyncio(library=library, uri=server.url):
            async with library.client.connect(uri, proxy=None) as ws:
                await ws.__aexit__(error, error(), None)

        if face == "sync":
            with pytest.raises(error):
                blocking()
        else:
            asyncio.run(on_asyncio())
        server.join()
        seen.append(recorder.frames)
    # Leaving a generator isn't an error.
    expected = 1000 if error is GeneratorExit else 1011
    assert seen[1] == [(CLOSE, True, 0, close_payload(expected))]
    assert seen[0] == [(CLOSE, True, 0, close_payload(1011))]


def test_close_while_receiving(raw_server):
    """A close ends the recv that waits, with the same exception."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")
        server = raw_server(Recorder())
        with library.client.connect(server.url, proxy=None) as ws:
            waiting = Background(ws.recv)
            ws.close(1001, "bye")
            with pytest.raises(library.exceptions.ConnectionClosed) as caught:
                waiting.result()
        seen.append(describe(caught.value))
    assert seen[0] == seen[1]


async def test_close_while_receiving_on_asyncio(raw_server):
    """A close ends the recv of another task, with the same exception."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "asyncio")
        server = raw_server(Recorder())
        async with library.connect(server.url) as ws:
            waiting = asyncio.create_task(error_of(ws.recv()))
            await asyncio.sleep(0)
            await asyncio.gather(ws.close(4000, "bye"), ws.close(4001, "too"))
            seen.append((await waiting, ending(ws)))
    assert seen[0] == seen[1]


def test_wait_closed(compare):
    """Waiting for the end of a connection ends with it."""

    def speech(peer):
        peer.send_close(1001, "bye")

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            return await ws.wait_closed(), ending(ws)

    same(compare(scenario, speech))


def test_wait_closed_timeout(raw_server):
    """Waiting with a timeout tells whether the connection is closed."""
    seen = []
    for package in PACKAGES:
        library = Library(package, "sync")
        server = raw_server(Recorder())
        with library.client.connect(server.url, proxy=None) as ws:
            before = ws.wait_closed(timeout=20 * MS)
            ws.close()
            seen.append((before, ws.wait_closed(timeout=5)))
    assert seen[0] == seen[1] == (False, True)
