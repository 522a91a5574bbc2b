"""The request and the response of the opening handshake."""

from __future__ import annotations

from ._client.record import Record
from ._client.user_agent import USER_AGENT


TYPE_CHECKING = False
if TYPE_CHECKING:
    from .datastructures import Headers


__all__ = ["USER_AGENT", "Request", "Response"]


class Request(Record):
    """An HTTP request.

    Attributes:
        path: Path and query.
        headers: Headers.
        method: Method.
        protocol: Version of HTTP.
    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"


class Response(Record):
    """An HTTP response.

    Attributes:
        status_code: Status, such as 403.
        reason_phrase: The text after it.
        headers: Headers.
        body: Body, at most 1 MiB of it.
    """

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes = b""
