"""Attributes that connections of `websockets` have, or had, and these don't.

Old names of what there is still work, with a warning. What can't exist here says so,
and what to use instead.
"""

from __future__ import annotations

import warnings

from ..protocol import State


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


__all__ = ["MISSING", "Missing", "MissingAttribute"]


class MissingAttribute(AttributeError, NotImplementedError):
    """Raised for an attribute that can't exist here; so `hasattr` says that it doesn't.

    The text names what to use instead.
    """


class Missing:
    """A name of `websockets`, in the place of the attribute, to explain itself.

    What programs set on a connection under such a name is theirs.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, ws: Any, cls: type) -> Any:
        name = self._name
        if ws is None:
            text = f"type object {cls.__name__!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=cls)
        if name in _OLD_NAMES:
            instead, value_of = _OLD_NAMES[name]
            warnings.warn(
                f"{cls.__name__}.{name} is deprecated; use {instead}",
                DeprecationWarning,
                stacklevel=2,
            )
            return value_of(ws)
        text = f"{cls.__name__} has no {name}: {_INSTEAD[name]}"
        raise MissingAttribute(text, name=name, obj=ws)

    def __repr__(self) -> str:
        # For `help(ClientConnection)`.
        if self._name in _OLD_NAMES:
            return f"<old name: use {_OLD_NAMES[self._name][0]}>"
        return f"<not here: {_INSTEAD[self._name]}>"


_OLD_NAMES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "open": ("state", lambda ws: ws.state is State.OPEN),
    "closed": ("state", lambda ws: ws.state is State.CLOSED),
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
"""What the old name of an attribute stands for."""

_ADDRESSES = "the core does the input and output; use local_address and remote_address"
_ARGUMENT = "the argument of connect() can't be asked for or changed"
_CAUSE = "what failed is the __cause__ of the ConnectionClosed that recv() raises"
_RECEIVE = "use recv() and recv_streaming()"
_WAIT = "use close() and wait_closed()"

_INSTEAD = {
    "transport": _ADDRESSES,
    "socket": _ADDRESSES,
    "host": _ADDRESSES,
    "port": _ADDRESSES,
    "secure": "use target, which begins with ws:// or wss://",
    "extensions": 'use response.headers.get_all("Sec-WebSocket-Extensions")',
    "origin": "use request.headers",
    "max_queue": f"{_ARGUMENT}; pass it to connect()",
    "messages": _RECEIVE,
    "recv_messages": _RECEIVE,
    "recv_events": _RECEIVE,
    "keepalive_task": "pass ping_interval and ping_timeout to connect()",
    "drain": "use send(), which waits while too much waits to be written",
    "fail_connection": "use close(code, reason)",
    "close_connection": _WAIT,
    "connection_lost": _WAIT,
    "connection_lost_waiter": _WAIT,
    "close_rcvd": "use close_code, or rcvd of ConnectionClosed",
    "close_sent": "use close_code, or sent of ConnectionClosed",
    "close_exc": "use protocol.close_exc",
    "recv_exc": _CAUSE,
    "recv_events_exc": _CAUSE,
    "recv_events_thread": "the thread is none of Python's; use wait_closed()",
}
"""What to use instead of the attributes that programs ask for."""

MISSING = {name: Missing(name) for name in (*_OLD_NAMES, *_INSTEAD)}
"""What explains each."""
