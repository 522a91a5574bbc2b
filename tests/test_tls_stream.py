"""The TLS stream after its handshake: how it ends, and what may arrive with its end."""

from __future__ import annotations

import time

import pytest

from raw_server import CLOSE, MS, Peer, encode_frame, messages
from support import QUICK
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.sync_client import connect


PROMPTLY = 500 * MS
CLOSE_TIMEOUT = 5000 * MS


@pytest.fixture
def ending(raw_server, certificates):
    """Start servers that end TLS in the segment of what they send last.

    Each of them ends TCP only after the client has ended TLS as well.
    """

    def start(last):
        def script(peer: Peer) -> None:
            peer.accept_handshake()
            peer.sock.end_with(last(peer.read_frame()))

        server = raw_server(script, tls=certificates.server_context())
        options = {"ca_file": certificates.ca_file, "close_timeout": CLOSE_TIMEOUT}
        return server.url, {**QUICK, **options}

    return start


def test_close_answered_with_close_notify(ending):
    """close returns at once if the answer and the end of TLS are one segment."""
    url, options = ending(lambda frame: encode_frame(CLOSE, frame.payload))
    ws = connect(url, **options)
    start = time.monotonic()
    ws.close()
    assert time.monotonic() - start < PROMPTLY
    assert ws.close_code == 1000


async def test_async_close_answered_with_close_notify(ending):
    """The same holds for the asyncio client."""
    url, options = ending(lambda frame: encode_frame(CLOSE, frame.payload))
    ws = await connect_async(url, **options)
    start = time.monotonic()
    await ws.close()
    assert time.monotonic() - start < PROMPTLY
    assert ws.close_code == 1000


def test_recv_message_with_close_notify(ending):
    """A message that came with the end of TLS is received, and then the end at once."""
    url, options = ending(lambda frame: messages("bye"))
    ws = connect(url, **options)
    ws.send("go")
    assert ws.recv() == "bye"
    start = time.monotonic()
    with pytest.raises(ConnectionClosedError) as caught:
        ws.recv()
    assert time.monotonic() - start < PROMPTLY
    assert caught.value.rcvd is None
    ws.close()


async def test_async_recv_message_with_close_notify(ending):
    """The same holds for the asyncio client."""
    url, options = ending(lambda frame: messages("bye"))
    ws = await connect_async(url, **options)
    await ws.send("go")
    assert await ws.recv() == "bye"
    start = time.monotonic()
    with pytest.raises(ConnectionClosedError) as caught:
        await ws.recv()
    assert time.monotonic() - start < PROMPTLY
    assert caught.value.rcvd is None
    await ws.close()
