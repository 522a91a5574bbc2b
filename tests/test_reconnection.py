"""Connections that are opened again and again: iterating `connect` and `reconnect`."""

from __future__ import annotations

import itertools
import logging

import pytest

from raw_server import MS
from websocket_rs.asyncio.client import connect
from websocket_rs.client import backoff, process_exception
from websocket_rs.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    SecurityError,
)
from websocket_rs.sync.client import connect as connect_sync, reconnect


def quick():
    """Yield pauses that cost no time."""
    return itertools.repeat(MS)


class Flaky:
    """A server whose first connections get the answers it is told, one after another.

    Args:
        raw_server: Starts servers.
        answers: What each of the first requests is answered; ``None`` accepts it.
    """

    def __init__(self, raw_server, *answers):
        self.answers = list(answers)
        self.closes = []
        self.server = raw_server(self._script)
        self.url = self.server.url

    def _script(self, peer):
        peer.read_request()
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            peer.sock.sendall(peer.response())
            peer.send_text("hello")
            self.closes.append(peer.answer_close().close_code)
        else:
            peer.sock.sendall(answer)
            peer.close()


def refusal(status):
    """Return the response with that status."""
    return f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()


def test_reconnect_yields_connections(raw_server):
    """Each round has a connection of its own; the last one was closed before."""
    server = Flaky(raw_server)
    connections = []
    for ws in reconnect(server.url):
        assert ws.recv() == "hello"
        connections.append(ws)
        if len(connections) == 3:
            break
    assert [ws.state.name for ws in connections[:2]] == ["CLOSED", "CLOSED"]
    connections[-1].close()
    server.server.join()
    assert server.closes == [1000, 1000, 1000]


@pytest.mark.parametrize("answer", [b"", *map(refusal, [500, 502, 503, 504])])
def test_reconnect_after_transient_errors(raw_server, answer):
    """Servers that are about to come back are tried again."""
    server = Flaky(raw_server, answer, answer)
    for ws in reconnect(server.url, reconnect_delays=quick):
        assert ws.recv() == "hello"
        ws.close()
        break
    assert server.answers == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 501])
def test_reconnect_after_fatal_error(raw_server, status):
    """What won't change by trying again is raised."""
    server = Flaky(raw_server, refusal(status))
    with pytest.raises(InvalidStatus) as caught:
        next(iter(reconnect(server.url, reconnect_delays=quick)))
    assert caught.value.response.status_code == status


def test_reconnect_process_exception(raw_server):
    """The user's rule decides: None tries again, an exception is raised instead."""
    server = Flaky(raw_server, refusal(403), refusal(404))
    seen = []

    def rule(exc):
        seen.append(exc.response.status_code)
        return None if len(seen) == 1 else LookupError("gone")

    attempts = reconnect(server.url, reconnect_delays=quick, process_exception=rule)
    with pytest.raises(LookupError, match="gone") as caught:
        next(iter(attempts))
    assert isinstance(caught.value.__cause__, InvalidStatus)
    assert seen == [403, 404]


def test_reconnect_process_exception_raises(raw_server):
    """A rule that raises where it should return is understood."""
    server = Flaky(raw_server, refusal(403))

    def rule(exc):
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        next(iter(reconnect(server.url, process_exception=rule)))


def test_reconnect_delays_begin_anew(raw_server):
    """After a success the pauses are short again."""
    made = []

    def delays():
        made.append(True)
        return quick()

    answers = [refusal(503), refusal(503), None, refusal(503), None]
    server = Flaky(raw_server, *answers)
    for count, ws in enumerate(reconnect(server.url, reconnect_delays=delays), 1):
        if count == 2:
            ws.close()
            break
    assert len(made) == 2


def test_reconnect_logs(raw_server, caplog):
    """Each further attempt is announced, with its reason."""
    caplog.set_level(logging.INFO, "websocket_rs.client")
    server = Flaky(raw_server, refusal(503))
    for ws in reconnect(server.url, reconnect_delays=quick):
        ws.close()
        break
    [record] = [r for r in caplog.records if r.levelno == logging.INFO]
    assert record.name == "websocket_rs.client"
    assert (
        "connect failed; reconnecting in 0.0 seconds: InvalidStatus: " in record.message
    )
    assert "HTTP 503" in record.message


def test_reconnect_logs_to_logger(raw_server, caplog):
    """The announcement goes to the logger that was given."""
    logger = logging.getLogger("mine")
    caplog.set_level(logging.INFO, "mine")
    server = Flaky(raw_server, refusal(503))
    for ws in reconnect(server.url, reconnect_delays=quick, logger=logger):
        ws.close()
        break
    [record] = [r for r in caplog.records if r.name == "mine"]
    assert "connect failed" in record.message


def test_reconnect_entered(raw_server):
    """It can be entered, again and again but not twice at once."""
    server = Flaky(raw_server)
    connector = reconnect(server.url)
    for _ in range(2):
        with connector as ws:
            assert ws.recv() == "hello"
            with pytest.raises(RuntimeError, match="isn't reentrant"):
                connector.__enter__()
    server.server.join()
    assert server.closes == [1000, 1000]


def test_connect_not_legacy(raw_server):
    """`connect(legacy=False)` connects when it is iterated."""
    server = Flaky(raw_server)
    for ws in connect_sync(server.url, legacy=False):
        assert ws.recv() == "hello"
        ws.close()
        break


async def test_connect_iterated(raw_server):
    """`async for` yields one connection after the other."""
    server = Flaky(raw_server, refusal(503), b"")
    connections = []
    async for ws in connect(server.url, reconnect_delays=quick):
        assert await ws.recv() == "hello"
        connections.append(ws)
        if len(connections) == 2:
            break
    assert connections[0].state.name == "CLOSED"
    await connections[1].close()


async def test_connect_iterated_body_continues(raw_server):
    """A connection that is lost in the body leads to the next one by `continue`."""
    server = Flaky(raw_server)
    rounds = 0
    async for ws in connect(server.url, reconnect_delays=quick):
        rounds += 1
        try:
            await ws.recv()
            await ws.close()
            await ws.recv()
        except ConnectionClosed:
            if rounds < 3:
                continue
            break
    assert rounds == 3


async def test_connect_iterated_fatal_error(raw_server):
    """A fatal error ends the loop."""
    server = Flaky(raw_server, refusal(503), refusal(401))
    attempts = aiter(connect(server.url, reconnect_delays=quick))
    with pytest.raises(InvalidStatus) as caught:
        await anext(attempts)
    assert caught.value.response.status_code == 401


def test_backoff_grows_to_its_limit():
    """The first delay is random, the next ones grow up to the limit."""
    delays = list(itertools.islice(backoff(), 12))
    assert 0 <= delays[0] <= 5
    assert delays[1:3] == [3.1, 3.1 * 1.618]
    assert delays == [delays[0], *sorted(delays[1:])]
    assert delays[-1] == 90
    assert list(itertools.islice(backoff(0, 1, 3, 2), 5)) == [0, 1, 2, 3, 3]


@pytest.mark.parametrize("exc", [OSError(), TimeoutError(), ConnectionRefusedError()])
def test_process_exception_transient(exc):
    """Network errors are worth another attempt."""
    assert process_exception(exc) is None


@pytest.mark.parametrize("exc", [SecurityError(), ValueError(), InvalidMessage("x")])
def test_process_exception_fatal(exc):
    """Other errors aren't."""
    assert process_exception(exc) is exc
