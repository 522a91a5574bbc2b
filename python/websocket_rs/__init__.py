"""A fast WebSocket client, sync and asyncio, with a Rust core.

>>> from websocket_rs.sync_client import connect   # blocking
>>> from websocket_rs.async_client import connect  # asyncio

Importing the package installs a ``NullHandler`` on the logger ``websocket_rs``, a hook
that closes what is still open when the interpreter exits, and one that keeps a forked
process away from its parent's connections.
"""

from __future__ import annotations

import atexit
import logging
import os

from . import _core
from ._core import __version__
from .exceptions import (
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
    PayloadTooBig,
    ProtocolError,
    SecurityError,
    WebSocketException,
)
from .frames import Close, CloseCode
from .protocol import State


__all__ = [
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidMessage",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "SecurityError",
    "State",
    "WebSocketException",
    "__version__",
]

logging.getLogger("websocket_rs").addHandler(logging.NullHandler())
atexit.register(_core.shutdown)
os.register_at_fork(
    before=_core.before_fork,
    after_in_parent=_core.after_fork_in_parent,
    after_in_child=_core.after_fork_in_child,
)
