"""An asyncio connection.

While the event loop polls, it reads. The connection's own native thread does the rest
outside the interpreter, and stands in while the loop is busy.
"""

from __future__ import annotations

import asyncio
import uuid  # noqa: F401 - for `id`, whenever it is asked for
import weakref
from asyncio import get_running_loop
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ... import _core
from ...exceptions import ConcurrencyError, ConnectionClosedOK
from ..attributes import ConnectionAttributes, exit_code
from ..views import TransportView, ViewAttribute
from .fragments import FragmentedMessage, fragments_of


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

    from typing_extensions import Self

    from ...typing import DataLike, Fragments, LoggerLike


__all__ = ["AsyncWebSocket"]

_T = TypeVar("_T")


class AsyncWebSocket(ConnectionAttributes, _core.AsyncConnection):
    """An open connection, as `connect` returns it.

    `ClientConnection`, as `websockets` calls it, is the same class.

    Its methods are to be called in the event loop that it was opened in. While one task
    is in `recv`, others may `send` and `close`. Used as an asynchronous context
    manager, it is closed at the end: with code 1000, or with 1011 if the block raised.

    Iterating yields messages until the connection is closed; it ends silently if that
    was a normal closure, and raises `ConnectionClosedError` otherwise.
    """

    # Where programs import it from, as error messages and pickles of the class say.
    __module__ = "websocket_rs.asyncio.connection"
    # Programs may put attributes of their own on it. Those that each call needs are not
    # among them: slots are faster.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_deadline",
        "_events",
        "_fragmented",
        "_in_message",
        "_loop",
        "_receive_timeout",
        "_receiving",
        "_timer",
        "_waiter",
        *ConnectionAttributes._FIELDS,
    )

    # Only the asyncio client has a transport, as in `websockets`.
    transport: TransportView = ViewAttribute(TransportView)  # type: ignore[assignment]

    _loop: asyncio.AbstractEventLoop
    _events: _core.EventQueue
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

    def __init__(
        self,
        options: _core.ConnectOptions,
        events: _core.EventQueue,
        receive_timeout: float | None = None,
        logger: LoggerLike | None = None,
    ) -> None:
        # What opens the connection is `__new__`, in the core.
        self._loop = get_running_loop()
        self._events = events
        self._receive_timeout = receive_timeout
        self._fragmented = None
        self._receiving = False
        self._in_message = False
        self._waiter = None
        self._deadline = 0.0
        self._timer = None
        self.introduce()

    async def opened(self) -> None:
        """Wait until the connection is open, for `connect`.

        Cancelling it gives the connection up, and so does an error: that of the
        network, or of the opening handshake.
        """
        try:
            waiter = self._loop.create_future()
            self.on_opened(waiter)
            await waiter
        except BaseException:
            self.abandon()
            raise
        self.finish_opening()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the connection belongs to."""
        return self._loop

    # `text` is to be given by keyword. Were it a keyword-only parameter, each call
    # would have to look its default up, which takes a tenth of the time of a send.
    async def send(
        self, message: DataLike | Fragments, text: bool | None = None
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
        await self._send_fragments(message, text)

    async def _send_fragments(self, message: Any, text: bool | None) -> None:
        """Send each fragment as it comes, and an empty one for the end.

        Other messages may be sent until the first fragment has come. Whatever goes
        wrong after that fails the connection: half a message can't be taken back.
        """
        sending = FragmentedMessage()
        is_text: bool | None = None
        try:
            async with aclosing(fragments_of(message)) as fragments:
                async for fragment in fragments:
                    if is_text is None:
                        await self.wait_for_message()
                    has_room = self.post_fragment(fragment, text, is_text)
                    is_text = isinstance(fragment, str)
                    self._fragmented = sending
                    if not has_room:
                        await self.wait_for_room()
            has_room = is_text is None or self.post_end()
        except BaseException:
            if is_text is not None:
                self.give_message_up()
            raise
        finally:
            if self._fragmented is sending:
                self._fragmented = None
            sending.done.set_result(None)
        if not has_room:
            await self.wait_for_room()

    async def wait_for_message(self) -> None:
        """Wait until no message is being sent in fragments.

        Raises:
            ConcurrencyError: If this task sends it.
        """
        while self._fragmented is not None:
            await self._fragmented.wait()

    async def wait_for_room(self) -> None:
        """Wait until less than ``write_limit`` bytes wait to be written.

        Other tasks get their turn before, if it is time.

        Raises:
            ConnectionClosed: If the connection is closed.
        """
        if (suspends := self._events.turn()) is not None:
            await self._give_way(suspends)
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

    async def _give_way(self, suspends: bool) -> None:
        """Let other tasks run, or have the event loop tell when it has polled."""
        if suspends:
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
        else:
            self._loop.call_soon(self._events.note_polled)

    async def _next(self, take: Callable[[bool | None], _T | None], decode: Any) -> _T:
        """Wait until there is something to take, and take it."""
        loop = self._loop
        if get_running_loop() is not loop:
            self._check_loop()
        taken: _T | None = None
        timeout = self._receive_timeout
        if timeout is not None:
            self._deadline = deadline = loop.time() + timeout
            if self._timer is None or self._timer.when() > deadline:
                self._set_timer()
        self._receiving = True
        try:
            while taken is None:
                waiter = loop.create_future()
                if (suspends := self.on_arrival(waiter)) is not None:
                    await self._give_way(suspends)
                    taken = take(decode)
                    continue
                self._waiter = waiter
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
        self._check_loop()
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
        await self.close(exit_code(exc_type))

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


# A timer, the future that it completes, and the task that awaits that take one round of
# the event loop each. Were there just one, our own work would come between them.
_ROUNDS = 3
# Event loops run timers that are due within the resolution of their clock.
_EARLY = 0.0011
