"""The blocking client.

>>> from websocket_rs.sync_client import connect
>>> with connect("ws://localhost:8765") as ws:
...     ws.send("Hello")
...     print(ws.recv())

Every call does its I/O in the thread that makes it, outside the interpreter. While no
thread is in `recv`, the connection's own native thread answers pings, notices when the
peer closes, and receives ahead.
"""

from __future__ import annotations

from ._client.connector import Connector
from ._client.keywords import explained
from ._client.opening import Opening
from ._client.settings import OWN, USER_AGENT
from ._client.sync.connection import WebSocket
from ._client.sync.opening import open_connection


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext
    from typing import Literal

    from typing_extensions import Unpack

    from ._client.route import RouteKeywords
    from ._client.tls.arguments import FilePath
    from .datastructures import HeadersLike
    from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from .typing import LoggerLike


__all__ = ["WebSocket", "connect"]


@explained
def connect(
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
    # Logging
    logger: LoggerLike | None = None,
    # Customization
    create_connection: type[WebSocket] | None = None,
    **network: Unpack[RouteKeywords],
) -> WebSocket:
    """Connect to a WebSocket server and return the open connection.

    Ctrl-C ends the call at once; nothing is left behind then, nor on any other error.
    """
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
        logger=logger,
        create_connection=create_connection,
    )
    opening = Opening(url, settings, dict(network))
    return open_connection(Connector(opening, WebSocket))
