"""`websocket_rs`, this package, as installed for the interpreter of the suite."""

from __future__ import annotations

from typing import Any

from ._loops import AsyncLoops, SyncLoops


NAME = "websocket_rs"
DISTRIBUTION = "websocket-rs"
ENVIRONMENT = None


def options(certificate: str | None, deflate: bool) -> dict[str, Any]:
    """Return the keywords of both `connect` functions."""
    return {
        **({} if certificate is None else {"ca_file": certificate}),
        **({"compression": "deflate"} if deflate else {}),
    }


class Sync(SyncLoops):
    deflates = True

    def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websocket_rs.sync_client import connect

        ws = connect(url, **options(certificate, deflate))
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close


class Async(AsyncLoops):
    deflates = True

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from websocket_rs.async_client import connect

        ws = await connect(url, **options(certificate, deflate))
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
