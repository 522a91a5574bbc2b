"""From the keywords of a `connect` to the attempts that open a connection.

What every `connect` shares: which arguments are wrong, which proxy leads to the server,
which redirect is followed. It waits for nothing: the clients open connections, each in
its way, and ask here what to try next.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from copy import copy
from logging import Logger, LoggerAdapter

from .. import _core
from ..exceptions import InvalidStatus, InvalidURI, SecurityError
from ..proxy import Proxy, get_proxy, parse_proxy
from ..uri import parse_uri
from . import values
from .imports import import_for_tls
from .numbers import seconds
from .patched import warn_of_patches
from .route import route, split
from .settings import Settings, connect_options, header_pairs
from .tls.arguments import interpret


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any


__all__ = ["Opening"]

MAX_REDIRECTS = int(os.environ.get("WEBSOCKETS_MAX_REDIRECTS", "10"))


class Opening:
    """What a `connect` was asked for, checked; it can be used for many connections.

    Args:
        uri: The server's URI.
        settings: What it is to be opened with.
        network: Further keywords of `connect`, see `NetworkKeywords`; and old names.

    Attributes:
        uri: The same.
        settings: The same, with headers as pairs.
        additional_headers: The headers as they were given, or as pairs if they could be
            read only once.
    """

    def __init__(self, uri: str, settings: Settings, network: dict[str, Any]) -> None:
        with contextlib.suppress(ImportError, OSError):
            # For `id`, whenever that is asked for. At the top, it would be slow.
            import uuid  # noqa: F401
        settings = _take_old_names(network, settings)
        logger = settings.logger
        if logger is not None and not isinstance(logger, (Logger, LoggerAdapter)):
            raise TypeError(f"logger must be a logging.Logger, not {logger!r}")
        tls, way = split(network)
        # An iterator can be read only once, and redirects need them again.
        given = settings.additional_headers
        headers = header_pairs(given)
        self.additional_headers: Any = headers if isinstance(given, Iterator) else given
        self.uri = uri
        self.settings = settings._replace(
            additional_headers=headers,
            receive_timeout=seconds("receive_timeout", settings.receive_timeout),
            **tls,
        )
        self._route = route(way)
        self._prepare()

    def _prepare(self) -> None:
        """Check what can be checked before anything is connected to."""
        proxy = self.settings.proxy
        if not (proxy is None or proxy is True or isinstance(proxy, str)):
            raise TypeError(f"proxy must be a URL, True or None, not {proxy!r}")
        self._options = self._options_for(self.uri, self.settings)
        self._proxy = self._parse_proxy(proxy) if isinstance(proxy, str) else None

    def changed(self, uri: str, **changes: Any) -> Opening:
        """Return the same with another URI or settings, or itself if nothing is new."""
        settings = self.settings._replace(**changes)
        if (uri, settings) == (self.uri, self.settings):
            return self
        other = copy(self)
        other.uri, other.settings = uri, settings
        other._prepare()
        return other

    def attempts(self) -> Generator[_core.ConnectOptions, str, None]:
        """Yield what to open a connection with.

        The URI that an attempt was redirected to is to be sent in: the next options are
        for it.
        """
        started = time.monotonic()
        if not self._route.is_direct:
            warn_of_patches()
        uri, options, settings = self.uri, self._options, self.settings
        for _ in range(MAX_REDIRECTS):
            attempt = self._route.claim(options)
            if not self._route.is_direct:
                attempt = self._through_proxy(uri, attempt)
            target = yield attempt.with_elapsed(time.monotonic() - started)
            if _origin(target) != _origin(uri):
                settings = _without_own_headers(settings)
            uri = target
            options = self._options_for(uri, settings)
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    def _options_for(self, uri: str, settings: Settings) -> _core.ConnectOptions:
        return self._route.apply(connect_options(uri, settings))

    def _parse_proxy(self, url: str) -> Proxy:
        proxy = parse_proxy(url)
        if proxy.scheme != "https" and self._route.proxy_ssl is not None:
            raise ValueError(
                f"proxy_ssl argument is incompatible with an {proxy.scheme}:// proxy"
            )
        return proxy

    def _through_proxy(
        self, uri: str, options: _core.ConnectOptions
    ) -> _core.ConnectOptions:
        proxy = self._proxy
        is_named_by_environment = self.settings.proxy is True
        if is_named_by_environment and (url := get_proxy(parse_uri(uri))) is not None:
            proxy = self._parse_proxy(url)
        if proxy is None:
            return options
        value = values.Proxy(
            proxy.scheme,
            proxy.host,
            proxy.port,
            proxy.user_info,
            self.settings.user_agent_header,
        )
        if proxy.scheme == "https":
            name = self._route.proxy_server_hostname
            import_for_tls()
            tls = interpret(True, self._route.proxy_ssl, None, None, None, name)
            value = value._replace(server_hostname=name, tls=tls)
        return options.with_proxy(value)

    def redirect(self, uri: str, exc: Exception) -> Exception | str:
        """Return where a server redirects from a URI, or the exception to raise."""
        location = _location(exc)
        if location is None:
            return exc

        try:
            target = _core.join_uri(uri, location)
            old, new = parse_uri(uri), parse_uri(target)
        except InvalidURI as invalid:
            return invalid
        # Neither the user's credentials nor those of the new URI are for a log.
        shown = f"{'wss' if new.secure else 'ws'}://{new.host}:{new.port}{new.path}"
        if self._route.sock is not None:
            return ValueError(
                f"cannot follow redirect to {shown} with a preexisting socket"
            )
        if old.secure and not new.secure:
            return SecurityError(f"cannot follow redirect to non-secure URI {shown}")
        if _origin(uri) == _origin(target):
            return target
        if self._route.way.path is not None:
            return ValueError(
                f"cannot follow cross-origin redirect to {shown} with a Unix socket"
            )
        if self._route.way.address is not None:
            return ValueError(
                f"cannot follow cross-origin redirect to {shown} "
                "with an explicit host or port"
            )
        return target


def _origin(uri: str) -> tuple[bool, str, int]:
    """Return what has to be the same for a server to be the same."""
    parsed = parse_uri(uri)
    return parsed.secure, parsed.host, parsed.port


def _without_own_headers(settings: Settings) -> Settings:
    """Return the settings without what only the user's server may be told."""
    headers = header_pairs(settings.additional_headers)
    return settings._replace(
        additional_headers=[
            header for header in headers if header[0].lower() not in _OWN
        ]
    )


def _take_old_names(keywords: dict[str, Any], settings: Settings) -> Settings:
    """Move arguments under the names of earlier versions of `websockets`."""
    if keywords.pop("loop", None) is not None:
        warnings.warn(
            "loop is ignored: the event loop that runs is used",
            DeprecationWarning,
            stacklevel=4,
        )
    if "ssl_context" in keywords:
        warnings.warn(
            "ssl_context was renamed to ssl", DeprecationWarning, stacklevel=4
        )
        context = keywords.pop("ssl_context")
        if keywords.get("ssl") is None:
            keywords["ssl"] = context
    if "extra_headers" in keywords:
        warnings.warn(
            "extra_headers was renamed to additional_headers",
            DeprecationWarning,
            stacklevel=4,
        )
        headers = keywords.pop("extra_headers")
        if settings.additional_headers is None:
            return settings._replace(additional_headers=headers)
    return settings


def _location(exc: Exception) -> str | None:
    if not isinstance(exc, InvalidStatus):
        return None
    response = exc.response
    if response.status_code not in (300, 301, 302, 303, 307, 308):
        return None
    locations = response.headers.get_all("Location")
    return locations[0] if len(locations) == 1 else None


# Credentials, and the name of the user's server. No other server may see them.
_OWN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})
