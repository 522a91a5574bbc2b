"""The server of aiohttp."""

import asyncio
import os
import socket
import sys

from aiohttp import WSMsgType, web


SEEN = ["none"]


async def serve_one(request):
    """Serve one connection."""
    ws = web.WebSocketResponse(protocols=["chat"], max_msg_size=0)
    await ws.prepare(request)
    async for message in ws:
        text = message.data if message.type == WSMsgType.TEXT else None
        if text == "subprotocol":
            await ws.send_str(str(ws.ws_protocol))
        elif text == "seen":
            await ws.send_str(SEEN[-1])
        elif text == "die":
            os._exit(0)
        elif text is not None and text.startswith("close "):
            _, code, reason = text.split(" ")
            await ws.close(code=int(code), message=reason.encode())
        elif text is not None:
            await ws.send_str(text)
        else:
            await ws.send_bytes(message.data)
    # aiohttp keeps the code alone.
    SEEN.append(f"{ws.close_code}")
    return ws


async def refuse(request):
    """Refuse a connection."""
    return web.Response(status=403, text="no")


async def main():
    """Serve for ever."""
    app = web.Application()
    app.add_routes([web.get("/refuse", refuse), web.get("/{path:.*}", serve_one)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, socket.socket(fileno=int(sys.argv[1]))).start()
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
