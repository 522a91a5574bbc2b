"""Which proxy leads to a server, by the environment and by what the user says.

The environment is read by Python's `urllib.request`, whose import is slow: it is done
without where no variable names a proxy. Where one does when this is imported, so is it.
"""

from __future__ import annotations

import os
import re

from . import _core
from ._client.record import Record
from .exceptions import InvalidProxy


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .uri import WebSocketURI


__all__ = ["Proxy", "get_proxy", "parse_proxy"]

SCHEMES = ("socks5h", "socks5", "socks4a", "socks4", "https", "http")


class Proxy(Record):
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


def _names_proxy() -> bool:
    return any(name.lower().endswith("_proxy") for name in os.environ)


def _read_environment() -> Any:
    from urllib import request

    return request


if _names_proxy():
    _read_environment()


def get_proxy(uri: WebSocketURI) -> str | None:
    """Look up the proxy that the environment names for a URI.

    The variables are ``wss_proxy``, ``socks_proxy`` and ``https_proxy`` for ``wss``,
    and ``ws_proxy``, ``socks_proxy``, ``https_proxy`` and ``http_proxy`` for ``ws``;
    the first one that is set counts. Hosts in ``no_proxy`` are connected to directly.
    """
    if not _names_proxy():
        return None
    request = _read_environment()
    proxies: dict[str, str] = request.getproxies()
    names = (
        ("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http")
    )
    for name in names:
        proxy = proxies.get(name)
        if proxy is None:
            continue
        if request.proxy_bypass(f"{uri.host}:{uri.port}"):
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

    def invalid(rule: str) -> InvalidProxy:
        return InvalidProxy(without_credentials(proxy), rule)

    if any(character.isspace() or not character.isprintable() for character in proxy):
        raise invalid("white space and control characters aren't allowed")
    try:
        parsed = _Parts(proxy)
        host, port = parsed.host, parsed.port
    except ValueError:
        # The text of the error may hold a part of the password.
        raise invalid("host or port can't be read") from None
    scheme = parsed.scheme
    if "\\" in parsed.authority:
        # Browsers take it for a slash, and end the host there.
        raise invalid("a backslash isn't allowed")
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
            username, password = _unquote(username), _unquote(password)
        except UnicodeDecodeError:
            raise invalid("username and password aren't UTF-8") from None
    try:
        # The percent sign before a zone may be encoded (RFC 6874, section 2).
        host = _core.host_name(host.replace("%25", "%", 1) if ":" in host else host)
    except ValueError as exc:
        raise invalid(str(exc)) from None
    default = 1080 if scheme.startswith("socks") else 443 if scheme == "https" else 80
    return Proxy(scheme, host, port or default, username, password)


def without_credentials(url: str) -> str:
    """Return a URL, valid or not, without what may be a user name and a password."""
    before, at, after = url.rpartition("@")
    if not at:
        return url
    scheme, separator, _ = before.partition("://")
    return f"{scheme}://***@{after}" if separator else f"***@{after}"


class _Parts:
    """The parts of a URL, as `urllib.parse.urlsplit` finds them.

    That is slow to import, and may be out of reach when a proxy is used for the first
    time. White space and control characters have been refused.

    Raises:
        ValueError: If host or port can't be read.
    """

    def __init__(self, url: str) -> None:
        scheme, colon, rest = url.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            scheme, rest = "", url
        self.scheme = scheme.lower()
        rest, _, self.fragment = rest.partition("#")
        rest, _, self.query = rest.partition("?")
        self.authority = ""
        if rest.startswith("//"):
            self.authority, slash, rest = rest[2:].partition("/")
            rest = slash + rest
        self.path = rest
        userinfo, at, address = self.authority.rpartition("@")
        username, colon, password = userinfo.partition(":")
        self.username = username if at else None
        self.password = password if colon else None
        self.host, port = self._split_address(address)
        if port and not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
            raise ValueError("not a port")
        self.port = int(port) if port else None

    def _split_address(self, address: str) -> tuple[str, str]:
        if "[" not in address and "]" not in address:
            host, _, port = address.partition(":")
            return host.lower(), port
        match = _IN_BRACKETS.fullmatch(address)
        if match is None:
            raise ValueError("not an IPv6 address")
        host, percent, zone = match[1].partition("%")
        return host.lower() + percent + zone, match[2] or ""


def _unquote(text: str) -> str:
    parts = _ENCODED.split(text)
    # Every second one is that of an encoded byte.
    return b"".join(
        bytes.fromhex(part) if number % 2 else part.encode()
        for number, part in enumerate(parts)
    ).decode()


_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[^]]+)?)](?::(.*))?")
_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
