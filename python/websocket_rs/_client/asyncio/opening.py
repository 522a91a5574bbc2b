"""What `connect` can be used as: awaited, entered, iterated, made a task of.

Which arguments it takes is said elsewhere; see `Opening` for what they lead to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ...client import Reconnection, backoff, process_exception
from ..connector import Connector
from .connection import AsyncWebSocket
from .event_loop import event_queue_of


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType

    from ..opening import Opening


__all__ = ["Connecting"]


class Connecting(Connector, Coroutine[Any, Any, AsyncWebSocket]):
    """An attempt to connect, or as many as it takes.

    Args:
        opening: What to connect to, and how.
        process_exception: Whether to connect again after an exception.
        reconnect_delays: The pauses in between.

    Attributes:
        connection: The open connection, while it is used as a context manager.
    """

    connection: AsyncWebSocket

    def __init__(
        self,
        opening: Opening,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
    ) -> None:
        super().__init__(opening, AsyncWebSocket, process_exception, reconnect_delays)
        self._coroutine: Coroutine[Any, Any, AsyncWebSocket] | None = None

    async def connect(self) -> AsyncWebSocket:
        """Open a connection, which the caller has to close."""
        settings = self._opening.settings
        events = event_queue_of(asyncio.get_running_loop())
        attempts = self.attempts()
        options = next(attempts)
        while True:
            ws: AsyncWebSocket = self.create_connection(
                options, events, settings.receive_timeout, settings.logger
            )
            try:
                await ws.opened()
            except Exception as exc:
                options = attempts.send(exc)
            else:
                return ws

    # ws = await connect(...)

    def __await__(self) -> Generator[Any, Any, AsyncWebSocket]:
        return self.connect().__await__()

    # async with connect(...) as ws:

    async def __aenter__(self) -> AsyncWebSocket:
        self._entry.enter()
        try:
            self.connection = await self
            return await self.connection.__aenter__()
        except BaseException:
            self._entry.leave()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.connection.__aexit__(exc_type, exc_value, traceback)
        finally:
            del self.connection
            self._entry.leave()

    # async for ws in connect(...):

    async def __aiter__(self) -> AsyncIterator[AsyncWebSocket]:
        reconnection = Reconnection(
            self.process_exception, self.reconnect_delays, self.logger
        )
        while True:
            try:
                async with self as ws:
                    yield ws
            except Exception as exc:
                await asyncio.sleep(reconnection.delay_after(exc))
            else:
                reconnection.reset()

    # The interface of a coroutine, for asyncio.create_task() and the like.

    def send(self, value: Any) -> Any:
        """Run until the next suspension, as of a coroutine."""
        if self._coroutine is None:
            self._coroutine = self.connect()
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        """Raise an exception where it is suspended, as of a coroutine."""
        if self._coroutine is None:
            self._coroutine = self.connect()
        return self._coroutine.throw(*args)

    def close(self) -> None:
        """Abandon it, as of a coroutine."""
        if self._coroutine is not None:
            self._coroutine.close()
