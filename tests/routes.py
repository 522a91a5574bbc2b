"""Connections by ways of their own: the options of `connect`, changed before use.

The options are made as both clients make them, and changed by the methods of
`ConnectOptions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from raw_server import MS
from websocket_rs import async_client, sync_client
from websocket_rs._client.settings import Settings, connect_options
from websocket_rs._client.tls.arguments import interpret
from websocket_rs._client.values import Proxy


if TYPE_CHECKING:
    from collections.abc import Generator

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
    settings = Settings(
        open_timeout=connect_timeout,
        user_agent_header=None,
        ping_timeout=None,
        max_size=None,
        close_timeout=5000 * MS,
        inbox_limit=16 * MIB,
        write_limit=MIB,
    )
    return connect_options(url, settings._replace(**changes))


def options_of(address: Address, **changes: Any) -> ConnectOptions:
    """Return the options that reach a server."""
    return options_for(address.url, ca_file=address.options.get("ca_file"), **changes)


def open_sync(options: ConnectOptions) -> sync_client.WebSocket:
    """Open a connection with the sync client."""
    return sync_client.WebSocket(options, 5000 * MS)


def open_async(options: ConnectOptions) -> async_client.connect:
    """Return what opens a connection with the asyncio client."""
    connecting = async_client.connect("ws://unused/", receive_timeout=5000 * MS)
    connecting.attempts = lambda: once(options)  # type: ignore[method-assign]
    return connecting


def once(options: ConnectOptions) -> Generator[ConnectOptions, Exception, None]:
    """Yield what to open a connection with, and raise why that has failed."""
    raise (yield options)


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
    value = Proxy(scheme, proxy.host, proxy.port, credentials, user_agent)
    if scheme == "https":
        tls = interpret(True, None, certificates.ca_file, None, None, None)
        value = value._replace(tls=tls)
    return options.with_proxy(value)


def refused_by(options: ConnectOptions) -> BaseException:
    """Return why no connection can be opened."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        open_sync(options)
    error: BaseException = caught.value
    # Its traceback would keep alive what it has seen.
    error.__traceback__ = None
    return error
