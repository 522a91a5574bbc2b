"""The end of an asyncio connection that comes while the program does something else."""

from __future__ import annotations

import asyncio
import threading
import time

from raw_server import CLOSE, MS, Peer, close_payload, encode_frame, messages
from support import QUICK, wait_until, wait_until_async
from websocket_rs.async_client import connect
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.protocol import State


async def test_wait_closed_while_loop_is_busy(raw_server):
    """Every task that waits for the end is woken, though one found it had come."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert waiting.wait(peer.timeout)
        peer.finish()

    waiting = threading.Event()
    ws = await connect(raw_server(script).url, **QUICK)
    first = [asyncio.create_task(ws.wait_closed()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.set()
    # It blocks the loop on purpose: the end comes while no task can be woken.
    wait_until(lambda: ws.has_ended, "the connection has ended")
    await ws.close()
    await asyncio.wait_for(asyncio.gather(*first), 1000 * MS)


async def test_messages_and_close_before_failed_write(raw_server):
    """What had arrived before a write failed is delivered, up to the Close frame."""
    sent = [b"%02d" % number + b"x" * 1000 for number in range(50)]

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        close = encode_frame(CLOSE, close_payload(4000, "why"))
        peer.send_bytes(messages(*sent) + close)
        assert writing.wait(peer.timeout)
        peer.reset()

    writing = threading.Event()
    server = raw_server(script)
    options = {"inbox_limit": 1000, "write_limit": 1 << 30, **QUICK}
    ws = await connect(server.url, close_timeout=500 * MS, **options)
    # More than the buffers of the kernel take, so that a write is under way.
    for _ in range(100):
        await ws.send(b"y" * 200_000)
    writing.set()
    await wait_until_async(lambda: ws.state is not State.OPEN, "the write failed")
    received = []
    start = time.monotonic()
    try:
        while True:
            received.append(await ws.recv())
    except ConnectionClosedError as error:
        closed = error
    assert received == sent
    assert (closed.rcvd.code, closed.rcvd.reason) == (4000, "why")
    assert time.monotonic() - start < 1000 * MS
    await ws.close()
