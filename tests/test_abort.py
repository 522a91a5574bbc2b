"""`abort` ends a connection at once; the transport and the protocol are views of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading

import pytest

from raw_server import MS
from support import QUICK, Background, asleep, descriptors, wait_until
from websocket_rs import async_client, sync_client
from websocket_rs.asyncio.client import connect as connect_replacing
from websocket_rs.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidControlFrame,
    InvalidState,
)
from websocket_rs.protocol import State


@pytest.fixture
def silent(raw_server):
    """A server that reads nothing after the handshake, and keeps what has come."""
    FREE.clear()
    yield raw_server(keep)
    FREE.set()


def keep(peer):
    """Accept, read nothing until the test is over, then read to the end."""
    peer.accept_handshake()
    assert FREE.wait(5000 * MS)
    with contextlib.suppress(OSError, AssertionError):
        peer.wait_eof()


FREE = threading.Event()


def assert_aborted(ws, caught):
    """Check what a connection and an exception tell of an abort."""
    assert ws.state is State.CLOSED
    assert (ws.close_code, ws.close_reason) == (1006, "")
    assert (caught.value.rcvd, caught.value.sent) == (None, None)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ECONNABORTED


def test_abort(raw_server):
    """The peer gets the end of TCP and no Close frame, and nobody has to wait."""
    ended = threading.Event()

    def script(peer):
        peer.accept_handshake()
        peer.wait_eof()
        ended.set()

    ws = sync_client.connect(raw_server(script).url, **QUICK)
    ws.abort()
    assert ended.wait(5000 * MS)
    with pytest.raises(ConnectionClosedError) as caught:
        ws.recv()
    assert_aborted(ws, caught)
    with pytest.raises(ConnectionClosedError):
        ws.send("x")
    assert ws.wait_closed(timeout=5000 * MS)
    ws.abort()
    ws.close()


def test_abort_wakes_receiver(silent):
    """A thread in recv gets the exception at once."""
    ws = sync_client.connect(silent.url, **QUICK)
    receiving = Background(ws.recv)
    wait_until(lambda: asleep(receiving), "the thread is in recv")
    ws.abort()
    with pytest.raises(ConnectionClosedError) as caught:
        receiving.result()
    assert_aborted(ws, caught)


def test_abort_wakes_sender(silent):
    """A thread whose message is stuck gets it too."""
    ws = sync_client.connect(silent.url, **QUICK)
    sending = Background(ws.send, bytes(64 << 20))
    wait_until(lambda: asleep(sending), "the thread is stuck in send")
    ws.abort()
    with pytest.raises(ConnectionClosedError):
        sending.result()
    assert ws.wait_closed(timeout=5000 * MS)


def test_abort_ends_closing(silent):
    """A closing handshake that nobody answers is over."""
    options = {**QUICK, "close_timeout": None}
    ws = sync_client.connect(silent.url, **options)
    closing = Background(ws.close)
    wait_until(lambda: ws.state is State.CLOSING, "the handshake is under way")
    ws.abort()
    closing.result()
    assert ws.close_code == 1006


def test_abort_after_close(echo_server):
    """An abort after the end changes nothing of what is told of it."""
    ws = sync_client.connect(echo_server.url, **QUICK)
    ws.close(1001, "done")
    ws.abort()
    assert (ws.close_code, ws.close_reason) == (1001, "done")
    with pytest.raises(ConnectionClosedOK):
        ws.recv()


async def test_async_abort(silent):
    """The asyncio client's tasks that receive, send and ping get the exception."""
    ws = await async_client.connect(silent.url, **QUICK)
    pong = await ws.ping()

    async def send():
        while True:
            await ws.send(bytes(1 << 20))

    tasks = [asyncio.ensure_future(ws.recv()), asyncio.ensure_future(send())]
    await asyncio.sleep(20 * MS)
    ws.abort()
    for task in [*tasks, pong]:
        with pytest.raises(ConnectionClosedError) as caught:
            await asyncio.wait_for(task, 5000 * MS)
    assert_aborted(ws, caught)
    await ws.wait_closed()


def test_abort_frees_descriptors(silent):
    """Nothing is left when the connection has ended."""
    before = len(descriptors())
    connections = [sync_client.connect(silent.url, **QUICK) for _ in range(3)]
    for ws in connections:
        ws.abort()
    for ws in connections:
        assert ws.wait_closed(timeout=5000 * MS)
    FREE.set()
    silent.join()
    wait_until(lambda: len(descriptors()) <= before, "all descriptors are free")


# Test the arguments.


def test_arguments_can_be_asked_for(echo_server):
    """What a connection was opened with can be read, and not set."""
    options = {"close_timeout": 3, "ping_interval": 4, "ping_timeout": 5, "max_size": 6}
    with sync_client.connect(echo_server.url, **QUICK, **options) as ws:
        for name, value in options.items():
            assert getattr(ws, name) == value
            with pytest.raises(AttributeError):
                setattr(ws, name, 1)
    with sync_client.connect(echo_server.url, **QUICK, max_size=None) as ws:
        assert (ws.ping_interval, ws.ping_timeout) == (None, 20)
        assert (ws.close_timeout, ws.max_size) == (10, None)


# Test the views.


async def test_transport(echo_server):
    """The transport answers what programs ask of it, and refuses what can't be."""
    ws = await connect_replacing(echo_server.url)
    transport = ws.transport
    assert transport.get_extra_info("peername") == ws.remote_address
    assert transport.get_extra_info("sockname") == ws.local_address
    assert transport.get_extra_info("ssl_object", "none") == "none"
    assert not transport.is_closing()
    with pytest.raises(NotImplementedError, match="write_limit"):
        transport.set_write_buffer_limits(high=1)
    with pytest.raises(NotImplementedError, match=r"transport\.pause_reading"):
        transport.pause_reading()
    assert not hasattr(transport, "pause_reading")
    transport.abort()
    assert ws.transport.is_closing()
    await ws.wait_closed()
    assert ws.close_code == 1006


async def test_transport_close(echo_server):
    """Closing the transport closes the connection, as it should be closed."""
    ws = await connect_replacing(echo_server.url)
    await ws.send("x")
    ws.transport.close()
    assert await ws.recv() == "x"
    await ws.wait_closed()
    assert ws.close_code == 1000


async def test_protocol(echo_server):
    """The protocol tells the same as the connection, and how it has ended."""
    ws = await connect_replacing(echo_server.url, subprotocols=["chat"])
    protocol = ws.protocol
    assert protocol.state is State.OPEN
    assert protocol.subprotocol == ws.subprotocol
    assert (protocol.close_code, protocol.close_reason) == (None, None)
    with pytest.raises(InvalidState, match="isn't closed yet") as caught:
        protocol.close_exc  # noqa: B018
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(NotImplementedError, match=r"protocol\.receive_data"):
        protocol.receive_data(b"")
    await ws.close(1001, "done")
    assert (protocol.close_code, protocol.close_reason) == (1001, "done")
    assert type(protocol.close_exc) is ConnectionClosedOK
    assert protocol.close_exc.rcvd.reason == "done"


def test_protocol_extensions(raw_server):
    """What was agreed upon is listed."""
    answers = ["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"]

    def script(peer):
        peer.accept_handshake(*answers)
        peer.answer_close()

    url = raw_server(script).url
    options = {**QUICK, "compression": "deflate"}
    with sync_client.connect(url, **options) as ws:
        [extension] = ws.protocol.extensions
        assert extension.name == "permessage-deflate"
        assert extension.parameters == "server_max_window_bits=9"
    answers.clear()
    with sync_client.connect(url, **options) as ws:
        assert ws.protocol.extensions == []


async def test_protocol_fail(echo_server):
    """Failing ends the connection with the code, without waiting; 1006 at once."""
    ws = await connect_replacing(echo_server.url)
    with pytest.raises(InvalidControlFrame):
        ws.protocol.fail(999)
    ws.protocol.fail(1011, "why")
    await ws.wait_closed()
    assert ws.protocol.close_exc.sent.code == 1011
    ws = await connect_replacing(echo_server.url)
    ws.protocol.fail(1006)
    await ws.wait_closed()
    assert ws.protocol.close_exc.sent is None


async def test_subclass_that_closes_in_its_own_way(echo_server):
    """A subclass may read its times, and abort what does not close in time."""

    class Impatient(async_client.AsyncWebSocket):
        async def close(self, code=1000, reason=""):
            try:
                await asyncio.wait_for(super().close(code, reason), self.close_timeout)
            finally:
                self.transport.abort()

    async with connect_replacing(
        echo_server.url, create_connection=Impatient, close_timeout=5
    ) as ws:
        await ws.send("x")
        assert await ws.recv() == "x"
    assert ws.close_code == 1000
