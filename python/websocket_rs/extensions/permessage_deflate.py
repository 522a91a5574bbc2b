"""The parameters of permessage-deflate (RFC 7692), the compression of messages."""

from __future__ import annotations

from .. import _core
from .._client.numbers import integer
from .base import ClientExtensionFactory


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


__all__ = ["ClientPerMessageDeflateFactory"]


class ClientPerMessageDeflateFactory(ClientExtensionFactory):
    """What a client offers, to be passed to ``connect`` as ``extensions=[...]``.

    A server may agree to it, with other parameters within what is offered, or leave
    messages uncompressed. Compressing is done outside the interpreter. Messages of less
    than 48 bytes, and those that it would not make smaller, are sent as they are; but
    the one that begins a context may become up to 8 bytes larger.

    Args:
        server_no_context_takeover: Ask the server to compress each message by itself,
            which saves memory at both ends and compresses worse.
        client_no_context_takeover: Compress each message by itself.
        server_max_window_bits: Ask the server for a window of at most ``2**n`` bytes,
            8 to 15.
        client_max_window_bits: Use a window of at most ``2**n`` bytes, 8 to 15;
            ``True`` leaves that to the server, and ``None`` doesn't let it choose. With
            8, nothing is compressed.
        compress_settings: As for `zlib.compressobj`. Of these, ``level`` is honoured,
            0 of which compresses nothing; ``memLevel``, ``method`` and ``strategy`` are
            accepted without effect.

    Raises:
        ValueError: If a number is out of range, or a setting isn't known.
        TypeError: If a value is of another type.

    Attributes:
        name: ``"permessage-deflate"``.
    """

    name = "permessage-deflate"

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = True,
        compress_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.server_no_context_takeover = bool(server_no_context_takeover)
        self.client_no_context_takeover = bool(client_no_context_takeover)
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings = dict(compress_settings or {})
        self.level = _level(self.compress_settings)
        self.offer()

    def offer(self) -> _core.DeflateOffer:
        """Return the offer in the form of the core, which checks its numbers."""
        server = _bits("server_max_window_bits", self.server_max_window_bits)
        client = self.client_max_window_bits
        if client is not True:
            client = _bits("client_max_window_bits", client)
        return _core.DeflateOffer(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            server,
            client,
            self.level,
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}("
            f"server_no_context_takeover={self.server_no_context_takeover}, "
            f"client_no_context_takeover={self.client_no_context_takeover}, "
            f"server_max_window_bits={self.server_max_window_bits}, "
            f"client_max_window_bits={self.client_max_window_bits}, "
            f"compress_settings={self.compress_settings})"
        )


def _bits(name: str, value: Any) -> int | None:
    if value is None:
        return None
    return integer(name, value, "an int between 8 and 15")


def _level(settings: Mapping[str, Any]) -> int | None:
    if "wbits" in settings:
        raise ValueError(
            "compress_settings must not include wbits, "
            "set client_max_window_bits instead"
        )
    unknown = sorted(settings.keys() - {"level", "memLevel", "method", "strategy"})
    if unknown:
        raise ValueError(f"unknown compress_settings: {', '.join(unknown)}")
    level = integer("level", settings.get("level", -1), "an int between -1 and 9")
    return None if level == -1 else level
