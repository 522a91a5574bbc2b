"""Opening a connection with the blocking client."""

from __future__ import annotations


TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connector import Connector
    from .connection import WebSocket


__all__ = ["open_connection"]


def open_connection(connector: Connector) -> WebSocket:
    """Open a connection, following redirects."""
    settings = connector._opening.settings
    attempts = connector.attempts()
    options = next(attempts)
    while True:
        try:
            ws: WebSocket = connector.create_connection(
                options, settings.receive_timeout, settings.logger
            )
        except Exception as exc:
            options = attempts.send(exc)
        else:
            return ws
