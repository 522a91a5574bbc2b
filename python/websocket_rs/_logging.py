"""Hands records of a connection to the logger that it was given.

Imported by the core when there is a first one. It holds no connection alive.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from . import _core
    from .typing import LoggerLike


__all__ = ["emit", "register"]

_connections: weakref.WeakValueDictionary[str, _core.Connection] = (
    weakref.WeakValueDictionary()
)


def register(ws: _core.Connection) -> None:
    """Let the records of a connection refer to it, for as long as it exists."""
    _connections[ws.name] = ws


def emit(logger: LoggerLike, level: int, text: str, name: str) -> None:
    """Log a record of the connection with this name.

    Args:
        logger: The logger that the connection was given.
        level: Level of the record.
        text: What is said, as it is.
        name: Becomes the attribute ``websocket_name`` of the record. The connection
            itself, as a weak proxy, becomes its attribute ``websocket``.
    """
    extra: dict[str, Any] = {"websocket_name": name}
    ws = _connections.get(name)
    if ws is not None:
        extra["websocket"] = weakref.proxy(ws)
    options: dict[str, Any] = {}
    # Before Python 3.13, an adapter replaces the extra attributes by its own.
    while isinstance(logger, logging.LoggerAdapter):
        message, given = logger.process(text, {"extra": dict(extra)})
        text = str(message)
        extra |= given.pop("extra", None) or {}
        options |= given
        logger = logger.logger
    logger.log(level, text, extra=extra, **options)
