"""What the connections of both clients tell of themselves, and how lost ones end."""

from __future__ import annotations

import logging
import warnings
import weakref

from .. import _core
from ..datastructures import Headers
from ..http11 import Request, Response
from ..protocol import State
from . import process  # noqa: F401 - for what it registers
from .missing import MISSING
from .views import ProtocolView, ViewAttribute


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from uuid import UUID


__all__ = ["ConnectionAttributes", "exit_code"]


def exit_code(exc_type: type[BaseException] | None) -> int:
    """Return the close code for the end of a ``with`` block.

    A generator that isn't used up, such as a loop over connections that is left, ends
    by an exception that isn't an error.
    """
    return 1000 if exc_type is None or exc_type is GeneratorExit else 1011


class ConnectionAttributes(_core.Connection):
    """The attributes that are made of what the core knows.

    Derived classes have slots for the fields: two bases with some can't be combined.
    Each field is made when it is first asked for. They call `introduce` when they are
    made. They have no `__getattr__`: see below.
    """

    __slots__ = ()

    _FIELDS = ("_id", "_logger", "_request", "_response")

    if TYPE_CHECKING:
        _id: UUID
        _logger: logging.LoggerAdapter[Any]
        _request: Request
        _response: Response

    protocol: ProtocolView = ViewAttribute(ProtocolView)  # type: ignore[assignment]

    @property
    def id(self) -> UUID:
        """A number that no other connection has."""
        try:
            return self._id
        except AttributeError:
            # `Opening` has imported it, if it could.
            from uuid import uuid4

            self._id = uuid4()
            return self._id

    @property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """The logger given to `connect`, or that of the package for clients.

        It adds the attribute ``websocket``, a weak proxy of the connection, to records.
        """
        try:
            return self._logger
        except AttributeError:
            logger = self.own_logger
        if logger is None:
            logger = logging.getLogger("websocket_rs.client")
        self._logger = logging.LoggerAdapter(logger, {"websocket": weakref.proxy(self)})
        return self._logger

    @property
    def debug(self) -> bool:
        """Whether the logger takes records of level ``DEBUG``."""
        return self.logger.isEnabledFor(logging.DEBUG)

    @property
    def request(self) -> Request | None:
        """The request of the opening handshake; ``None`` before it."""
        try:
            return self._request
        except AttributeError:
            parts = self.request_parts
        if parts is None:
            return None
        path, headers = parts
        self._request = Request(path, Headers(headers))
        return self._request

    @property
    def response(self) -> Response | None:
        """The response to it; ``None`` before it."""
        try:
            return self._response
        except AttributeError:
            parts = self.response_parts
        if parts is None:
            return None
        status, reason, headers = parts
        self._response = Response(status, reason, Headers(headers))
        return self._response

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
        if self.is_left_open:
            _warn(f"unclosed connection {self!r}", ResourceWarning, source=self)
            self.abandon()


# A `__getattr__` would keep the interpreter from caching where it has found what there
# is: on CPython 3.11, that took a tenth of the instructions of a round trip.
for _name, _missing in MISSING.items():
    setattr(ConnectionAttributes, _name, _missing)
