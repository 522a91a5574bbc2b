"""Which proxy leads to a server, by the environment and by what the user says.

The environment is read by Python's `urllib.request`, whose import is slow: it is done
without where no variable names a proxy.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from .exceptions import InvalidProxy


if TYPE_CHECKING:
    from .uri import WebSocketURI


__all__ = ["Proxy", "get_proxy", "parse_proxy"]

SCHEMES = ("socks5h", "socks5", "socks4a", "socks4", "https", "http")


@dataclasses.dataclass
class Proxy:
    """The address of a proxy.

    Attributes:
        scheme: ``"socks5h"``, ``"socks5"``, ``"socks4a"``, ``"socks4"``, ``"https"`` or
            ``"http"``.
        host: Host name in lower case, or IP address without brackets.
        port: Port, also if it is the default one: 1080 for SOCKS, 443 for HTTPS, 80
            for HTTP.
        username: User name, decoded.
        password: Password, decoded.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password


def get_proxy(uri: WebSocketURI) -> str | None:
    """Look up the proxy that the environment names for a URI.

    The variables are ``wss_proxy``, ``socks_proxy`` and ``https_proxy`` for ``wss``,
    and ``ws_proxy``, ``socks_proxy``, ``https_proxy`` and ``http_proxy`` for ``ws``;
    the first one that is set counts. Hosts in ``no_proxy`` are connected to directly.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    names = (
        ("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http")
    )
    for name in names:
        proxy = proxies.get(name)
        if proxy is None:
            continue
        if proxy_bypass(f"{uri.host}:{uri.port}"):
            return None
        if name == "socks" and proxy.startswith("http://"):
            # Systems that have a setting for SOCKS give its address as if it were HTTP.
            proxy = "socks5h://" + proxy.removeprefix("http://")
        return proxy
    return None


def parse_proxy(proxy: str) -> Proxy:
    """Read the URL of a proxy.

    Raises:
        InvalidProxy: If it isn't a valid one.
    """
    from urllib.parse import unquote, urlsplit

    def invalid(rule: str) -> InvalidProxy:
        return InvalidProxy(without_credentials(proxy), rule)

    if any(character.isspace() or not character.isprintable() for character in proxy):
        raise invalid("white space and control characters aren't allowed")
    try:
        parsed = urlsplit(proxy)
        host, port = parsed.hostname, parsed.port
    except ValueError:
        # The text of the error may hold a part of the password.
        raise invalid("host or port can't be read") from None
    scheme = parsed.scheme
    if scheme not in SCHEMES:
        raise invalid(f"scheme {scheme} isn't supported")
    if not host:
        raise invalid("hostname isn't provided")
    if parsed.path not in ("", "/"):
        raise invalid("path is meaningless")
    if parsed.query:
        raise invalid("query is meaningless")
    if parsed.fragment:
        raise invalid("fragment is meaningless")
    if port == 0:
        raise invalid("port 0 isn't a port to connect to")
    username, password = parsed.username, parsed.password
    if username is not None:
        if password is None:
            raise invalid("username provided without password")
        try:
            username = unquote(username, errors="strict")
            password = unquote(password, errors="strict")
        except UnicodeDecodeError:
            raise invalid("username and password aren't UTF-8") from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as exc:
            raise invalid(f"hostname can't be encoded: {exc}") from None
    default = 1080 if scheme.startswith("socks") else 443 if scheme == "https" else 80
    return Proxy(scheme, host, port or default, username, password)


def without_credentials(url: str) -> str:
    """Return a URL, valid or not, without what may be a user name and a password."""
    before, at, after = url.rpartition("@")
    if not at:
        return url
    scheme, separator, _ = before.partition("://")
    return f"{scheme}://***@{after}" if separator else f"***@{after}"
