"""`connect` and the connection's class, under their old names."""

from __future__ import annotations

from ..asyncio.client import (
    ClientConnection as WebSocketClientProtocol,
    connect,
    unix_connect,
)


__all__ = ["Connect", "WebSocketClientProtocol", "connect", "unix_connect"]

Connect = connect
