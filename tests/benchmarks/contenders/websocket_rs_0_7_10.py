"""PyPI's `websocket-rs` 0.7.10, the package of the same name by another author.

Its blocking client and its native asyncio client; the latter's `send` is a plain
function that queues without limit. It needs an environment of its own, since its import
name is ours.
"""

from __future__ import annotations

import os

from ._loops import AsyncLoops, SyncLoops, ssl_context


NAME = "websocket-rs-0.7.10"
DISTRIBUTION = "websocket-rs"
ENVIRONMENT = "websocket-rs-0.7.10"


class Sync(SyncLoops):
    def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        if certificate is not None:
            # It has no option for trust; it reads this variable when it connects.
            os.environ["SSL_CERT_FILE"] = certificate
        from websocket_rs.sync.client import connect

        ws = connect(url)
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close


class Async(AsyncLoops):
    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websocket_rs.native_client import connect

        self.ws = await connect(url, ssl_context=ssl_context(certificate))
        self.recv = self.ws.recv

    async def close(self) -> None:
        self.ws.close()

    async def round_trips(self, message: bytes, count: int) -> int:
        send, recv = self.ws.send, self.ws.recv
        for _ in range(count):
            send(message)
            reply = await recv()
        return len(reply)

    async def send_many(self, message: bytes, count: int) -> None:
        send = self.ws.send
        for _ in range(count):
            send(message)

    async def tell(self, text: str) -> None:
        self.ws.send(text)

    async def ask(self, text: str) -> str:
        self.ws.send(text)
        return bytes(await self.ws.recv()).decode()
