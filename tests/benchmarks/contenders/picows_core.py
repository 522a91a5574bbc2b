"""`picows` itself: callbacks instead of `recv`.

The loops are written as picows' documentation does it, inside the callback. Each
message is taken out as `bytes`, because that is what the other clients hand to the
application.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ._loops import AsyncLoops, age_of, ssl_context


NAME = "picows"
DISTRIBUTION = "picows"
ENVIRONMENT = "peers"


class Async(AsyncLoops):
    async def open(self, url: str, certificate: str | None, deflate: bool) -> None:
        import picows

        contender = self

        class Listener(picows.WSListener):
            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                contender.on_message(frame.get_payload_as_bytes())

            def pause_writing(self) -> None:
                contender.writable.clear()

            def resume_writing(self) -> None:
                contender.writable.set()

        # The server may begin before anybody asks.
        self.arrived: list[bytes] = []
        self.on_message = self.arrived.append
        self.writable = asyncio.Event()
        self.writable.set()
        self.binary = picows.WSMsgType.BINARY
        self.text = picows.WSMsgType.TEXT
        self.loop = asyncio.get_running_loop()
        self.transport, _ = await picows.ws_connect(
            Listener,
            url,
            ssl_context=ssl_context(certificate),
            max_frame_size=2**31 - 1,
        )

    async def close(self) -> None:
        # The frame of the server's answer is not a message.
        self.on_message = lambda message: None
        self.transport.send_close()
        await self.transport.wait_disconnected()

    async def round_trips(self, message: bytes, count: int) -> int:
        done = self.loop.create_future()
        send, binary = self.transport.send, self.binary
        left = count

        def on_message(reply: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                send(binary, message)
            else:
                done.set_result(len(reply))

        self.on_message = on_message
        send(binary, message)
        return await done

    async def send_many(self, message: bytes, count: int) -> None:
        # The echoes of a window begin to arrive while it is still being sent.
        self.arrived = []
        self.on_message = self.arrived.append
        send, binary, writable = self.transport.send, self.binary, self.writable
        for _ in range(count):
            send(binary, message)
            if not writable.is_set():
                await writable.wait()

    async def receive_many(self, count: int) -> int:
        done = self.loop.create_future()
        arrived, self.arrived = self.arrived, []
        left = count - len(arrived)
        if left <= 0:
            self.arrived += arrived[count:]
            self.on_message = self.arrived.append
            return len(arrived[count - 1])

        def on_message(message: bytes) -> None:
            nonlocal left
            left -= 1
            if not left:
                self.on_message = self.arrived.append
                done.set_result(len(message))

        self.on_message = on_message
        return await done

    async def receive_timed(self, count: int) -> list[int]:
        done = self.loop.create_future()
        ages: list[int] = []

        def on_message(message: bytes) -> None:
            ages.append(age_of(message))
            if len(ages) == count:
                self.on_message = lambda message: None
                done.set_result(ages)

        self.on_message = on_message
        return await done

    async def tell(self, text: str) -> None:
        self.arrived = []
        self.on_message = self.arrived.append
        self.transport.send(self.text, text.encode())

    async def ask(self, text: str) -> str:
        answer = self.loop.create_future()
        self.on_message = answer.set_result
        self.transport.send(self.text, text.encode())
        return (await answer).decode()
