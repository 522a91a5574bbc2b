"""The keywords of `connect` that say how to reach the server, and their checks.

They are the same behind every `connect`, under the names that `asyncio` and `socket`
give them.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ._options import check_timeout


if TYPE_CHECKING:
    import ssl as ssl_module

    from . import _core
    from .tls import FilePath
    from .typing import PathLike


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
    """How to speak TLS with the server, as keywords of `connect`.

    Attributes:
        ssl: An `ssl.SSLContext`, of which trust anchors, verification, versions and
            ALPN are honoured; what can't be is refused. ``None`` or ``True`` verify the
            certificate against the system's certificate authorities.
        ca_file: PEM file of the certificate authorities to trust instead.
        client_cert: PEM file of the client's certificate, with its chain.
        client_key: PEM file of its key, unless ``client_cert`` holds it.
        server_hostname: The name to ask for and verify, if not the URI's host.
    """

    ssl: ssl_module.SSLContext | bool | None
    ca_file: FilePath | None
    client_cert: FilePath | None
    client_key: FilePath | None
    server_hostname: str | None


class RouteKeywords(TypedDict, total=False):
    """Which way to go to the server, as keywords of `connect`.

    Attributes:
        sock: A connected stream socket to use. Once connecting begins, it belongs to
            the connection, also if connecting fails, and its Python object is closed.
            It isn't used with a proxy and doesn't follow redirects.
        host: The host to connect to, if not the URI's. The URI's is still what the
            ``Host`` header and TLS name. A proxy is asked to connect there.
        port: The port to connect to, if not the URI's.
        address: ``host`` and ``port`` together, as `socket.create_connection` has it.
        local_addr: The address, host and port, to connect from; an empty host is any
            address of this machine.
        source_address: The same, as `socket.create_connection` has it.
        family: `socket.AF_INET` or `socket.AF_INET6`, to use addresses of that kind
            only.
        happy_eyeballs_delay: Seconds that an address of the server gets before the next
            one is tried at the same time; 0.25 by default (RFC 8305).
        unix: Whether to connect to the Unix socket at ``path``.
        path: Path of a Unix socket.
        proxy_ssl: What ``ssl`` is, for TLS with an ``https://`` proxy.
        proxy_server_hostname: What ``server_hostname`` is, for that.
    """

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
}


def split(keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the further keywords of a `connect` into those of TLS and the others.

    Raises:
        TypeError: If there is one that isn't known.
        NotImplementedError: If there is one that `asyncio` or `socket` has, and that
            can't be honoured.
    """
    tls = {name: value for name, value in keywords.items() if name in _TLS}
    network = {}
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


class Route(NamedTuple):
    """A checked way to the server, without the proxy.

    Attributes:
        sock: A connected socket.
        address: Host and port to connect to, where they aren't the URI's.
        source: Host and port to connect from.
        family: Kind of the addresses; 0 is any.
        head_start: Seconds that an address gets before the next one is tried.
        path: Path of a Unix socket.
        proxy_ssl: TLS with the proxy.
        proxy_server_hostname: The name that the proxy's certificate must carry.
    """

    sock: socket.socket | None = None
    address: tuple[str | None, int | None] | None = None
    source: tuple[str, int] | None = None
    family: int = 0
    head_start: float | None = None
    path: bytes | None = None
    proxy_ssl: ssl_module.SSLContext | bool | None = None
    proxy_server_hostname: str | None = None

    @property
    def is_direct(self) -> bool:
        """Whether no proxy can be used."""
        return self.sock is not None or self.path is not None

    def apply(self, options: _core.ConnectOptions) -> _core.ConnectOptions:
        """Return the options with this route. A socket is handed over by this."""
        if self.sock is not None:
            if self.sock.fileno() < 0:
                raise ValueError("sock has been closed, or used by a connection")
            options = options.with_socket(self.sock.fileno())
            self.sock.close()
        elif self.path is not None:
            options = options.with_unix_path(self.path)
        elif self.address is not None:
            options = options.with_address(*self.address)
        if (self.family, self.source, self.head_start) != (0, None, None):
            options = options.with_dialing(self.family, self.source, self.head_start)
        return options


def route(
    *,
    sock: Any = None,
    host: Any = None,
    port: Any = None,
    address: Any = None,
    local_addr: Any = None,
    source_address: Any = None,
    family: Any = 0,
    happy_eyeballs_delay: Any = None,
    unix: Any = False,
    path: Any = None,
    proxy_ssl: Any = None,
    proxy_server_hostname: Any = None,
) -> Route:
    """Check the keywords that say how to reach the server."""
    if host is not None:
        _check_host("host", host)
    if port is not None:
        _check_port("port", port)
    if address is not None:
        if host is not None or port is not None:
            raise ValueError("address can't be combined with host or port")
        host, port = _address("address", address)
    if local_addr is not None and source_address is not None:
        raise ValueError("local_addr and source_address are the same")
    source = None
    if local_addr is not None:
        source = _source("local_addr", local_addr)
    elif source_address is not None:
        source = _source("source_address", source_address)
    if family not in _FAMILIES:
        raise ValueError(f"family must be AF_INET or AF_INET6, not {family!r}")
    if path is not None and sock is not None:
        raise ValueError("path is incompatible with sock")
    if unix and path is None and sock is None:
        raise ValueError("missing path argument")
    if path is not None and not unix:
        raise TypeError("connect() got an unexpected keyword argument 'path'")
    if (host is not None or port is not None) and (unix or sock is not None):
        raise ValueError("host and port can't be combined with a socket")
    return Route(
        sock=_socket(sock),
        address=None if host is None and port is None else (host, port),
        source=source,
        family=int(family),
        head_start=check_timeout("happy_eyeballs_delay", happy_eyeballs_delay),
        path=None if path is None else _path(path),
        proxy_ssl=proxy_ssl,
        proxy_server_hostname=proxy_server_hostname,
    )


_FAMILIES = (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6)


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


def _source(name: str, value: Any) -> tuple[str, int]:
    """Check an address to connect from: without a host, it is any of this machine."""
    match value:
        case ("" | None, int() as port):
            _check_port(name, port)
            return "", port
    return _address(name, value)


def _address(name: str, value: Any) -> tuple[str, int]:
    match value:
        case (str() as host, int() as port):
            _check_host(name, host)
            _check_port(name, port)
            return host, port
    raise TypeError(f"{name} must be a host and a port, not {value!r}")


def _check_host(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    # It may become a line of the request to a proxy.
    if not value or not value.isprintable() or any(c in " /@?#[]\\" for c in value):
        raise ValueError(f"{name} isn't a host name or IP address: {value!r}")


def _check_port(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"{name} must be a port, 0 to 65535, not {value!r}")


def _path(value: Any) -> bytes:
    path = os.fsencode(value)
    # The kernel's address has room for so many, and needs one to end the path.
    if len(path) > 107 or (b"\0" in path and not path.startswith(b"\0")):
        raise ValueError(f"path can't be that of a Unix socket: {value!r}")
    return path
