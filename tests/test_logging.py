"""Logging: what is said where, what is never said, and that it breaks nothing."""

from __future__ import annotations

import logging
import time
import traceback

import pytest

from logged import FRAMES, NAMES
from raw_server import MS, PING, Peer, encode_frame
from support import QUICK, wait_until
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import InvalidStatus
from websocket_rs.protocol import State
from websocket_rs.sync_client import connect


SECRETS = ["hunter2", "c2VjcmV0", "sesame", "biscuit", "attack at dawn"]


def round_trip(url: str, text: str = "x", **options: object) -> None:
    """Send and receive one message on a new connection."""
    with connect(url, **QUICK, **options) as ws:
        ws.send(text)
        ws.recv()


def test_null_handler():
    """An application that configures no logging sees nothing."""
    handlers = logging.getLogger("websocket_rs").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
    assert logging.getLogger("websocket_rs").level == logging.NOTSET
    assert logging.getLogger("websocket_rs").propagate


def test_silent_by_default(echo_server, collector, capfd):
    """At the default level an ordinary connection says nothing."""
    round_trip(echo_server.url)
    assert collector.records == []
    assert capfd.readouterr() == ("", "")


def test_debug_tells_life_cycle(echo_server, collector, logger):
    """At DEBUG the opening and the closing are told, but no frame."""
    logger.setLevel(logging.DEBUG)
    with connect(echo_server.url, **QUICK) as ws:
        ws.send("x")
        ws.recv()
        opening = len(collector.records)
        assert opening
        for _ in range(100):
            ws.send("x")
            ws.recv()
        assert len(collector.records) == opening
    assert len(collector.records) > opening
    assert {"websocket_rs.client", "websocket_rs.handshake"} <= collector.names()
    assert {record.levelno for record in collector.records} == {logging.DEBUG}


def test_frames_below_debug(echo_server, collector, logger):
    """At level 5 the connection tells each frame."""
    logger.setLevel(FRAMES)
    round_trip(echo_server.url)
    frames = [r for r in collector.records if r.levelno == FRAMES]
    assert {record.name for record in frames} == {"websocket_rs.connection"}
    text = "\n".join(record.getMessage() for record in frames)
    assert "Text" in text or "TEXT" in text
    assert "Close" in text or "CLOSE" in text


def test_tls_logger(tls_echo_server, collector, logger, tmp_path):
    """The TLS handshake is told by its own logger."""
    from conftest import tls_address

    address = tls_address(tls_echo_server, tmp_path)
    logger.setLevel(logging.DEBUG)
    connect(address.url, **address.options).close()
    assert "websocket_rs.tls" in collector.names()


def test_set_level_before_connect(echo_server, collector, logger):
    """Each connect honours the level that was set before it."""
    counts = []
    for level in [logging.WARNING, logging.DEBUG, logging.WARNING, FRAMES]:
        logger.setLevel(level)
        before = len(collector.records)
        round_trip(echo_server.url)
        counts.append(len(collector.records) - before)
    assert counts[0] == 0
    assert counts[1] > 0
    assert counts[2] == 0
    assert counts[3] > counts[1]


def test_level_of_one_logger(echo_server, collector):
    """The loggers are set one by one, as everywhere in logging."""
    logging.getLogger("websocket_rs.handshake").setLevel(logging.DEBUG)
    round_trip(echo_server.url)
    assert collector.names() == {"websocket_rs.handshake"}


async def test_async_life_cycle(echo_server, collector, logger):
    """The asyncio client tells the same."""
    logger.setLevel(logging.DEBUG)
    async with connect_async(echo_server.url, **QUICK) as ws:
        await ws.send("x")
        await ws.recv()
    assert {"websocket_rs.client", "websocket_rs.handshake"} <= collector.names()


def test_failed_connect(raw_server, collector, logger):
    """A failed connect is raised and not an error of the log besides."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    logger.setLevel(logging.DEBUG)
    with pytest.raises(InvalidStatus):
        connect(raw_server(script).url, **QUICK)
    assert all(record.levelno <= logging.DEBUG for record in collector.records)


def test_event_of_idle_connection(raw_server, collector, logger):
    """What happens while nobody calls is told by the next call at the latest."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.finish(1001)

    logger.setLevel(logging.DEBUG)
    ws = connect(raw_server(script).url, **QUICK)
    wait_until(lambda: ws.close_code is not None, "the close is noticed")
    ws.close()
    assert "1001" in collector.text()


# Test that logging never breaks a call.


class Raising(logging.Handler):
    """A handler that fails without the help of handleError."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Fail."""
        raise ZeroDivisionError(record.name)


class Chatting(logging.Handler):
    """A handler that uses a connection itself."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.busy = False

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record over a connection of its own."""
        if not self.busy:
            self.busy = True
            round_trip(self.url, record.getMessage())
            self.busy = False


def raising_filter(record: logging.LogRecord) -> bool:
    """Fail."""
    raise ZeroDivisionError(record.name)


def add_raising_filters(logger: logging.Logger) -> None:
    """Make each logger fail; a logger's filter sees only its own records."""
    for name in NAMES:
        logging.getLogger(f"websocket_rs.{name}").addFilter(raising_filter)


# What a handler raised is reported to sys.unraisablehook, which pytest watches.
REPORTED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
BREAKERS = [lambda logger: logger.addHandler(Raising()), add_raising_filters]


@REPORTED
@pytest.mark.parametrize("breaker", BREAKERS, ids=["handler", "filter"])
def test_raising_breaks_nothing(echo_server, logger, breaker):
    """A handler or filter that raises does not disturb a connection."""
    breaker(logger)
    logger.setLevel(FRAMES)
    for _ in range(3):
        round_trip(echo_server.url)


@REPORTED
@pytest.mark.parametrize("breaker", BREAKERS, ids=["handler", "filter"])
async def test_async_raising_breaks_nothing(echo_server, logger, breaker):
    """The same holds for the asyncio client and its event loop."""
    breaker(logger)
    logger.setLevel(FRAMES)
    async with connect_async(echo_server.url, **QUICK) as ws:
        for _ in range(3):
            await ws.send("x")
            assert await ws.recv() == "x"


@REPORTED
@pytest.mark.parametrize("breaker", BREAKERS, ids=["handler", "filter"])
def test_raising_hides_no_error(raw_server, logger, breaker):
    """The exception of a failed connect is the connection's, not the handler's."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    breaker(logger)
    logger.setLevel(FRAMES)
    with pytest.raises(InvalidStatus):
        connect(raw_server(script).url, **QUICK)


def test_handler_that_uses_a_connection(echo_server, logger):
    """A handler may ship records over a connection of this package."""
    logger.addHandler(Chatting(echo_server.url))
    logger.setLevel(FRAMES)
    round_trip(echo_server.url)


class Counter(logging.Handler):
    """Count the records and keep none."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        self.count += 1


def test_calls_return_under_flood_of_records(raw_server, logger):
    """A call returns although records keep coming faster than they are handled."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(PING) * 2000)

    counter = Counter()
    logger.addHandler(counter)
    logger.setLevel(FRAMES)
    start = time.monotonic()
    ws = connect(raw_server(script).url, close_timeout=100 * MS, **QUICK)
    # Each of the calls meets a queue that goes on being filled.
    for _ in range(3):
        assert ws.state is State.OPEN
    ws.close()
    assert counter.count > 0
    assert time.monotonic() - start < 2500 * MS


# Test what is never logged.


def secretive(peer: Peer) -> None:
    """Set a cookie, echo a message, split one, and close with a private reason."""
    peer.accept_handshake("Set-Cookie: id=biscuit")
    peer.send_frame(1, peer.read_message())
    peer.send_frame(9, b"attack at dawn")
    peer.send_bytes(encode_frame(2, b"attack at dawn")[:5])
    peer.send_bytes(encode_frame(2, b"attack at dawn")[5:])
    peer.read_frame()
    peer.answer_close()


SECRET_HEADERS = {
    "Authorization": "Bearer hunter2",
    "Cookie": "id=biscuit",
    "Proxy-Authorization": "Basic c2VjcmV0",
    "X-Api-Key": "hunter2",
}


def assert_no_secrets(text: str) -> None:
    """Look for each secret as text and as the usual ways to show bytes."""
    for secret in SECRETS:
        raw = secret.encode()
        for form in [secret, raw.hex(), raw.hex(" "), str(list(raw))[1:-1]]:
            assert form not in text
            assert form.upper() not in text


def test_secrets_are_never_logged(raw_server, collector, logger):
    """Credentials, cookies and payloads occur in no record, even at level 5."""
    logger.setLevel(1)
    server = raw_server(secretive)
    url = server.url.replace("ws://", "ws://alice:hunter2@") + "/?token=sesame"
    with connect(url, additional_headers=SECRET_HEADERS, **QUICK) as ws:
        ws.send("attack at dawn")
        assert ws.recv() == "attack at dawn"
        assert ws.recv() == b"attack at dawn"
    assert len(collector.records) > 5
    assert_no_secrets(collector.text())


async def test_async_secrets_are_never_logged(raw_server, collector, logger):
    """The same holds for the asyncio client."""
    logger.setLevel(1)
    server = raw_server(secretive)
    url = server.url.replace("ws://", "ws://alice:hunter2@") + "/?token=sesame"
    async with connect_async(url, additional_headers=SECRET_HEADERS, **QUICK) as ws:
        await ws.send("attack at dawn")
        assert await ws.recv() == "attack at dawn"
        assert await ws.recv() == b"attack at dawn"
    assert len(collector.records) > 5
    assert_no_secrets(collector.text())


def test_secrets_are_in_no_exception(raw_server, collector, logger):
    """The exception of a failed connect and its traceback tell no credentials."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    logger.setLevel(1)
    url = raw_server(script).url.replace("ws://", "ws://alice:hunter2@")
    with pytest.raises(InvalidStatus) as caught:
        connect(url, additional_headers=SECRET_HEADERS, **QUICK)
    text = "".join(traceback.format_exception_only(type(caught.value), caught.value))
    assert_no_secrets(text + repr(caught.value) + collector.text())


def test_unverified_tls_is_a_warning(raw_server, certificates, collector):
    """A connection that verifies nothing says so, without being asked."""
    import ssl

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.answer_close()

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    server = raw_server(script, tls=certificates.server_context())
    connect(server.url, ssl=context, close_timeout=500 * MS, **QUICK).close()
    warnings = [r for r in collector.records if r.levelno == logging.WARNING]
    assert [record.name for record in warnings] == ["websocket_rs.tls"]
