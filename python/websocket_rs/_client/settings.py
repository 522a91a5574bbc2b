"""What a `connect` is asked for: one set of settings, with two sets of defaults.

Types are checked here, and brought into the form that the core takes; values are
checked by the core. What each setting means is told in `keywords`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .. import _core
from ..datastructures import Headers
from ..extensions.permessage_deflate import ClientPerMessageDeflateFactory
from . import values
from .imports import import_for_tls
from .numbers import seconds, size
from .record import Record
from .tls.arguments import interpret
from .user_agent import USER_AGENT


TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Any, Literal

    from ..datastructures import HeadersLike
    from ..typing import LoggerLike
    from .tls.arguments import FilePath


__all__ = ["OWN", "USER_AGENT", "WEBSOCKETS", "Settings", "connect_options", "text"]


class Settings(Record):
    """The keywords of every `connect`, but for those that lead to the server.

    The defaults are those of this package, `OWN`.
    """

    origin: str | None = None
    extensions: Sequence[ClientPerMessageDeflateFactory] | None = None
    subprotocols: Sequence[str] | None = None
    compression: str | None = None
    additional_headers: HeadersLike | None = None
    user_agent_header: str | None = USER_AGENT
    proxy: str | Literal[True] | None = True
    open_timeout: float | None = 30.0
    receive_timeout: float | None = 30.0
    ping_interval: float | None = None
    ping_timeout: float | None = 20.0
    close_timeout: float | None = 10.0
    max_size: int | tuple[int | None, int | None] | None = 2**27
    max_queue: int | tuple[int | None, int | None] | None = None
    inbox_limit: int = 2**24
    write_limit: int | tuple[int, int | None] = 2**18
    reader: str = "loop"
    logger: LoggerLike | None = None
    create_connection: Any = None
    ssl: SSLContext | bool | None = None
    ca_file: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None
    server_hostname: str | None = None
    #: What the user calls `open_timeout`.
    open_timeout_name: str = "connect_timeout"


OWN = Settings()
"""The defaults of this package."""

WEBSOCKETS = Settings(
    compression="deflate",
    open_timeout=10,
    receive_timeout=None,
    ping_interval=20,
    ping_timeout=20,
    close_timeout=10,
    max_size=2**20,
    max_queue=16,
    write_limit=2**15,
    open_timeout_name="open_timeout",
)
"""The defaults of `websockets`."""


def connect_options(uri: str, settings: Settings) -> _core.ConnectOptions:
    """Check everything that can be checked without I/O to the network."""
    if not isinstance(uri, str):
        raise TypeError(f"URI must be a str, not {type(uri).__name__}: {uri!r}")
    name = settings.open_timeout_name
    options = _core.ConnectOptions(
        uri,
        values.Connect(
            headers=header_pairs(settings.additional_headers),
            origin=text("origin", settings.origin),
            subprotocols=_subprotocols(settings.subprotocols),
            compression=_compression(settings.compression, settings.extensions),
            user_agent=text("user_agent_header", settings.user_agent_header),
            server_hostname=text("server_hostname", settings.server_hostname),
            open_timeout=(name, seconds(name, settings.open_timeout)),
            receive_timeout=seconds("receive_timeout", settings.receive_timeout),
            close_timeout=seconds("close_timeout", settings.close_timeout),
            ping_interval=seconds("ping_interval", settings.ping_interval),
            ping_timeout=seconds("ping_timeout", settings.ping_timeout),
            max_size=_pair("max_size", settings.max_size),
            max_queue=_pair("max_queue", settings.max_queue),
            inbox_limit=size("inbox_limit", settings.inbox_limit),
            write_limit=_write_limit(settings.write_limit),
            reader=_word("reader", settings.reader),
        ),
    )
    if options.secure:
        import_for_tls()
    tls = interpret(
        options.secure,
        settings.ssl,
        settings.ca_file,
        settings.client_cert,
        settings.client_key,
        settings.server_hostname,
    )
    return options if tls is None else options.with_tls(tls)


def _pair(name: str, value: Any) -> tuple[int | None, int | None]:
    """Two limits, of which the second may be left out."""
    both = value if isinstance(value, tuple) else (value, None)
    if len(both) != 2:
        raise TypeError(f"{name} must be a number or a pair of them, not {value!r}")
    first, second = (None if one is None else size(name, one) for one in both)
    return first, second


def _write_limit(value: Any) -> int:
    """The first of two limits. The second, when to go on, is for asyncio's streams."""
    high, _ = _pair("write_limit", value)
    if high is None:
        raise TypeError(f"write_limit must begin with a number, not {value!r}")
    return high


def _compression(compression: Any, extensions: Any) -> _core.DeflateOffer | None:
    """The one extension that there is, with its parameters."""
    if compression not in (None, "deflate"):
        raise ValueError(f"unsupported compression: {compression!r}")
    if isinstance(extensions, str) or not isinstance(extensions or [], Sequence):
        raise TypeError(f"extensions must be a list, not {extensions!r}")
    factories = list(extensions or [])
    for factory in factories:
        if not isinstance(factory, ClientPerMessageDeflateFactory):
            raise NotImplementedError(
                "only ClientPerMessageDeflateFactory of "
                "websocket_rs.extensions.permessage_deflate can be used as an "
                f"extension, not {factory!r}"
            )
    if len(factories) > 1:
        raise ValueError("permessage-deflate can be offered only once")
    if not factories and compression is None:
        return None
    [factory] = factories or [ClientPerMessageDeflateFactory()]
    offer: _core.DeflateOffer = factory.offer()
    return offer


def text(name: str, value: Any) -> str | None:
    """Check that an argument is text, or isn't given."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str or None, not {value!r}")
    return value


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    return value


def _subprotocols(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        raise TypeError("subprotocols must be a list, not a str")
    if not isinstance(value, Sequence):
        raise TypeError("subprotocols must be a list")
    for subprotocol in value:
        if not isinstance(subprotocol, str):
            raise TypeError(f"subprotocols must be str, not {subprotocol!r}")
    return list(value)


def header_pairs(value: Any) -> list[tuple[str, str]]:
    """Bring ``additional_headers`` into the form of pairs."""
    if value is None:
        return []
    items: Any
    if isinstance(value, Headers):
        items = value.raw_items()
    elif isinstance(value, Mapping):
        items = value.items()
    elif hasattr(value, "keys"):
        items = ((name, value[name]) for name in value.keys())  # noqa: SIM118
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        items = value
    else:
        raise TypeError(f"additional_headers must be a mapping or pairs, not {value!r}")
    headers = []
    for item in items:
        match item:
            case (str() as name, str() as text):
                headers.append((name, text))
            case (str() as name, int() | float() as number) if not isinstance(
                number, bool
            ):
                headers.append((name, str(number)))
            case (str() as name, None):
                raise TypeError(
                    f"value of header {name!r} is None: leave it out instead"
                )
            case (name, value):
                # The value may be a credential, so it isn't shown.
                raise TypeError(
                    f"name of header {name!r} must be str, and its value str or a "
                    f"number, not {type(value).__name__}"
                )
            case _:
                raise TypeError("additional_headers must be a mapping or pairs")
    return headers
