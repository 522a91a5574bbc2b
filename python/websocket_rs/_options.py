"""The arguments of both `connect`s, checked and brought into the core's form."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from .datastructures import Headers
from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
from .tls import interpret


if TYPE_CHECKING:
    from ssl import SSLContext

    from .datastructures import HeadersLike
    from .tls import FilePath


MAX_SIZE = 2**27
INBOX_LIMIT = 2**24
WRITE_LIMIT = 2**18
USER_AGENT = f"Python/{platform.python_version()} websocket-rs/{_core.__version__}"


def connect_options(
    uri: str,
    *,
    open_timeout: float | None,
    ssl: SSLContext | bool | None = None,
    ca_file: FilePath | None = None,
    client_cert: FilePath | None = None,
    client_key: FilePath | None = None,
    server_hostname: str | None = None,
    additional_headers: HeadersLike | None,
    origin: str | None,
    subprotocols: Sequence[str] | None,
    compression: str | None,
    extensions: Sequence[ClientPerMessageDeflateFactory] | None,
    user_agent_header: str | None,
    close_timeout: float | None,
    ping_interval: float | None,
    ping_timeout: float | None,
    max_size: int | tuple[int | None, int | None] | None,
    max_queue: int | tuple[int | None, int | None] | None,
    inbox_limit: int = INBOX_LIMIT,
    write_limit: int | tuple[int, int | None] = WRITE_LIMIT,
) -> _core.ConnectOptions:
    """Check everything that can be checked without I/O to the network."""
    if not isinstance(uri, str):
        raise TypeError(f"URI must be a str, not {type(uri).__name__}: {uri!r}")
    options = _core.ConnectOptions(
        uri,
        headers=header_pairs(additional_headers),
        origin=_optional_text("origin", origin),
        subprotocols=_subprotocols(subprotocols),
        compression=_compression(compression, extensions),
        user_agent=_optional_text("user_agent_header", user_agent_header),
        server_hostname=_optional_text("server_hostname", server_hostname),
        connect_timeout=_seconds("open_timeout", open_timeout),
        close_timeout=_seconds("close_timeout", close_timeout),
        ping_interval=_interval("ping_interval", ping_interval),
        ping_timeout=_seconds("ping_timeout", ping_timeout),
        max_size=_pair("max_size", max_size),
        max_queue=_water_marks(max_queue),
        inbox_limit=_size("inbox_limit", inbox_limit),
        write_limit=_high_water_mark("write_limit", write_limit),
    )
    tls = interpret(
        options.secure, ssl, ca_file, client_cert, client_key, server_hostname
    )
    return options if tls is None else options.with_tls(*tls)


def check_timeout(name: str, value: float | None) -> float | None:
    """Check a timeout that the core takes separately."""
    seconds = _seconds(name, value)
    if seconds is not None and not seconds >= 0:
        raise ValueError(
            f"{name} must be a number of seconds, 0 or more, not {value!r}"
        )
    return seconds


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    return float(value)


def _size(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return value


def _interval(name: str, value: Any) -> float | None:
    seconds = _seconds(name, value)
    if seconds is not None and not seconds > 0:
        raise ValueError(f"{name} must be more than 0 seconds, not {value!r}")
    return seconds


def _pair(name: str, value: Any) -> tuple[int | None, int | None]:
    """Two limits, of which the second may be left out."""
    both = value if isinstance(value, tuple) else (value, None)
    if len(both) != 2:
        raise TypeError(f"{name} must be a number or a pair of them, not {value!r}")
    first, second = (None if size is None else _size(name, size) for size in both)
    return first, second


def _high_water_mark(name: str, value: Any) -> int:
    """The first of two limits. The second, when to resume, is for asyncio's writers."""
    high, _ = _pair(name, value)
    if high is None:
        raise TypeError(f"{name} must be a number, not {value!r}")
    return high


def _water_marks(value: Any) -> tuple[int, int] | None:
    """The numbers of frames at which reading pauses and resumes."""
    high, low = _pair("max_queue", value)
    if high is None and low is None:
        return None
    if low is None:
        low = (high or 0) // 4
    if high is None:
        high = low * 4
    if high < low:
        raise ValueError(
            f"max_queue: high must be greater than or equal to low, not {value!r}"
        )
    return high, low


def _compression(
    compression: Any, extensions: Any
) -> tuple[bool, bool, int | None, int | None, int] | None:
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
    if not factories:
        if compression is None:
            return None
        factories = [ClientPerMessageDeflateFactory()]
    [factory] = factories
    return (
        factory.server_no_context_takeover,
        factory.client_no_context_takeover,
        factory.server_max_window_bits,
        factory.client_max_window_bits,
        _core.DEFLATE_LEVEL if factory.level is None else factory.level,
    )


def _optional_text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str or None, not {value!r}")
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
            case (name, _):
                # The value may be a credential, so it isn't shown.
                raise TypeError(f"name and value of header {name!r} must be str")
            case _:
                raise TypeError("additional_headers must be a mapping or pairs")
    return headers
