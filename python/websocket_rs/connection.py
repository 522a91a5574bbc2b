"""The old name of `websocket_rs.protocol`."""

from __future__ import annotations

import warnings

from ._client.names import other_name
from .protocol import CLOSED, CLOSING, CONNECTING, OPEN, State


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "State"]

warnings.warn(
    "websocket_rs.connection is an old name; use websocket_rs.protocol",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return other_name(
        __name__,
        name,
        missing={
            "Connection": "the protocol is in the core; use sync.client or "
            "asyncio.client"
        },
    )
