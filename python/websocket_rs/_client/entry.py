"""The rule that a `connect` is entered by one at a time.

It keeps one connection, and closes it at the end of the block: that of a second one who
enters meanwhile would never be closed.
"""

from __future__ import annotations

from threading import Lock


__all__ = ["Entry"]


class Entry:
    """The place inside of a `connect`, for one task or thread."""

    def __init__(self) -> None:
        self._lock = Lock()

    def enter(self) -> None:
        """Take the place.

        Raises:
            RuntimeError: If someone is there, or is connecting in order to be.
        """
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("connect() isn't reentrant")

    def leave(self) -> None:
        """Give the place back."""
        self._lock.release()
