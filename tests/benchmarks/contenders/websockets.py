"""`websockets`, the threading and the asyncio implementation."""

from __future__ import annotations

from typing import Any

from ._loops import AsyncLoops, SyncLoops, ssl_context


NAME = "websockets"
DISTRIBUTION = "websockets"
ENVIRONMENT = "peers"

# A proxy of the machine must not come between a benchmark and its server.
OPTIONS: dict[str, Any] = {"compression": None, "max_size": None, "proxy": None}


class Sync(SyncLoops):
    def open(self, url: str, certificate: str | None) -> None:
        from websockets.sync.client import connect

        ws = connect(url, ssl=ssl_context(certificate), **OPTIONS)
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close


class Async(AsyncLoops):
    async def open(self, url: str, certificate: str | None) -> None:
        from websockets.asyncio.client import connect

        ws = await connect(url, ssl=ssl_context(certificate), **OPTIONS)
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
