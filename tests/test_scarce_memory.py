"""Messages that don't fit into memory: an error of the connection, not of the process.

The client's process may reserve little more than it has, so that allocations fail.
"""

from __future__ import annotations

from typing import Any

import pytest

from measured import HALF_MINUTE, MIB, begin, run_client
from raw_server import BINARY, CLOSE, CONTINUATION, TEXT, Peer, encode_frame
from support import Address, Background
from wire import AGREED, RSV1, Deflater


FACES = pytest.mark.parametrize("face", ["sync", "async"])


# Test recv.


def endless(form: str) -> tuple[bytes, bytes]:
    """Return how a message begins, and what to send after that for ever."""
    if form == "whole":
        return b"\x82\x7f" + (1 << 62).to_bytes(8, "big"), bytes(MIB)
    if form == "text":
        return b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), b"x" * MIB
    if form == "compressed":
        deflate = Deflater()
        first, later = (deflate(bytes(MIB), fin=False) for _ in range(2))
        return b"\xc2\x7f" + (1 << 40).to_bytes(8, "big") + first, later * 10
    size = {"small fragments": 3000, "fragments": 16_000, "large fragments": MIB}[form]
    fragment = encode_frame(CONTINUATION, bytes(size), fin=False)
    return encode_frame(BINARY, b"", fin=False), fragment


FORMS = [
    ("sync", "whole"),
    ("sync", "text"),
    ("sync", "compressed"),
    ("sync", "small fragments"),
    ("sync", "fragments"),
    ("sync", "large fragments"),
    ("async", "whole"),
    ("async", "fragments"),
]

RECEIVE = """
limit_memory(150 * MIB)
await ws.send("ready")
codes = []
for _ in range(2):
    try:
        await ws.recv()
    except ConnectionClosed as error:
        codes.append(error.sent.code)
        cause = type(error.__cause__).__name__
report(codes=codes, cause=cause)
"""


@pytest.mark.parametrize(("face", "form"), FORMS)
def test_recv_more_than_memory_holds(raw_server, face, form):
    """A message that memory can't hold fails the connection with 1009."""
    start, more = endless(form)

    def script(peer: Peer) -> None:
        begin(peer, AGREED)
        peer.send_bytes(start)
        closing = Background(peer.read_close)
        # How much the client reads and drops while it closes depends on the machine.
        peer.send_until_gone(more)
        assert closing.result().close_code == 1009

    address = Address(raw_server(script).url, HALF_MINUTE)
    options = {"max_size": None, "compression": "deflate", "close_timeout": 0.2}
    found = run_client(address, RECEIVE, face=face, **options)
    assert found == {"codes": [1009, 1009], "cause": "MemoryError"}


CONVERT = """
limit_memory(220 * MIB)
await ws.send("ready")
errors = []
for _ in range(2):
    try:
        await ws.recv()
    except MemoryError:
        errors.append("MemoryError")
state = ws.state.name
await ws.send("alive")
report(errors=errors, state=state, length=len(await ws.recv(decode=False)))
"""


@FACES
def test_recv_str_that_memory_does_not_hold(raw_server, face):
    """A text that is there but too large as a str is a MemoryError, and is kept.

    A str takes four bytes for each character if one of them is beyond 65535.
    """

    def script(peer: Peer) -> None:
        begin(peer)
        peer.send_text("😀" + "x" * (60 * MIB))
        assert peer.read_message() == b"alive"
        assert peer.read_frame().opcode == CLOSE
        peer.send_close()
        peer.close()

    address = Address(raw_server(script).url, HALF_MINUTE)
    found = run_client(address, CONVERT, face=face)
    assert found["errors"] == ["MemoryError"] * 2
    assert (found["state"], found["length"]) == ("OPEN", 60 * MIB + 4)


# Test send.


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bytes": ("bytes(size)", {}),
    "bytearray": ("bytearray(size)", {}),
    "view": ("memoryview(bytes(size))", {}),
    "fragments": ("[bytes(size)]", {}),
    "compressed": ("os.urandom(size)", {"compression": "deflate"}),
}
SEND = """
import os
size = 40 * MIB
message = eval(given)
limit_memory(24 * MIB)
try:
    await ws.send(message)
    outcome = "sent"
except MemoryError:
    outcome = "MemoryError"
    await ws.send("alive")
report(outcome=outcome)
"""


@pytest.mark.parametrize("kind", KINDS)
@FACES
def test_send_more_than_memory_holds(raw_server, kind, face):
    """A message that can't be copied is sent without, or is a MemoryError."""
    expression, options = KINDS[kind]
    sizes = []

    def script(peer: Peer) -> None:
        peer.accept_handshake(*[AGREED] if options else [])
        while (frame := peer.read_frame()).opcode != CLOSE:
            sizes.append(len(frame.payload))
            assert frame.opcode != TEXT or frame.payload == b"alive"
            assert frame.rsv in {0, RSV1}
        peer.send_close()
        peer.close()

    server = raw_server(script)
    address = Address(server.url, HALF_MINUTE)
    found = run_client(address, SEND, face=face, given=expression, **options)
    server.join()
    # After a MemoryError the connection is as it was.
    if found["outcome"] == "MemoryError":
        assert sizes == [5]
    else:
        assert sizes[0] == 40 * MIB
