"""The version of the package."""

from __future__ import annotations

from ._core import __version__ as version


__all__ = ["version"]
