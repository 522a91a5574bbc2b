"""The module `ssl`, slow to import: who has a context of it has imported it already."""

from __future__ import annotations


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["ssl"]


class _Module:
    def __getattr__(self, name: str) -> Any:
        import ssl

        return getattr(ssl, name)


ssl = _Module()
