"""Plays cases with one of the clients, and prints one line of JSON for each.

Run as a script, with the name of the client, the URL of the server, the seconds that a
case may take, and the cases. A line holds the case and what the client raised, `null`
if it was nothing but the end of the connection. A client that gets stuck ends the
process, with a traceback on stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import inspect
import json
import os
import sys
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


OURS: dict[str, Any] = {
    "compression": "deflate",
    "max_size": None,
    "receive_timeout": None,
}
# A proxy of the machine must not come between a client and the server.
WEBSOCKETS: dict[str, Any] = {
    "compression": "deflate",
    "max_size": None,
    "proxy": None,
}
# `max_size` of `websockets` for the number of fragments, which it reads when it is
# imported. In group 9 there are messages of 65,536.
os.environ.setdefault("WEBSOCKETS_MAX_FRAGMENTS", "100000")


def sync(url: str) -> None:
    from websocket_rs.exceptions import ConnectionClosed
    from websocket_rs.sync_client import connect

    with contextlib.suppress(ConnectionClosed), connect(url, **OURS) as ws:
        for message in ws:
            ws.send(message)


async def asyncio_(url: str) -> None:
    from websocket_rs.async_client import connect
    from websocket_rs.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        async with connect(url, **OURS) as ws:
            async for message in ws:
                await ws.send(message)


def websockets_sync(url: str) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with contextlib.suppress(ConnectionClosed), connect(url, **WEBSOCKETS) as ws:
        for message in ws:
            ws.send(message)


async def websockets_asyncio(url: str) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        async with connect(url, **WEBSOCKETS) as ws:
            async for message in ws:
                await ws.send(message)


# Each returns all messages as they come, until the server closes the connection.
CLIENTS: dict[str, Callable[[str], Awaitable[None] | None]] = {
    "sync": sync,
    "asyncio": asyncio_,
    "websockets-sync": websockets_sync,
    "websockets-asyncio": websockets_asyncio,
}


async def finished(playing: Awaitable[None]) -> None:
    """Await what need not be a coroutine."""
    await playing


def main() -> None:
    """Play the cases in their order."""
    name, server, limit, *cases = sys.argv[1:]
    for case in cases:
        # Not cancelled after the last one: the process may also get stuck in ending.
        faulthandler.dump_traceback_later(float(limit), exit=True)
        complaint = None
        try:
            playing = CLIENTS[name](f"{server}/runCase?casetuple={case}&agent={name}")
            if inspect.isawaitable(playing):
                asyncio.run(finished(playing))
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}"
        print(json.dumps([case, complaint]), flush=True)


if __name__ == "__main__":
    main()
