"""The blocking client with the interface of `websockets`.

>>> from websocket_rs.sync.client import connect
>>> with connect("ws://localhost:8765") as websocket:
...     websocket.send("Hello")
...     print(websocket.recv())
"""

from __future__ import annotations

import time

from .._client.connector import Connector
from .._client.keywords import explained, with_keywords
from .._client.opening import Opening
from .._client.route import NetworkKeywords, unix_uri
from .._client.settings import USER_AGENT, WEBSOCKETS
from .._client.sync.connection import WebSocket as ClientConnection
from .._client.sync.opening import open_connection
from ..client import Reconnection, backoff, process_exception


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Literal, overload

    from typing_extensions import Unpack

    from ..datastructures import HeadersLike
    from ..extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from ..typing import LoggerLike, PathLike


__all__ = [
    "ClientConnection",
    "connect",
    "reconnect",
    "unix_connect",
    "unix_reconnect",
]


Connection = ClientConnection


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


class reconnect(Connector):
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

    Attributes:
        connection: The open connection, while it is used as a context manager.

    Raises:
        Exception: What `connect` raises.
        RuntimeError: If it is entered while it is in use by another block or thread.
    """

    connection: ClientConnection

    def __init__(
        self,
        uri: str,
        *,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        **keywords: Unpack[ConnectKeywords],
    ) -> None:
        settings: dict[str, Any] = {}
        network: dict[str, Any] = {}
        for name, value in keywords.items():
            (settings if name in _SETTINGS else network)[name] = value
        opening = Opening(uri, WEBSOCKETS._replace(**settings), network)
        super().__init__(opening, ClientConnection, process_exception, reconnect_delays)

    def connect(self) -> ClientConnection:
        """Open a connection, which the caller has to close."""
        return open_connection(self)

    # with reconnect(...) as ws:

    def __enter__(self) -> ClientConnection:
        self._entry.enter()
        try:
            self.connection = self.connect()
            return self.connection.__enter__()
        except BaseException:
            self._entry.leave()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.connection.__exit__(exc_type, exc_value, traceback)
        finally:
            del self.connection
            self._entry.leave()

    # for ws in reconnect(...):

    def __iter__(self) -> Iterator[ClientConnection]:
        reconnection = Reconnection(
            self.process_exception, self.reconnect_delays, self.logger
        )
        while True:
            try:
                with self as ws:
                    yield ws
            except Exception as exc:
                time.sleep(reconnection.delay_after(exc))
            else:
                reconnection.reset()


_SETTINGS = frozenset(ConnectKeywords.__annotations__)


if TYPE_CHECKING:

    @overload
    def connect(
        uri: str,
        *,
        legacy: Literal[True] | None = ...,
        **keywords: Unpack[ConnectKeywords],
    ) -> ClientConnection: ...

    @overload
    def connect(
        uri: str, *, legacy: Literal[False], **keywords: Unpack[ConnectKeywords]
    ) -> reconnect: ...


@explained
def connect(
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
    # Timeouts
    open_timeout: float | None = WEBSOCKETS.open_timeout,
    ping_interval: float | None = WEBSOCKETS.ping_interval,
    ping_timeout: float | None = WEBSOCKETS.ping_timeout,
    close_timeout: float | None = WEBSOCKETS.close_timeout,
    # Limits
    max_size: int | tuple[int | None, int | None] | None = WEBSOCKETS.max_size,
    max_queue: int | tuple[int | None, int | None] | None = WEBSOCKETS.max_queue,
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


def _name_keywords_of_reconnect() -> None:
    """Have `reconnect` name the keywords that it has of `connect`."""
    shown: Any = connect.__wrapped__  # type: ignore[attr-defined]
    annotations = {
        name: shown.__annotations__[name]
        for name in shown.__kwdefaults__
        if name != "legacy"
    }
    init: Any = reconnect.__init__
    init.__wrapped__ = with_keywords(init, annotations, shown.__kwdefaults__)


_name_keywords_of_reconnect()
