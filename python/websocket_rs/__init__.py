"""A fast WebSocket client, sync and asyncio, with a Rust core.

>>> from websocket_rs.sync_client import connect   # blocking
>>> from websocket_rs.async_client import connect  # asyncio

The same clients with the interface of `websockets`:

>>> from websocket_rs.sync.client import connect
>>> from websocket_rs.asyncio.client import connect

Importing the package alone imports next to nothing; what is asked for is imported then.
Importing a client imports all that it may need, also when something fails. It installs
a ``NullHandler`` on the logger ``websocket_rs``, what closes connections when the
interpreter exits, and what keeps a forked process away from its parent's.
"""

from __future__ import annotations

from importlib import import_module


def _is_main_interpreter() -> bool:
    # The first is of CPython 3.13. Not every program that is frozen has one of them.
    for name in "_interpreters", "_xxsubinterpreters":
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


if not _is_main_interpreter():
    # The core is for one interpreter, which would be this one if it were imported here.
    raise ImportError(
        "websocket_rs can't be used in a sub-interpreter, only in the main one "
        "(for mod_wsgi: WSGIApplicationGroup %{GLOBAL})"
    )

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Also for what collects the modules of a program, without running it.
    from typing import Any

    from ._core import __version__
    from .asyncio.client import ClientConnection, connect, unix_connect
    from .datastructures import Headers, HeadersLike, MultipleValuesError
    from .exceptions import (
        ConcurrencyError,
        ConnectionClosed,
        ConnectionClosedError,
        ConnectionClosedOK,
        DuplicateParameter,
        HeaderLineTooLong,
        InvalidHandshake,
        InvalidHeader,
        InvalidHeaderFormat,
        InvalidHeaderValue,
        InvalidMessage,
        InvalidMethod,
        InvalidOrigin,
        InvalidParameterName,
        InvalidParameterValue,
        InvalidProtocol,
        InvalidProxy,
        InvalidProxyMessage,
        InvalidProxyStatus,
        InvalidState,
        InvalidStatus,
        InvalidUpgrade,
        InvalidURI,
        NegotiationError,
        PayloadTooBig,
        ProtocolError,
        ProxyError,
        RequestLineTooLong,
        SecurityError,
        StatusLineTooLong,
        TooManyFragments,
        TooManyHeaders,
        WebSocketException,
    )
    from .frames import Close, CloseCode, Opcode
    from .http11 import Request, Response
    from .protocol import State
    from .typing import (
        Data,
        ExtensionName,
        ExtensionParameter,
        LoggerLike,
        Origin,
        StatusLike,
        Subprotocol,
    )


__all__ = [
    "ClientConnection",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "SecurityError",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
    "__version__",
    "connect",
    "unix_connect",
]


_HOMES = {
    "__version__": "_core",
    "connect": "asyncio.client",
    "unix_connect": "asyncio.client",
    "ClientConnection": "asyncio.client",
    "Headers": "datastructures",
    "HeadersLike": "datastructures",
    "MultipleValuesError": "datastructures",
    "Close": "frames",
    "CloseCode": "frames",
    "Opcode": "frames",
    "Request": "http11",
    "Response": "http11",
    "State": "protocol",
    "Data": "typing",
    "ExtensionName": "typing",
    "ExtensionParameter": "typing",
    "LoggerLike": "typing",
    "Origin": "typing",
    "StatusLike": "typing",
    "Subprotocol": "typing",
}
"""Where the names are that aren't in `exceptions`."""

_MODULES = frozenset(
    {
        "asyncio",
        "client",
        "connection",
        "datastructures",
        "exceptions",
        "extensions",
        "frames",
        "headers",
        "http11",
        "legacy",
        "protocol",
        "proxy",
        "sync",
        "typing",
        "uri",
        "utils",
        "version",
    }
)
"""What a program may reach through the package without importing it."""


# Names of earlier versions of `websockets`, which old annotations have.
_RENAMED = {
    "AbortHandshake": "legacy.exceptions.AbortHandshake",
    "InvalidStatusCode": "exceptions.InvalidStatus",
    "RedirectHandshake": "legacy.exceptions.RedirectHandshake",
    "WebSocketClientProtocol": "asyncio.client.ClientConnection",
    "WebSocketCommonProtocol": "asyncio.client.ClientConnection",
    "WebSocketProtocolError": "exceptions.ProtocolError",
}
_SERVER = "this package is a client; see the package websockets for servers"
_IN_THE_CORE = "the protocol is in the core; use sync.client or asyncio.client"
_MISSING = {
    "ClientProtocol": _IN_THE_CORE,
    "Frame": _IN_THE_CORE,
    "Protocol": _IN_THE_CORE,
    "Side": _IN_THE_CORE,
    "speedups": "the core is native, and there is nothing to speed up",
    **dict.fromkeys(
        [
            "BasicAuthWebSocketServerProtocol",
            "Router",
            "Server",
            "ServerConnection",
            "ServerProtocol",
            "WebSocketServer",
            "WebSocketServerProtocol",
            "basic_auth",
            "basic_auth_protocol_factory",
            "broadcast",
            "route",
            "serve",
            "unix_route",
            "unix_serve",
        ],
        _SERVER,
    ),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        from ._client.names import other_name

        return other_name(__name__, name, _RENAMED, _MISSING)
    module = import_module(f".{_HOMES.get(name, 'exceptions')}", __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Name also what hasn't been imported."""
    return sorted({*globals(), *__all__})
