"""The asyncio client.

>>> from websocket_rs.async_client import connect
>>> async with connect("ws://localhost:8765") as ws:
...     await ws.send("Hello")
...     print(await ws.recv())

The connection's own native thread does the I/O, outside the interpreter, and wakes the
event loop when there is something to do.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import get_running_loop
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from . import _core
from ._connection import ConnectionAttributes
from ._options import (
    INBOX_LIMIT,
    MAX_SIZE,
    USER_AGENT,
    WRITE_LIMIT,
    check_timeout,
    connect_options,
)
from .event_loops import wakeups_of
from .exceptions import ConcurrencyError, ConnectionClosedOK


if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Sequence
    from ssl import SSLContext
    from types import TracebackType

    from typing_extensions import Self

    from .datastructures import HeadersLike


__all__ = ["AsyncWebSocket", "connect"]


class AsyncWebSocket(ConnectionAttributes, _core.AsyncConnection):
    """An open connection, as `connect` returns it.

    Its methods are to be called in the event loop that it was opened in. While one task
    is in `recv`, others may `send` and `close`. Used as an asynchronous context
    manager, it is closed at the end: with code 1000, or with 1011 if the block raised.

    Iterating yields messages until the connection is closed; it ends silently if that
    was a normal closure, and raises `ConnectionClosedError` otherwise.
    """

    __slots__ = (
        "__weakref__",
        "_deadline",
        "_id",
        "_loop",
        "_receive_timeout",
        "_receiving",
        "_timer",
        "_waiter",
    )

    _loop: asyncio.AbstractEventLoop
    _receive_timeout: float | None
    _receiving: bool
    # The future that recv waits for, the time at which it gives up, and the timer that
    # looks after that. A timer outlives many calls: it is set anew only when it is due.
    _waiter: asyncio.Future[None] | None
    _deadline: float
    _timer: asyncio.TimerHandle | None

    async def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send a message: text if it is a ``str``, binary if it is bytes-like.

        Returns when the message is accepted for sending. While more than
        ``write_limit`` bytes wait to be written, it waits. If it is cancelled then, the
        message is still sent, as a whole. Messages go out in the order of the calls;
        any number of tasks may send.

        Args:
            message: The message. A mutable one may be changed after the call.

        Raises:
            ConnectionClosed: If the connection is closed.
            TypeError: If the message is of another type.
            UnicodeEncodeError: If a ``str`` holds lone surrogates.
        """
        if get_running_loop() is not self._loop:
            raise RuntimeError(f"{self!r} belongs to a different event loop")
        if not self.post(message):
            while not self.has_room():
                waiter = self._loop.create_future()
                self.on_room(waiter)
                await waiter

    async def recv(self, decode: bool | None = None) -> str | bytes:
        """Receive the next message: a ``str`` if it is text, ``bytes`` if it is binary.

        Cancelling it loses nothing: the next call returns the message. Messages that
        were received before the connection was closed can still be received after.

        Args:
            decode: ``True`` for ``str`` and ``False`` for ``bytes`` whatever the
                message is.

        Raises:
            ConnectionClosed: If the connection is closed and no message is left.
            TimeoutError: If ``receive_timeout`` has passed. The connection stays open.
            ConcurrencyError: If another task is in `recv`.
        """
        if self._receiving:
            raise ConcurrencyError(
                "cannot call recv while another coroutine is already running recv"
            )
        message = self.pop(decode)
        if message is not None:
            return message
        loop = get_running_loop()
        if loop is not self._loop:
            raise RuntimeError(f"{self!r} belongs to a different event loop")
        timeout = self._receive_timeout
        if timeout is not None:
            self._deadline = deadline = loop.time() + timeout
            if self._timer is None or self._timer.when() > deadline:
                self._set_timer()
        self._receiving = True
        try:
            while message is None:
                self._waiter = waiter = loop.create_future()
                self.on_arrival(waiter)
                # The timer may have come due just as an earlier message woke the task.
                if timeout is not None and self._timer is None:
                    self._set_timer()
                await waiter
                message = self.pop(decode)
        finally:
            self._receiving = False
            self._waiter = None
            if message is None:
                self.forget_arrival()
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and wait until it is closed, at most ``close_timeout``.

        Does nothing if the connection is closed. If it is cancelled, closing goes on
        without it.

        Args:
            code: Close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ValueError: If the code or the reason can't be sent.
        """
        if get_running_loop() is not self._loop:
            raise RuntimeError(f"{self!r} belongs to a different event loop")
        self.begin_close(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, by whomever."""
        while True:
            waiter = self._loop.create_future()
            if self.on_end(waiter):
                return
            await waiter

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(1000 if exc_type is None else 1011)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # The timer must not keep an abandoned connection alive.
        self._timer = self._loop.call_at(
            self._deadline, _check_deadline, weakref.ref(self)
        )


def _check_deadline(reference: weakref.ref[AsyncWebSocket]) -> None:
    ws = reference()
    if ws is None:
        return
    ws._timer = None
    waiter = ws._waiter
    if waiter is None or waiter.done():
        return
    if ws._loop.time() < ws._deadline - _EARLY:
        ws._set_timer()
    else:
        waiter.set_exception(
            TimeoutError(
                f"timed out in waiting for a message after {ws._receive_timeout} s"
            )
        )


# Event loops run timers that are due within the resolution of their clock.
_EARLY = 0.0011


class connect(Coroutine[Any, Any, AsyncWebSocket]):
    """Connect to a WebSocket server.

    Await it for the open connection, or use it as an asynchronous context manager that
    closes the connection at the end. It can be passed to whatever takes a coroutine.
    Cancelling it abandons the attempt; nothing is left behind.

    Args:
        url: The server's ``ws://`` or ``wss://`` URL. A user name and password in it
            are sent as Basic authentication.
        connect_timeout: Seconds for resolving the name, connecting, TLS and the opening
            handshake together. ``None`` is no limit.
        receive_timeout: Seconds that `AsyncWebSocket.recv` waits. ``None`` is no limit.
        ssl: An `ssl.SSLContext`, of which trust anchors, verification, versions and
            ALPN are honoured; what can't be is refused. ``None`` or ``True`` verify the
            certificate against the system's certificate authorities.
        ca_file: PEM file of the certificate authorities to trust instead.
        client_cert: PEM file of the client's certificate, with its chain.
        client_key: PEM file of its key, unless ``client_cert`` holds it.
        server_hostname: The name to ask for and verify, if not the URL's host.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        additional_headers: Further headers of the request.
        user_agent_header: The ``User-Agent`` header; ``None`` to send none.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit.
        inbox_limit: Bytes of messages that are received ahead before the server is
            slowed down.
        write_limit: Bytes of messages that wait to be written before `send` waits.

    Raises:
        InvalidURI: If the URL isn't a valid WebSocket URL.
        TypeError, ValueError: If another argument is wrong. These are raised at once,
            the following ones when the object is awaited.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket.
        TimeoutError: If ``connect_timeout`` has passed; the text names the phase.
    """

    def __init__(
        self,
        url: str,
        connect_timeout: float | None = 30.0,
        receive_timeout: float | None = 30.0,
        *,
        # TCP/TLS
        ssl: SSLContext | bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        server_hostname: str | None = None,
        # WebSocket
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        # HTTP
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        # Timeouts
        close_timeout: float | None = 10.0,
        # Limits
        max_size: int | None = MAX_SIZE,
        inbox_limit: int = INBOX_LIMIT,
        write_limit: int = WRITE_LIMIT,
    ) -> None:
        self._options = connect_options(
            url,
            connect_timeout,
            ssl=ssl,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            server_hostname=server_hostname,
            additional_headers=additional_headers,
            origin=origin,
            subprotocols=subprotocols,
            user_agent_header=user_agent_header,
            close_timeout=close_timeout,
            max_size=max_size,
            inbox_limit=inbox_limit,
            write_limit=write_limit,
        )
        self._receive_timeout = check_timeout("receive_timeout", receive_timeout)
        self._coroutine: Coroutine[Any, Any, AsyncWebSocket] | None = None
        self._connection: AsyncWebSocket | None = None

    async def _connect(self) -> AsyncWebSocket:
        loop = get_running_loop()
        ws = AsyncWebSocket(self._options, wakeups_of(loop))
        ws._loop = loop
        ws._receive_timeout = self._receive_timeout
        ws._receiving = False
        ws._waiter = None
        ws._deadline = 0.0
        ws._timer = None
        try:
            waiter = loop.create_future()
            ws.on_opened(waiter)
            await waiter
        except BaseException:
            ws.abandon()
            raise
        ws.finish_opening()
        return ws

    def __await__(self) -> Generator[Any, Any, AsyncWebSocket]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncWebSocket:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self
        return self._connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.__aexit__(exc_type, exc_value, traceback)

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
