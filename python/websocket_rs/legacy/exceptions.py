"""Exceptions that nothing raises any more, for ``except`` clauses that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..datastructures import Headers
from ..exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    ProtocolError as WebSocketProtocolError,
)


if TYPE_CHECKING:
    from ..datastructures import HeadersLike


__all__ = [
    "AbortHandshake",
    "InvalidMessage",
    "InvalidStatusCode",
    "RedirectHandshake",
    "WebSocketProtocolError",
]

InvalidStatusCode = InvalidStatus


class AbortHandshake(InvalidHandshake):
    """What a server's handshake was ended by; a client never raises it.

    Attributes:
        status: Status of the response.
        headers: Headers of the response.
        body: Body of the response.
    """

    def __init__(self, status: int, headers: HeadersLike, body: bytes = b"") -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = Headers(headers)
        self.body = body

    def __str__(self) -> str:
        return (
            f"HTTP {self.status:d}, {len(self.headers)} headers, {len(self.body)} bytes"
        )


class RedirectHandshake(InvalidHandshake):
    """What a redirect was told by; they are followed without it.

    Attributes:
        uri: Where it leads.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri

    def __str__(self) -> str:
        return f"redirect to {self.uri}"
