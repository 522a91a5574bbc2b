"""`websocket_rs`, this package, while the connections' threads read for asyncio."""

from __future__ import annotations

from . import ours
from ._loops import AsyncLoops


NAME = "websocket_rs, thread"
DISTRIBUTION = ours.DISTRIBUTION
ENVIRONMENT = ours.ENVIRONMENT


class Async(AsyncLoops):
    deflates = True

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websocket_rs.async_client import connect

        options = ours.options(certificate, deflate)
        ws = await connect(url, reader="thread", **options)
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
