"""The keywords of `connect` that say how to reach the server, and their checks.

They are the same behind every `connect`, under the names that `asyncio` and `socket`
give them.
"""

from __future__ import annotations

import os

from . import values
from .numbers import integer, seconds
from .record import Record
from .settings import text


TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl as ssl_module
    from typing import Any, TypedDict

    from .. import _core
    from ..typing import PathLike
    from .tls.arguments import FilePath
else:
    # The base of its class is enough, without the slow import.
    import _socket as socket

    class TypedDict:
        """Keywords by name; compiling all their types would take long."""

        def __init_subclass__(cls, total: bool = True) -> None:
            pass


__all__ = [
    "NetworkKeywords",
    "Route",
    "RouteKeywords",
    "TlsKeywords",
    "route",
    "split",
    "unix_uri",
]


class TlsKeywords(TypedDict, total=False):
    """Keywords of `connect`, which explains them, for TLS with the server."""

    ssl: ssl_module.SSLContext | bool | None
    ca_file: FilePath | None
    client_cert: FilePath | None
    client_key: FilePath | None
    server_hostname: str | None


class RouteKeywords(TypedDict, total=False):
    """Keywords of `connect`, which explains them, for the way to the server."""

    sock: socket.socket | None
    host: str | None
    port: int | None
    address: tuple[str, int] | None
    local_addr: tuple[str, int] | None
    source_address: tuple[str, int] | None
    family: int
    happy_eyeballs_delay: float | None
    unix: bool
    path: PathLike | None
    proxy_ssl: ssl_module.SSLContext | bool | None
    proxy_server_hostname: str | None


class NetworkKeywords(TlsKeywords, RouteKeywords, total=False):
    """How to reach the server, as keywords of `connect`."""


_TLS = frozenset(TlsKeywords.__annotations__)
_ROUTE = frozenset(RouteKeywords.__annotations__)
_IMPOSSIBLE = {
    "ssl_handshake_timeout": "open_timeout limits the TLS handshake too",
    "ssl_shutdown_timeout": "close_timeout limits the end of TLS too",
    "proxy_ssl_handshake_timeout": "open_timeout limits the TLS handshake too",
    "proxy_ssl_shutdown_timeout": "close_timeout limits the end of TLS too",
    "timeout": "open_timeout limits connecting too",
    "all_errors": "the error of the last address is raised",
    "flags": "family selects the kind of addresses",
    "proto": "connections are always TCP",
    "interleave": "addresses are tried in the order of the resolver",
    # Those of the asyncio client that `websockets` had before.
    "create_protocol": "create_connection makes the connection",
    "klass": "create_connection makes the connection",
    "read_limit": "max_queue limits what is received ahead",
}


def split(keywords: dict[str, Any]) -> tuple[TlsKeywords, RouteKeywords]:
    """Part the further keywords of a `connect` into those of TLS and the others.

    Raises:
        TypeError: If there is one that isn't known.
        NotImplementedError: If there is one that `asyncio` or `socket` has, and that
            can't be honoured.
    """
    tls: Any = {name: value for name, value in keywords.items() if name in _TLS}
    network: Any = {}
    for name, value in keywords.items():
        if name in _IMPOSSIBLE and value is not None:
            raise NotImplementedError(f"{name} isn't supported: {_IMPOSSIBLE[name]}")
        if name in _ROUTE:
            network[name] = value
        elif name not in _TLS and name not in _IMPOSSIBLE:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}")
    return tls, network


def unix_uri(uri: str | None, keywords: dict[str, Any]) -> str:
    """Return what the request over a Unix socket is for, unless it is said."""
    if uri is not None:
        return uri
    return "ws://localhost/" if keywords.get("ssl") is None else "wss://localhost/"


class Route(Record):
    """A way to the server, without the proxy.

    Attributes:
        sock: A connected socket.
        way: What the core is told of the rest.
        proxy_ssl: TLS with the proxy.
        proxy_server_hostname: The name that the proxy's certificate must carry.
    """

    sock: socket.socket | None
    way: values.Route
    proxy_ssl: ssl_module.SSLContext | bool | None
    proxy_server_hostname: str | None

    @property
    def is_direct(self) -> bool:
        """Whether no proxy can be used."""
        return self.sock is not None or self.way.path is not None

    def apply(self, options: _core.ConnectOptions) -> _core.ConnectOptions:
        """Return the options with this route, but for the socket, and check it."""
        return options if self.way == values.Route() else options.with_route(self.way)

    def claim(self, options: _core.ConnectOptions) -> _core.ConnectOptions:
        """Return the options for an attempt, which the socket is handed over to."""
        if self.sock is None:
            return options
        if self.sock.fileno() < 0:
            raise ValueError("sock has been closed, or used by a connection")
        options = options.with_socket(self.sock.fileno())
        self.sock.close()
        return options


def route(keywords: RouteKeywords) -> Route:
    """Check the types of the keywords that say how to reach the server.

    Raises:
        TypeError: If one is of a wrong type.
        ValueError: If some don't go together.
    """
    sock, path = keywords.get("sock"), keywords.get("path")
    is_unix = keywords.get("unix", False)
    address = _address_to(keywords)
    if path is not None and sock is not None:
        raise ValueError("path is incompatible with sock")
    if is_unix and path is None and sock is None:
        raise ValueError("missing path argument")
    if path is not None and not is_unix:
        raise TypeError("connect() got an unexpected keyword argument 'path'")
    if address is not None and (is_unix or sock is not None):
        raise ValueError("host and port can't be combined with a socket")
    family = keywords.get("family", 0)
    return Route(
        sock=_socket(sock),
        way=values.Route(
            address=address,
            source=_address_from(keywords),
            family=integer("family", family, "AF_INET or AF_INET6"),
            happy_eyeballs_delay=seconds(
                "happy_eyeballs_delay", keywords.get("happy_eyeballs_delay")
            ),
            path=None if path is None else os.fsencode(path),
        ),
        proxy_ssl=_proxy_ssl(keywords.get("proxy_ssl")),
        proxy_server_hostname=_proxy_server_hostname(
            keywords.get("proxy_server_hostname")
        ),
    )


def _proxy_ssl(value: Any) -> ssl_module.SSLContext | bool | None:
    if value is not None and value is not True:
        import ssl

        if not isinstance(value, ssl.SSLContext):
            raise TypeError(
                f"proxy_ssl must be an ssl.SSLContext, True or None, not {value!r}"
            )
    return value  # type: ignore[no-any-return]


def _proxy_server_hostname(value: Any) -> str | None:
    name = text("proxy_server_hostname", value)
    if name == "":
        raise ValueError("proxy_server_hostname must not be empty")
    return name


def _address_to(
    keywords: RouteKeywords,
) -> tuple[str | None, int | None] | None:
    """Return host and port to connect to, where they aren't the URI's."""
    host, port = keywords.get("host"), keywords.get("port")
    address = keywords.get("address")
    if address is not None:
        if host is not None or port is not None:
            raise ValueError("address can't be combined with host or port")
        host, port = _pair("address", address)
    if host is not None and not isinstance(host, str):
        raise TypeError(f"host must be a str, not {host!r}")
    if port is not None:
        port = integer("port", port, "a number")
    return None if host is None and port is None else (host, port)


def _address_from(keywords: RouteKeywords) -> tuple[str, str, int] | None:
    """Return what is to be connected from, after its name."""
    given = [
        (name, value)
        for name in ("local_addr", "source_address")
        if (value := keywords.get(name)) is not None
    ]
    match given:
        case []:
            return None
        case [(name, (None, port))]:
            return name, *_pair(name, ("", port))
        case [(name, value)]:
            return name, *_pair(name, value)
    raise ValueError("local_addr and source_address are the same")


def _pair(name: str, value: Any) -> tuple[str, int]:
    match value:
        case (str() as host, port):
            return host, integer(f"port of {name}", port)
    raise TypeError(f"{name} must be a host and a port, not {value!r}")


def _socket(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {value!r}")
    if hasattr(value, "pending"):
        raise NotImplementedError(
            "sock must be a plain socket: TLS is spoken by the connection itself, "
            "for a wss:// URI"
        )
    if value.type != socket.SOCK_STREAM:
        raise ValueError(f"sock must be a stream socket, not {value!r}")
    return value
