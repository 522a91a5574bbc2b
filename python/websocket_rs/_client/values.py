"""What crosses the border to the core: values by name, of which the types are checked.

The core checks the values. This module must not know where they come from.
"""

from __future__ import annotations

from .record import Record


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tls.values import TlsArguments


__all__ = ["Connect", "Proxy", "Route"]


class Connect(Record):
    """What a connection is opened with, for `ConnectOptions`.

    Attributes:
        headers: Names and values of further headers, in the order to send.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        compression: A `DeflateOffer`, or ``None``.
        user_agent: The ``User-Agent`` header, unless it is among ``headers``.
        server_hostname: The name that TLS asks for and verifies, if not the URL's.
        open_timeout: What the user calls the time for opening the connection, and how
            many seconds it is; ``None`` is no limit.
        receive_timeout: Seconds to wait for a message; ``None`` is no limit.
        close_timeout: Seconds for the closing handshake; ``None`` is no limit.
        ping_interval: Seconds between pings; ``None`` sends none.
        ping_timeout: Seconds to wait for a pong; ``None`` is no limit.
        max_size: The largest message and the largest fragment accepted, in bytes;
            ``None`` is no limit.
        max_queue: The frames at which reading pauses and resumes. If one is ``None``,
            it follows from the other; if both are, there is no limit.
        inbox_limit: Bytes of messages that are received ahead.
        write_limit: Bytes of frames that wait to be written before senders wait.
        reader: Who reads for asyncio, ``"loop"`` or ``"thread"``.
    """

    headers: list[tuple[str, str]]
    origin: str | None
    subprotocols: list[str]
    compression: Any
    user_agent: str | None
    server_hostname: str | None
    open_timeout: tuple[str, float | None]
    receive_timeout: float | None
    close_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    max_size: tuple[int | None, int | None]
    max_queue: tuple[int | None, int | None]
    inbox_limit: int
    write_limit: int
    reader: str


class Route(Record):
    """Which way to go to the server, for `ConnectOptions.with_route`.

    Attributes:
        address: Host and port to connect to, where they aren't the URL's.
        source: What the user calls the address to connect from, its host, and its port,
            of which 0 is any. An empty host is any address of this machine.
        family: ``socket.AF_INET`` or ``socket.AF_INET6``; 0 uses both.
        happy_eyeballs_delay: Seconds that an address is tried before the next one is,
            too; ``math.inf`` waits until it has failed. ``None`` is 0.25.
        path: The path of a Unix socket, or a zero byte and an abstract name.
    """

    address: tuple[str | None, int | None] | None = None
    source: tuple[str, str, int] | None = None
    family: int = 0
    happy_eyeballs_delay: float | None = None
    path: bytes | None = None


class Proxy(Record):
    """A proxy, for `ConnectOptions.with_proxy`.

    Attributes:
        scheme: ``"http"``, ``"https"``, ``"socks4"``, ``"socks4a"``, ``"socks5"`` or
            ``"socks5h"``. ``socks4`` and ``socks5`` resolve the name of the server
            here, the others leave it to the proxy.
        host: The name or IP address of the proxy.
        port: Its port.
        credentials: User name and password; ``socks4`` has no password.
        user_agent: The ``User-Agent`` header of the request to an HTTP proxy.
        server_hostname: The name that TLS with the proxy asks for and verifies, if not
            its host.
        tls: How TLS is done with an ``https`` proxy.
    """

    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None = None
    user_agent: str | None = None
    server_hostname: str | None = None
    tls: TlsArguments | None = None
