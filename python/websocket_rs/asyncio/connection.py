"""An asyncio connection, at the path that it has in `websockets`."""

from __future__ import annotations

from .._client.asyncio.connection import AsyncWebSocket


__all__ = ["AsyncWebSocket", "Connection"]

Connection = AsyncWebSocket
