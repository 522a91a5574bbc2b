"""What connections of websockets have and ours don't: old names, and what can't be."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING

import pytest

from raw_server import MS
from support import QUICK, core_options
from websocket_rs._client.missing import MissingAttribute
from websocket_rs.async_client import AsyncWebSocket, connect as connect_async
from websocket_rs.asyncio.client import ClientConnection
from websocket_rs.sync_client import WebSocket, connect


if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ws(echo_server) -> Iterator[WebSocket]:
    """An open connection."""
    with connect(echo_server.url, **QUICK) as ws:
        yield ws


# Test what can't be.


@pytest.mark.parametrize(
    ("name", "alternative"),
    [
        ("transport", "local_address and remote_address"),
        ("socket", "local_address and remote_address"),
        ("recv_events_thread", "wait_closed()"),
        ("recv_events_exc", "__cause__"),
        ("recv_messages", "recv()"),
        ("connection_lost_waiter", "wait_closed()"),
        ("fail_connection", "close(code, reason)"),
        ("host", "remote_address"),
        ("port", "remote_address"),
        ("secure", "target"),
        ("extensions", "Sec-WebSocket-Extensions"),
        ("max_queue", "connect()"),
        ("close_exc", "protocol.close_exc"),
    ],
)
def test_missing_attribute(ws, name, alternative):
    """An attribute that can't be says what to use instead, and isn't there."""
    with pytest.raises(MissingAttribute) as caught:
        getattr(ws, name)
    assert isinstance(caught.value, NotImplementedError)
    assert isinstance(caught.value, AttributeError)
    text = str(caught.value)
    assert text.startswith(f"WebSocket has no {name}: ")
    assert alternative in text
    assert caught.value.name == name
    assert not hasattr(ws, name)
    assert getattr(ws, name, "default") == "default"


async def test_async_missing_attribute(echo_server):
    """The same holds for the asyncio client."""
    async with connect_async(echo_server.url, **QUICK) as ws:
        assert not hasattr(ws, "host")
        with pytest.raises(NotImplementedError, match="AsyncWebSocket has no secure"):
            ws.secure  # noqa: B018


def test_missing_attribute_of_a_derived_class(echo_server):
    """The text names the class that the program knows."""

    class Mine(WebSocket):
        pass

    ws = Mine(core_options(echo_server.url), 5000 * MS)
    with ws, pytest.raises(MissingAttribute, match="Mine has no socket"):
        ws.socket  # noqa: B018


@pytest.mark.parametrize("name", ["nonsense", "recieve", "_private", "__private__"])
def test_unknown_attribute(ws, name):
    """What websockets doesn't have either is an AttributeError like any other."""
    with pytest.raises(AttributeError) as caught:
        getattr(ws, name)
    assert not isinstance(caught.value, NotImplementedError)
    assert name in str(caught.value)
    assert caught.value.name == name


@pytest.mark.parametrize("cls", [WebSocket, AsyncWebSocket, ClientConnection])
def test_missing_attribute_of_a_class(cls):
    """Explaining what isn't there doesn't slow down what is."""
    assert "__getattr__" not in {name for base in cls.__mro__ for name in vars(base)}
    assert not hasattr(cls, "host")
    assert "use state" in repr(inspect.getattr_static(cls, "closed"))
    assert "local_address" in repr(inspect.getattr_static(cls, "host"))


# Test old names.

OLD_NAMES = {
    "open": (True, "state"),
    "closed": (False, "state"),
    "path": ("/", "request.path"),
    "request_headers": (None, "request.headers"),
    "response_headers": (None, "response.headers"),
}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_old_name(ws, name):
    """An old name has its value, and a warning that points to where it is used."""
    value, instead = OLD_NAMES[name]
    with pytest.warns(DeprecationWarning, match="is deprecated") as caught:
        found = getattr(ws, name)
    [warning] = caught
    assert warning.filename == __file__
    assert str(warning.message) == f"WebSocket.{name} is deprecated; use {instead}"
    if value is None:
        value = ws.request if name.startswith("request") else ws.response
        value = value.headers
    assert found == value


async def test_async_old_name(echo_server):
    """The same holds for the asyncio client."""
    async with connect_async(echo_server.url, **QUICK) as ws:
        with pytest.warns(DeprecationWarning, match=r"AsyncWebSocket\.open"):
            assert ws.open is True
    with pytest.warns(DeprecationWarning, match=r"\.open"):
        assert ws.open is False
    with pytest.warns(DeprecationWarning, match=r"\.closed"):
        assert ws.closed is True


def test_old_names_of_a_closed_connection(echo_server):
    """A closed connection is not open, and tells the same of its handshake."""
    ws = connect(echo_server.url, **QUICK)
    ws.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (ws.open, ws.closed, ws.path) == (False, True, "/")
