"""Messages that the asyncio client sends in fragments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from .exceptions import ConcurrencyError


if TYPE_CHECKING:
    from .asyncio.connection import AsyncWebSocket


__all__ = ["FragmentedMessage", "check_fragments"]


class FragmentedMessage:
    """A message that is being sent in fragments.

    Attributes:
        done: Completed when other messages may be sent again.
        task: The task that sends it.
    """

    def __init__(self, ws: AsyncWebSocket) -> None:
        self.ws = ws
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.current_task()

    async def wait(self) -> None:
        """Wait until the message has been sent to its end.

        Raises:
            ConcurrencyError: If the task that sends it waits for itself.
        """
        if self.task is asyncio.current_task():
            raise ConcurrencyError(
                "cannot call send inside of a message that is sent in fragments"
            )
        await asyncio.shield(self.done)

    async def send(self, message: Any, text: bool | None) -> None:
        """Send each fragment as it comes, and an empty one for the end.

        Other messages may be sent until the first fragment has come. Whatever goes
        wrong after that fails the connection: half a message can't be taken back.
        """
        is_text: bool | None = None
        try:
            async with aclosing(fragments_of(message)) as fragments:
                async for fragment in fragments:
                    if is_text not in (None, isinstance(fragment, str)):
                        raise TypeError("iterable must contain uniform types")
                    if is_text is None:
                        await self.ws.wait_for_message()
                    has_room = self.ws.post_fragment(fragment, text, is_text is None)
                    if has_room is None:
                        raise TypeError("iterable must contain bytes or str")
                    is_text = isinstance(fragment, str)
                    self.ws._fragmented = self
                    if not has_room:
                        await self.ws.wait_for_room()
            has_room = is_text is None or self.ws.post_end()
        except BaseException:
            if is_text is not None:
                self.ws.give_message_up()
            raise
        finally:
            if self.ws._fragmented is self:
                self.ws._fragmented = None
            self.done.set_result(None)
        if not has_room:
            await self.ws.wait_for_room()


async def fragments_of(message: Any) -> AsyncGenerator[Any, None]:
    """Iterate over what yields the fragments of a message."""
    if isinstance(message, AsyncIterable):
        async for fragment in message:
            yield fragment
    else:
        for fragment in message:
            yield fragment


def check_fragments(message: Any) -> None:
    """Raise `TypeError` for what is not an iterable, or one of keys."""
    if isinstance(message, Mapping):
        raise TypeError("data is a dict-like object")
    if not isinstance(message, (Iterable, AsyncIterable)):
        raise TypeError(
            "data must be str, bytes, iterable, or async iterable, "
            f"not {type(message).__name__}"
        )
