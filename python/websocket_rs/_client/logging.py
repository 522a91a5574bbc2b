"""Hands the records of a connection to the logger that it was given.

Called by the core. It knows nothing of connections but that they can be referred to.
"""

from __future__ import annotations

import logging
import weakref


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from ..typing import LoggerLike


__all__ = ["emit"]

logging.getLogger("websocket_rs").addHandler(logging.NullHandler())


def emit(
    logger_ref: weakref.ref[LoggerLike],
    level: int,
    text: str,
    name: str,
    connection_ref: weakref.ref[Any] | None,
) -> None:
    """Log a record.

    It has the attribute ``websocket_name``; and ``websocket``, a weak proxy of the
    connection, while there is a connection object.

    Args:
        logger_ref: Refers to the logger, to an adapter of it, or to one of an adapter.
        level: Level of the record.
        text: What the record says.
        name: The name of the connection.
        connection_ref: Refers to the connection.
    """
    logger = logger_ref()
    if logger is None:
        # It was part of a cycle with the connection, and that was collected.
        return
    extra: dict[str, Any] = {"websocket_name": name}
    connection = None if connection_ref is None else connection_ref()
    if connection is not None:
        extra["websocket"] = weakref.proxy(connection)
    # Handlers must not find the connection alive that nobody else keeps.
    del connection
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
