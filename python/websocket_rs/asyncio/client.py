"""The asyncio client with the interface of `websockets`.

>>> from websocket_rs.asyncio.client import connect
>>> async with connect("ws://localhost:8765") as websocket:
...     await websocket.send("Hello")
...     print(await websocket.recv())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .._network import unix_uri
from .._opening import Opening
from .._options import USER_AGENT
from ..client import backoff, process_exception
from .connecting import Connecting
from .connection import AsyncWebSocket as ClientConnection


if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from typing_extensions import Unpack

    from .._network import NetworkKeywords
    from ..datastructures import HeadersLike
    from ..extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from ..typing import LoggerLike, PathLike


__all__ = ["ClientConnection", "connect", "unix_connect"]


class connect(Connecting):
    """Connect to a WebSocket server.

    Await it for the open connection, or use it as an asynchronous context manager that
    closes the connection at the end. It can be passed to whatever takes a coroutine.
    Cancelling it abandons the attempt; nothing is left behind.

    Used as an asynchronous iterator, it yields one connection after the other, for
    ever: each is closed when the next one is asked for. After a transient error, it
    tries again with growing pauses; a fatal error ends the loop. ::

        async for websocket in connect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    Args:
        uri: The server's ``ws://`` or ``wss://`` URI. A user name and password in it
            are sent as Basic authentication.
        origin: The ``Origin`` header.
        extensions: A `ClientPerMessageDeflateFactory` with other parameters than the
            default ones of ``compression``.
        subprotocols: Subprotocols to offer, the preferred ones first.
        compression: ``"deflate"`` offers to compress messages (RFC 7692); ``None``
            doesn't.
        additional_headers: Further headers of the request.
        user_agent_header: The ``User-Agent`` header; ``None`` to send none.
        proxy: ``True`` uses the proxy that the environment names for the URI, if any;
            ``None`` uses none; a string is the URL of the one to use, with the scheme
            ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``.
        process_exception: Whether an iterator connects again after an exception; see
            `websocket_rs.client.process_exception`.
        open_timeout: Seconds for resolving the name, connecting, the proxy, TLS, the
            opening handshake and all redirects together. ``None`` is no limit.
        ping_interval: Seconds between pings that keep the connection alive and notice
            when it is dead. ``None`` sends none.
        ping_timeout: Seconds to wait for the pong, after which the connection is failed
            with code 1011. ``None`` is no limit.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        reconnect_delays: The pauses of an iterator, in seconds; see
            `websocket_rs.client.backoff`.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit. A pair limits messages and
            each of their fragments.
        max_queue: Frames of messages that are received ahead before the server is
            slowed down, and optionally, as the second of a pair, how many are left when
            it may go on; by default, a quarter. There may be more by as many as are in
            what is read at once, up to 128 KiB. ``None`` is no limit.
        write_limit: Bytes of messages that wait to be written before `send` waits. The
            second of a pair is ignored.
        logger: Where the connection's records go, instead of the loggers below
            ``websocket_rs``.
        create_connection: A subclass of `ClientConnection` to make, or a function that
            takes its arguments and returns one.
        network: How to reach the server: ``ssl``, ``ca_file``, ``client_cert``,
            ``client_key``, ``server_hostname``, ``sock``, ``host``, ``port``,
            ``local_addr``, ``family``, ``happy_eyeballs_delay``, ``proxy_ssl``,
            ``proxy_server_hostname``; see `NetworkKeywords`.

    Raises:
        InvalidURI: If the URI isn't a valid WebSocket URI.
        InvalidProxy: If the URL of the proxy isn't valid. One of the environment is
            found wrong when it is used.
        TypeError, ValueError: If another argument is wrong. These are raised at once,
            the following ones when the object is awaited.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket, or (`ProxyError`)
            the proxy doesn't connect to it.
        TimeoutError: If ``open_timeout`` has passed; the text names the phase.
    """

    def __init__(
        self,
        uri: str,
        *,
        # WebSocket
        origin: str | None = None,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: str | None = "deflate",
        # HTTP
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        # Timeouts
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        # Limits
        max_size: int | tuple[int | None, int | None] | None = 2**20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        # Logging
        logger: LoggerLike | None = None,
        # Customization
        create_connection: type[ClientConnection] | None = None,
        **network: Unpack[NetworkKeywords],
    ) -> None:
        opening = Opening(
            uri,
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
            logger=logger,
            create_connection=create_connection,
            network=dict(network),
        )
        super().__init__(
            opening,
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
