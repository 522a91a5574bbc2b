"""Programs behave the same with `websockets` and with `websocket_rs`."""

from __future__ import annotations

import asyncio
import logging

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
from raw_server import BINARY, CLOSE, CONTINUATION, MS, PING, TEXT, close_payload


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

MESSAGES = {
    "str": "héllo",
    "empty": "",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"mutable"),
    "memoryview": memoryview(b"view")[1:],
    "long": "x" * 70_000,
    "list": ["one", "two", "three"],
    "list of bytes": [b"one", bytearray(b"two")],
    "tuple of one": ("one",),
    "empty list": [],
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
@pytest.mark.parametrize("text", [None, True, False])
def test_send(compare, message, text):
    """Whatever is sent, the same frames are on the wire."""
    if text and MESSAGES["bytes"] is message:
        pytest.skip("only websocket_rs checks that bytes sent as text are UTF-8")

    async def scenario(library, uri):
        async with library.connect(uri, compression=None) as ws:
            return await error_of(ws.send(message, text=text))

    *_, frames = same(compare(scenario))
    assert frames[-1] == (CLOSE, True, 0, close_payload(1000))


def test_send_generator(compare):
    """A generator is a message in fragments, which ends with an empty one."""

    async def scenario(library, uri):
        async with library.connect(uri, compression=None) as ws:
            await ws.send(part for part in ["a", "b"])

    *_, frames = same(compare(scenario))
    assert frames[:3] == [
        (TEXT, False, 0, b"a"),
        (CONTINUATION, False, 0, b"b"),
        (CONTINUATION, True, 0, b""),
    ]


@pytest.mark.parametrize("message", [None, 5, {"a": 1}, 1.5])
def test_send_wrong_type(compare, message):
    """What can't be sent is a TypeError with the same beginning; nothing happens."""

    async def scenario(library, uri):
        async with library.connect(uri, compression=None) as ws:
            seen = await error_of(ws.send(message))
            await ws.send("alive")
            # Both texts begin alike; ours goes on to name the value.
            return seen["type"], seen["text"][:22]

    same(compare(scenario))


@pytest.mark.parametrize("message", [["a", b"b"], ["a", 5]])
def test_send_mixed_fragments(compare, message):
    """Fragments of two kinds fail the connection in the same way."""

    async def scenario(library, uri):
        async with library.connect(uri, compression=None) as ws:
            seen = await error_of(ws.send(message))
        # The blocking client of websockets has another text for what is no fragment.
        return seen["type"], seen["text"][:21], ending(ws)

    *_, frames = same(compare(scenario))
    assert frames[-1][3][:2] == close_payload(1011)


def speak(*frames):
    """Return a speech of these frames."""

    def speech(peer):
        for opcode, payload, *fin in frames:
            peer.send_frame(opcode, payload, fin=fin[0] if fin else True)

    return speech


@pytest.mark.parametrize("decode", [None, True, False])
def test_recv(compare, decode):
    """Messages are received as the same types, whatever decode says."""
    frames = [
        (TEXT, "text"),
        (BINARY, b"bytes"),
        (TEXT, "fra", False),
        (PING, b"between"),
        (CONTINUATION, "gments"),
        (TEXT, ""),
    ]

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            return [await ws.recv(decode=decode) for _ in range(4)]

    same(compare(scenario, speak(*frames)))


def test_recv_streaming(compare):
    """Fragments are received one by one."""
    frames = [
        (TEXT, "one", False),
        (CONTINUATION, "", False),
        (CONTINUATION, "two"),
        (BINARY, b"whole"),
    ]

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            first = [fragment async for fragment in ws.recv_streaming()]
            second = [fragment async for fragment in ws.recv_streaming()]
            return first, second

    same(compare(scenario, speak(*frames)))


CLOSES = [1000, 1001, None, 1002, 1011, 3000, 4000]


@pytest.mark.parametrize("code", CLOSES)
def test_closed_by_server(compare, code):
    """The server's close ends iteration, or raises, and is told in the same way."""

    def speech(peer):
        peer.send_text("last")
        peer.send_close(code, "why" if code else "")

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            messages = []
            try:
                async for message in ws:
                    messages.append(message)
            except library.exceptions.ConnectionClosedError as exc:
                messages.append(describe(exc))
            after = [await error_of(ws.recv()), await error_of(ws.send("late"))]
            return messages, after, ending(ws)

    same(compare(scenario, speech))


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (3000, "ü"), (4999, "x" * 123)]
)
def test_close(compare, code, reason):
    """The client's close is on the wire as it was asked for, once."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            await ws.close(code, reason)
            await ws.close(1011, "again")
            return ending(ws), await error_of(ws.recv()), await error_of(ws.send("x"))

    *_, frames = same(compare(scenario))
    assert frames == [(CLOSE, True, 0, close_payload(code, reason))]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(999, ""), (1005, ""), (1006, ""), (5000, ""), (1000, "x" * 124)],
)
def test_close_wrong(compare, code, reason):
    """A close that can't be sent is a ProtocolError; the connection stays open."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            try:
                await ws.close(code, reason)
            except library.exceptions.ProtocolError as exc:
                words = str(exc)[:19]
            await ws.send("alive")
            return words, ws.state.name

    same(compare(scenario))


def test_exception_in_block(compare):
    """An exception in the block closes with 1011, and is passed on."""

    async def scenario(library, uri):
        with pytest.raises(LookupError):
            async with library.connect(uri):
                raise LookupError("mine")

    *_, frames = same(compare(scenario))
    assert frames[-1] == (CLOSE, True, 0, close_payload(1011))


def test_lost_connection(compare):
    """A connection that ends without a Close frame is told in the same way."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            seen = await error_of(ws.recv())
            del seen["cause"]
            return seen, ending(ws)

    same(compare(scenario, lambda peer: peer.close()))


WRONG = {
    "reserved bit": b"\xa1\x00",
    "reserved opcode": b"\x83\x00",
    "continuation of nothing": b"\x80\x00",
    "message in a message": b"\x01\x00\x81\x00",
    "masked": b"\x81\x80\x00\x00\x00\x00",
    "long ping": b"\x89\x7e\x00\x7e" + bytes(126),
    "fragmented ping": b"\x09\x00",
    "invalid UTF-8": b"\x81\x01\xff",
    "close with one byte": b"\x88\x01\x03",
    "close with a bad code": b"\x88\x02\x03\xed",
    "close reason not UTF-8": b"\x88\x03\x03\xe8\xff",
}


OTHER_WORDS = {"reserved opcode", "close with one byte", "close with a bad code"}
OTHER_WORDS |= {"close reason not UTF-8"}
"""Violations that are told in other words."""


@pytest.mark.parametrize("violation", WRONG)
def test_protocol_error(compare, violation):
    """Each violation fails the connection with the same code, and mostly words."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            seen = await error_of(ws.recv())
            end = ending(ws)
        if violation in OTHER_WORDS:
            return seen["type"], seen["sent"][0], seen["rcvd"], end
        # The cause is a ProtocolError here, also where it is UnicodeDecodeError there.
        return seen | {"cause": None}, end

    outcomes = compare(scenario, lambda peer: peer.send_bytes(WRONG[violation]))
    (theirs, *_, their_frames), (ours, *_, our_frames) = outcomes
    assert ours == theirs
    if violation in OTHER_WORDS:
        their_frames, our_frames = (
            [frame[3][:2] for frame in frames] for frames in (their_frames, our_frames)
        )
    assert our_frames == their_frames


@pytest.mark.parametrize("limit", [4, (4, None), (None, 4), (8, 4)])
def test_max_size(compare, limit):
    """A message or fragment that is too big fails the connection with 1009."""

    async def scenario(library, uri):
        async with library.connect(uri, max_size=limit) as ws:
            first = await ws.recv()
            seen = await error_of(ws.recv())
            cause = seen.pop("cause")
            return first, seen["type"], seen["sent"][0], cause, ending(ws)

    speech = speak((TEXT, "four"), (TEXT, "seven77"))
    same(compare(scenario, speech))


def test_ping(compare):
    """Pings and pongs are on the wire as they were asked for."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            before = ws.latency
            types = [
                await library.latency(ws, data) for data in ["text", b"bytes", b""]
            ]
            await ws.pong(b"unasked")
            return before, types, ws.latency > 0

    *_, frames = same(compare(scenario))
    assert [frame[3] for frame in frames[:4]] == [b"text", b"bytes", b"", b"unasked"]


@pytest.mark.parametrize("method", ["ping", "pong"])
@pytest.mark.parametrize("data", [b"x" * 126, 5])
def test_ping_wrong(compare, method, data):
    """Data that can't be sent is the same error; the connection stays open."""

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            try:
                await getattr(ws, method)(data)
            except (library.exceptions.ProtocolError, TypeError) as exc:
                kind = "TypeError" if isinstance(exc, TypeError) else "ProtocolError"
                words = str(exc)[:22]
            await ws.send("alive")
            return kind, words

    same(compare(scenario))


def test_ping_twice(compare):
    """A ping with data that waits for its pong is a ConcurrencyError."""

    async def scenario(library, uri):
        ws = await library.open(uri)
        await ws.ping(b"same")
        seen = await error_of(ws.ping(b"same"))
        await ws.close()
        return seen

    def speech(peer):
        peer.accept_handshake()
        peer.answer_close()

    same(compare(scenario, speech, accepts=False))


def test_keepalive_timeout(compare):
    """A peer that answers no pings is given up with 1011, and the same exception."""

    def speech(peer):
        peer.accept_handshake()
        peer.read_frame()
        peer.wait_eof()

    async def scenario(library, uri):
        ws = await library.open(
            uri, ping_interval=100 * MS, ping_timeout=100 * MS, close_timeout=200 * MS
        )
        seen = await error_of(ws.recv())
        del seen["cause"]
        return seen

    result, *_ = same(compare(scenario, speech, accepts=False))
    assert "keepalive ping timeout" in result["text"]


def test_logger(compare, caplog):
    """The connection logs to the logger that it was given, and to no other."""
    caplog.set_level(logging.DEBUG, "mine")

    async def scenario(library, uri):
        caplog.clear()
        async with library.connect(uri, logger=logging.getLogger("mine")) as ws:
            await ws.send("x")
        ours = {record.name for record in caplog.records if record.name != "asyncio"}
        return ours, all(hasattr(r, "websocket") for r in caplog.records[-1:])

    assert same(compare(scenario))[0] == ({"mine"}, True)


def test_create_connection(compare):
    """A subclass is what `connect` makes."""

    async def scenario(library, uri):
        class Mine(library.client.ClientConnection):
            def __init__(self, *arguments, **keywords):
                super().__init__(*arguments, **keywords)
                self.seen = []

            def note(self, message):
                self.seen.append(message)
                return self.seen

        async with library.connect(uri, create_connection=Mine) as ws:
            return ws.note("x")

    assert same(compare(scenario))[0] == ["x"]


async def test_recv_cancelled(raw_server):
    """A message that comes after a cancelled recv isn't lost."""
    for package in PACKAGES:
        library = Library(package, "asyncio")

        def speech(peer):
            peer.read_message()
            peer.send_text("late")

        server = raw_server(Recorder(speech))
        async with library.connect(server.url) as ws:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.recv(), 20 * MS)
            await ws.send("go")
            assert await ws.recv() == "late"


@pytest.mark.parametrize("face", FACES)
def test_recv_twice(raw_server, face):
    """Two calls of recv at once are a ConcurrencyError with the same text."""
    import threading

    texts = []
    for package in PACKAGES:
        library = Library(package, face)
        server = raw_server(Recorder())

        async def on_asyncio(library, uri):
            async with library.connect(uri) as ws:
                first = asyncio.create_task(ws.recv())
                await asyncio.sleep(0)
                seen = await error_of(ws.recv())
                first.cancel()
                return seen

        def blocking(library, uri):
            with library.client.connect(uri, proxy=None) as ws:
                waiting = threading.Thread(target=lambda: list(ws))
                waiting.start()
                while True:
                    try:
                        ws.recv(timeout=0)
                    except TimeoutError:
                        continue
                    except library.exceptions.ConcurrencyError as exc:
                        ws.close()
                        waiting.join()
                        return describe(exc)

        if face == "sync":
            texts.append(blocking(library, server.url))
        else:
            texts.append(asyncio.run(on_asyncio(library, server.url)))
    assert texts[0] == texts[1]
