"""A fast WebSocket client, sync and asyncio, with a Rust core.

>>> from websocket_rs.sync_client import connect   # blocking
>>> from websocket_rs.async_client import connect  # asyncio

The same clients with the interface of `websockets`:

>>> from websocket_rs.sync.client import connect
>>> from websocket_rs.asyncio.client import connect

Importing the package installs a ``NullHandler`` on the logger ``websocket_rs``, a hook
that closes what is still open when the interpreter exits, and one that keeps a forked
process away from its parent's connections.
"""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import __version__
from .datastructures import Headers, HeadersLike, MultipleValuesError
from .exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    DuplicateParameter,
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidParameterName,
    InvalidParameterValue,
    InvalidProtocol,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidState,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    ProxyError,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyFragments,
    TooManyHeaders,
    WebSocketException,
)
from .frames import Close, CloseCode, Opcode
from .protocol import State


if TYPE_CHECKING:
    from .asyncio.client import ClientConnection, connect, unix_connect
    from .http11 import Request, Response
    from .typing import (
        Data,
        ExtensionName,
        ExtensionParameter,
        LoggerLike,
        Origin,
        StatusLike,
        Subprotocol,
    )


__all__ = [
    "ClientConnection",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "SecurityError",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
    "__version__",
    "connect",
    "unix_connect",
]

logging.getLogger("websocket_rs").addHandler(logging.NullHandler())
atexit.register(_core.shutdown)
os.register_at_fork(after_in_child=_core.after_fork_in_child)


# The blocking client needs none of these.
_LAZY = {
    "connect": "asyncio.client",
    "unix_connect": "asyncio.client",
    "ClientConnection": "asyncio.client",
    "Request": "http11",
    "Response": "http11",
    "Data": "typing",
    "ExtensionName": "typing",
    "ExtensionParameter": "typing",
    "LoggerLike": "typing",
    "Origin": "typing",
    "StatusLike": "typing",
    "Subprotocol": "typing",
}
_MODULES = frozenset(
    {
        "asyncio",
        "client",
        "datastructures",
        "extensions",
        "frames",
        "http11",
        "protocol",
        "proxy",
        "sync",
        "typing",
        "uri",
        "version",
    }
)
"""What a program may reach through the package without importing it."""


# Names of earlier versions of `websockets`, which old annotations have.
_RENAMED = {
    "InvalidStatusCode": "InvalidStatus",
    "WebSocketClientProtocol": "ClientConnection",
}


def __getattr__(name: str) -> Any:
    """Import what is seldom needed when it is asked for."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _RENAMED:
        warnings.warn(
            f"{name} was renamed to {_RENAMED[name]}", DeprecationWarning, stacklevel=2
        )
        name = _RENAMED[name]
        if name in globals():
            return globals()[name]
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value
