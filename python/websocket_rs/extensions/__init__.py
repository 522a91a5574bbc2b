"""Extensions of the protocol: permessage-deflate is the one that there is."""

from __future__ import annotations

from .base import ClientExtensionFactory
from .permessage_deflate import ClientPerMessageDeflateFactory


__all__ = ["ClientExtensionFactory", "ClientPerMessageDeflateFactory"]
