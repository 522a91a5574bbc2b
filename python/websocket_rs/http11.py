"""What the server answered to the opening handshake."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .datastructures import Headers


__all__ = ["Response"]


@dataclasses.dataclass
class Response:
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
