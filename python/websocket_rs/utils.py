"""The key of the opening handshake, and its answer (RFC 6455, section 4)."""

from __future__ import annotations

from typing import Any

from . import _core
from ._client.names import other_name


__all__ = ["accept_key", "generate_key"]


def generate_key() -> str:
    """Return a random value for the ``Sec-WebSocket-Key`` header."""
    return _core.generate_key()


def accept_key(key: str) -> str:
    """Return the value that the ``Sec-WebSocket-Accept`` header must have for a key."""
    return _core.accept_key(key)


def __getattr__(name: str) -> Any:
    return other_name(
        __name__, name, missing={"apply_mask": "the core masks what it sends"}
    )
