"""`websocket-client`, a blocking client in Python."""

from __future__ import annotations

import socket

from ._loops import SyncLoops


NAME = "websocket-client"
DISTRIBUTION = "websocket-client"
ENVIRONMENT = "peers"


class Sync(SyncLoops):
    def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        import websocket

        ws = websocket.create_connection(
            url,
            sslopt={} if certificate is None else {"ca_certs": certificate},
            sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            http_no_proxy=["*"],
        )
        self.send = ws.send_binary
        self.send_text = ws.send
        self.recv = ws.recv
        self.close = ws.close
