"""The `User-Agent` header of requests."""

from __future__ import annotations

import sys

from .. import _core


__all__ = ["USER_AGENT"]

# As `platform.python_version()`, without the import.
USER_AGENT = f"Python/{sys.version.split()[0]} websocket-rs/{_core.__version__}"
