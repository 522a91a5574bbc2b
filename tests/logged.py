"""Connections with a logger of their own, and what those loggers get."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from support import QUICK
from websocket_rs import async_client, sync_client


if TYPE_CHECKING:
    from websocket_rs.async_client import AsyncWebSocket
    from websocket_rs.sync_client import WebSocket

FRAMES = 5
"""The level at which each frame is told."""

NAMES = ["client", "handshake", "connection", "tls", "keepalive"]
"""The package's loggers, below ``websocket_rs``."""


class Collector(logging.Handler):
    """Keep the records, and complain about those that cannot be formatted."""

    def __init__(self) -> None:
        super().__init__(level=1)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        record.getMessage()
        self.records.append(record)

    def names(self) -> set[str]:
        """Return the names of the loggers that spoke."""
        return {record.name for record in self.records}

    def connections(self) -> set[str]:
        """Return the names of the connections that were spoken of."""
        return {record.websocket_name for record in self.records}

    def messages(self) -> list[str]:
        """Return what was said."""
        return [record.getMessage() for record in self.records]

    def text(self) -> str:
        """Return everything that any attribute of any record says."""
        return "\n".join(
            f"{record.getMessage()} {vars(record)!r}" for record in self.records
        )


def new_logger(
    level: int = FRAMES, handler: logging.Handler | None = None
) -> logging.Logger:
    """Return a logger that nothing else knows, so that it can be seen to be gone."""
    logger = logging.Logger("of a connection", level)
    if handler is not None:
        logger.addHandler(handler)
    return logger


def connect_logged(url: str, logger: Any, **options: Any) -> WebSocket:
    """Open a blocking connection with a logger of its own."""
    return sync_client.connect(url, logger=logger, **{**QUICK, **options})


async def connect_logged_async(url: str, logger: Any, **options: Any) -> AsyncWebSocket:
    """Open an asyncio connection with a logger of its own."""
    return await async_client.connect(url, logger=logger, **{**QUICK, **options})
