"""`websocket_rs`, this package, as installed for the interpreter of the suite."""

from __future__ import annotations

from ._loops import AsyncLoops, SyncLoops


NAME = "websocket_rs"
DISTRIBUTION = "websocket-rs"
ENVIRONMENT = None


class Sync(SyncLoops):
    def open(self, url: str, certificate: str | None) -> None:
        from websocket_rs.sync_client import connect

        ws = connect(url, **({} if certificate is None else {"ca_file": certificate}))
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close


class Async(AsyncLoops):
    async def open(self, url: str, certificate: str | None) -> None:
        from websocket_rs.async_client import connect

        ws = await connect(
            url, **({} if certificate is None else {"ca_file": certificate})
        )
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
