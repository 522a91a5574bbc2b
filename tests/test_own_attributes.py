"""Connections are ordinary objects: a program's own attributes and methods."""

from __future__ import annotations

import gc
import weakref
from unittest import mock

import pytest

from support import QUICK
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import ConnectionClosedOK


@pytest.fixture
def ws(echo_server):
    """A blocking connection."""
    with sync_client.connect(echo_server.url, **QUICK) as ws:
        yield ws


def assert_ordinary(ws):
    """Check that a connection takes attributes as any object does."""
    ws.user_id = 5
    ws.transport = "theirs"
    ws._private = None
    assert (ws.user_id, ws.transport, ws._private) == (5, "theirs", None)
    assert vars(ws) == {"user_id": 5, "transport": "theirs", "_private": None}
    del ws.user_id
    assert not hasattr(ws, "user_id")
    for name in ("state", "close_code", "latency"):
        with pytest.raises(AttributeError):
            setattr(ws, name, 1)
    assert {ws: 1}[ws] == 1
    assert weakref.ref(ws)() is ws


def test_attributes(ws):
    """Programs put what they know of a connection on it, and take it off again."""
    assert_ordinary(ws)


async def test_async_attributes(echo_server):
    """The same holds for the asyncio client."""
    async with async_client.connect(echo_server.url, **QUICK) as ws:
        assert_ordinary(ws)


def test_replaced_methods(ws):
    """A test can replace any method of one connection, also for iteration."""
    with mock.patch.object(ws, "send", return_value="mocked") as send:
        assert ws.send("x") == "mocked"
        send.assert_called_once_with("x")
    ws.send("x")
    with mock.patch.object(ws, "recv", side_effect=["a", b"b", closed()]):
        assert list(ws) == ["a", b"b"]
    with mock.patch.object(type(ws), "recv", side_effect=["c", closed()]):
        assert list(ws) == ["c"]
    assert ws.recv() == "x"
    for name in ("ping", "pong", "wait_closed", "recv_streaming"):
        with mock.patch.object(ws, name, return_value=name):
            assert getattr(ws, name)() == name
    with mock.patch.object(ws, "close") as close, ws:
        pass
    close.assert_called_once_with(1000)
    ws.send("y")
    assert next(iter(ws)) == "y"


async def test_async_replaced_methods(echo_server):
    """The same holds for the asyncio client."""
    async with async_client.connect(echo_server.url, **QUICK) as ws:
        with mock.patch.object(ws, "send", return_value="mocked") as send:
            assert await ws.send("x") == "mocked"
            send.assert_awaited_once_with("x")
        await ws.send("x")
        with mock.patch.object(ws, "recv", side_effect=["a", b"b", closed()]):
            assert [message async for message in ws] == ["a", b"b"]
        assert await ws.recv() == "x"
        with mock.patch.object(ws, "close") as close:
            async with ws:
                pass
        close.assert_awaited_once_with(1000)


def test_iteration_of_subclasses(echo_server):
    """A subclass iterates by its own recv, or in a way of its own."""

    class Receiving(sync_client.WebSocket):
        def recv(self, timeout=None, decode=None):
            return super().recv(timeout, decode).upper()

    class Iterating(sync_client.WebSocket):
        def __next__(self):
            return [self.recv()]

    for cls, expected in [(Receiving, "X"), (Iterating, ["x"])]:
        options = {**QUICK, "create_connection": cls}
        with sync_client.connect(echo_server.url, **options) as ws:
            ws.send("x")
            assert next(iter(ws)) == expected


def closed():
    """Return the exception of a connection that was closed normally."""
    return ConnectionClosedOK(None, None)


def test_circle_through_attribute(echo_server):
    """A connection in a circle through its own attribute is collected."""
    ws = sync_client.connect(echo_server.url, **QUICK)
    ws.itself = ws
    ws.close()
    gone = weakref.ref(ws)
    del ws
    gc.collect()
    assert gone() is None


def test_abandoned_in_circle(echo_server):
    """One that is abandoned in a circle ends, and says so."""
    ws = sync_client.connect(echo_server.url, **QUICK)
    ws.itself = ws
    del ws
    with pytest.warns(ResourceWarning, match="unclosed connection"):
        gc.collect()
