"""From the keywords of a `connect` to the attempts that open a connection.

What every `connect` shares: which arguments are wrong, which proxy leads to the server,
which redirect is followed. It waits for nothing: the faces open connections, each in
its way, and ask here what to try next.
"""

from __future__ import annotations

import os
import time
import warnings
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from ._network import route, split
from ._options import connect_options, header_pairs
from .exceptions import InvalidStatus, InvalidURI, SecurityError
from .proxy import Proxy, get_proxy, parse_proxy, without_credentials
from .tls import interpret
from .uri import parse_uri


if TYPE_CHECKING:
    from collections.abc import Generator

    from . import _core
    from .typing import LoggerLike


__all__ = ["Opening"]

MAX_REDIRECTS = int(os.environ.get("WEBSOCKETS_MAX_REDIRECTS", "10"))


class Opening:
    """What a `connect` was asked for, checked; it can be used for many connections.

    Args:
        uri: The server's URI.
        proxy: The URL of a proxy; ``True`` for the one that the environment names, if
            any; ``None`` for none.
        logger: Where the connection's records go, instead of the package's loggers.
        create_connection: What makes the connection: a subclass of the face's class, or
            a function that takes and returns what that does.
        network: Further keywords of `connect`, see `NetworkKeywords`; and old names.
        settings: The other keywords of `connect_options`.
    """

    def __init__(
        self,
        uri: str,
        *,
        proxy: str | bool | None,
        logger: LoggerLike | None,
        create_connection: Any,
        network: dict[str, Any],
        **settings: Any,
    ) -> None:
        settings |= _take_old_names(network, settings)
        if logger is not None and not isinstance(logger, (Logger, LoggerAdapter)):
            raise TypeError(f"logger must be a logging.Logger, not {logger!r}")
        tls, network = split(network)
        self.uri = uri
        self.logger = logger
        self.create_connection = create_connection
        # An iterator can be read only once, and redirects need them again.
        settings["additional_headers"] = header_pairs(settings["additional_headers"])
        self._settings = settings | tls
        self._options = connect_options(uri, **self._settings)
        self._route = route(**network)
        if not (proxy is None or proxy is True or isinstance(proxy, str)):
            raise TypeError(f"proxy must be a URL, True or None, not {proxy!r}")
        self._uses_environment = proxy is True
        self._proxy = self._parse_proxy(proxy) if isinstance(proxy, str) else None

    def attempts(self) -> Generator[_core.ConnectOptions, InvalidStatus, None]:
        """Yield what to open a connection with.

        The exception of an attempt that the server refused is to be sent in: the next
        options are what it redirects to. If it doesn't, or can't be followed, an
        exception is raised.
        """
        started = time.monotonic()
        uri, options, settings = self.uri, self._options, self._settings
        for _ in range(MAX_REDIRECTS):
            attempt = self._route.apply(options)
            if not self._route.is_direct:
                attempt = self._through_proxy(uri, attempt)
            refusal = yield attempt.with_elapsed(time.monotonic() - started)
            location = _location(refusal)
            if location is None:
                raise refusal
            uri, settings = self._redirect(uri, location, settings, refusal)
            options = connect_options(uri, **settings)
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

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
        if self._uses_environment and (url := get_proxy(parse_uri(uri))) is not None:
            proxy = self._parse_proxy(url)
        if proxy is None:
            return options
        options = options.with_proxy(
            proxy.scheme,
            proxy.host,
            proxy.port,
            proxy.user_info,
            self._settings["user_agent_header"],
        )
        if proxy.scheme != "https":
            return options
        name = self._route.proxy_server_hostname
        tls = interpret(True, self._route.proxy_ssl, None, None, None, name)
        assert tls is not None
        return options.with_proxy_tls(name, *tls)

    def _redirect(
        self, uri: str, location: str, settings: dict[str, Any], refusal: InvalidStatus
    ) -> tuple[str, dict[str, Any]]:
        """Return where a redirect leads, and what may be told to whoever is there."""
        from urllib.parse import urljoin

        try:
            target = urljoin(uri, location)
            old, new = parse_uri(uri), parse_uri(target)
        except InvalidURI as exc:
            raise exc from refusal
        except ValueError:
            shown = without_credentials(location)
            raise InvalidURI(shown, "it can't be read") from refusal
        # Neither the user's credentials nor those of the new URI are for a log.
        shown = f"{'wss' if new.secure else 'ws'}://{new.host}:{new.port}{new.path}"
        if self._route.sock is not None:
            raise ValueError(
                f"cannot follow redirect to {shown} with a preexisting socket"
            ) from refusal
        if old.secure and not new.secure:
            raise SecurityError(
                f"cannot follow redirect to non-secure URI {shown}"
            ) from refusal
        if (old.secure, old.host, old.port) == (new.secure, new.host, new.port):
            return target, settings
        if self._route.path is not None:
            raise ValueError(
                f"cannot follow cross-origin redirect to {shown} with a Unix socket"
            ) from refusal
        if self._route.address is not None:
            raise ValueError(
                f"cannot follow cross-origin redirect to {shown} "
                "with an explicit host or port"
            ) from refusal
        return target, settings | {
            "additional_headers": _for_others(settings["additional_headers"])
        }


def _take_old_names(
    keywords: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Move arguments under the names of earlier versions of `websockets`."""
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
        if settings["additional_headers"] is None:
            return {"additional_headers": headers}
    return {}


def _location(refusal: InvalidStatus) -> str | None:
    response = refusal.response
    if response.status_code not in (300, 301, 302, 303, 307, 308):
        return None
    locations = response.headers.get_all("Location")
    return locations[0] if len(locations) == 1 else None


def _for_others(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that another server than the user's may see."""
    return [header for header in headers if header[0].lower() not in _OWN]


# Credentials, and the name under which the user's server is asked.
_OWN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})
