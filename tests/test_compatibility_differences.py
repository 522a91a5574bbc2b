"""Where `websocket_rs` differs from `websockets` on purpose.

Each difference stands in a table with its reason. The tests show what both packages do,
so that a difference that has gone is noticed as well. docs/compatibility.md has the
same list for users.
"""

from __future__ import annotations

import array
import contextlib

import pytest

from counterparts import WITH_WEBSOCKETS_17, error_of
from raw_server import BINARY, CLOSE, MS, TEXT, accept_key, close_payload, encode_frame


pytestmark = [
    WITH_WEBSOCKETS_17,
    # The blocking client of websockets leaves closing sockets to the garbage collector
    # at times, and logs what it didn't expect.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def brief(seen):
    """Return the value, or the type of the exception and the close code sent."""
    if "value" in seen:
        return seen["value"]
    return seen["type"] if seen["sent"] is None else (seen["type"], seen["sent"][0])


def results(outcomes):
    """Return what both scenarios have returned."""
    (theirs, *_), (ours, *_) = outcomes
    return theirs, ours


ACCEPTED = "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
ACCEPTED += "Sec-WebSocket-Accept: {a}\r\n"
REFUSED = "HTTP/1.1 403 No\r\n"
ANSWERS = {
    # RFC 9110, section 15.2: a client must be able to take interim responses.
    "interim": (f"HTTP/1.1 100 X\r\n\r\n{ACCEPTED}\r\n", "InvalidStatus", "open"),
    # RFC 9112, section 4: the text is to be ignored; many servers send none.
    "no reason": ("HTTP/1.1 403\r\n\r\n", "InvalidMessage", "refused"),
    # RFC 9112, section 2.2: a recipient may take a lone LF as the end of a line.
    "line feeds": ("HTTP/1.1 403 No\nA: b\n\n", "InvalidMessage", "refused"),
    # The status says more than what is wrong with the body, of which the rest is given.
    "short body": (
        REFUSED + "Content-Length: 9\r\n\r\nbody",
        "InvalidMessage",
        "refused",
    ),
    "wrong length": (
        REFUSED + "Content-Length: x\r\n\r\n",
        "InvalidMessage",
        "refused",
    ),
    "two lengths": (
        REFUSED + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "InvalidMessage",
        "refused",
    ),
    "coded body": (
        REFUSED + "Transfer-Encoding: gzip\r\n\r\n",
        "InvalidMessage",
        "refused",
    ),
    "long body": (
        REFUSED + "Content-Length: 1100000\r\n\r\n" + "x" * 1_100_000,
        "InvalidMessage",
        "refused",
    ),
    # The limit is that of the whole head.
    "long line": (f"HTTP/1.1 403 {'x' * 9000}\r\n\r\n", "StatusLineTooLong", "refused"),
    "long header": (f"{REFUSED}A: {'x' * 9000}\r\n\r\n", "InvalidMessage", "refused"),
    # The exception says what it is about.
    "many headers": (
        REFUSED + "A: b\r\n" * 200 + "\r\n",
        "InvalidMessage",
        "SecurityError",
    ),
    # It is about what the client has offered.
    "two subprotocols": (
        ACCEPTED + "Sec-WebSocket-Protocol: a, b\r\n\r\n",
        "InvalidHeader",
        "NegotiationError",
    ),
    # An endpoint may send messages uncompressed (RFC 7692, section 6).
    "window of 8 bits": (
        ACCEPTED + "Sec-WebSocket-Extensions: permessage-deflate; "
        "client_max_window_bits=8\r\n\r\n",
        "NegotiationError",
        "open",
    ),
}


@pytest.mark.parametrize("case", ANSWERS.values(), ids=list(ANSWERS))
def test_answer(compare, case):
    """Some answers to the opening handshake are understood better."""
    answer, theirs, ours = case

    def speech(peer):
        key = accept_key(peer.read_request().one("Sec-WebSocket-Key"))
        with contextlib.suppress(OSError):
            peer.sock.sendall(answer.format(a=key).encode())
        with contextlib.suppress(OSError, EOFError):
            peer.answer_close() if ours == "open" else peer.close()

    async def scenario(library, uri):
        seen = await error_of(library.open(uri, subprotocols=["a", "b"]))
        if "value" in seen:
            await seen["value"].close()
            return "open"
        return seen["type"]

    expected = ours.replace("refused", "InvalidStatus")
    assert results(compare(scenario, speech, accepts=False)) == (theirs, expected)


RECEIVED = {
    # RFC 6455, section 8.1: whoever receives it must fail the connection.
    "wrong text, decode=False": (
        encode_frame(TEXT, b"\xff"),
        {"decode": False},
        b"\xff",
        ("ConnectionClosedError", 1007),
    ),
    # The server is right: the program asked for text, and can ask for bytes.
    "binary, decode=True": (
        encode_frame(BINARY, b"\xff"),
        {"decode": True},
        ("ConnectionClosedError", 1007),
        "UnicodeDecodeError",
    ),
    # RFC 6455, section 5.2: the length is encoded in the shortest way.
    "long length": (
        b"\x81\x7e\x00\x01x",
        {},
        "x",
        ("ConnectionClosedError", 1002),
    ),
    # The same section: the highest bit must be 0.
    "negative length": (
        b"\x81\x7f" + b"\xff" * 8,
        {},
        ("ConnectionClosedError", 1009),
        ("ConnectionClosedError", 1002),
    ),
    # RFC 6455, section 5.4: control frames may be in the middle of a message.
    "close in a message": (
        encode_frame(TEXT, b"a", fin=False)
        + encode_frame(CLOSE, close_payload(1000, "why")),
        {},
        ("ConnectionClosedError", 1002),
        ("ConnectionClosedOK", 1000),
    ),
}


@pytest.mark.parametrize("case", RECEIVED.values(), ids=list(RECEIVED))
def test_received(compare, case):
    """Some frames are judged otherwise."""
    raw, options, theirs, ours = case

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            return brief(await error_of(ws.recv(**options)))

    outcomes = compare(scenario, lambda peer: peer.send_bytes(raw))
    assert results(outcomes) == (theirs, ours)


def call(name, *arguments, **keywords):
    """Return what calls a method of a connection."""
    return lambda ws: getattr(ws, name)(*arguments, **keywords)


CALLS = {
    # A mistake of the program is told, and the connection stays as it is.
    "send lone surrogate": (
        call("send", "\ud800"),
        "ConnectionClosedError",
        "UnicodeEncodeError",
    ),
    "send array": (call("send", array.array("B", [1])), "TypeError", "TypeError"),
    "send range": (call("send", range(3)), "TypeError", "TypeError"),
    "close with a text for a code": (call("close", "1000"), None, "TypeError"),
    "close with bytes for a reason": (call("close", 1000, b"x"), None, "TypeError"),
    "close with a lone surrogate": (
        call("close", 1000, "\ud800"),
        None,
        "UnicodeEncodeError",
    ),
    # The server would have to fail the connection.
    "send wrong text": (call("send", b"\xff", text=True), None, "UnicodeDecodeError"),
    # Such views have more bytes than elements.
    "send view of numbers": (
        call("send", memoryview(array.array("I", [1, 2]))),
        None,
        None,
    ),
    # They tell programs what to change, and are subclasses of ProtocolError.
    "ping too long": (
        call("ping", b"x" * 126),
        "ProtocolError",
        "InvalidControlFrame",
    ),
    "close with a wrong code": (
        call("close", 1005),
        "ProtocolError",
        "InvalidControlFrame",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_call(compare, caplog, name):
    """Mistakes of a program are exceptions, after which the connection can be used."""
    method, theirs, ours = CALLS[name]

    def speech(peer):
        peer.accept_handshake()
        with contextlib.suppress(EOFError, AssertionError):
            peer.answer_close()
        peer.close()

    async def scenario(library, uri):
        options = {"compression": None, "close_timeout": 500 * MS}
        async with library.connect(uri, **options) as ws:
            seen = brief(await error_of(method(ws)))
            after = None if library.package == "websockets" else await ws.send("alive")
            return seen, after

    (their_result, _), (our_result, after) = results(
        compare(scenario, speech, accepts=False)
    )
    assert (their_result, our_result, after) == (theirs, ours, None)


def test_recv_after_streaming_failed(compare):
    """After recv_streaming has failed, recv says why instead of ConcurrencyError."""

    def speech(peer):
        peer.send_frame(TEXT, "a", fin=False)
        peer.close()

    async def scenario(library, uri):
        async with library.connect(uri) as ws:
            with contextlib.suppress(library.exceptions.ConnectionClosed):
                async for _ in ws.recv_streaming():
                    pass
            return brief(await error_of(ws.recv()))

    expected = ("ConcurrencyError", "ConnectionClosedError")
    assert results(compare(scenario, speech)) == expected
