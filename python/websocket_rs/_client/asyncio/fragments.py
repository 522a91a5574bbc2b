"""Messages that the asyncio client sends in fragments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from ...exceptions import ConcurrencyError


__all__ = ["FragmentedMessage", "fragments_of"]


class FragmentedMessage:
    """A message that is being sent in fragments.

    Attributes:
        done: Completed when other messages may be sent again.
        task: The task that sends it.
    """

    def __init__(self) -> None:
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


async def fragments_of(message: Any) -> AsyncGenerator[Any, None]:
    """Iterate over what yields the fragments of a message."""
    if isinstance(message, AsyncIterable):
        async for fragment in message:
            yield fragment
    else:
        for fragment in message:
            yield fragment
