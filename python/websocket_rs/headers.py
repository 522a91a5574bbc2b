"""Values of HTTP headers that clients build by themselves."""

from __future__ import annotations

import base64
import ipaddress

from ._client.names import other_name


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["build_authorization_basic", "build_host"]


def build_authorization_basic(username: str, password: str) -> str:
    """Return the value of an ``Authorization`` header (RFC 7617).

    Raises:
        ValueError: If the user name has a colon, where the password would begin.
    """
    if ":" in username:
        raise ValueError("username contains a colon")
    credentials = f"{username}:{password}".encode(errors="surrogateescape")
    return "Basic " + base64.b64encode(credentials).decode()


def build_host(
    host: str, port: int, secure: bool, *, always_include_port: bool = False
) -> str:
    """Return the value of a ``Host`` header: without the port, if it is the default."""
    try:
        if ipaddress.ip_address(host).version == 6:
            host = f"[{host}]"
    except ValueError:
        # It is a name.
        pass
    if always_include_port or port != (443 if secure else 80):
        return f"{host}:{port}"
    return host


def __getattr__(name: str) -> Any:
    return other_name(__name__, name, missing=_MISSING)


_MISSING = dict.fromkeys(
    [
        "build_extension",
        "build_subprotocol",
        "parse_connection",
        "parse_extension",
        "parse_subprotocol",
        "parse_upgrade",
        "validate_subprotocols",
    ],
    "the core builds and reads the headers of the opening handshake",
)
_MISSING |= dict.fromkeys(
    ["build_www_authenticate_basic", "parse_authorization_basic"],
    "this package is a client",
)
