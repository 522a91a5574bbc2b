"""Connections by ways of their own: the options of `connect`, changed before use.

The options are made as both clients make them, and changed by the methods of
`ConnectOptions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from raw_server import MS
from websocket_rs import async_client, sync_client
from websocket_rs._options import connect_options
from websocket_rs.tls import interpret


if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Certificates
    from proxy_server import ProxyServer
    from support import Address
    from websocket_rs._core import ConnectOptions


MIB = 1 << 20
CREDENTIALS = ("user", "pass:word")
HTTP = ["http", "https"]
SOCKS = ["socks4", "socks4a", "socks5", "socks5h"]
RESOLVING = ["http", "https", "socks4a", "socks5h"]
"""The schemes of proxies that resolve the name of the server."""


def options_for(
    url: str, connect_timeout: float | None = 5000 * MS, **changes: Any
) -> ConnectOptions:
    """Return the options that `connect` makes of its arguments."""
    arguments: dict[str, Any] = dict.fromkeys(
        [
            "ssl",
            "ca_file",
            "client_cert",
            "client_key",
            "server_hostname",
            "additional_headers",
            "origin",
            "subprotocols",
            "compression",
            "extensions",
            "user_agent_header",
            "ping_interval",
            "ping_timeout",
            "max_queue",
            "max_size",
        ]
    )
    arguments |= {
        "close_timeout": 5000 * MS,
        "inbox_limit": 16 * MIB,
        "write_limit": MIB,
    }
    return connect_options(
        url, open_timeout=connect_timeout, **{**arguments, **changes}
    )


def options_of(address: Address, **changes: Any) -> ConnectOptions:
    """Return the options that reach a server."""
    return options_for(address.url, ca_file=address.options.get("ca_file"), **changes)


def open_sync(options: ConnectOptions) -> sync_client.WebSocket:
    """Open a connection with the sync client."""
    return sync_client.WebSocket(options, 5000 * MS)


def open_async(options: ConnectOptions) -> async_client.connect:
    """Return what opens a connection with the asyncio client."""
    connecting = async_client.connect("ws://unused/", receive_timeout=5000 * MS)
    connecting._opening = Ready(connecting._opening, options)
    return connecting


class Ready:
    """What `connect` opens a connection with, chosen by the test."""

    create_connection = None
    logger = None

    def __init__(self, opening: Any, options: ConnectOptions) -> None:
        self.opening = opening
        self.options = options

    def attempts(self) -> Iterator[ConnectOptions]:
        """Yield the options, once."""
        yield self.options


def through(
    options: ConnectOptions,
    proxy: ProxyServer,
    certificates: Certificates,
    *,
    credentials: tuple[str, str] | None = None,
    user_agent: str | None = None,
    scheme: str | None = None,
) -> ConnectOptions:
    """Return the options to reach a server through a proxy, which is trusted."""
    scheme = scheme or proxy.scheme
    options = options.with_proxy(
        scheme, proxy.host, proxy.port, credentials, user_agent
    )
    if scheme == "https":
        tls = interpret(True, None, certificates.ca_file, None, None, None)
        assert tls is not None
        options = options.with_proxy_tls(None, *tls)
    return options


def refused_by(options: ConnectOptions) -> BaseException:
    """Return why no connection can be opened."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        open_sync(options)
    error: BaseException = caught.value
    # Its traceback would keep alive what it has seen.
    error.__traceback__ = None
    return error
