"""A blocking connection.

Every call does its I/O in the thread that makes it, outside the interpreter. While no
thread is in `recv`, the connection's own native thread answers pings, notices when the
peer closes, and receives ahead.
"""

from __future__ import annotations

from contextlib import suppress

from ... import _core
from ...exceptions import ConnectionClosedOK
from ..attributes import ConnectionAttributes, exit_code


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from ...typing import LoggerLike


__all__ = ["WebSocket"]


class WebSocket(ConnectionAttributes, _core.SyncConnection):
    """An open connection, as `connect` returns it.

    `ClientConnection`, as `websockets` calls it, is the same class.

    All methods may be called from any thread. While one thread is in `recv`, others may
    `send` and `close`. Used as a context manager, it is closed at the end: with code
    1000, or with 1011 if the block raised.

    Iterating yields messages until the connection is closed; it ends silently if that
    was a normal closure, and raises `ConnectionClosedError` otherwise.
    """

    # Where programs import it from, as error messages and pickles of the class say.
    __module__ = "websocket_rs.sync.connection"
    __slots__ = ("__dict__", "__weakref__", *ConnectionAttributes._FIELDS)

    def __init__(
        self,
        options: _core.ConnectOptions,
        receive_timeout: float | None = None,
        logger: LoggerLike | None = None,
    ) -> None:
        # What opens the connection is `__new__`, in the core.
        self.introduce()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # The core iterates without a call of `recv`, unless that was overridden.
        if cls.recv is not WebSocket.recv and cls.__next__ is WebSocket.__next__:
            cls.__next__ = _next_message  # type: ignore[method-assign, assignment]

    def recv_streaming(self, decode: bool | None = None) -> Iterator[str | bytes]:
        """Receive the next message fragment by fragment, as the fragments arrive.

        If the iterator isn't used up, the message stays where it is: `recv` raises
        `ConcurrencyError`, and another `recv_streaming` yields what is left of it. That
        is also how to go on after a `TimeoutError`.

        Args:
            decode: ``True`` for ``str`` and ``False`` for ``bytes``, whatever the
                message is.

        Yields:
            Fragments: ``str`` if the message is text, ``bytes`` if it is binary. A
            character that is cut by the end of a fragment comes with the next one.

        Raises:
            ConnectionClosed: If the connection is closed and no fragment is left.
            TimeoutError: If ``receive_timeout`` has passed for one fragment.
            ConcurrencyError: If another thread is in `recv` or `recv_streaming`.
        """
        is_last = False
        while not is_last:
            fragment, is_last = self.recv_fragment(decode)
            yield fragment

    def __iter__(self) -> Iterator[str | bytes]:
        # The core takes messages without a call of `recv`, which a test may have
        # replaced on this object or on its class.
        cls, core = type(self), _core.SyncConnection
        is_replaced = "recv" in self.__dict__ or cls.recv is not core.recv
        if is_replaced and cls.__next__ is core.__next__:
            return _messages(self)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(exit_code(exc_type))


def _messages(ws: WebSocket) -> Iterator[str | bytes]:
    with suppress(ConnectionClosedOK):
        while True:
            yield ws.recv()


def _next_message(ws: WebSocket) -> str | bytes:
    try:
        return ws.recv()
    except ConnectionClosedOK:
        raise StopIteration from None
