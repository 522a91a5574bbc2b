"""The exception tree: the names and attributes of websockets."""

from __future__ import annotations

import pickle
import warnings

import pytest

from websocket_rs import exceptions
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    WebSocketException,
)
from websocket_rs.frames import Close


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
    ConcurrencyError: WebSocketException,
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
