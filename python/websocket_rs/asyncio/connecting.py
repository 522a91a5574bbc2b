"""What `connect` can be used as: awaited, entered, iterated, made a task of.

Which arguments it takes is said elsewhere; see `Opening` for what they lead to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ..client import Reconnection, backoff, process_exception
from ..event_loops import wakeups_of
from ..exceptions import InvalidStatus
from .connection import AsyncWebSocket


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType

    from .._opening import Opening


__all__ = ["Connecting"]


class Connecting(Coroutine[Any, Any, AsyncWebSocket]):
    """An attempt to connect, or as many as it takes.

    Args:
        opening: What to connect to, and how.
        receive_timeout: Seconds that `recv` of its connections waits; ``None`` is no
            limit.
        process_exception: Whether to connect again after an exception.
        reconnect_delays: The pauses in between.
    """

    def __init__(
        self,
        opening: Opening,
        receive_timeout: float | None = None,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
    ) -> None:
        self._opening = opening
        self._receive_timeout = receive_timeout
        self._process_exception = process_exception
        self._reconnect_delays = reconnect_delays
        self._coroutine: Coroutine[Any, Any, AsyncWebSocket] | None = None
        self._connection: AsyncWebSocket | None = None

    async def _connect(self) -> AsyncWebSocket:
        opening = self._opening
        create = opening.create_connection or AsyncWebSocket
        wakeups = wakeups_of(asyncio.get_running_loop())
        attempts = opening.attempts()
        options = next(attempts)
        while True:
            ws: AsyncWebSocket = create(
                options, wakeups, self._receive_timeout, opening.logger
            )
            try:
                await ws.opened()
            except InvalidStatus as exc:
                options = attempts.send(exc)
            else:
                return ws

    # ws = await connect(...)

    def __await__(self) -> Generator[Any, Any, AsyncWebSocket]:
        return self._connect().__await__()

    # async with connect(...) as ws:

    async def __aenter__(self) -> AsyncWebSocket:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self
        return await self._connection.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.__aexit__(exc_type, exc_value, traceback)

    # async for ws in connect(...):

    async def __aiter__(self) -> AsyncIterator[AsyncWebSocket]:
        reconnection = Reconnection(
            self._process_exception, self._reconnect_delays, self._opening.logger
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
            self._coroutine = self._connect()
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        """Raise an exception where it is suspended, as of a coroutine."""
        if self._coroutine is None:
            self._coroutine = self._connect()
        return self._coroutine.throw(*args)

    def close(self) -> None:
        """Abandon it, as of a coroutine."""
        if self._coroutine is not None:
            self._coroutine.close()
