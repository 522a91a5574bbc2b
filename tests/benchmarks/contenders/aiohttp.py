"""The WebSocket client of `aiohttp`."""

from __future__ import annotations

from ._loops import AsyncLoops, age_of, ssl_context


NAME = "aiohttp"
DISTRIBUTION = "aiohttp"
ENVIRONMENT = "peers"


class Async(AsyncLoops):
    deflates = True

    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        import aiohttp

        self.session = aiohttp.ClientSession()
        self.ws = await self.session.ws_connect(
            url,
            ssl=ssl_context(certificate) or True,
            max_msg_size=0,
            compress=15 if deflate else 0,
        )
        self.send = self.ws.send_bytes
        self.send_text = self.ws.send_str

    async def close(self) -> None:
        await self.ws.close()
        await self.session.close()

    async def round_trips(self, message: bytes, count: int) -> int:
        send, receive = self.send, self.ws.receive
        for _ in range(count):
            await send(message)
            reply = (await receive()).data
        return len(reply)

    async def receive_many(self, count: int) -> int:
        receive = self.ws.receive
        for _ in range(count):
            message = (await receive()).data
        return len(message)

    async def receive_timed(self, count: int) -> list[int]:
        receive = self.ws.receive
        return [age_of((await receive()).data) for _ in range(count)]

    async def ask(self, text: str) -> str:
        await self.send_text(text)
        return await self.ws.receive_str()
