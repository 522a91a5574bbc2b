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

from typing import TYPE_CHECKING, Literal

from ._opening import Opening
from ._options import INBOX_LIMIT, MAX_SIZE, USER_AGENT, WRITE_LIMIT, check_timeout
from .sync.client import open_connection
from .sync.connection import WebSocket


if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

    from typing_extensions import Unpack

    from ._network import RouteKeywords
    from .datastructures import HeadersLike
    from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from .tls import FilePath
    from .typing import LoggerLike


__all__ = ["WebSocket", "connect"]


def connect(
    url: str,
    connect_timeout: float | None = 30.0,
    receive_timeout: float | None = 30.0,
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
    compression: str | None = None,
    extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
    # HTTP
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    proxy: str | Literal[True] | None = True,
    # Timeouts
    close_timeout: float | None = 10.0,
    ping_interval: float | None = None,
    ping_timeout: float | None = 20.0,
    # Limits
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = None,
    inbox_limit: int = INBOX_LIMIT,
    # Logging
    logger: LoggerLike | None = None,
    # Customization
    create_connection: type[WebSocket] | None = None,
    **network: Unpack[RouteKeywords],
) -> WebSocket:
    """Connect to a WebSocket server and return the open connection.

    Ctrl-C ends the call at once; nothing is left behind then, nor on any other error.

    Args:
        url: The server's ``ws://`` or ``wss://`` URL. A user name and password in it
            are sent as Basic authentication.
        connect_timeout: Seconds for resolving the name, connecting, TLS and the opening
            handshake together, redirects included. ``None`` is no limit.
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
        proxy: ``True`` uses the proxy that the environment names for the URL, if any;
            ``None`` uses none; a string is the URL of the one to use, with the scheme
            ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``.
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
        logger: Where the connection's records go, instead of the loggers below
            ``websocket_rs``.
        create_connection: A subclass of `WebSocket` to make, or a function that takes
            its arguments and returns one.
        network: Which way to go to the server: ``sock``, ``host``, ``port``,
            ``local_addr``, ``family``, ``happy_eyeballs_delay``, ``proxy_ssl``,
            ``proxy_server_hostname``, or ``unix`` and ``path``; see `RouteKeywords`.

    Raises:
        InvalidURI: If the URL isn't a valid WebSocket URL.
        InvalidProxy: If the URL of the proxy isn't valid.
        TypeError, ValueError: If another argument is wrong. Nothing was sent.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket, or (`ProxyError`)
            the proxy doesn't connect to it.
        TimeoutError: If ``connect_timeout`` has passed; the text names the phase.
    """
    opening = Opening(
        url,
        open_timeout=check_timeout("connect_timeout", connect_timeout),
        origin=origin,
        extensions=extensions,
        subprotocols=subprotocols,
        compression=compression,
        additional_headers=additional_headers,
        user_agent_header=user_agent_header,
        proxy=proxy,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
        inbox_limit=inbox_limit,
        write_limit=WRITE_LIMIT,
        logger=logger,
        create_connection=create_connection,
        ssl=ssl,
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        server_hostname=server_hostname,
        network=dict(network),
    )
    timeout = check_timeout("receive_timeout", receive_timeout)
    return open_connection(opening, timeout)
