"""The asyncio client with the interface of `websockets`.

>>> from websocket_rs.asyncio.client import connect
>>> async with connect("ws://localhost:8765") as websocket:
...     await websocket.send("Hello")
...     print(await websocket.recv())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .._client.asyncio.connection import AsyncWebSocket as ClientConnection
from .._client.asyncio.opening import Connecting
from .._client.keywords import explained
from .._client.opening import Opening
from .._client.route import unix_uri
from .._client.settings import USER_AGENT, WEBSOCKETS
from ..client import backoff, process_exception


if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from typing_extensions import Unpack

    from .._client.route import NetworkKeywords
    from ..datastructures import HeadersLike
    from ..extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from ..typing import LoggerLike, PathLike


__all__ = ["ClientConnection", "connect", "unix_connect"]

Connection = ClientConnection


@explained
class connect(Connecting):
    """Connect to a WebSocket server.

    Await it for the open connection, or use it as an asynchronous context manager that
    closes the connection at the end. It can be passed to whatever takes a coroutine.
    Cancelling it abandons the attempt; nothing is left behind. Wrong arguments are
    refused at once, all else is raised when the object is awaited.

    Used as an asynchronous iterator, it yields one connection after the other, for
    ever: each is closed when the next one is asked for. After a transient error, it
    tries again with growing pauses; a fatal error ends the loop. ::

        async for websocket in connect(...):
            try:
                ...
            except ConnectionClosed:
                continue
    """

    def __init__(
        self,
        uri: str,
        *,
        # WebSocket
        origin: str | None = None,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: str | None = WEBSOCKETS.compression,
        # HTTP
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        # Timeouts
        open_timeout: float | None = WEBSOCKETS.open_timeout,
        ping_interval: float | None = WEBSOCKETS.ping_interval,
        ping_timeout: float | None = WEBSOCKETS.ping_timeout,
        close_timeout: float | None = WEBSOCKETS.close_timeout,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        # Limits
        max_size: int | tuple[int | None, int | None] | None = WEBSOCKETS.max_size,
        max_queue: int | tuple[int | None, int | None] | None = WEBSOCKETS.max_queue,
        write_limit: int | tuple[int, int | None] = WEBSOCKETS.write_limit,
        # Threads
        reader: Literal["loop", "thread"] = "loop",
        # Logging
        logger: LoggerLike | None = None,
        # Customization
        create_connection: type[ClientConnection] | None = None,
        **network: Unpack[NetworkKeywords],
    ) -> None:
        settings = WEBSOCKETS._replace(
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            compression=compression,
            additional_headers=additional_headers,
            user_agent_header=user_agent_header,
            proxy=proxy,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            write_limit=write_limit,
            reader=reader,
            logger=logger,
            create_connection=create_connection,
        )
        super().__init__(
            Opening(uri, settings, dict(network)),
            process_exception=process_exception,
            reconnect_delays=reconnect_delays,
        )


def unix_connect(
    path: PathLike | None = None, uri: str | None = None, **keywords: Any
) -> connect:
    """Connect to a WebSocket server that listens on a Unix socket.

    Args:
        path: Path of the socket.
        uri: What the request is for: by default ``ws://localhost/``, or
            ``wss://localhost/`` if ``ssl`` is given.
        keywords: Those of `connect`.
    """
    return connect(unix_uri(uri, keywords), unix=True, path=path, **keywords)
