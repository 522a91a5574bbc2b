"""`websockets`, the threading and the asyncio implementation."""

from __future__ import annotations

from typing import Any

from ._loops import AsyncLoops, SyncLoops, ssl_context


NAME = "websockets"
DISTRIBUTION = "websockets"
ENVIRONMENT = "peers"


# A proxy of the machine must not come between a benchmark and its server.
def options(certificate: str | None, deflate: bool) -> dict[str, Any]:
    """Return the keywords of both `connect` functions."""
    return {
        "ssl": ssl_context(certificate),
        "compression": "deflate" if deflate else None,
        "max_size": None,
        "proxy": None,
    }


class Sync(SyncLoops):
    deflates = True

    def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websockets.sync.client import connect

        ws = connect(url, **options(certificate, deflate))
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close


class Async(AsyncLoops):
    deflates = True

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websockets.asyncio.client import connect

        ws = await connect(url, **options(certificate, deflate))
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
