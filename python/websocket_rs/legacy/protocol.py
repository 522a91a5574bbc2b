"""The connection's class, under the old name of its base."""

from __future__ import annotations

from ..asyncio.client import ClientConnection as WebSocketCommonProtocol


__all__ = ["WebSocketCommonProtocol"]
