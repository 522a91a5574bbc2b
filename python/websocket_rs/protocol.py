"""The state of a connection."""

from __future__ import annotations

import enum

from ._client.names import other_name


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "State"]


class State(enum.IntEnum):
    """The state of a connection (RFC 6455, sections 4.1 and 7.1)."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


CONNECTING = State.CONNECTING
OPEN = State.OPEN
CLOSING = State.CLOSING
CLOSED = State.CLOSED


def __getattr__(name: str) -> Any:
    text = "the protocol is in the core; use sync.client or asyncio.client"
    return other_name(
        __name__, name, missing=dict.fromkeys(["Event", "Protocol", "Side"], text)
    )
