"""Attributes that connections of `websockets` have, or had, and these don't.

Old names of what there is still work, with a warning. What can't exist here says so,
and what to use instead. Imported only when an attribute isn't found.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .protocol import State


if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["MissingAttribute", "missing_attribute"]


class MissingAttribute(AttributeError, NotImplementedError):
    """Raised for an attribute that can't exist here; so `hasattr` says that it doesn't.

    The text names what to use instead.
    """


def missing_attribute(ws: Any, name: str) -> Any:
    """Return what an old name stands for, or raise an error that tells what to use.

    To be called by ``__getattr__``.
    """
    cls = type(ws).__name__
    if name in _OLD_NAMES:
        instead, value_of = _OLD_NAMES[name]
        warnings.warn(
            f"{cls}.{name} is deprecated; use {instead}",
            DeprecationWarning,
            stacklevel=3,
        )
        return value_of(ws)
    for instead, names in _INSTEAD.items():
        if name in names.split():
            raise MissingAttribute(f"{cls} has no {name}: {instead}", name=name, obj=ws)
    raise AttributeError(f"{cls!r} object has no attribute {name!r}", name=name, obj=ws)


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

_INSTEAD: dict[str, str] = {
    "the core does the input and output; use local_address and remote_address": (
        "transport socket reader host port"
    ),
    "the protocol is in the core; use state, subprotocol, request and response": (
        "protocol side is_client handshake"
    ),
    "use target, which begins with ws:// or wss://": "secure",
    'use response.headers.get_all("Sec-WebSocket-Extensions")': (
        "extensions available_extensions process_extensions"
    ),
    "use request.headers": (
        "origin extra_headers user_agent_header available_subprotocols"
    ),
    "the argument that was given to connect() can't be asked for or changed": (
        "ping_interval ping_timeout close_timeout max_size max_queue max_queue_high "
        "max_queue_low read_limit recv_bufsize write_limit write_limit_high "
        "write_limit_low legacy_recv"
    ),
    "use recv() and recv_streaming()": (
        "recv_messages recv_events recv_flow_control messages read_message "
        "read_data_frame read_frame transfer_data transfer_data_task data_received "
        "eof_received"
    ),
    "use ping(), and wait for what it returns": (
        "pings pending_pings pong_waiters acknowledge_pings acknowledge_pending_pings "
        "abort_pings terminate_pending_pings"
    ),
    "pass ping_interval and ping_timeout to connect()": (
        "keepalive keepalive_ping keepalive_ping_task keepalive_task keepalive_thread "
        "start_keepalive"
    ),
    "use send(), which waits while too much waits to be written": (
        "send_data send_context send_in_progress fragmented_send_waiter drain "
        "drain_waiters paused pause_writing resume_writing write_frame "
        "write_frame_sync write_close_frame write_http_request"
    ),
    "use close(code, reason)": "fail_connection",
    "use close() and wait_closed()": (
        "close_connection close_connection_task close_deadline close_socket "
        "close_transport connection_lost connection_lost_waiter "
        "wait_for_connection_lost shutdown_notifier shutdown_watcher"
    ),
    "use close_code and close_reason, or rcvd and sent of ConnectionClosed": (
        "close_rcvd close_rcvd_then_sent close_sent"
    ),
    "what failed is the __cause__ of the ConnectionClosed that recv() raises": (
        "close_exc connection_exc connection_closed_exc recv_events_exc recv_exc "
        "set_connection_exc set_recv_exc transfer_data_exc"
    ),
    "the connection's own thread is none of Python's; use wait_closed()": (
        "recv_events_thread"
    ),
    "the connection is open when connect() returns; use state": (
        "connection_made connection_open ensure_open"
    ),
    "use response and subprotocol": (
        "response_rcvd read_http_response process_subprotocol"
    ),
    "the core doesn't call Python when something happens; use recv()": "process_event",
    "nothing takes its place, and nothing is needed": (
        "protocol_mutex handler maybe_raise_legacy_warning pending_legacy_warning"
    ),
}
"""What to use instead of attributes, and their names."""
