"""What extensions have in common."""

from __future__ import annotations


__all__ = ["ClientExtensionFactory"]


class ClientExtensionFactory:
    """What a client offers; `ClientPerMessageDeflateFactory` is the one that there is.

    Others can be named, but not used: extensions change frames, which are made in the
    core.

    Attributes:
        name: Name of the extension.
    """

    name: str
