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

from typing import TYPE_CHECKING

from . import _core
from ._connection import ConnectionAttributes
from ._options import (
    INBOX_LIMIT,
    MAX_SIZE,
    USER_AGENT,
    WRITE_LIMIT,
    check_timeout,
    connect_options,
)


if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from ssl import SSLContext
    from types import TracebackType

    from typing_extensions import Self

    from .datastructures import HeadersLike
    from .extensions.permessage_deflate import ClientPerMessageDeflateFactory


__all__ = ["WebSocket", "connect"]


class WebSocket(ConnectionAttributes, _core.SyncConnection):
    """An open connection, as `connect` returns it.

    All methods may be called from any thread. While one thread is in `recv`, others may
    `send` and `close`. Used as a context manager, it is closed at the end: with code
    1000, or with 1011 if the block raised.

    Iterating yields messages until the connection is closed; it ends silently if that
    was a normal closure, and raises `ConnectionClosedError` otherwise.
    """

    __slots__ = ("__weakref__", "_id")

    def recv_streaming(self, decode: bool | None = None) -> Iterator[str | bytes]:
        """Receive the next message fragment by fragment, as the fragments arrive.

        If the iterator isn't used up, the message stays where it is: `recv` raises
        `ConcurrencyError`, and another `recv_streaming` yields what is left of it. That
        is also how to go on after a `TimeoutError`.

        Args:
            decode: ``True`` for ``str`` and ``False`` for ``bytes``, whatever the
                message is.

        Yields:
            Fragments: ``str`` if the message is text, ``bytes`` if it is binary. A
            character that is cut by the end of a fragment comes with the next one.

        Raises:
            ConnectionClosed: If the connection is closed and no fragment is left.
            TimeoutError: If ``receive_timeout`` has passed for one fragment.
            ConcurrencyError: If another thread is in `recv` or `recv_streaming`.
        """
        is_last = False
        while not is_last:
            fragment, is_last = self.recv_fragment(decode)
            yield fragment

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(1000 if exc_type is None else 1011)


def connect(
    url: str,
    connect_timeout: float | None = 30.0,
    receive_timeout: float | None = 30.0,
    *,
    # TCP/TLS
    ssl: SSLContext | bool | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    client_cert: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
    server_hostname: str | None = None,
    # WebSocket
    origin: str | None = None,
    subprotocols: Sequence[str] | None = None,
    compression: str | None = None,
    extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
    # HTTP
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    # Timeouts
    close_timeout: float | None = 10.0,
    ping_interval: float | None = None,
    ping_timeout: float | None = 20.0,
    # Limits
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = None,
    inbox_limit: int = INBOX_LIMIT,
) -> WebSocket:
    """Connect to a WebSocket server and return the open connection.

    Ctrl-C ends the call at once; nothing is left behind then, nor on any other error.

    Args:
        url: The server's ``ws://`` or ``wss://`` URL. A user name and password in it
            are sent as Basic authentication.
        connect_timeout: Seconds for resolving the name, connecting, TLS and the opening
            handshake together. ``None`` is no limit.
        receive_timeout: Seconds that `WebSocket.recv` waits. ``None`` is no limit.
        ssl: An `ssl.SSLContext`, of which trust anchors, verification, versions and
            ALPN are honoured; what can't be is refused. ``None`` or ``True`` verify the
            certificate against the system's certificate authorities.
        ca_file: PEM file of the certificate authorities to trust instead.
        client_cert: PEM file of the client's certificate, with its chain.
        client_key: PEM file of its key, unless ``client_cert`` holds it.
        server_hostname: The name to ask for and verify, if not the URL's host.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        compression: ``"deflate"`` offers to compress messages (RFC 7692).
        extensions: A `ClientPerMessageDeflateFactory` with other parameters than the
            default ones of ``compression``.
        additional_headers: Further headers of the request.
        user_agent_header: The ``User-Agent`` header; ``None`` to send none.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        ping_interval: Seconds between pings that keep the connection alive and notice
            when it is dead. ``None`` sends none.
        ping_timeout: Seconds to wait for the pong, after which the connection is failed
            with code 1011. ``None`` is no limit.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit. A pair limits messages and
            each of their fragments.
        max_queue: Frames of messages that are received ahead before the server is
            slowed down, and optionally, as the second of a pair, how many are left when
            it may go on; by default, a quarter. There may be more by as many as are in
            what is read at once, up to 128 KiB. ``None`` is no limit.
        inbox_limit: Bytes of messages that are received ahead before the server is
            slowed down.

    Raises:
        InvalidURI: If the URL isn't a valid WebSocket URL.
        TypeError, ValueError: If another argument is wrong. Nothing was sent.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket.
        TimeoutError: If ``connect_timeout`` has passed; the text names the phase.
    """
    options = connect_options(
        url,
        connect_timeout,
        ssl=ssl,
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        server_hostname=server_hostname,
        additional_headers=additional_headers,
        origin=origin,
        subprotocols=subprotocols,
        compression=compression,
        extensions=extensions,
        user_agent_header=user_agent_header,
        close_timeout=close_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        max_size=max_size,
        max_queue=max_queue,
        inbox_limit=inbox_limit,
        write_limit=WRITE_LIMIT,
    )
    return WebSocket(options, check_timeout("receive_timeout", receive_timeout))
