"""Loggers of single connections: what they get, what others don't, and when they go."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import threading
import weakref
from typing import Any

import pytest

from conftest import tls_address
from logged import (
    FRAMES,
    Collector,
    connect_logged,
    connect_logged_async,
    new_logger,
)
from raw_server import MS, PING, PONG, Peer, encode_frame
from support import (
    QUICK,
    Background,
    connection_threads,
    resident_bytes,
    run_script,
    wait_until,
)
from websocket_rs.exceptions import ConnectionClosedOK, InvalidStatus
from websocket_rs.sync_client import WebSocket, connect


CONNECTIONS = int(os.environ.get("WEBSOCKET_RS_TESTS_CONNECTIONS", "3000"))
"""How many connections must not leave a trace; 100,000 before a release."""

NOBODY = "ws://127.0.0.1:1/"
"""Where no server listens."""


@pytest.fixture
def own() -> Collector:
    """What the logger of one connection gets."""
    return Collector()


def round_trip(ws: WebSocket, text: str = "x") -> None:
    """Send and receive a message."""
    ws.send(text)
    assert ws.recv() == text


def converse(url: str, logger: Any, **options: Any) -> None:
    """Send and receive a message over a connection with a logger of its own."""
    with connect_logged(url, logger, **options) as ws:
        round_trip(ws)


def converse_async(url: str, logger: Any, **options: Any) -> None:
    """Do so with the asyncio client."""

    async def converse() -> None:
        async with await connect_logged_async(url, logger, **options) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"

    asyncio.run(converse())


FACES = pytest.mark.parametrize("converse", [converse, converse_async])


def hand_on(url: str, **options: Any) -> None:
    """Have all the records handed on that wait, by a connection that tells nothing."""
    connect_logged(url, new_logger(logging.CRITICAL), **options).close()


def settle(url: str, **options: Any) -> None:
    """Wait until no connection can log any more, and have the records handed on."""
    wait_until(lambda: not connection_threads(), "the threads end")
    hand_on(url, **options)


def refusing(peer: Peer) -> None:
    """Refuse the opening handshake, with a header whose name looks like a format."""
    peer.read_request()
    peer.send_bytes(b"HTTP/1.1 403 Forbidden\r\nX-%s-%d: 1\r\n\r\n")
    peer.close()


# Test what goes where.


@FACES
def test_logger_gets_all_targets(
    tls_echo_server, tmp_path, own, logger, collector, converse
):
    """The own logger gets what the package's loggers would get; they get nothing."""

    def told(to: Collector) -> list[str]:
        return sorted(re.sub(r"in [\d.]+ ms", "", text) for text in to.messages())

    address = tls_address(tls_echo_server, tmp_path)
    logger.setLevel(FRAMES)
    for given in [None, new_logger(FRAMES, own)]:
        converse(address.url, given, **address.options)
        settle(address.url, **address.options)
    assert len(told(own)) > 8
    assert told(own) == told(collector)


def test_logger_gets_keepalive(raw_server, own, logger, collector):
    """What keepalive tells goes to the own logger."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(PONG, peer.read_frame().payload)
        peer.answer_close()

    logger.setLevel(FRAMES)
    url = raw_server(script).url
    with connect_logged(url, new_logger(FRAMES, own), ping_interval=10 * MS) as ws:
        wait_until(lambda: ws.latency > 0, "the pong has come")
    assert "keepalive ping" in own.text()
    assert collector.records == []


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (FRAMES, {FRAMES, logging.DEBUG}),
        (logging.DEBUG, {logging.DEBUG}),
        (logging.INFO, set()),
        (logging.CRITICAL, set()),
    ],
)
@pytest.mark.parametrize("package", [FRAMES, logging.WARNING, logging.CRITICAL + 1])
def test_level_of_own_logger_counts(echo_server, own, logger, level, expected, package):
    """The own logger's level decides what it gets, whatever that of the package is."""
    logger.setLevel(package)
    converse(echo_server.url, new_logger(level, own))
    assert {record.levelno for record in own.records} == expected


@pytest.mark.parametrize("package", [logging.DEBUG, logging.WARNING])
def test_level_of_others_is_theirs(echo_server, own, logger, collector, package):
    """Connections with another logger, or with none, are as talkative as without."""
    logger.setLevel(package)
    quiet = Collector()
    with (
        connect_logged(echo_server.url, new_logger(FRAMES, own)) as ws,
        connect_logged(echo_server.url, new_logger(logging.DEBUG, quiet)) as other,
        connect(echo_server.url, **QUICK) as third,
    ):
        for each in [ws, third, other, ws]:
            round_trip(each)
    assert {r.levelno for r in collector.records} == {logging.DEBUG} & {package}
    assert collector.connections() <= {third.name}
    assert {record.levelno for record in quiet.records} == {logging.DEBUG}
    assert (own.connections(), quiet.connections()) == ({ws.name}, {other.name})


def test_level_is_read_when_the_connection_is_made(echo_server, own):
    """A level set later lets no more through; a logger that is disabled gets none."""
    logger = new_logger(logging.DEBUG, own)
    with connect_logged(echo_server.url, logger) as ws:
        logger.setLevel(FRAMES)
        round_trip(ws)
        assert not any("Text" in text for text in own.messages())
        logger.disabled = True
        opening = len(own.records)
    assert len(own.records) == opening


@FACES
@pytest.mark.parametrize("value", ["websocket_rs", print, logging, 5])
def test_connect_with_what_is_no_logger(converse, value):
    """What isn't a logger is refused by name, before anything is sent."""
    with pytest.raises(TypeError) as caught:
        converse(NOBODY, value)
    assert repr(value) in str(caught.value)
    assert "logging.Logger" in str(caught.value)


def test_order(echo_server, own):
    """The records of one connection keep their order, whoever hands them on."""
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            converse(echo_server.url, None)

    disturber = Background(disturb)
    with connect_logged(echo_server.url, new_logger(FRAMES, own)) as ws:
        for size in range(1, 400):
            round_trip(ws, "x" * size)
    stop.set()
    disturber.result()
    hand_on(echo_server.url)
    told = [text for text in own.messages() if "Text" in text]
    assert told == [f"{to} Text [{n} bytes]" for n in range(1, 400) for to in "><"]


# Test adapters.


class Asking(logging.LoggerAdapter):  # type: ignore[type-arg]
    """An adapter as the documentation of websockets advises to write them."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Say which connection it is."""
        try:
            ws = kwargs["extra"]["websocket"]
        except KeyError:
            return msg, kwargs
        kwargs["extra"]["event_data"] = str(ws.id)
        return f"{ws.name} {msg}", kwargs


@FACES
def test_adapter_of_an_adapter(echo_server, own, converse):
    """Each adapter of a chain sees the connection, and adds its part to ours."""
    inner = logging.LoggerAdapter(new_logger(FRAMES, own), {"inner": 1})
    converse(echo_server.url, logging.LoggerAdapter(Asking(inner, {}), {"outer": 2}))
    sent, received = [r for r in own.records if "Text" in r.getMessage()]
    assert sent.event_data == received.event_data
    for record in [sent, received]:
        assert (record.inner, record.outer) == (1, 2)
        assert record.getMessage().startswith(f"{record.websocket_name} ")


def test_adapter_wins(echo_server, own):
    """Where an adapter says the same as we do, it is heard."""
    extra = {"websocket": 1, "websocket_name": "mine"}
    adapter = logging.LoggerAdapter(new_logger(FRAMES, own), extra)
    connect_logged(echo_server.url, adapter).close()
    assert own.connections() == {"mine"}
    assert {record.websocket for record in own.records} == {1}


def test_adapter_with_a_level_and_no_attributes(echo_server, own):
    """An adapter that is enabled for less gets less, and may have nothing to add."""

    class Quiet(logging.LoggerAdapter):  # type: ignore[type-arg]
        def isEnabledFor(self, level: int) -> bool:
            return level >= logging.DEBUG

    adapter = Quiet(new_logger(FRAMES, own), None)  # type: ignore[arg-type]
    with connect_logged(echo_server.url, adapter) as ws:
        round_trip(ws)
    assert {record.levelno for record in own.records} == {logging.DEBUG}
    assert own.connections() == {ws.name}


# Test the connection in records.


def test_record_refers_to_the_connection(echo_server, own):
    """Each record has a weak proxy of its connection."""
    with connect_logged(echo_server.url, new_logger(FRAMES, own)) as ws:
        round_trip(ws)
        assert own.records
        for record in own.records:
            assert type(record.websocket) is weakref.ProxyType
            assert record.websocket.id == ws.id
            assert record.websocket.request == ws.request


@pytest.mark.filterwarnings("ignore:unclosed connection:ResourceWarning")
def test_record_of_a_connection_that_is_gone(echo_server, own):
    """What happens after the object was collected is told by name, to its logger."""
    adapter = logging.LoggerAdapter(new_logger(logging.DEBUG, own), {})
    cycle: list[Any] = [connect_logged(echo_server.url, adapter)]
    cycle.append(cycle)
    name = cycle[0].name
    opening = len(own.records)
    # Nothing but the connection has the adapter.
    del adapter, cycle
    gc.collect()
    settle(echo_server.url)
    later = own.records[opening:]
    assert "connection has ended" in own.text()
    assert {record.websocket_name for record in later} == {name}
    assert not any(hasattr(record, "websocket") for record in later)


class Session:
    """What keeps a connection, and is in the attributes of its log records."""

    ws: Any


@pytest.mark.parametrize("does_record_wait", [False, True])
async def test_logger_that_leads_to_the_connection(
    echo_server, own, capsys, does_record_wait
):
    """A closed connection is collected though its logger refers to who has it."""
    session = Session()
    adapter = logging.LoggerAdapter(new_logger(FRAMES, own), {"session": session})
    session.ws = await connect_logged_async(echo_server.url, adapter)
    await session.ws.close()
    await asyncio.to_thread(settle, echo_server.url)
    own.records.clear()
    if does_record_wait:
        with pytest.raises(ConnectionClosedOK):
            await session.ws.send("xyz")
    gone = weakref.ref(session)
    del session, adapter
    gc.collect()
    assert gone() is None
    # The record has no logger any more, and that is no error.
    await asyncio.to_thread(hand_on, echo_server.url)
    assert own.records == []
    assert capsys.readouterr() == ("", "")


async def test_records_after_the_end(echo_server, own):
    """What is called on a closed connection is told, too, though it goes at once."""
    ws = await connect_logged_async(echo_server.url, new_logger(FRAMES, own))
    await ws.close()
    await asyncio.to_thread(settle, echo_server.url)
    own.records.clear()
    with pytest.raises(ConnectionClosedOK):
        await ws.send("xyz")
    # The record waits still, and this was the last reference to the logger.
    assert own.records == []
    del ws
    await asyncio.to_thread(hand_on, echo_server.url)
    assert own.messages() == ["> Text [3 bytes]"]


# Test connections that never opened.


@FACES
def test_refused_connection(raw_server, echo_server, own, collector, converse):
    """An attempt to connect is told to the own logger; which is let go afterwards."""
    logger = new_logger(logging.DEBUG, own)
    with pytest.raises(ConnectionRefusedError):
        converse(NOBODY, logger)
    assert own.messages() == [f"connecting to {NOBODY}"]
    with pytest.raises(InvalidStatus):
        converse(raw_server(refusing).url, logger)
    assert re.match("received response 403 .* X-%s-%d", own.messages()[-1])
    converse(echo_server.url, logger)
    assert collector.records == []
    gone = weakref.ref(logger)
    own.records.clear()
    del logger
    settle(echo_server.url)
    gc.collect()
    assert gone() is None


async def test_cancelled_connect(raw_server, echo_server):
    """A cancelled attempt to connect lets its logger go."""

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.wait_eof()

    asked = threading.Event()
    logger = new_logger(logging.DEBUG)
    gone = weakref.ref(logger)
    attempt = asyncio.create_task(connect_logged_async(raw_server(script).url, logger))
    assert await asyncio.to_thread(asked.wait, 5000 * MS)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    del logger, attempt
    await asyncio.to_thread(settle, echo_server.url)
    gc.collect()
    assert gone() is None


# Test that nothing is left.


@pytest.mark.timeout(600)
def test_many_connections_leave_nothing(echo_server):
    """Loggers of connections that are gone are gone, and so is what they took."""
    loggers: weakref.WeakSet[logging.Logger] = weakref.WeakSet()

    def attempt(number: int) -> None:
        loggers.add(logger := new_logger(FRAMES, logging.NullHandler()))
        if number % 10:
            with pytest.raises(ConnectionRefusedError):
                connect_logged(NOBODY, logger)
        else:
            converse(echo_server.url, logger)

    for number in range(CONNECTIONS // 10):
        attempt(number)
    before = resident_bytes()
    for number in range(CONNECTIONS):
        attempt(number)
        assert len(loggers) < 100
    settle(echo_server.url)
    gc.collect()
    assert len(loggers) == 0
    assert resident_bytes() - before < 4 * 2**20


# Test that logging never breaks a call.


class Raising(logging.Handler):
    """A handler that fails without the help of handleError."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Fail."""
        raise ZeroDivisionError(record.name)


class RaisingAdapter(logging.LoggerAdapter):  # type: ignore[type-arg]
    """An adapter that fails."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Fail."""
        raise ZeroDivisionError(msg)


BREAKERS = {
    "handler": lambda: new_logger(FRAMES, Raising()),
    "adapter": lambda: RaisingAdapter(new_logger(), {}),
}


@FACES
@pytest.mark.parametrize("breaker", BREAKERS)
def test_raising_breaks_nothing(echo_server, raw_server, converse, breaker, capsys):
    """An own logger that raises disturbs no connection, and hides no error."""
    converse(echo_server.url, BREAKERS[breaker]())
    with pytest.raises(InvalidStatus):
        converse(raw_server(refusing).url, BREAKERS[breaker]())
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_logger_that_cannot_tell_its_level():
    """What a logger raises that is asked for its level, connect raises."""

    class Odd(logging.Logger):
        def isEnabledFor(self, level: int) -> bool:
            raise ZeroDivisionError(level)

    with pytest.raises(ZeroDivisionError):
        connect_logged(NOBODY, Odd("odd"))


def test_connection_opened_inside_of_a_handler(echo_server):
    """A connection that a handler opens is not told of, or it would never end."""

    class Shipping(Collector):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            if len(self.records) == 1:
                converse(echo_server.url, logger)
                shipped.append(record)

    shipped: list[logging.LogRecord] = []
    shipping = Shipping()
    logger = new_logger(FRAMES, shipping)
    converse(echo_server.url, logger)
    settle(echo_server.url)
    assert len(shipped) == len(shipping.connections()) == 1


def test_flood_is_told_to_whom_it_concerns(raw_server, own, logger, collector):
    """Records that came too fast are counted to the logger that misses them."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        # Each ping is told, and so is each pong.
        peer.send_bytes(encode_frame(PING, b"x") * 20_000)
        peer.send_text("end")
        peer.read_close()
        peer.close()

    logger.setLevel(logging.WARNING)
    ws = connect_logged(raw_server(script).url, new_logger(FRAMES, own))
    assert ws.recv() == "end"
    ws.close()
    found = [record for record in own.records if "dropped" in record.getMessage()]
    assert {record.levelno for record in found} == {logging.WARNING}
    assert {record.websocket_name for record in found} == {ws.name}
    assert collector.records == []


def test_handler_delays_no_other_connection(echo_server):
    """Another thread can use its connection while a handler runs."""

    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            other = Background(converse, echo_server.url, None)
            done.append(other.result())

    done: list[None] = []
    converse(echo_server.url, new_logger(logging.DEBUG, Waiting()))
    assert len(done) > 3


# Test exit and fork.


def run(source: str, *arguments: str) -> str:
    """Return what a program prints that may import what tests share."""
    environment = {"PYTHONPATH": os.path.dirname(__file__)}
    done = run_script(source, *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


EXIT = """
import logging, sys
from logged import connect_logged, new_logger
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(websocket_name)s: %(message)s"))
ws = connect_logged(sys.argv[1], new_logger(logging.DEBUG, handler))
"""


def test_exit_hands_on_the_last_records(echo_server):
    """The own logger hears of the exit, which is the last before its handlers close."""
    lines = run(EXIT, echo_server.url).splitlines()
    assert lines[0].startswith("websocket-1: connecting")
    assert lines[-1].startswith("websocket-1: the interpreter exits")


FORK = """
import json, os, signal, sys, weakref
from logged import Collector, FRAMES, connect_logged, new_logger
own, other = Collector(), Collector()
ws = connect_logged(sys.argv[1], new_logger(FRAMES, own))
own.records.clear()
ws.send("waits to be handed on")
gone = weakref.ref(ws.own_logger)
if os.fork() == 0:
    signal.alarm(10)
    del ws
    connect_logged(sys.argv[1], new_logger(FRAMES, other)).close()
    print(json.dumps([own.messages(), len(other.connections()), gone() is None]))
    sys.stdout.flush()
    os._exit(0)
assert os.wait()[1] == 0
ws.close()
print(json.dumps(own.messages()))
"""


def test_fork(echo_server):
    """A child logs to loggers of its own connections, and nothing of its parent's."""
    child, parent = map(json.loads, run(FORK, echo_server.url).splitlines())
    assert child == [[], 1, True]
    assert parent[0] == "> Text [21 bytes]"
    assert parent[-1].startswith("connection has ended")


FORK_BUSY = """
import logging, os, signal, sys
from logged import FRAMES, connect_logged, new_logger
logger = new_logger(FRAMES, logging.NullHandler())
ws = connect_logged(sys.argv[1], logger)
for _ in range(20):
    if os.fork() == 0:
        signal.alarm(3)
        try:
            connect_logged("ws://127.0.0.1:1", logger)
        except OSError:
            os._exit(0)
    assert os.wait()[1] == 0
os._exit(0)
"""


def test_fork_while_logging(raw_server):
    """A child can log, whatever its parent's connection was logging at the fork."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(PING) * 2000)

    run(FORK_BUSY, raw_server(script).url)
