"""A blocking connection, at the path that it has in `websockets`."""

from __future__ import annotations

from .._client.sync.connection import WebSocket


__all__ = ["Connection", "WebSocket"]

Connection = WebSocket
