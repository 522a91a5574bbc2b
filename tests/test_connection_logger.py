"""Loggers of single connections: what they get, what others don't, and when they go."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
import time
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


def hand_on(url: str) -> None:
    """Have all the records handed on that wait, by a connection that has none."""
    connect(url, **QUICK).close()


def refusing(peer: Peer) -> None:
    """Refuse the opening handshake."""
    peer.read_request()
    peer.send_bytes(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    peer.close()


# Test what goes where.


def test_all_targets_go_to_the_own_logger(
    tls_echo_server, tmp_path, own, logger, collector
):
    """The own logger gets what the package's loggers would get; they get nothing."""
    address = tls_address(tls_echo_server, tmp_path)
    logger.setLevel(FRAMES)
    with connect(address.url, **address.options) as ws:
        round_trip(ws)
    expected = len(collector.records)
    assert expected > 8
    with connect_logged(address.url, new_logger(FRAMES, own), **address.options) as ws:
        round_trip(ws)
        name = ws.name
    assert len(collector.records) == expected
    assert len(own.records) == expected
    assert own.connections() == {name}
    assert own.names() == {"of a connection"}
    assert {record.levelno for record in own.records} == {FRAMES, logging.DEBUG}
    text = own.text()
    for part in ["connecting", "TLS", "handshake", "> Text", "< Text", "> Close"]:
        assert part in text


async def test_async_all_targets_go_to_the_own_logger(
    echo_server, own, logger, collector
):
    """The same holds for the asyncio client."""
    logger.setLevel(FRAMES)
    ws = await connect_logged_async(echo_server.url, new_logger(FRAMES, own))
    await ws.send("x")
    assert await ws.recv() == "x"
    await ws.close()
    assert collector.records == []
    assert own.connections() == {ws.name}
    for part in ["connecting", "handshake", "> Text", "< Text", "> Close"]:
        assert part in own.text()


def test_keepalive_goes_to_the_own_logger(raw_server, own, logger, collector):
    """What keepalive tells goes to the own logger."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        ping = peer.read_frame()
        peer.send_frame(PONG, ping.payload)
        peer.answer_close()

    logger.setLevel(FRAMES)
    ws = connect_logged(
        raw_server(script).url, new_logger(logging.DEBUG, own), ping_interval=10 * MS
    )
    wait_until(lambda: ws.latency > 0, "the pong has come")
    ws.close()
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
def test_own_level_counts(echo_server, own, logger, level, expected, package):
    """The own logger's level decides what it gets, whatever that of the package is."""
    logger.setLevel(package)
    with connect_logged(echo_server.url, new_logger(level, own)) as ws:
        round_trip(ws)
    assert {record.levelno for record in own.records} == expected


@pytest.mark.parametrize("package", [logging.DEBUG, logging.WARNING])
def test_others_are_as_talkative_as_before(echo_server, logger, collector, package):
    """Connections without a logger of their own don't become more talkative by one."""
    logger.setLevel(package)
    before = Collector()
    with connect_logged(echo_server.url, new_logger(FRAMES, before)) as ws:
        round_trip(ws)
        with connect(echo_server.url, **QUICK) as other:
            round_trip(other)
        round_trip(ws)
    wanted = {logging.DEBUG} if package == logging.DEBUG else set()
    assert {record.levelno for record in collector.records} == wanted
    assert collector.connections() <= {other.name}
    assert before.connections() == {ws.name}


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


def test_levels_of_two_connections(echo_server):
    """Each connection has its own logger and its own level."""
    quiet, talkative = Collector(), Collector()
    with (
        connect_logged(echo_server.url, new_logger(logging.DEBUG, quiet)) as a,
        connect_logged(echo_server.url, new_logger(FRAMES, talkative)) as b,
    ):
        round_trip(a)
        round_trip(b)
    assert (quiet.connections(), talkative.connections()) == ({a.name}, {b.name})
    assert {record.levelno for record in quiet.records} == {logging.DEBUG}
    assert {record.levelno for record in talkative.records} == {FRAMES, logging.DEBUG}


def test_text_is_not_a_format(raw_server, own):
    """A percent sign in what a server says is only a percent sign."""

    def script(peer: Peer) -> None:
        peer.accept_handshake("X-%s-%d: 1")
        peer.answer_close()

    connect_logged(raw_server(script).url, new_logger(FRAMES, own)).close()
    assert "X-%s-%d" in "\n".join(own.messages())


def test_secrets_are_not_told(echo_server, own):
    """The own logger learns no more of headers and messages than the package's."""
    headers = {"Authorization": "Bearer hunter2"}
    url = echo_server.url + "/?token=sesame"
    logger = new_logger(FRAMES, own)
    with connect_logged(url, logger, additional_headers=headers) as ws:
        round_trip(ws, "attack at dawn")
    for secret in ["hunter2", "sesame", "attack"]:
        assert secret not in own.text()


NOT_LOGGERS = ["websocket_rs", print, logging, 5, object()]


@pytest.mark.parametrize("value", NOT_LOGGERS, ids=lambda v: type(v).__name__)
def test_not_a_logger(value):
    """What isn't a logger is refused by name, before anything is sent."""
    with pytest.raises(TypeError) as caught:
        connect_logged(NOBODY, value)
    assert repr(value) in str(caught.value)
    assert "logging.Logger" in str(caught.value)


@pytest.mark.parametrize("value", NOT_LOGGERS, ids=lambda v: type(v).__name__)
async def test_async_not_a_logger(value):
    """The same holds for the asyncio client."""
    with pytest.raises(TypeError) as caught:
        await connect_logged_async(NOBODY, value)
    assert repr(value) in str(caught.value)


def test_order(echo_server, own):
    """The records of one connection keep their order, whoever hands them on."""
    stop = threading.Event()

    def disturb() -> None:
        with connect(echo_server.url, **QUICK) as other:
            while not stop.is_set():
                round_trip(other)

    disturbers = [Background(disturb) for _ in range(2)]
    with connect_logged(echo_server.url, new_logger(FRAMES, own)) as ws:
        for size in range(1, 400):
            round_trip(ws, "x" * size)
    stop.set()
    for disturber in disturbers:
        disturber.result()
    hand_on(echo_server.url)
    told = [text for text in own.messages() if "Text" in text]
    expected = [
        f"{arrow} Text [{size} bytes]" for size in range(1, 400) for arrow in "><"
    ]
    assert told == expected


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


def test_adapter_adds_its_attributes(echo_server, own):
    """An adapter's own attributes are there, and so are ours."""
    adapter = logging.LoggerAdapter(new_logger(FRAMES, own), {"session": "s"})
    with connect_logged(echo_server.url, adapter) as ws:
        round_trip(ws)
        assert all(record.session == "s" for record in own.records)
        assert all(record.websocket.name == ws.name for record in own.records)
        assert own.connections() == {ws.name}


def test_adapter_wins(echo_server, own):
    """Where an adapter says the same as we do, it is heard."""
    extra = {"websocket": 1, "websocket_name": "mine"}
    adapter = logging.LoggerAdapter(new_logger(FRAMES, own), extra)
    connect_logged(echo_server.url, adapter).close()
    assert own.records
    assert all(record.websocket == 1 for record in own.records)
    assert own.connections() == {"mine"}


def test_adapter_sees_the_connection(echo_server, own):
    """An adapter is given the connection, and may change text and attributes."""
    with connect_logged(echo_server.url, Asking(new_logger(FRAMES, own), {})) as ws:
        round_trip(ws)
        assert len(own.records) > 3
        assert all(record.event_data == str(ws.id) for record in own.records)
        assert all(text.startswith(f"{ws.name} ") for text in own.messages())


def test_adapter_of_an_adapter(echo_server, own):
    """Each adapter of a chain adds its part."""
    inner = logging.LoggerAdapter(new_logger(FRAMES, own), {"inner": 1})
    outer = logging.LoggerAdapter(Asking(inner, {}), {"outer": 2})
    with connect_logged(echo_server.url, outer) as ws:
        round_trip(ws)
        for record in own.records:
            assert (record.inner, record.outer) == (1, 2)
            assert record.event_data == str(ws.id)


def test_adapter_without_attributes(echo_server, own):
    """An adapter may have nothing to add."""
    adapter = logging.LoggerAdapter(new_logger(FRAMES, own), None)  # type: ignore[arg-type]
    with connect_logged(echo_server.url, adapter) as ws:
        assert own.connections() == {ws.name}


def test_adapter_with_a_level(echo_server, own):
    """An adapter that is enabled for less gets less."""

    class Quiet(logging.LoggerAdapter):  # type: ignore[type-arg]
        def isEnabledFor(self, level: int) -> bool:
            return level >= logging.DEBUG

    with connect_logged(echo_server.url, Quiet(new_logger(FRAMES, own), {})) as ws:
        round_trip(ws)
    assert {record.levelno for record in own.records} == {logging.DEBUG}


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


async def test_async_record_refers_to_the_connection(echo_server, own):
    """The same holds for the asyncio client."""
    ws = await connect_logged_async(echo_server.url, new_logger(FRAMES, own))
    await ws.send("x")
    await ws.recv()
    assert own.records
    assert all(record.websocket.id == ws.id for record in own.records)
    await ws.close()


@pytest.mark.filterwarnings("ignore:unclosed connection:ResourceWarning")
def test_record_of_a_connection_that_is_gone(echo_server, own):
    """What happens after the object is gone is told by name."""
    ws = connect_logged(echo_server.url, new_logger(logging.DEBUG, own))
    name = ws.name
    opening = len(own.records)
    del ws
    wait_until(lambda: name not in connection_threads().values(), "the thread ends")
    hand_on(echo_server.url)
    later = own.records[opening:]
    assert "connection has ended" in own.text()
    assert {record.websocket_name for record in later} == {name}
    assert not any(hasattr(record, "websocket") for record in later)


def test_no_reference_cycle(echo_server, own):
    """A connection is gone when it is forgotten, not when garbage is collected."""
    ws = connect_logged(echo_server.url, new_logger(FRAMES, own))
    round_trip(ws)
    assert ws.logger.isEnabledFor(FRAMES)
    assert ws.request
    ws.close()
    gone = weakref.ref(ws)
    gc.disable()
    try:
        del ws
        assert gone() is None
    finally:
        gc.enable()


class Session:
    """What keeps a connection, and is in the attributes of its log records."""

    def __init__(self, url: str, own: Collector) -> None:
        extra = {"session": self}
        adapter = logging.LoggerAdapter(new_logger(FRAMES, own), extra)
        self.ws = connect_logged(url, adapter)


def test_logger_that_leads_to_the_connection(echo_server, own):
    """A closed connection is collected though its logger refers to who has it."""
    session = Session(echo_server.url, own)
    session.ws.close()
    name = session.ws.name
    wait_until(lambda: name not in connection_threads().values(), "the thread ends")
    own.records.clear()
    gone = weakref.ref(session)
    del session
    hand_on(echo_server.url)
    gc.collect()
    assert gone() is None


async def test_records_after_the_end(echo_server, own):
    """What is called on a closed connection is told, too, though it goes at once."""
    ws = await connect_logged_async(echo_server.url, new_logger(FRAMES, own))
    name = ws.name
    await ws.close()
    await asyncio.to_thread(
        wait_until, lambda: name not in connection_threads().values(), "the thread ends"
    )
    await asyncio.to_thread(hand_on, echo_server.url)
    own.records.clear()
    with pytest.raises(ConnectionClosedOK):
        await ws.send("xyz")
    # The record waits still, and this was the last reference to the logger.
    assert own.records == []
    del ws
    await asyncio.to_thread(hand_on, echo_server.url)
    assert own.messages() == ["> Text [3 bytes]"]


# Test connections that never opened.


def test_refused_connection(own, collector):
    """An attempt to connect is told to the own logger, and then let go."""
    logger = new_logger(logging.DEBUG, own)
    with pytest.raises(ConnectionRefusedError):
        connect_logged(NOBODY, logger)
    assert own.messages() == [f"connecting to {NOBODY}"]
    assert collector.records == []
    gone = weakref.ref(logger)
    own.records.clear()
    del logger
    assert gone() is None


async def test_async_refused_connection(echo_server, own):
    """The same holds for the asyncio client."""
    logger = new_logger(logging.DEBUG, own)
    with pytest.raises(ConnectionRefusedError):
        await connect_logged_async(NOBODY, logger)
    assert own.messages() == [f"connecting to {NOBODY}"]
    gone = weakref.ref(logger)
    own.records.clear()
    del logger
    await asyncio.to_thread(hand_on, echo_server.url)
    gc.collect()
    assert gone() is None


def test_refused_handshake(raw_server, own):
    """A failed opening handshake is told to the own logger."""
    with pytest.raises(InvalidStatus):
        connect_logged(raw_server(refusing).url, new_logger(logging.DEBUG, own))
    assert "received response 403" in own.text()


async def test_cancelled_connect(raw_server, echo_server, own):
    """A cancelled attempt to connect lets its logger go."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.wait_eof()

    logger = new_logger(logging.DEBUG, own)
    gone = weakref.ref(logger)
    attempt = asyncio.create_task(connect_logged_async(raw_server(script).url, logger))
    await asyncio.sleep(20 * MS)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    del logger, attempt
    own.records.clear()

    def is_gone() -> bool:
        hand_on(echo_server.url)
        gc.collect()
        return gone() is None

    await asyncio.to_thread(wait_until, is_gone, "the logger is gone")


# Test that nothing is left.


@pytest.mark.timeout(600)
def test_many_connections_leave_nothing(echo_server):
    """Loggers of connections that are gone are gone, and so is what they took."""

    class Silent(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    handler = Silent()
    loggers: weakref.WeakSet[logging.Logger] = weakref.WeakSet()

    def attempt(number: int) -> None:
        logger = new_logger(FRAMES, handler)
        loggers.add(logger)
        if number % 10:
            with pytest.raises(ConnectionRefusedError):
                connect_logged(NOBODY, logger)
        else:
            with connect_logged(echo_server.url, logger) as ws:
                round_trip(ws)

    for number in range(CONNECTIONS // 10):
        attempt(number)
    before = resident_bytes()
    for number in range(CONNECTIONS):
        attempt(number)
        assert len(loggers) < 100
    wait_until(lambda: not connection_threads(), "the threads end")
    hand_on(echo_server.url)
    gc.collect()
    assert len(loggers) == 0
    assert resident_bytes() - before < 4 * 2**20


async def test_async_many_connections_leave_nothing(echo_server):
    """The same holds for the asyncio client."""
    loggers: weakref.WeakSet[logging.Logger] = weakref.WeakSet()
    for number in range(100):
        logger = new_logger()
        loggers.add(logger)
        if number % 2:
            with pytest.raises(ConnectionRefusedError):
                await connect_logged_async(NOBODY, logger)
        else:
            async with await connect_logged_async(echo_server.url, logger) as ws:
                await ws.send("x")
                await ws.recv()
    del logger, ws
    await asyncio.to_thread(
        wait_until, lambda: not connection_threads(), "the threads end"
    )
    await asyncio.to_thread(hand_on, echo_server.url)
    gc.collect()
    assert len(loggers) == 0


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


@pytest.mark.parametrize("breaker", BREAKERS)
def test_raising_breaks_nothing(echo_server, raw_server, breaker, capsys):
    """An own logger that raises disturbs no connection, and hides no error."""
    for _ in range(3):
        with connect_logged(echo_server.url, BREAKERS[breaker]()) as ws:
            round_trip(ws)
    with pytest.raises(InvalidStatus):
        connect_logged(raw_server(refusing).url, BREAKERS[breaker]())
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("breaker", BREAKERS)
async def test_async_raising_breaks_nothing(echo_server, breaker, capsys):
    """The same holds for the asyncio client and its event loop."""
    ws = await connect_logged_async(echo_server.url, BREAKERS[breaker]())
    for _ in range(3):
        await ws.send("x")
        assert await ws.recv() == "x"
    await ws.close()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_logger_that_cannot_tell_its_level():
    """What a logger raises that is asked for its level, connect raises."""

    class Odd(logging.Logger):
        def isEnabledFor(self, level: int) -> bool:
            raise ZeroDivisionError(level)

    with pytest.raises(ZeroDivisionError):
        connect_logged(NOBODY, Odd("odd"))


class Shipping(Collector):
    """A handler that sends records over connections that it opens with its logger."""

    logger: logging.Logger
    opened: str | None = None

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def emit(self, record: logging.LogRecord) -> None:
        """Send the first record, and keep all."""
        super().emit(record)
        if self.opened is None:
            self.opened = ""
            with connect_logged(self.url, self.logger) as ws:
                self.opened = ws.name
                round_trip(ws, record.getMessage())


def test_connection_opened_inside_of_a_handler(echo_server):
    """A connection that a handler opens is not told of, or it would never end."""
    shipping = Shipping(echo_server.url)
    shipping.logger = new_logger(FRAMES, shipping)
    with connect_logged(echo_server.url, shipping.logger) as ws:
        round_trip(ws)
    hand_on(echo_server.url)
    assert shipping.opened
    assert shipping.connections() == {ws.name}
    del shipping.logger


def test_flood_is_told_to_whom_it_concerns(raw_server, own, logger, collector):
    """Records that came too fast are counted to the logger that misses them."""
    count = 20_000

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_bytes(encode_frame(PING, b"x") * count)
        # Each ping is told, and so is each pong.
        peer.send_text("end")
        peer.read_close()
        peer.close()

    logger.setLevel(logging.WARNING)
    ws = connect_logged(raw_server(script).url, new_logger(FRAMES, own))
    assert ws.recv() == "end"
    ws.close()
    found = [record for record in own.records if "dropped" in record.getMessage()]
    assert found
    assert found[0].levelno == logging.WARNING
    assert found[0].websocket_name == ws.name
    assert collector.records == []


# Test exit and fork.

EXIT = """
import logging, sys
from logged import connect_logged, new_logger
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(websocket_name)s: %(message)s"))
ws = connect_logged(sys.argv[1], new_logger(logging.DEBUG, handler))
"""


def run(source: str, *arguments: str) -> str:
    """Return what a program prints that may import what tests share."""
    path = os.pathsep.join([os.path.dirname(__file__)])
    done = run_script(source, *arguments, environment={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_exit_hands_on_the_last_records(echo_server):
    """The own logger hears of the end that the interpreter's exit brings."""
    lines = run(EXIT, echo_server.url).splitlines()
    assert lines[0].startswith("websocket-1: connecting")
    assert lines[-1].startswith("websocket-1: connection has ended")


FORK = """
import json, logging, os, signal, sys, weakref, gc
from logged import Collector, FRAMES, connect_logged, new_logger
own = Collector()
ws = connect_logged(sys.argv[1], new_logger(FRAMES, own))
own.records.clear()
ws.send("waits to be handed on")
child = os.fork()
if child == 0:
    signal.alarm(10)
    other = Collector()
    with connect_logged(sys.argv[1], new_logger(FRAMES, other)) as mine:
        mine.send("x")
        mine.recv()
    gone = weakref.ref(ws.own_logger)
    del ws
    connect_logged(sys.argv[1], new_logger(logging.ERROR)).close()
    gc.collect()
    report = [own.messages(), sorted(other.connections()), mine.name, gone() is None]
    print(json.dumps(report), flush=True)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
ws.close()
print(json.dumps(own.messages()))
"""


def test_fork(echo_server):
    """A child logs to loggers of its own connections, and nothing of its parent's."""
    child, parent = map(json.loads, run(FORK, echo_server.url).splitlines())
    messages, connections, name, gone = child
    assert messages == []
    assert connections == [name]
    assert gone
    assert parent[0] == "> Text [21 bytes]"
    assert parent[-1].startswith("connection has ended")


FORK_BUSY = """
import logging, os, signal, sys, threading
from logged import FRAMES, connect_logged, new_logger
handler = logging.NullHandler()
ws = connect_logged(sys.argv[1], new_logger(FRAMES, handler), close_timeout=0.1)
hung = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(3)
        try:
            connect_logged("ws://127.0.0.1:1", new_logger(FRAMES, handler))
        except OSError:
            os._exit(0)
        os._exit(1)
    hung += os.waitpid(child, 0)[1] != 0
print(hung, flush=True)
os._exit(0)
"""


def test_fork_while_logging(raw_server):
    """A child can log, whatever its parent's connection was logging at the fork."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(PING) * 2000)

    assert run(FORK_BUSY, raw_server(script).url) == "0\n"


def test_time_of_others_stays(echo_server):
    """A call is not held up by the slow handler of another connection's logger."""

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            released.wait(5000 * MS)

    entered, released = threading.Event(), threading.Event()
    opening = Background(
        connect_logged, echo_server.url, new_logger(logging.DEBUG, Slow())
    )
    assert entered.wait(5000 * MS)
    start = time.monotonic()
    with connect(echo_server.url, **QUICK) as other:
        round_trip(other)
    elapsed = time.monotonic() - start
    released.set()
    opening.result().close()
    assert elapsed < 1000 * MS
