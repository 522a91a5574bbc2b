"""Types of what is given and received, for annotations."""

from __future__ import annotations

import http
import logging
import os
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, NewType


__all__ = [
    "BytesLike",
    "Data",
    "DataLike",
    "ExtensionName",
    "ExtensionParameter",
    "Fragments",
    "LoggerLike",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
]


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

if TYPE_CHECKING:
    LoggerLike = logging.Logger | logging.LoggerAdapter[Any]
else:
    # Before Python 3.11, the adapter can't be subscripted at run time.
    LoggerLike = logging.Logger | logging.LoggerAdapter
"""What is accepted where a logger is given."""

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""What is accepted where a path is given."""

StatusLike = http.HTTPStatus | int
"""What is accepted where an HTTP status is given."""

Origin = NewType("Origin", str)
"""The value of an ``Origin`` header."""

Subprotocol = NewType("Subprotocol", str)
"""A subprotocol in a ``Sec-WebSocket-Protocol`` header."""

ExtensionName = NewType("ExtensionName", str)
"""The name of an extension in a ``Sec-WebSocket-Extensions`` header."""

ExtensionParameter = tuple[str, str | None]
"""A parameter of an extension: its name, and its value if it has one."""
