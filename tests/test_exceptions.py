"""The exception tree: the names and attributes of websockets."""

from __future__ import annotations

import pickle
import warnings

import pytest

from support import QUICK
from websocket_rs import exceptions
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidControlFrame,
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    ProtocolError,
    RefusedError,
    ResetError,
    TimedOutError,
    WebSocketException,
)
from websocket_rs.frames import Close
from websocket_rs.sync_client import connect


PARENTS = {
    WebSocketException: RuntimeError,
    ConnectionClosed: WebSocketException,
    ConnectionClosedOK: ConnectionClosed,
    ConnectionClosedError: ConnectionClosed,
    InvalidURI: WebSocketException,
    InvalidHandshake: WebSocketException,
    InvalidMessage: InvalidHandshake,
    InvalidStatus: InvalidHandshake,
    InvalidHeader: InvalidHandshake,
    InvalidUpgrade: InvalidHeader,
    NegotiationError: InvalidHandshake,
    InvalidControlFrame: ProtocolError,
    ConcurrencyError: WebSocketException,
    ConnectError: OSError,
    RefusedError: ConnectionRefusedError,
    ResetError: ConnectionResetError,
    TimedOutError: TimeoutError,
}


@pytest.mark.parametrize(("child", "parent"), PARENTS.items())
def test_tree(child, parent):
    """Each exception derives from the one it derives from in websockets."""
    assert issubclass(child, parent)
    assert child.__module__.startswith("websocket_rs")


def test_names_of_websockets():
    """Every name of the tree of websockets is there, under the same parents."""
    theirs = pytest.importorskip("websockets.exceptions")
    for name in theirs.__all__:
        original = getattr(theirs, name)
        ours = getattr(exceptions, name)
        wanted = {c.__name__ for c in original.__mro__ if "websockets" in c.__module__}
        assert wanted <= {c.__name__ for c in ours.__mro__}


def test_invalid_uri_is_a_value_error():
    """InvalidURI is caught as the documented ValueError too."""
    assert issubclass(InvalidURI, ValueError)


CLOSED = [
    (None, None, None, 1006, "no close frame received or sent"),
    (Close(1000, ""), Close(1000, ""), True, 1000, "1000 (OK)"),
    (Close(1001, "bye"), Close(1001, "bye"), False, 1001, "1001 (going away) bye"),
    (None, Close(1011, ""), None, 1006, "1011 (internal error)"),
    (Close(4000, "why"), None, None, 4000, "4000 (private use) why"),
]


@pytest.mark.parametrize(("rcvd", "sent", "order", "code", "text"), CLOSED)
def test_connection_closed_attributes(rcvd, sent, order, code, text):
    """Both frames and their order are kept; code is the received one or 1006."""
    error = ConnectionClosedError(rcvd, sent, order)
    assert (error.rcvd, error.sent, error.rcvd_then_sent) == (rcvd, sent, order)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert error.code == code
        assert error.reason == (rcvd.reason if rcvd else "")
    assert text in str(error)


def test_connection_closed_text():
    """The text tells who closed first, as that of websockets does."""
    error = ConnectionClosedOK(Close(1000, ""), Close(1000, ""), False)
    assert str(error) == "sent 1000 (OK); then received 1000 (OK)"
    error = ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True)
    assert str(error) == "received 1000 (OK); then sent 1000 (OK)"


def test_connection_closed_can_be_pickled():
    """A closed exception crosses process boundaries, as concurrent.futures needs."""
    error = ConnectionClosedError(Close(1011, "x"), None, None)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is ConnectionClosedError
    assert (copy.rcvd, copy.sent, str(copy)) == (error.rcvd, error.sent, str(error))


# Test control frames that can't be sent.

MISUSES = {
    "ping of 126 bytes": ("ping", [b"x" * 126], "control frame too long", "126"),
    "ping of 63 é": ("ping", ["é" * 63], "control frame too long", "126"),
    "pong of 126 bytes": ("pong", [b"x" * 126], "control frame too long", "126"),
    "close with 999": ("close", [999], "invalid status code", "999"),
    "close with 1005": ("close", [1005], "invalid status code", "1005"),
    "close with -1": ("close", [-1], "invalid status code", "-1"),
    "close with 2**70": ("close", [2**70], "invalid status code", str(2**70)),
    "reason of 124 bytes": (
        "close",
        [1000, "x" * 124],
        "control frame too long",
        "124",
    ),
}


def assert_misused(error: Exception, words: str, value: str) -> None:
    """Check that an error is of both kinds, and names the rule and the value."""
    assert type(error) is InvalidControlFrame
    assert isinstance(error, ProtocolError)
    assert isinstance(error, ValueError)
    assert str(error).startswith(words)
    assert value in str(error)


@pytest.mark.parametrize("misuse", MISUSES)
def test_invalid_control_frame(echo_server, misuse):
    """It is the ProtocolError of websockets with its words, and a ValueError."""
    call, arguments, words, value = MISUSES[misuse]
    with connect(echo_server.url, **QUICK) as ws:
        with pytest.raises(ProtocolError) as caught:
            getattr(ws, call)(*arguments)
        assert_misused(caught.value, words, value)
        ws.send("alive")
        assert ws.recv() == "alive"


@pytest.mark.parametrize("misuse", MISUSES)
async def test_async_invalid_control_frame(echo_server, misuse):
    """The same holds for the asyncio client."""
    call, arguments, words, value = MISUSES[misuse]
    async with connect_async(echo_server.url, **QUICK) as ws:
        with pytest.raises(ProtocolError) as caught:
            await getattr(ws, call)(*arguments)
        assert_misused(caught.value, words, value)
        await ws.send("alive")
        assert await ws.recv() == "alive"


def test_words_of_websockets():
    """The texts begin as those of websockets do."""
    frames = pytest.importorskip("websockets.frames")
    theirs = pytest.importorskip("websockets.exceptions").ProtocolError
    with pytest.raises(theirs, match=r"^invalid status code$"):
        frames.Close(999, "").check()
    with pytest.raises(theirs, match=r"^control frame too long$"):
        frames.Frame(frames.Opcode.PING, b"x" * 126).check()


def test_invalid_control_frame_can_be_pickled():
    """It crosses process boundaries."""
    copy = pickle.loads(pickle.dumps(InvalidControlFrame("invalid status code: 1")))
    assert type(copy) is InvalidControlFrame
    assert str(copy) == "invalid status code: 1"


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred", r"\x9b31mred"),
        ("two\nlines\u2028", r"two\nlines\u2028"),
        ("\u202edesrever", r"\u202edesrever"),
        ("caf\xe9\xa0\U0001f600", "caf\xe9\xa0\U0001f600"),
    ],
)
def test_str_of_what_a_server_says(received, shown):
    """What a terminal would act on is escaped in the text, not in the attribute."""
    closed = ConnectionClosedError(Close(4000, received), None)
    expected = f"received 4000 (private use) {shown}; no close frame sent"
    assert str(closed) == expected
    assert closed.rcvd.reason == received
    invalid = InvalidHeader("Upgrade", received)
    assert str(invalid) == f"invalid Upgrade header: {shown}"
    assert invalid.value == received
