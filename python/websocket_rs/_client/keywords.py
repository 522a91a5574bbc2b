"""What each keyword of a `connect` means, told once for all of them.

The docstring of a `connect` tells what it is; `explained` adds the keywords, so that
``help(connect)`` tells everything.
"""

from __future__ import annotations

from types import FunctionType

from .route import RouteKeywords, TlsKeywords


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _T = TypeVar("_T", bound=Callable[..., Any])


__all__ = ["explained", "with_keywords"]

_URI = """\
The server's ``ws://`` or ``wss://`` URI. A user name and password in it
are sent as Basic authentication."""

_OPEN_TIMEOUT = """\
Seconds for resolving the name, connecting, the proxy, TLS, the
opening handshake and all redirects together. ``None`` is no limit."""

_EXPLANATIONS = {
    "uri": _URI,
    "url": _URI,
    "open_timeout": _OPEN_TIMEOUT,
    "connect_timeout": _OPEN_TIMEOUT,
    "receive_timeout": """\
Seconds that ``recv`` waits. ``None`` is no limit.""",
    "ssl": """\
An `ssl.SSLContext`, of which trust anchors, verification, versions and
ALPN are honoured; what can't be is refused. ``None`` or ``True`` verify the
certificate against the system's certificate authorities.""",
    "ca_file": """\
PEM file of the certificate authorities to trust instead.""",
    "client_cert": """\
PEM file of the client's certificate, with its chain.""",
    "client_key": """\
PEM file of its key, unless ``client_cert`` holds it.""",
    "server_hostname": """\
The name to ask for and verify, if not the URI's host.""",
    "origin": """\
The ``Origin`` header.""",
    "extensions": """\
A `ClientPerMessageDeflateFactory` with other parameters than the
default ones of ``compression``.""",
    "subprotocols": """\
Subprotocols to offer, the preferred ones first.""",
    "compression": """\
``"deflate"`` offers to compress messages (RFC 7692); ``None``
doesn't.""",
    "additional_headers": """\
Further headers of the request.""",
    "user_agent_header": """\
The ``User-Agent`` header; ``None`` to send none.""",
    "proxy": """\
``True`` uses the proxy that the environment names for the URI, if any;
``None`` uses none; a string is the URL of the one to use, with the scheme
``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``.""",
    "process_exception": """\
Whether an iterator connects again after an exception; see
`websocket_rs.client.process_exception`.""",
    "reconnect_delays": """\
The pauses of an iterator, in seconds; see
`websocket_rs.client.backoff`.""",
    "legacy": """\
``False`` returns a `reconnect` object, which connects when it is
entered or iterated.""",
    "ping_interval": """\
Seconds between pings that keep the connection alive and notice
when it is dead. ``None`` sends none.""",
    "ping_timeout": """\
Seconds to wait for the pong, after which the connection is failed
with code 1011. ``None`` is no limit.""",
    "close_timeout": """\
Seconds for the closing handshake. ``None`` is no limit.""",
    "max_size": """\
The largest message accepted, in bytes; larger ones fail the
connection with code 1009. ``None`` is no limit. A pair limits messages and
each of their fragments.""",
    "max_queue": """\
Frames of messages that are received ahead before the server is
slowed down, and optionally, as the second of a pair, how many are left when
it may go on; by default, a quarter. There may be more by as many as are in
what is read at once, up to 128 KiB. ``None`` is no limit.""",
    "inbox_limit": """\
Bytes of messages that are received ahead before the server is
slowed down.""",
    "write_limit": """\
Bytes of messages that wait to be written before ``send`` waits. The
second of a pair is ignored.""",
    "reader": """\
Who reads the connection: ``"loop"``, the event loop while it polls,
which costs least; or ``"thread"``, the connection's thread, which receives
ahead at any time. Where a loop can't wait for descriptors, the thread does.""",
    "logger": """\
Where the connection's records go, instead of the loggers below
``websocket_rs``.""",
    "create_connection": """\
A subclass of the connection's class to make, or a function
that takes its arguments and returns one.""",
    "sock": """\
A connected stream socket to use. Once connecting begins, it belongs to
the connection, also if connecting fails, and its Python object is closed.
It isn't used with a proxy and doesn't follow redirects.""",
    "host": """\
The host to connect to, if not the URI's. The URI's is still what the
``Host`` header and TLS name. A proxy is asked to connect there.""",
    "port": """\
The port to connect to, if not the URI's.""",
    "address": """\
``host`` and ``port`` together, as `socket.create_connection` has it.""",
    "local_addr": """\
The address, host and port, to connect from; an empty host is any
address of this machine.""",
    "source_address": """\
The same, as `socket.create_connection` has it.""",
    "family": """\
`socket.AF_INET` or `socket.AF_INET6`, to use addresses of that kind
only.""",
    "happy_eyeballs_delay": """\
Seconds that an address of the server gets before the next
one is tried at the same time; 0.25 by default (RFC 8305).""",
    "unix": """\
Whether to connect to the Unix socket at ``path``.""",
    "path": """\
Path of a Unix socket.""",
    "proxy_ssl": """\
What ``ssl`` is, for TLS with an ``https://`` proxy.""",
    "proxy_server_hostname": """\
What ``server_hostname`` is, for that.""",
}
"""By name. In the lines that docstrings have them in, without their indentation."""

_RAISES = """\
Raises:
    InvalidURI: If the URI isn't a valid WebSocket URI.
    InvalidProxy: If the URL of the proxy isn't valid. One of the environment is
        found wrong when it is used.
    TypeError, ValueError: If another argument is wrong. Nothing was sent.
    ConnectError: If the network fails; also the `OSError` subclass that says how:
        `ConnectionRefusedError`, `socket.gaierror`, ...
    ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
    InvalidHandshake: If the server doesn't agree to WebSocket, or (`ProxyError`)
        the proxy doesn't connect to it.
    TimeoutError: If the time for opening the connection has passed; the text names
        the phase.
"""


def explained(connect: _T) -> _T:
    """Add to a `connect` what its keywords are and mean, and what it raises.

    They come in the order of the signature, and then those that it takes without having
    them there.
    """
    function: Any = vars(connect).get("__init__", connect)
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    others = tuple(name for name in _FURTHER if name not in names)
    annotations = {name: _FURTHER[name] for name in others}
    function.__wrapped__ = with_keywords(function, annotations, _DEFAULTS)
    if connect.__doc__ is None:
        # Python was told to drop docstrings.
        return connect
    lines = [line.removeprefix("    ") for line in connect.__doc__.split("\n")]
    lines[-1:] = ["", "Args:"]
    for name in (*names, *others):
        if name != "self":
            lines.append(f"    {name}: {_EXPLANATIONS[name].replace(_LINE, _INDENTED)}")
    connect.__doc__ = "\n".join([*lines, "", _RAISES])
    return connect


def with_keywords(
    function: Any, annotations: dict[str, Any], defaults: dict[str, Any]
) -> FunctionType:
    """Return a function of the same signature, but that it names further keywords.

    It is for `inspect.signature` to look at. To make a signature by itself would need
    `inspect`, which is slow to import.

    Args:
        function: The function, which takes them by ``**``.
        annotations: The further keywords, and their types.
        defaults: Their defaults, where those aren't ``None``.
    """
    code, names = function.__code__, tuple(annotations)
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    shape = {
        "co_argcount": code.co_argcount,
        "co_kwonlyargcount": len(own) + len(names) - code.co_argcount,
        "co_nlocals": len(own) + len(names),
        "co_varnames": own + names,
        "co_filename": code.co_filename,
        "co_firstlineno": code.co_firstlineno,
    }
    shown = FunctionType(
        _nothing.__code__.replace(**shape), function.__globals__, function.__name__
    )
    shown.__defaults__ = function.__defaults__
    further = {name: defaults.get(name) for name in names}
    shown.__kwdefaults__ = (function.__kwdefaults__ or {}) | further
    shown.__annotations__ = {
        **{k: v for k, v in function.__annotations__.items() if k in (*own, "return")},
        **annotations,
    }
    return shown


def _nothing() -> None:
    pass


_FURTHER = {**TlsKeywords.__annotations__, **RouteKeywords.__annotations__}
_DEFAULTS = {"family": 0, "unix": False}
_LINE, _INDENTED = "\n", "\n        "
