"""The blocking client with the interface of `websockets`.

>>> from websocket_rs.sync.client import connect
>>> with connect("ws://localhost:8765") as websocket:
...     websocket.send("Hello")
...     print(websocket.recv())
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, overload

from .._network import NetworkKeywords, unix_uri
from .._opening import Opening
from .._options import USER_AGENT, WRITE_LIMIT
from ..client import Reconnection, backoff, process_exception
from ..exceptions import InvalidStatus
from .connection import WebSocket as ClientConnection


if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Unpack

    from ..datastructures import HeadersLike
    from ..extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from ..typing import LoggerLike, PathLike


__all__ = [
    "ClientConnection",
    "connect",
    "open_connection",
    "reconnect",
    "unix_connect",
    "unix_reconnect",
]


class ConnectKeywords(NetworkKeywords, total=False):
    """The keywords of `connect`, for the annotations of what passes them on."""

    origin: str | None
    extensions: Sequence[ClientPerMessageDeflateFactory] | None
    subprotocols: Sequence[str] | None
    compression: str | None
    additional_headers: HeadersLike | None
    user_agent_header: str | None
    proxy: str | Literal[True] | None
    open_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None
    max_size: int | tuple[int | None, int | None] | None
    max_queue: int | tuple[int | None, int | None] | None
    logger: LoggerLike | None
    create_connection: type[ClientConnection] | None


def open_connection(
    opening: Opening, receive_timeout: float | None = None
) -> ClientConnection:
    """Open a connection, following redirects."""
    create = opening.create_connection or ClientConnection
    attempts = opening.attempts()
    options = next(attempts)
    while True:
        try:
            ws: ClientConnection = create(options, receive_timeout, opening.logger)
        except InvalidStatus as exc:
            options = attempts.send(exc)
        else:
            return ws


class reconnect:
    """Connect to a WebSocket server, again and again.

    Used as an iterator, it yields one connection after the other, for ever: each is
    closed when the next one is asked for. After a transient error, it tries again with
    growing pauses; a fatal error ends the loop. ::

        for websocket in reconnect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    Used as a context manager, it opens one connection and closes it at the end.

    It takes the arguments of `connect` but for ``legacy``, and these.

    Args:
        uri: The server's URI.
        process_exception: Whether to connect again after an exception; see
            `websocket_rs.client.process_exception`.
        reconnect_delays: The pauses in between, in seconds; see
            `websocket_rs.client.backoff`.

    Raises:
        Exception: What `connect` raises.
    """

    def __init__(
        self,
        uri: str,
        *,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        **keywords: Unpack[ConnectKeywords],
    ) -> None:
        # The defaults stand in the signature of the function alone.
        settings: dict[str, Any] = dict(connect.__kwdefaults__ or {})
        del settings["legacy"]
        network: dict[str, Any] = {}
        for name, value in keywords.items():
            (settings if name in settings else network)[name] = value
        self._opening = Opening(
            uri, write_limit=WRITE_LIMIT, network=network, **settings
        )
        self._process_exception = process_exception
        self._reconnect_delays = reconnect_delays
        self._connection: ClientConnection | None = None

    def connect(self) -> ClientConnection:
        """Open a connection, which the caller has to close."""
        return open_connection(self._opening)

    # with reconnect(...) as ws:

    def __enter__(self) -> ClientConnection:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = self.connect()
        return self._connection.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.__exit__(exc_type, exc_value, traceback)

    # for ws in reconnect(...):

    def __iter__(self) -> Iterator[ClientConnection]:
        reconnection = Reconnection(
            self._process_exception, self._reconnect_delays, self._opening.logger
        )
        while True:
            try:
                with self as ws:
                    yield ws
            except Exception as exc:
                time.sleep(reconnection.delay_after(exc))
            else:
                reconnection.reset()


@overload
def connect(
    uri: str, *, legacy: Literal[True] | None = ..., **keywords: Unpack[ConnectKeywords]
) -> ClientConnection: ...


@overload
def connect(
    uri: str, *, legacy: Literal[False], **keywords: Unpack[ConnectKeywords]
) -> reconnect: ...


def connect(
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
    # Timeouts
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    # Limits
    max_size: int | tuple[int | None, int | None] | None = 2**20,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    # Logging
    logger: LoggerLike | None = None,
    # Customization
    create_connection: type[ClientConnection] | None = None,
    # Compatibility
    legacy: bool | None = None,
    **network: Unpack[NetworkKeywords],
) -> ClientConnection | reconnect:
    """Connect to a WebSocket server and return the open connection.

    Ctrl-C ends the call at once; nothing is left behind then, nor on any other error.

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
        open_timeout: Seconds for resolving the name, connecting, the proxy, TLS, the
            opening handshake and all redirects together. ``None`` is no limit.
        ping_interval: Seconds between pings that keep the connection alive and notice
            when it is dead. ``None`` sends none.
        ping_timeout: Seconds to wait for the pong, after which the connection is failed
            with code 1011. ``None`` is no limit.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit. A pair limits messages and
            each of their fragments.
        max_queue: Frames of messages that are received ahead before the server is
            slowed down, and optionally, as the second of a pair, how many are left when
            it may go on; by default, a quarter. There may be more by as many as are in
            what is read at once, up to 128 KiB. ``None`` is no limit.
        logger: Where the connection's records go, instead of the loggers below
            ``websocket_rs``.
        create_connection: A subclass of `ClientConnection` to make, or a function that
            takes its arguments and returns one.
        legacy: ``False`` returns a `reconnect` object, which connects when it is
            entered or iterated.
        network: How to reach the server: ``ssl``, ``ca_file``, ``client_cert``,
            ``client_key``, ``server_hostname``, ``sock``, ``host``, ``port``,
            ``source_address``, ``family``, ``happy_eyeballs_delay``, ``proxy_ssl``,
            ``proxy_server_hostname``; see `NetworkKeywords`.

    Raises:
        InvalidURI: If the URI isn't a valid WebSocket URI.
        InvalidProxy: If the URL of the proxy isn't valid.
        TypeError, ValueError: If another argument is wrong. Nothing was sent.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket, or (`ProxyError`)
            the proxy doesn't connect to it.
        TimeoutError: If ``open_timeout`` has passed; the text names the phase.
    """
    connector = reconnect(
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
        logger=logger,
        create_connection=create_connection,
        **network,
    )
    return connector if legacy is False else connector.connect()


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    **keywords: Any,
) -> ClientConnection:
    """Connect to a WebSocket server that listens on a Unix socket.

    Args:
        path: Path of the socket.
        uri: What the request is for: by default ``ws://localhost/``, or
            ``wss://localhost/`` if ``ssl`` is given.
        keywords: Those of `connect`.
    """
    connection: ClientConnection = connect(
        unix_uri(uri, keywords), unix=True, path=path, **keywords
    )
    return connection


def unix_reconnect(
    path: PathLike | None = None, uri: str | None = None, **keywords: Any
) -> reconnect:
    """Connect to a WebSocket server that listens on a Unix socket, again and again.

    Args:
        path: Path of the socket.
        uri: What the request is for, as for `unix_connect`.
        keywords: Those of `reconnect`.
    """
    return reconnect(unix_uri(uri, keywords), unix=True, path=path, **keywords)
