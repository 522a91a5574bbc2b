"""Attributes that connections of `websockets` have, or had, and these haven't."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["MissingAttribute", "missing_attribute"]


class MissingAttribute(NotImplementedError, AttributeError):
    """Raised for an attribute that can't exist here; `hasattr` says that it doesn't."""


_INSTEAD: dict[str, str] = {
    "transport": "use local_address, remote_address and close()",
    "socket": "use local_address and remote_address",
    "protocol": "use state, request, response, subprotocol and close_code",
    "recv_messages": "use recv() and recv_streaming()",
    "recv_events_thread": "the connection's own thread isn't one of Python",
    "recv_events_exc": "the cause of a failure is the __cause__ of ConnectionClosed",
    "recv_exc": "the cause of a failure is the __cause__ of ConnectionClosed",
    "connection_lost_waiter": "use wait_closed()",
    "fail_connection": "use close(code, reason)",
    "extensions": 'use response.headers.get_all("Sec-WebSocket-Extensions")',
    "host": "use remote_address",
    "port": "use remote_address",
    "secure": "the program knows the URI that it connects to",
}
"""What to use instead of names that connections of `websockets` have."""

_RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "open": ("state is State.OPEN", lambda ws: ws.state.name == "OPEN"),
    "closed": ("state is State.CLOSED", lambda ws: ws.state.name == "CLOSED"),
    "path": ("request.path", lambda ws: ws.request and ws.request.path),
    "request_headers": (
        "request.headers",
        lambda ws: ws.request and ws.request.headers,
    ),
    "response_headers": (
        "response.headers",
        lambda ws: ws.response and ws.response.headers,
    ),
}
"""What names of earlier versions of `websockets` stand for."""


def missing_attribute(ws: Any, name: str) -> Any:
    """Return what an old name stands for, or raise what tells of the alternative."""
    cls = type(ws).__name__
    if name in _RENAMED:
        instead, value = _RENAMED[name]
        warnings.warn(
            f"{cls}.{name} is deprecated; use {instead}",
            DeprecationWarning,
            stacklevel=3,
        )
        return value(ws)
    if name in _INSTEAD:
        raise MissingAttribute(f"{cls} has no {name}: {_INSTEAD[name]}")
    raise AttributeError(f"{cls!r} object has no attribute {name!r}")
