"""What connections of both faces tell of themselves, and what becomes of lost ones."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from . import _core
from .protocol import State


if TYPE_CHECKING:
    from uuid import UUID


__all__ = ["ConnectionAttributes"]


class ConnectionAttributes(_core.Connection):
    """The attributes that are made of what the core knows.

    Derived classes have a slot for ``_id``: two bases with fields can't be combined.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _id: UUID

    @property
    def id(self) -> UUID:
        """A number that no other connection has."""
        try:
            return self._id
        except AttributeError:
            from uuid import uuid4

            self._id = uuid4()
            return self._id

    @property
    def state(self) -> State:
        """The state of the connection: ``OPEN``, ``CLOSING`` or ``CLOSED``."""
        return State(self.state_number)

    @property
    def close_code(self) -> int | None:
        """The close code received, 1006 if none was; ``None`` until ``CLOSED``."""
        frame = self.close_frame
        return None if frame is None else frame[0]

    @property
    def close_reason(self) -> str | None:
        """The close reason received; ``None`` until ``CLOSED``."""
        frame = self.close_frame
        return None if frame is None else frame[1]

    def __repr__(self) -> str:
        cls = type(self).__name__
        return f"<{cls} {self.name} {self.target} {self.state.name}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"cannot pickle or copy {type(self).__name__}: it's a connection"
        )

    def __del__(self, _warn: Any = warnings.warn) -> None:
        # One that is being closed ends by itself.
        if not self.has_ended and self.state is State.OPEN:
            _warn(f"unclosed connection {self!r}", ResourceWarning, source=self)
            self.abandon()
