"""The opening handshake: how answers arrive, how they end, and how long they get.

What comes of an answer does not depend on the segments in which it arrives. An answer
without end is given up before it costs time or memory.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from itertools import cycle, islice
from typing import Any

import pytest

from answers import (
    LATE,
    answer,
    error_of,
    head,
    peak_growth,
    raw_answer,
    refused,
    send_segments,
    whole,
)
from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MS,
    PING,
    PONG,
    TEXT,
    Peer,
    close_payload,
    encode_frame,
    messages,
)
from support import Address
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    ConnectionClosedError,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    SecurityError,
)
from websocket_rs.sync_client import connect


MIB = 1 << 20
HEAD_LIMIT = 65536
"""So many bytes of status lines and headers are accepted, as documented."""


def text_of(raw: bytes) -> str:
    """Return frames in the form in which answers are written here."""
    return raw.decode("latin-1")


# Test frames behind the response.

CLOSING = encode_frame(CLOSE, close_payload(1000))
FRAMES = (
    messages("early", b"bird")
    + encode_frame(TEXT, b"frag", fin=False)
    + encode_frame(PING, b"?")
    + encode_frame(CONTINUATION, b"mented")
    + encode_frame(BINARY)
)
RECEIVED = ["early", b"bird", "fragmented", b""]


def end_by_closing(peer: Peer) -> None:
    """Await the answers to the ping and to the Close frame behind a response."""
    pong = peer.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"?")
    assert peer.read_frame().close_code == 1000
    peer.close()


def test_connect_frames_behind_response(scripted):
    """Frames in the segment of the response are received, and the closing with them."""
    text = head() + text_of(FRAMES + CLOSING)
    address = scripted(answer(text, whole, then=end_by_closing))
    with connect(address.url, **address.options) as ws:
        assert list(ws) == RECEIVED
        assert ws.close_code == 1000


async def test_async_connect_frames_behind_response(scripted):
    """The same holds for the asyncio client."""
    text = head() + text_of(FRAMES + CLOSING)
    address = scripted(answer(text, whole, then=end_by_closing))
    async with connect_async(address.url, **address.options) as ws:
        assert [message async for message in ws] == RECEIVED
        assert ws.close_code == 1000


def test_connect_many_frames_behind_response(scripted):
    """However much comes behind the response, none of it is lost."""
    payloads = [f"message {number}" * number for number in range(500)]
    text = head() + text_of(messages(*payloads, b"x" * MIB) + CLOSING)
    address = scripted(answer(text, whole, then=Peer.read_close))
    with connect(address.url, **address.options) as ws:
        assert list(ws) == [*payloads, b"x" * MIB]


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
def test_connect_frames_behind_response_then_end(scripted, end):
    """Frames behind the response are delivered although the server is gone."""
    address = scripted(answer(head() + text_of(messages("early")), whole, then=end))
    with connect(address.url, **address.options) as ws:
        assert ws.recv() == "early"
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
    assert caught.value.code == 1006
    cause = EOFError if end is Peer.close else ConnectionResetError
    assert isinstance(caught.value.__cause__, cause)


def test_connect_wrong_frame_behind_response(scripted):
    """A wrong frame behind the response fails the connection, not the handshake."""
    codes = []
    text = head() + text_of(messages("early") + encode_frame(0x3, b"x"))

    def end(peer: Peer) -> None:
        codes.append(peer.read_close().close_code)

    address = scripted(answer(text, whole, then=end))
    with connect(address.url, **address.options) as ws:
        assert ws.recv() == "early"
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
    assert caught.value.sent.code == 1002
    assert codes == [1002]


# Test segments.

REFUSAL = "HTTP/1.1 403 No\r\nX-Reason: \xe9\r\n"
CHUNKS = "4\r\nbusy\r\n5;x=y\r\n now.\r\n0\r\n\r\n"
EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

ANSWERS = {
    "acceptance": (head() + text_of(FRAMES + CLOSING), end_by_closing, None),
    "interim": (EARLY + head() + text_of(FRAMES + CLOSING), end_by_closing, None),
    "length": (f"{REFUSAL}Content-Length: 2\r\n\r\nno", Peer.wait_eof, InvalidStatus),
    "chunks": (
        f"{REFUSAL}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}",
        Peer.wait_eof,
        InvalidStatus,
    ),
    "to the end": (f"{REFUSAL}\r\nno", Peer.close, InvalidStatus),
    "wrong header": (head(upgrade="Upgrade: x"), Peer.wait_eof, InvalidUpgrade),
    "no HTTP": (head("X-Value: a\0b"), Peer.wait_eof, InvalidMessage),
}


def outcome(address: Address) -> tuple[object, ...]:
    """Return all there is to see of a connection."""
    try:
        ws = connect(address.url, **address.options)
    except InvalidHandshake as exc:
        return type(exc), str(exc), str(exc.__cause__), getattr(exc, "response", None)
    with ws:
        return list(ws), ws.close_code


@pytest.mark.parametrize(("text", "then", "error"), ANSWERS.values(), ids=ANSWERS)
def test_connect_answer_in_two_segments(scripted, text, then, error):
    """An answer that is cut in two, wherever that is, is the same answer."""
    at = 0

    def script(peer: Peer) -> None:
        peer.read_request()
        raw = raw_answer(peer, text)
        send_segments(peer, [raw[:at], raw[at:]] if at else [raw])
        then(peer)

    address = scripted(script)
    expected = outcome(address)
    assert expected[0] == (RECEIVED if error is None else error)
    # A TLS handshake for each cut would take too long.
    step = 7 if address.url.startswith("wss:") else 1
    for at in range(1, len(text.replace("{accept}", 28 * "=")), step):
        assert outcome(address) == expected, f"cut at {at}"


# Test ends of the stream.


def half_close(peer: Peer) -> None:
    """End the sending direction alone."""
    peer.sock.shutdown(socket.SHUT_WR)
    peer.wait_eof()


@pytest.mark.parametrize("end", [Peer.close, half_close])
def test_connect_eof_at_every_offset(scripted, end):
    """The end of the stream before that of the response is InvalidMessage."""
    text = EARLY + head()
    at = 0

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_bytes(raw_answer(peer, text)[:at])
        end(peer)

    address = scripted(script)
    step = 11 if address.url.startswith("wss:") else 1
    for at in range(0, len(text.replace("{accept}", 28 * "=")), step):
        exc = error_of(address)
        assert type(exc) is InvalidMessage, f"end at {at}"
        assert str(exc) == "did not receive a valid HTTP response"
        assert isinstance(exc.__cause__, EOFError)
        assert "connection closed while reading" in str(exc.__cause__)


def test_connect_tls_closed_in_response(raw_server, certificates):
    """The end of TLS inside of the response is the end of the stream."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.sock.end_with(raw_answer(peer, head())[:-1])

    server = raw_server(script, tls=certificates.server_context())
    exc = error_of(Address(server.url, {"ca_file": certificates.ca_file}))
    assert type(exc) is InvalidMessage
    assert isinstance(exc.__cause__, EOFError)


@pytest.mark.parametrize("size", [0, 1, 20, 100])
def test_connect_reset_in_response(scripted, size):
    """A reset before the end of the response is a ConnectionResetError."""

    def script(peer: Peer) -> None:
        peer.read_request()
        send_segments(peer, [raw_answer(peer, head())[:size]])
        peer.reset()

    address = scripted(script)
    with pytest.raises(ConnectionResetError, match="opening handshake") as caught:
        connect(address.url, **address.options)
    assert caught.value.errno == errno.ECONNRESET


def test_connect_reset_before_request(scripted):
    """A reset instead of any answer is a ConnectionResetError."""
    address = scripted(Peer.reset)
    with pytest.raises(ConnectionResetError):
        connect(address.url, **address.options)


# Test answers without end.

DRIPS = {
    "response": head("X-Padding: " + "x" * 9999),
    "interim responses": "HTTP/1.1 100 \r\n\r\n" * 500,
    "empty lines": "\r\n" * 5000,
}


def drip(peer: Peer, text: str) -> None:
    """Answer one byte at a time, slowly."""
    peer.read_request()
    peer.drip(raw_answer(peer, text))


def assert_times_out(url: str, timeout: float, **options: Any) -> None:
    """Check that the opening handshake ends by connect_timeout, and not before."""
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="opening handshake"):
        connect(url, **{**options, "connect_timeout": timeout})
    assert timeout - MS <= time.monotonic() - start < 1.1 * timeout + LATE


@pytest.mark.parametrize("text", DRIPS.values(), ids=DRIPS)
def test_connect_dripping_answer(scripted, text):
    """What drips in does not prolong connect_timeout."""
    address = scripted(lambda peer: drip(peer, text))
    assert_times_out(address.url, 200 * MS, **address.options)


def test_connect_dripping_answer_for_a_long_time(raw_server):
    """Nor does it if the time left is long enough for the socket's own timeout."""
    server = raw_server(lambda peer: drip(peer, DRIPS["response"]))
    assert_times_out(server.url, 1100 * MS)


FLOODS = {
    "status line": ("HTTP/1.1 101 ", "x"),
    "status": ("HTTP/1.1 1", "0"),
    "header line": (f"{head()[:-2]}X-Long: ", "x"),
    "header name": (head()[:-2], "x"),
    "spaces": (f"{head()[:-2]}X-Blank:", " \t"),
    "headers": (head()[:-2], "X-Header: y\r\n"),
    "headers without name": (head()[:-2], ":\r\n"),
    "large headers": (head()[:-2], f"X-Header: {'y' * 8000}\r\n"),
    "interim responses": ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    "interim headers": ("HTTP/1.1 103 \r\n", f"Link: {'y' * 1000}\r\n"),
    "empty lines": ("", "\r\n"),
    "line feeds": ("", "\n"),
    "random": ("", "\x9c\x01\xff\r\n"),
}


@pytest.mark.parametrize(("text", "unit"), FLOODS.values(), ids=FLOODS)
def test_connect_endless_answer(scripted, text, unit):
    """A response head without end is given up at once, with the memory of a short one.

    It is too large, or breaks a rule by what it consists of.
    """

    def script(peer: Peer) -> None:
        peer.read_request()
        raw = raw_answer(peer, text)
        more = "".join(islice(cycle(unit), 65536)).encode("latin-1")
        with contextlib.suppress(OSError):
            peer.send_bytes(raw)
        peer.send_until_gone(more, limit=100 * MIB)

    address = scripted(script)
    with peak_growth() as growth:
        start = time.monotonic()
        exc = error_of(address)
        assert time.monotonic() - start < 2000 * MS
        assert growth() < 8 * MIB
    broken = {"0", ":\r\n", "\x9c\x01\xff\r\n"}
    assert type(exc) is (InvalidMessage if unit in broken else SecurityError)


@pytest.mark.parametrize("size", [10 << 10, 100 << 10])
def test_connect_ten_mebibytes_of_headers(scripted, size):
    """A response head of 10 MiB is given up at once, though it has an end."""
    text = head(*[f"X-Header: {'y' * size}"] * (10 * MIB // size))
    address = scripted(answer(text, whole))
    start = time.monotonic()
    assert type(error_of(address)) is SecurityError
    assert time.monotonic() - start < 2000 * MS


@pytest.mark.parametrize("count", [129, 1000])
def test_connect_many_headers(scripted, count):
    """More than 128 headers, if small, are too many."""
    text = head(*["X: y"] * (count - 3))
    assert type(refused(scripted, text)) is SecurityError


def sized(size: int) -> str:
    """Return an acceptance of so many bytes."""
    line = f"X-Padding: {'x' * 1000}"
    missing = size - len(head().replace("{accept}", 28 * "="))
    count = missing // (len(line) + 2) - 1
    rest = missing - count * (len(line) + 2)
    return head(*[line] * count, f"X-Rest: {'x' * (rest - len('X-Rest: ') - 2)}")


@pytest.mark.parametrize("pieces", [7, 1000, None])
@pytest.mark.parametrize("size", [HEAD_LIMIT, HEAD_LIMIT + 1, 70 << 10, 100 << 10])
def test_connect_head_limit(scripted, size, pieces):
    """A response head of 64 KiB is accepted, a larger one is not, in any segments."""

    def script(peer: Peer) -> None:
        peer.read_request()
        raw = raw_answer(peer, sized(size))
        assert len(raw) == size
        with contextlib.suppress(OSError):
            peer.send_bytes(raw, pieces=pieces)
        if size <= HEAD_LIMIT:
            peer.answer_close()
        else:
            peer.wait_eof()

    address = scripted(script)
    start = time.monotonic()
    if size <= HEAD_LIMIT:
        connect(address.url, **address.options).close()
    else:
        assert type(error_of(address)) is SecurityError
    # What has come is looked at again with each piece, but that is soon over.
    assert time.monotonic() - start < 4000 * MS


def test_connect_head_limit_of_interim_responses(scripted):
    """Interim responses count for the limit of the response head."""
    early = f"HTTP/1.1 103 Early Hints\r\nLink: {'y' * 15_000}\r\n\r\n"
    address = scripted(answer(early * 5 + head(), whole))
    assert type(error_of(address)) is SecurityError
