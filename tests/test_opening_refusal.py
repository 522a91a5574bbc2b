"""The opening handshake: answers with another status than 101, and their bodies.

The status is what matters. Whatever is wrong with the body, it is told with as much of
the body as came, in time.
"""

from __future__ import annotations

import socket
import time

import pytest

from answers import LATE, answer, error_of, peak_growth, refused, whole
from raw_server import MS, Peer
from support import QUICK, Address, wait_until
from websocket_rs.exceptions import InvalidStatus


MIB = 1 << 20
BUSY = "HTTP/1.1 503 Busy\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
STATUSES = [200, 300, 400, 401, 403, 404, 407, 426, 429, 431, 500, 503, 599]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_connect_refusal(scripted, version):
    """Another status is InvalidStatus, with the response as it was."""
    for status in STATUSES:
        text = (
            f"{version} {status} Sorry, {status}\r\nX-Status: {status}\r\n"
            "X-Latin: \xe9\xff\xc3\r\nX-Twice: a\r\nContent-Length: 5\r\n"
            "x-twice:\tb \r\n\r\n\x00\xff\r\n."
        )
        exc = refused(scripted, text)
        assert type(exc) is InvalidStatus
        assert str(exc) == f"server rejected WebSocket connection: HTTP {status}"
        assert exc.response.status_code == status
        assert exc.response.reason_phrase == f"Sorry, {status}"
        assert exc.response.headers["x-status"] == str(status)
        assert exc.response.headers["X-Latin"] == "\xe9\xff\xc3"
        assert exc.response.headers.get_all("X-Twice") == ["a", "b"]
        assert exc.response.body == b"\x00\xff\r\n."


def test_connect_refusal_with_latin_reason(scripted):
    """A reason outside of ASCII is kept as ISO-8859-1, like the values of headers."""
    text = "HTTP/1.1 403 Acc\xe8s refus\xe9\r\nContent-Length: 0\r\n\r\n"
    exc = refused(scripted, text)
    assert exc.response.reason_phrase == "Acc\xe8s refus\xe9"


CHUNKS = "4\r\nbusy\r\n5;x=y\r\n now.\r\n0\r\n"

# Headers and what follows them, the body, and whether the stream has to end for it.
BODIES = {
    "none": ("Content-Length: 0\r\n\r\n", b"", False),
    "length": ("Content-Length: 3\r\n\r\nno.", b"no.", False),
    "junk behind": ("Content-Length: 3\r\n\r\nno. And more", b"no.", False),
    "chunks": (f"{CHUNKED}\r\n{CHUNKS}\r\n", b"busy now.", False),
    "trailer": (f"{CHUNKED}\r\n{CHUNKS}X-Sum: 1\r\n\r\n", b"busy now.", False),
    "both": (f"Content-Length: 1\r\n{CHUNKED}\r\n{CHUNKS}\r\n", b"busy now.", False),
    "case": (f"transfer-encoding:Chunked\r\n\r\n{CHUNKS}\r\n", b"busy now.", False),
    "to the end": ("\r\nno\r\n\r\n.", b"no\r\n\r\n.", True),
    "short": ("Content-Length: 9\r\n\r\nno.", b"no.", True),
    "huge length": (f"Content-Length: {1 << 70}\r\n\r\nno.", b"no.", True),
    "wrong length": ("Content-Length: abc\r\n\r\nno.", b"no.", True),
    "short chunk": (f"{CHUNKED}\r\n4\r\nbusy\r\n9\r\n now", b"busy now", True),
    "huge chunk": (f"{CHUNKED}\r\n{'f' * 16}\r\nbusy", b"busy", True),
    "no chunk": (f"{CHUNKED}\r\nxyz\r\nbusy\r\n", b"", False),
    "longer chunk size": (f"{CHUNKED}\r\n{'f' * 17}\r\nbusy", b"", False),
}


@pytest.mark.parametrize(("text", "body", "to_end"), BODIES.values(), ids=BODIES)
def test_connect_refusal_body(scripted, text, body, to_end):
    """The body is as long as the headers say, or as much of it as came."""
    then = Peer.close if to_end else Peer.wait_eof
    exc = refused(scripted, BUSY + text, then)
    assert exc.response.status_code == 503
    assert exc.response.body == body


@pytest.mark.parametrize("status", [204, 304])
def test_connect_refusal_without_body(scripted, status):
    """A status that never has a body is not waited on for one."""
    text = f"HTTP/1.1 {status} Nothing\r\nContent-Length: 10\r\n\r\n"
    exc = refused(scripted, text)
    assert exc.response.status_code == status
    assert exc.response.body == b""


CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


@pytest.mark.parametrize("credentials", ["", "alice:secret@"])
@pytest.mark.parametrize("status", CHALLENGES)
def test_connect_challenge(raw_server, status, credentials):
    """A challenge is told to the caller, and is not answered by another attempt."""
    name = CHALLENGES[status]
    text = (
        f"HTTP/1.1 {status} Who?\r\n{name}: Basic realm=a\r\n{name}: Bearer\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    server = raw_server(answer(text, whole))
    url = server.url.replace("ws://", f"ws://{credentials}")
    exc = error_of(Address(url, QUICK))
    assert exc.response.status_code == status
    assert exc.response.headers.get_all(name) == ["Basic realm=a", "Bearer"]
    assert "secret" not in f"{exc} {exc!r} {exc.response!r}"
    assert server.accepted == 1


# Test bodies without end.

ENDLESS = {
    "to the end": ("\r\n", b"x" * 65536),
    "length": (f"Content-Length: {1 << 40}\r\n\r\n", b"x" * 65536),
    "one chunk": (f"{CHUNKED}\r\n{1 << 40:x}\r\n", b"x" * 65536),
    "chunks": (f"{CHUNKED}\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "small chunks": (f"{CHUNKED}\r\n", b"2\r\nxx\r\n" * 8192),
}


@pytest.mark.parametrize(("text", "more"), ENDLESS.values(), ids=ENDLESS)
def test_connect_refusal_with_endless_body(scripted, text, more):
    """At most 1 MiB is kept of a body, and no more is awaited."""

    def flood(peer: Peer) -> None:
        peer.send_until_gone(more, limit=100 * MIB)

    address = scripted(answer(BUSY + text, whole, then=flood))
    with peak_growth() as growth:
        start = time.monotonic()
        exc = error_of(address)
        assert time.monotonic() - start < 3000 * MS
        assert growth() < 16 * MIB
    assert exc.response.status_code == 503
    assert set(exc.response.body) == {ord("x")}
    # Chunks of two bytes take seven, and what comes is limited as well.
    assert len(exc.response.body) == MIB or more.startswith(b"2")
    assert len(exc.response.body) > MIB // 4


@pytest.mark.parametrize("text", ["\r\n", "Content-Length: 9999\r\n\r\n"])
def test_connect_refusal_with_dripping_body(scripted, text):
    """A body that drips in ends at connect_timeout, which does not hide the status."""
    timeout, sent = 200 * MS, b"y" * 9999
    address = scripted(answer(BUSY + text, whole, then=lambda peer: peer.drip(sent)))
    start = time.monotonic()
    exc = error_of(address, connect_timeout=timeout)
    assert timeout - MS <= time.monotonic() - start < 1.1 * timeout + LATE
    assert exc.response.status_code == 503
    assert sent.startswith(exc.response.body)
    assert exc.response.body


def test_connect_refusal_reset_in_body(scripted):
    """A reset inside of the body does not hide the status."""
    text = f"{BUSY}Content-Length: 9\r\n\r\nno."
    # The last byte is read before the reset, which would discard it.
    exc = error_of(scripted(answer(text, whole, then=Peer.reset)))
    assert exc.response.status_code == 503
    assert exc.response.body == b"no."


def test_connect_refusal_without_reading(raw_server):
    """A refusal is told though the server resets for what it has not read."""

    def script(peer: Peer) -> None:
        # Closing with the request unread makes the kernel send a RST.
        wait_until(
            lambda: peer.sock.recv(1 << 16, socket.MSG_PEEK).endswith(b"\r\n\r\n"),
            "the request is there",
        )
        peer.send_bytes(b"HTTP/1.1 431 Too large\r\nContent-Length: 2\r\n\r\nno")
        peer.close()

    address = Address(raw_server(script).url, QUICK)
    exc = error_of(address, additional_headers={"X-Large": "x" * 10_000})
    assert exc.response.status_code == 431
    assert exc.response.body == b"no"
