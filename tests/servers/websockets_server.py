"""The server of `websockets`, or the one of picows with the same interface."""

import asyncio
import http
import importlib
import os
import socket
import sys


SEEN = ["none"]


async def serve_one(ws):
    """Serve one connection."""
    try:
        async for message in ws:
            if message == "subprotocol":
                await ws.send(str(ws.subprotocol))
            elif message == "seen":
                await ws.send(SEEN[-1])
            elif message == "die":
                os._exit(0)
            elif isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ")
                await ws.close(int(code), reason)
            else:
                await ws.send(message)
    except Exception as exc:
        # Both packages raise their own exception for codes such as 4000.
        if type(exc).__name__ != "ConnectionClosedError":
            raise
    if ws.close_code is not None:
        SEEN.append(f"{ws.close_code} {ws.close_reason}")


async def main():
    """Serve for ever."""
    package, descriptor = sys.argv[1], int(sys.argv[2])
    serve = importlib.import_module(f"{package}.asyncio.server").serve

    def refuse(connection, request):
        if request.path == "/refuse":
            return connection.respond(http.HTTPStatus.FORBIDDEN, "no")
        return None

    def choose(connection, offered):
        return "chat" if "chat" in offered else None

    async with serve(
        serve_one,
        sock=socket.socket(fileno=descriptor),
        subprotocols=["chat"],
        # By default, clients that offer none would be refused.
        select_subprotocol=choose,
        process_request=refuse,
        max_size=None,
    ):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
