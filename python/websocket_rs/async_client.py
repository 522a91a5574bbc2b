"""The asyncio client.

>>> from websocket_rs.async_client import connect
>>> async with connect("ws://localhost:8765") as ws:
...     await ws.send("Hello")
...     print(await ws.recv())

While the event loop polls, it reads. The connection's own native thread does the rest
outside the interpreter, and stands in while the loop is busy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ._client.asyncio.connection import AsyncWebSocket
from ._client.asyncio.opening import Connecting
from ._client.keywords import explained
from ._client.opening import Opening
from ._client.settings import OWN, USER_AGENT


if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

    from typing_extensions import Unpack

    from ._client.route import RouteKeywords
    from ._client.tls.arguments import FilePath
    from .datastructures import HeadersLike
    from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from .typing import LoggerLike


__all__ = ["AsyncWebSocket", "connect"]


@explained
class connect(Connecting):
    """Connect to a WebSocket server.

    Await it for the open connection, or use it as an asynchronous context manager that
    closes the connection at the end. It can be passed to whatever takes a coroutine.
    Cancelling it abandons the attempt; nothing is left behind. Wrong arguments are
    refused at once, all else is raised when the object is awaited. Used as an
    asynchronous iterator, it connects again and again, see
    `websocket_rs.asyncio.client.connect`.
    """

    def __init__(
        self,
        url: str,
        connect_timeout: float | None = OWN.open_timeout,
        receive_timeout: float | None = OWN.receive_timeout,
        *,
        # TLS
        ssl: SSLContext | bool | None = None,
        ca_file: FilePath | None = None,
        client_cert: FilePath | None = None,
        client_key: FilePath | None = None,
        server_hostname: str | None = None,
        # WebSocket
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: str | None = OWN.compression,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        # HTTP
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        # Timeouts
        close_timeout: float | None = OWN.close_timeout,
        ping_interval: float | None = OWN.ping_interval,
        ping_timeout: float | None = OWN.ping_timeout,
        # Limits
        max_size: int | tuple[int | None, int | None] | None = OWN.max_size,
        max_queue: int | tuple[int | None, int | None] | None = OWN.max_queue,
        inbox_limit: int = OWN.inbox_limit,
        write_limit: int | tuple[int, int | None] = OWN.write_limit,
        # Threads
        reader: Literal["loop", "thread"] = "loop",
        # Logging
        logger: LoggerLike | None = None,
        # Customization
        create_connection: type[AsyncWebSocket] | None = None,
        **network: Unpack[RouteKeywords],
    ) -> None:
        settings = OWN._replace(
            open_timeout=connect_timeout,
            receive_timeout=receive_timeout,
            ssl=ssl,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            server_hostname=server_hostname,
            origin=origin,
            subprotocols=subprotocols,
            compression=compression,
            extensions=extensions,
            additional_headers=additional_headers,
            user_agent_header=user_agent_header,
            proxy=proxy,
            close_timeout=close_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_size=max_size,
            max_queue=max_queue,
            inbox_limit=inbox_limit,
            write_limit=write_limit,
            reader=reader,
            logger=logger,
            create_connection=create_connection,
        )
        super().__init__(Opening(url, settings, dict(network)))
