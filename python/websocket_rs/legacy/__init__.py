"""The old names of the asyncio client, which `websockets` has here until they go."""

from __future__ import annotations

import warnings


warnings.warn(
    "websocket_rs.legacy is an old name; use websocket_rs.asyncio.client and "
    "websocket_rs.exceptions",
    DeprecationWarning,
    stacklevel=2,
)
