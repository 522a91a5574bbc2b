"""WebSocket URIs (RFC 6455, section 3)."""

from __future__ import annotations

from . import _core
from ._client import imports  # noqa: F401 - for what it hands to the core
from ._client.record import Record


__all__ = ["WebSocketURI", "parse_uri"]


class WebSocketURI(Record):
    """What a URI says.

    Attributes:
        secure: Whether the scheme is ``wss``.
        host: Host name in ASCII and lower case, or IP address without brackets.
        port: Port, also if it is the scheme's default one.
        path: Path, percent-encoded.
        query: Query, percent-encoded and without its question mark; empty if there is
            none.
        username: User name, decoded.
        password: Password, decoded.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = None

    @property
    def resource_name(self) -> str:
        """Path and query, as they stand in the request."""
        path = self.path or "/"
        return f"{path}?{self.query}" if self.query else path

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password


def parse_uri(uri: str) -> WebSocketURI:
    """Read a URI.

    Raises:
        InvalidURI: If it isn't a valid WebSocket URI.
    """
    parsed = _core.parse_uri(uri)
    return WebSocketURI(
        parsed.secure,
        parsed.host,
        parsed.port,
        parsed.path,
        parsed.query,
        parsed.username,
        parsed.password,
    )
