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
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _core
from ._connection import ConnectionAttributes
from ._fragments import FragmentedMessage, check_fragments
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
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from ssl import SSLContext
    from types import TracebackType

    from typing_extensions import Self

    from .datastructures import HeadersLike
    from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from .typing import DataLike, Fragments


__all__ = ["AsyncWebSocket", "connect"]

_T = TypeVar("_T")


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
        "_fragmented",
        "_id",
        "_in_message",
        "_loop",
        "_receive_timeout",
        "_receiving",
        "_timer",
        "_waiter",
    )

    _loop: asyncio.AbstractEventLoop
    _receive_timeout: float | None
    # The message that is being sent in fragments, if any.
    _fragmented: FragmentedMessage | None
    # Whether recv can't be called: another one runs, or a message was taken in part. In
    # the latter case recv_streaming can.
    _receiving: bool
    _in_message: bool
    # The future that recv waits for, the time at which it gives up, and the timer that
    # looks after that. A timer outlives many calls: it is set anew only when it is due.
    _waiter: asyncio.Future[None] | None
    _deadline: float
    _timer: asyncio.TimerHandle | None

    async def send(
        self, message: DataLike | Fragments, *, text: bool | None = None
    ) -> None:
        """Send a message: text if it is a ``str``, binary if it is bytes-like.

        Returns when the message is accepted for sending. While more than
        ``write_limit`` bytes wait to be written, it waits. If it is cancelled then, the
        message is still sent, as a whole. Messages go out in the order of the calls;
        any number of tasks may send. With compression, the message is compressed before
        anything else runs in the event loop; that takes some 5 ms per MiB.

        An iterable or asynchronous iterable of such objects is sent as one message in
        fragments (RFC 6455, section 5.4), each as soon as the iterable yields it, and
        an empty one at the end. Other messages wait until then. If the iterable raises
        after the first, or the call is cancelled, the connection is failed with code
        1011.

        Args:
            message: The message, or an iterable of its fragments, all ``str`` or all
                bytes-like. A mutable one may be changed after the call.
            text: ``True`` to send bytes-like objects, which hold UTF-8, as text;
                ``False`` to send ``str`` as binary.

        Raises:
            ConnectionClosed: If the connection is closed.
            TypeError: If the message is of another type. The connection is as it was,
                unless that is so of a fragment after the first.
            UnicodeEncodeError: If a ``str`` holds lone surrogates.
            UnicodeDecodeError: If ``text`` is ``True`` and the message isn't UTF-8.
        """
        # Written out, since a call would cost as much as all of this.
        if get_running_loop() is not self._loop:
            self._check_loop()
        if self._fragmented is not None:
            await self.wait_for_message()
        has_room = self.post(message, text)
        if has_room:
            return
        if has_room is not None:
            await self.wait_for_room()
            return
        check_fragments(message)
        await FragmentedMessage(self).send(message, text)

    async def wait_for_message(self) -> None:
        """Wait until no message is being sent in fragments.

        Raises:
            ConcurrencyError: If this task sends it.
        """
        while self._fragmented is not None:
            await self._fragmented.wait()

    async def wait_for_room(self) -> None:
        """Wait until less than ``write_limit`` bytes wait to be written.

        Raises:
            ConnectionClosed: If the connection is closed.
        """
        while not self.has_room():
            waiter = self._loop.create_future()
            self.on_room(waiter)
            await waiter

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> str | bytes: ...

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
            ConcurrencyError: If another task is in `recv` or `recv_streaming`, or if a
                message has been taken in part by `recv_streaming`.
        """
        if self._receiving:
            raise ConcurrencyError(
                "cannot call recv while another coroutine "
                "is already running recv or recv_streaming"
            )
        message = self.pop(decode)
        if message is not None:
            return message
        return await self._next(self.pop, decode)

    async def recv_streaming(
        self, decode: bool | None = None
    ) -> AsyncGenerator[str | bytes, None]:
        """Receive the next message fragment by fragment, as the fragments arrive.

        If the iterator isn't used up, or is cancelled, the message stays where it is:
        `recv` raises `ConcurrencyError`, and another `recv_streaming` yields what is
        left of it. That is also how to go on after a `TimeoutError`.

        Args:
            decode: ``True`` for ``str`` and ``False`` for ``bytes``, whatever the
                message is.

        Yields:
            Fragments: ``str`` if the message is text, ``bytes`` if it is binary. A
            character that is cut by the end of a fragment comes with the next one.

        Raises:
            ConnectionClosed: If the connection is closed and no fragment is left.
            TimeoutError: If ``receive_timeout`` has passed for one fragment.
            ConcurrencyError: If another task is in `recv` or `recv_streaming`.
        """
        is_last = False
        while not is_last:
            if self._receiving and not self._in_message:
                raise ConcurrencyError(
                    "cannot call recv_streaming while another coroutine "
                    "is already running recv or recv_streaming"
                )
            self._in_message = False
            try:
                taken = self.pop_fragment(decode)
                if taken is None:
                    taken = await self._next(self.pop_fragment, decode)
            finally:
                # What is left of a message can't be taken by recv.
                self._receiving = self._in_message = self.leave_message()
            fragment, is_last = taken
            yield fragment

    async def ping(self, data: DataLike | None = None) -> asyncio.Future[float]:
        """Send a ping (RFC 6455, section 5.5.2).

        ``latency = await (await ws.ping())`` waits for the pong.

        Args:
            data: At most 125 bytes; a ``str`` is sent as UTF-8. ``None`` sends four
                random bytes.

        Returns:
            A future of the seconds between the ping and its pong. It need not be
            awaited. If the connection ends before the pong has come, it raises
            `ConnectionClosed`.

        Raises:
            ConnectionClosed: If the connection is closed.
            ConcurrencyError: If a ping with the same data waits for its pong.
            TypeError, ValueError: If the data can't be sent. The connection is as it
                was.
        """
        self._check_loop()
        waiter: asyncio.Future[float] = self._loop.create_future()
        self.post_ping(data, waiter)
        return waiter

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Args:
            data: At most 125 bytes; a ``str`` is sent as UTF-8.

        Raises:
            ConnectionClosed: If the connection is closed.
            TypeError, ValueError: If the data can't be sent. The connection is as it
                was.
        """
        self._check_loop()
        self.post_pong(data)

    def _check_loop(self) -> None:
        if get_running_loop() is not self._loop:
            raise RuntimeError(f"{self!r} belongs to a different event loop")

    async def _next(self, take: Callable[[bool | None], _T | None], decode: Any) -> _T:
        """Wait until there is something to take, and take it."""
        self._check_loop()
        loop = self._loop
        taken: _T | None = None
        timeout = self._receive_timeout
        if timeout is not None:
            self._deadline = deadline = loop.time() + timeout
            if self._timer is None or self._timer.when() > deadline:
                self._set_timer()
        self._receiving = True
        try:
            while taken is None:
                self._waiter = waiter = loop.create_future()
                self.on_arrival(waiter)
                # The timer may have come due just as an earlier message woke the task.
                if timeout is not None and self._timer is None:
                    self._set_timer()
                await waiter
                taken = take(decode)
        finally:
            self._receiving = False
            self._waiter = None
            if taken is None:
                self.forget_arrival()
        return taken

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
        compression: ``"deflate"`` offers to compress messages (RFC 7692).
        extensions: A `ClientPerMessageDeflateFactory` with other parameters than the
            default ones of ``compression``.
        additional_headers: Further headers of the request.
        user_agent_header: The ``User-Agent`` header; ``None`` to send none.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        ping_interval: Seconds between pings that keep the connection alive and notice
            when it is dead. ``None`` sends none.
        ping_timeout: Seconds to wait for the pong, after which the connection is failed
            with code 1011. ``None`` is no limit.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit. A pair limits messages and
            each of their fragments.
        max_queue: Frames of messages that are received ahead before the server is
            slowed down, and optionally, as the second of a pair, how many are left when
            it may go on; by default, a quarter. There may be more by as many as are in
            what is read at once, up to 128 KiB. ``None`` is no limit.
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
        compression: str | None = None,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        # HTTP
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        # Timeouts
        close_timeout: float | None = 10.0,
        ping_interval: float | None = None,
        ping_timeout: float | None = 20.0,
        # Limits
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        max_queue: int | tuple[int | None, int | None] | None = None,
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
            compression=compression,
            extensions=extensions,
            user_agent_header=user_agent_header,
            close_timeout=close_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_size=max_size,
            max_queue=max_queue,
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
        ws._fragmented = None
        ws._receiving = False
        ws._in_message = False
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
