"""The loops that are timed.

A contender is driven by whole loops rather than by single messages, so that nothing
stands between the loop and the client's own methods: `open` sets `send` (a binary
message), `send_text`, `recv` and `close` to bound methods of the client. A client that
works in another way, with callbacks for instance, overrides the loops.

A client that compresses messages says so by `deflates`, and does so if `open` is told
to.

`round_trips` and `receive_many` return the length of the last message in bytes, by
which the worker checks that the payload has arrived.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def ssl_context(certificate: str | None) -> ssl.SSLContext | None:
    """Return a context that trusts the PEM file `certificate`; `None` for `ws`."""
    return (
        None if certificate is None else ssl.create_default_context(cafile=certificate)
    )


def age_of(message: bytes) -> int:
    """Return how many nanoseconds ago the server sent a message of `/pace`."""
    return time.monotonic_ns() - int.from_bytes(message[:8], "big")


class SyncLoops:
    """The loops of a blocking client."""

    deflates = False
    send: Callable[[bytes], Any]
    send_text: Callable[[str], Any]
    recv: Callable[[], Any]
    close: Callable[[], Any]

    def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        """Connect; for `wss`, trust the PEM file `certificate`."""
        raise NotImplementedError

    def send_texts(self, texts: list[str]) -> None:
        """Send these text messages."""
        send = self.send_text
        for text in texts:
            send(text)

    def round_trips(self, message: bytes, count: int) -> int:
        """Send a message and wait for its echo, `count` times."""
        send, recv = self.send, self.recv
        for _ in range(count):
            send(message)
            reply = recv()
        return len(reply)

    def send_many(self, message: bytes, count: int) -> None:
        """Send a message `count` times."""
        send = self.send
        for _ in range(count):
            send(message)

    def receive_many(self, count: int) -> int:
        """Receive `count` messages."""
        recv = self.recv
        for _ in range(count):
            message = recv()
        return len(message)

    def receive_timed(self, count: int) -> list[int]:
        """Receive `count` messages that say when they were sent; see `age_of`."""
        recv = self.recv
        return [age_of(recv()) for _ in range(count)]

    def tell(self, text: str) -> None:
        """Send a text message."""
        self.send_text(text)

    def ask(self, text: str) -> str:
        """Send a text message and return the answer, which is text."""
        self.send_text(text)
        return self.recv()


class AsyncLoops:
    """The loops of a client for asyncio."""

    deflates = False
    send: Callable[[bytes], Awaitable[Any]]
    send_text: Callable[[str], Awaitable[Any]]
    recv: Callable[[], Awaitable[Any]]
    close: Callable[[], Awaitable[Any]]

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        """Connect; for `wss`, trust the PEM file `certificate`."""
        raise NotImplementedError

    async def send_texts(self, texts: list[str]) -> None:
        """Send these text messages."""
        send = self.send_text
        for text in texts:
            await send(text)

    async def round_trips(self, message: bytes, count: int) -> int:
        """Send a message and wait for its echo, `count` times."""
        send, recv = self.send, self.recv
        for _ in range(count):
            await send(message)
            reply = await recv()
        return len(reply)

    async def send_many(self, message: bytes, count: int) -> None:
        """Send a message `count` times."""
        send = self.send
        for _ in range(count):
            await send(message)

    async def receive_many(self, count: int) -> int:
        """Receive `count` messages."""
        recv = self.recv
        for _ in range(count):
            message = await recv()
        return len(message)

    async def receive_timed(self, count: int) -> list[int]:
        """Receive `count` messages that say when they were sent; see `age_of`."""
        recv = self.recv
        return [age_of(await recv()) for _ in range(count)]

    async def tell(self, text: str) -> None:
        """Send a text message."""
        await self.send_text(text)

    async def ask(self, text: str) -> str:
        """Send a text message and return the answer, which is text."""
        await self.send_text(text)
        return await self.recv()
