"""Types of what is sent and received, for annotations."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable


__all__ = ["BytesLike", "Data", "DataLike", "Fragments"]


Data = str | bytes
"""A message or a fragment as it is received."""

BytesLike = bytes | bytearray | memoryview
"""What is sent as binary, unless told otherwise."""

DataLike = str | bytes | bytearray | memoryview
"""A message or a fragment as it may be sent."""

Fragments = (
    Iterable[str]
    | Iterable[bytes | bytearray | memoryview]
    | AsyncIterable[str]
    | AsyncIterable[bytes | bytearray | memoryview]
)
"""The fragments of a message as the asyncio client may send them."""
