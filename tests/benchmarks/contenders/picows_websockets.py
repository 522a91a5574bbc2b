"""`picows.websockets`, picows' face with the interface of `websockets`."""

from __future__ import annotations

from typing import Any

from ._loops import AsyncLoops, ssl_context


NAME = "picows.websockets"
DISTRIBUTION = "picows"
ENVIRONMENT = "peers"


class Async(AsyncLoops):
    deflates = True

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        from picows.websockets import connect

        options: dict[str, Any] = {
            "compression": "deflate" if deflate else None,
            "max_size": None,
            "proxy": None,
        }
        if certificate is not None:
            # picows 2.3.1 with aiofastnet 1.2.0 sometimes waits for ever over TLS for
            # data it has already read, once a full queue has paused reading. Without a
            # limit it never pauses.
            options["max_queue"] = None
        ws = await connect(url, ssl=ssl_context(certificate), **options)
        self.send = self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
