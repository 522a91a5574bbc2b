"""Hands the records of a connection to the logger that it was given.

Imported by the core when a connection is given one. It knows nothing of connections but
that they can be referred to.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from .typing import LoggerLike


__all__ = ["emit"]


def emit(
    logger: LoggerLike,
    level: int,
    text: str,
    name: str,
    connection: weakref.ref[Any] | None,
) -> None:
    """Log a record.

    It has the attribute ``websocket_name``; and ``websocket``, a weak proxy of the
    connection, while there is a connection object.

    Args:
        logger: The logger, or an adapter of it, or an adapter of an adapter.
        level: Level of the record.
        text: What the record says.
        name: The name of the connection.
        connection: Refers to the connection.
    """
    extra: dict[str, Any] = {"websocket_name": name}
    target = None if connection is None else connection()
    if target is not None:
        extra["websocket"] = weakref.proxy(target)
    # Handlers must not find the connection alive that nobody else keeps.
    del target
    kwargs: MutableMapping[str, Any] = {"extra": extra}
    # Most adapters replace the extra attributes by their own instead of adding them. So
    # they are asked what to log, and do not log by themselves.
    while isinstance(logger, logging.LoggerAdapter):
        if not logger.isEnabledFor(level):
            return
        text, kwargs = logger.process(text, {**kwargs, "extra": dict(extra)})
        extra.update(kwargs.get("extra") or {})
        logger = logger.logger
    logger.log(level, text, **{**kwargs, "extra": extra})
