"""What connections of websockets have and ours don't: old names, and what can't be."""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import MS
from support import QUICK, core_options
from websocket_rs._missing import MissingAttribute
from websocket_rs.async_client import connect as connect_async
from websocket_rs.sync_client import WebSocket, connect


if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ws(echo_server) -> Iterator[WebSocket]:
    """An open connection."""
    with connect(echo_server.url, **QUICK) as ws:
        yield ws


def public(connection: object) -> set[str]:
    """Return the public attributes that an object has."""
    return {name for name in dir(connection) if not name.startswith("_")}


# Test what can't be.


@pytest.mark.parametrize(
    ("name", "alternative"),
    [
        ("transport", "local_address and remote_address"),
        ("socket", "local_address and remote_address"),
        ("protocol", "state, subprotocol, request and response"),
        ("recv_events_thread", "wait_closed()"),
        ("recv_events_exc", "__cause__"),
        ("recv_messages", "recv()"),
        ("connection_lost_waiter", "wait_closed()"),
        ("fail_connection", "close(code, reason)"),
        ("host", "remote_address"),
        ("port", "remote_address"),
        ("secure", "target"),
        ("extensions", "Sec-WebSocket-Extensions"),
        ("ping_interval", "connect()"),
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
        assert not hasattr(ws, "transport")
        with pytest.raises(NotImplementedError, match="AsyncWebSocket has no protocol"):
            ws.protocol  # noqa: B018


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


def test_attributes_cannot_be_set(ws):
    """An attribute that isn't there can't be set by mistake."""
    with pytest.raises(AttributeError):
        ws.ping_interval = 5


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


# Test that nothing is missing without a word.


def explained(ws: object, names: set[str]) -> set[str]:
    """Return those of the names that are neither there nor explained."""
    left = set()
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                getattr(ws, name)
        except MissingAttribute:
            pass
        except AttributeError:
            left.add(name)
    return left


def theirs(url: str) -> tuple[set[str], set[str]]:
    """Return what connections of websockets have, of the sync and the other clients."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from websockets.asyncio.client import connect as new
        from websockets.sync.client import connect as sync

        try:
            from websockets.legacy.client import connect as legacy
        except ImportError:
            legacy = new

        async def names() -> set[str]:
            async with new(url) as one, legacy(url) as other:
                return public(one) | public(other)

        with sync(url) as ws:
            return public(ws), asyncio.run(names())


def test_every_attribute_of_websockets(echo_server):
    """Whatever websockets' connections have is there, or its absence is explained."""
    pytest.importorskip("websockets")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(theirs(echo_server.url)))
    thread.start()
    thread.join()
    sync, other = found[0]
    with connect(echo_server.url, **QUICK) as ws:
        assert explained(ws, sync) == set()

    async def compare() -> set[str]:
        async with connect_async(echo_server.url, **QUICK) as ws:
            return explained(ws, other)

    assert asyncio.run(compare()) == set()
