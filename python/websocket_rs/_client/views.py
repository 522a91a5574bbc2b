"""What `websockets` calls the transport and the protocol of a connection.

Here both are in the core. These are views: they know nothing by themselves, and answer
what programs ask out of what the core knows.
"""

from __future__ import annotations

from ..exceptions import InvalidState
from ..protocol import State
from .missing import MissingAttribute
from .record import Record


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..exceptions import ConnectionClosed


__all__ = ["NegotiatedExtension", "ProtocolView", "TransportView", "ViewAttribute"]


class View:
    """A part of a connection that has no life of its own."""

    _WHY = ""

    def __init__(self, ws: Any) -> None:
        self._ws = ws

    def __getattr__(self, name: str) -> Any:
        cls = type(self._ws).__name__
        text = f"{cls} has no {self._WHY.format(name)}"
        raise MissingAttribute(text, name=name, obj=self)


class TransportView(View):
    """The transport, as far as programs ask for it."""

    _WHY = "transport.{}: the core does the input and output"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``peername`` or ``sockname``; the default for anything else."""
        ws = self._ws
        known = {"peername": ws.remote_address, "sockname": ws.local_address}
        return known.get(name, default)

    def is_closing(self) -> bool:
        """Whether the connection isn't open any more."""
        return self._ws.state is not State.OPEN

    def abort(self) -> None:
        """End the connection at once; see the connection's own `abort`."""
        self._ws.abort()

    def close(self) -> None:
        """Begin to close the connection once what waits is written; don't wait."""
        self._ws.begin_close(1000, "")

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        """Refuse to: the limit is an argument of `connect`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "set_write_buffer_limits() isn't supported: pass write_limit to connect()"
        )


class NegotiatedExtension(Record):
    """An extension that both ends have agreed upon.

    Attributes:
        name: Its name.
        parameters: Its parameters, as the server has written them.
    """

    name: str
    parameters: str


class ProtocolView(View):
    """The protocol, as far as programs ask for it."""

    _WHY = "protocol.{}: the protocol is in the core"

    @property
    def state(self) -> State:
        """As of the connection."""
        return State(self._ws.state)

    @property
    def subprotocol(self) -> str | None:
        """As of the connection."""
        subprotocol: str | None = self._ws.subprotocol
        return subprotocol

    @property
    def close_code(self) -> int | None:
        """As of the connection."""
        close_code: int | None = self._ws.close_code
        return close_code

    @property
    def close_reason(self) -> str | None:
        """As of the connection."""
        close_reason: str | None = self._ws.close_reason
        return close_reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What `recv` raises once the connection is closed.

        Raises:
            InvalidState: If it isn't closed. It is an `AssertionError`.
        """
        error: ConnectionClosed | None = self._ws.closed_error
        if error is None:
            raise InvalidState("connection isn't closed yet")
        return error

    @property
    def extensions(self) -> list[NegotiatedExtension]:
        """The extensions that are in use: permessage-deflate or none."""
        response = self._ws.response
        if response is None:
            return []
        values = response.headers.get_all("Sec-WebSocket-Extensions")
        parts = (value.partition(";") for value in values)
        return [
            NegotiatedExtension(name.strip(), parameters.strip())
            for name, _, parameters in parts
        ]

    def fail(self, code: int, reason: str = "") -> None:
        """End the connection with a close code, without waiting.

        With 1006, which can't be sent, it ends at once.

        Raises:
            InvalidControlFrame: If the code or the reason can't be sent.
        """
        if code == 1006:
            self._ws.abort()
        else:
            self._ws.begin_close(code, reason)


class ViewAttribute:
    """The attribute of a connection that is a view of it.

    Programs may set an object of their own in its place.
    """

    __slots__ = ("_view",)

    def __init__(self, view: type[View]) -> None:
        self._view = view

    def __get__(self, ws: Any, cls: type) -> Any:
        return self if ws is None else self._view(ws)
