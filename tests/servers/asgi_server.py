"""An ASGI application, served by uvicorn or hypercorn."""

import asyncio
import os
import socket
import sys


SEEN = ["none"]


async def app(scope, receive, send):
    """Serve one connection."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await receive()
    if scope["path"] == "/refuse":
        start = {"status": 403, "headers": [(b"content-length", b"2")]}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": b"no"})
        return
    chosen = "chat" if "chat" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            SEEN.append(f"{event['code']} {event.get('reason') or ''}".strip())
            return
        text = event.get("text")
        if text == "die":
            os._exit(0)
        elif text is not None and text.startswith("close "):
            _, code, reason = text.split(" ")
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        elif text in ("subprotocol", "seen"):
            answer = str(chosen) if text == "subprotocol" else SEEN[-1]
            await send({"type": "websocket.send", "text": answer})
        elif text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


async def lifespan(receive, send):
    """Start and stop without doing anything."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


def main():
    """Serve for ever."""
    software, descriptor = sys.argv[1], int(sys.argv[2])
    if software == "hypercorn":
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"fd://{descriptor}"]
        config.websocket_max_message_size = 1 << 26
        asyncio.run(serve(app, config))
    else:
        import uvicorn

        ws = software.removeprefix("uvicorn-")
        options = uvicorn.Config(app, ws=ws, log_level="warning")
        listener = socket.socket(fileno=descriptor)
        asyncio.run(uvicorn.Server(options).serve(sockets=[listener]))


main()
