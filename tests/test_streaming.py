"""Messages that the sync client receives fragment by fragment."""

from __future__ import annotations

import random
import time
import zlib

import pytest

from raw_server import BINARY, MS, PING, PONG, TEXT, Peer, encode_frame, messages
from remote import Remote
from support import QUICK, Background, wait_until
from test_duplex import kernel_buffers
from test_sync_client import concurrent_recv_refused
from websocket_rs.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    TooManyFragments,
)
from websocket_rs.protocol import State
from websocket_rs.sync_client import WebSocket, connect


@pytest.fixture
def remote(raw_server) -> Remote:
    """A peer that does what the test says."""
    return Remote(raw_server)


TEXT_PIECES = [b"a", b"\xf0", b"\x9f\x8e", b"", b"\x89b\xc3", b"\xa9"]
"""A text that is cut inside of its characters."""

DECODED = [
    # What comes, `decode`, and what is yielded for each fragment.
    (TEXT, TEXT_PIECES, None, ["a", "", "", "", "🎉b", "é"]),
    (TEXT, TEXT_PIECES, True, ["a", "", "", "", "🎉b", "é"]),
    (TEXT, TEXT_PIECES, False, TEXT_PIECES),
    (BINARY, TEXT_PIECES, None, TEXT_PIECES),
    (BINARY, TEXT_PIECES, False, TEXT_PIECES),
    (BINARY, TEXT_PIECES, True, ["a", "", "", "", "🎉b", "é"]),
    (TEXT, [b"whole"], None, ["whole"]),
    (TEXT, [b""], None, [""]),
    (BINARY, [b"", b"", b""], None, [b"", b"", b""]),
    (BINARY, [b"x" * 100_000, b"y" * 5000], None, [b"x" * 100_000, b"y" * 5000]),
]


@pytest.mark.parametrize(("opcode", "pieces", "decode", "expected"), DECODED)
def test_recv_streaming_decode(remote, opcode, pieces, decode, expected):
    """Fragments are str or bytes; a cut character comes with the next fragment."""
    with connect(remote.url, **QUICK) as ws:
        for _ in range(2):
            remote.send(*pieces, opcode=opcode)
            remote.send(b"between")
            assert list(ws.recv_streaming(decode)) == expected
            assert ws.recv() == "between"


def test_recv_streaming_as_they_arrive(remote):
    """A fragment is yielded when it arrives, long before the message is complete."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"first", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "first"
        for number in range(5):
            piece = str(number)
            remote.peer.send_frame(0, piece, fin=False)
            assert next(fragments) == piece
        remote.peer.send_frame(0, "last")
        assert list(fragments) == ["last"]


def test_recv_streaming_compressed(raw_server):
    """Fragments of a compressed message are inflated as they arrive."""
    remote = Remote(raw_server, "Sec-WebSocket-Extensions: permessage-deflate")
    pieces = [random.Random(n).randbytes(20).hex() * 50 for n in range(5)]
    state = zlib.compressobj(wbits=-15)
    with connect(remote.url, compression="deflate", **QUICK) as ws:
        for number, piece in enumerate(pieces):
            payload = state.compress(piece.encode()) + state.flush(zlib.Z_SYNC_FLUSH)
            opcode, rsv = (TEXT, 4) if number == 0 else (0, 0)
            remote.peer.send_frame(opcode, payload, rsv=rsv, fin=False)
            if number == 0:
                fragments = ws.recv_streaming()
            assert next(fragments) == piece
        remote.peer.send_frame(0, b"\0")
        assert list(fragments) == [""]


def test_recv_streaming_that_had_arrived(remote):
    """Fragments that came before the call are yielded one by one, in their turn."""
    raw = messages("whole", b"whole") + encode_frame(TEXT, b"a", fin=False)
    with connect(remote.url, **QUICK) as ws:
        remote.peer.send_bytes(raw + encode_frame(0, b"b", fin=False))
        assert list(ws.recv_streaming()) == ["whole"]
        assert ws.recv() == b"whole"
        with pytest.raises(TimeoutError):
            ws.recv(timeout=20 * MS)
        remote.peer.send_bytes(encode_frame(0, b"c") + messages("next"))
        assert list(ws.recv_streaming()) == ["a", "b", "c"]
        assert list(ws.recv_streaming()) == ["next"]


def test_recv_streaming_control_frames(remote):
    """Pings between fragments are answered while the program takes its time."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "a"
        for number in range(3):
            remote.peer.send_frame(PING, b"%d" % number)
            remote.wait(number + 1)
        remote.peer.send_frame(0, b"b")
        assert list(fragments) == ["b"]
    assert remote.payloads() == [(PONG, True, b"%d" % number) for number in range(3)]


def test_recv_streaming_timeout(remote):
    """After a timeout, another iterator goes on where the first one was."""
    options = {**QUICK, "receive_timeout": 30 * MS}
    with connect(remote.url, **options) as ws:
        with pytest.raises(TimeoutError, match="waiting for a message"):
            next(ws.recv_streaming())
        remote.send(b"whole")
        assert list(ws.recv_streaming()) == ["whole"]
        remote.send(b"a\xc3", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "a"
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            next(fragments)
        assert 29 * MS < time.monotonic() - start < 500 * MS
        assert list(fragments) == []
        remote.peer.send_bytes(encode_frame(0, b"\xa9b") + messages("next"))
        wait_until(lambda: not times_out(ws), "the rest has come")
        assert ws.recv() == "next"


def times_out(ws: WebSocket) -> bool:
    """Take the rest of the message of the test above, unless it is not there yet."""
    try:
        assert list(ws.recv_streaming()) == ["éb"]
    except TimeoutError:
        return True
    return False


def test_recv_during_streaming(remote):
    """recv is refused while a message is taken in part, and works after it."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", b"b", b"c")
        remote.send(b"next")
        for fragment in ws.recv_streaming():
            assert fragment == "a"
            break
        for call in [ws.recv, lambda: ws.recv(timeout=0), lambda: next(iter(ws))]:
            with pytest.raises(ConcurrencyError, match="recv"):
                call()
        assert next(ws.recv_streaming()) == "b"
        with pytest.raises(ConcurrencyError):
            ws.recv()
        assert list(ws.recv_streaming()) == ["c"]
        assert ws.recv() == "next"


def test_recv_streaming_unused(remote):
    """An iterator that was never asked for anything does not stand in the way."""
    with connect(remote.url, **QUICK) as ws:
        fragments = ws.recv_streaming()
        remote.send(b"a")
        assert ws.recv() == "a"
        remote.send(b"b")
        assert list(fragments) == ["b"]


def test_recv_streaming_concurrent(remote):
    """Another thread in recv_streaming refuses both kinds of calls, and goes on."""
    with connect(remote.url, **QUICK) as ws:
        waiting = Background(next, ws.recv_streaming())
        wait_until(lambda: concurrent_recv_refused(ws), "the thread is inside")
        with pytest.raises(ConcurrencyError, match="recv_streaming"):
            next(ws.recv_streaming())
        remote.send(b"a", b"b")
        assert waiting.result() == "a"
        assert list(ws.recv_streaming()) == ["b"]


def test_recv_streaming_during_recv(remote):
    """Another thread in recv refuses recv_streaming, and goes on."""
    with connect(remote.url, **QUICK) as ws:
        waiting = Background(ws.recv)
        wait_until(lambda: concurrent_recv_refused(ws), "the thread is inside")
        with pytest.raises(ConcurrencyError, match="recv_streaming"):
            next(ws.recv_streaming())
        remote.send(b"a", b"b")
        assert waiting.result() == "ab"


# Test changes of mind about how to decode.


@pytest.mark.parametrize("decodes", [[None], [None, False], [None, None, False]])
def test_recv_streaming_changing_decode(remote, decodes):
    """No byte is lost if what is left of a text is taken in another form."""
    with connect(remote.url, **QUICK) as ws:
        for text in ["✓✓", "next"]:
            raw = text.encode()
            remote.send(*(raw[i : i + 1] for i in range(len(raw))))
            taken = b""
            for decode in decodes:
                fragment = next(ws.recv_streaming(decode))
                taken += fragment if isinstance(fragment, bytes) else fragment.encode()
            rest = b"".join(ws.recv_streaming(decode=False))
            assert taken + rest == raw
        remote.send(b"abc")
        assert list(ws.recv_streaming()) == ["abc"]


def test_recv_streaming_undecodable(remote):
    """Binary fragments that are no text can still be taken as bytes."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"a\xe2", b"\xff", b"c", opcode=BINARY)
        fragments = ws.recv_streaming(decode=True)
        assert next(fragments) == "a"
        with pytest.raises(UnicodeDecodeError):
            next(fragments)
        assert b"".join(ws.recv_streaming()) == b"\xe2\xffc"
        remote.send(b"next")
        assert list(ws.recv_streaming()) == ["next"]


# Test flow control.


@pytest.mark.parametrize("limits", [{"inbox_limit": 200_000}, {"max_queue": 4}])
def test_recv_streaming_back_pressure(raw_server, limits):
    """A message larger than every buffer is not received further ahead than allowed."""
    piece, ahead = bytes(50_000), kernel_buffers() + 1_000_000
    taken = []

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_frame(BINARY, b"first", fin=False)
        raw = encode_frame(0, piece, fin=False)
        taken.append(peer.send_until_blocked(raw, stalled=300 * MS, limit=2 * ahead))
        peer.send_rest()
        peer.send_frame(0, b"last")
        peer.answer_close()

    with connect(raw_server(script).url, **limits, **QUICK) as ws:
        fragments = ws.recv_streaming()
        assert next(fragments) == b"first"
        wait_until(lambda: taken, "the peer is slowed down", 10_000 * MS)
        assert taken[0] < ahead
        *rest, last = fragments
        assert last == b"last"
        assert set(rest) == {piece}
        assert len(rest) == taken[0] // (len(piece) + 4) + 1


def test_recv_larger_than_inbox(remote):
    """A message in fragments is received as a whole, though larger than the inbox."""
    pieces = [bytes([number]) * 50_000 for number in range(40)]
    with connect(remote.url, inbox_limit=100_000, **QUICK) as ws:
        sending = Background(remote.send, *pieces, opcode=BINARY)
        assert ws.recv() == b"".join(pieces)
        sending.result()


@pytest.mark.parametrize(
    "receive", [WebSocket.recv, lambda ws: list(ws.recv_streaming())]
)
def test_recv_too_many_fragments(remote, receive):
    """The number of fragments is limited, since each costs something even if empty."""
    raw = encode_frame(TEXT, b"", fin=False) + encode_frame(0, b"", fin=False) * (
        1 << 17
    )
    with connect(remote.url, **QUICK) as ws:
        remote.peer.send_bytes(raw)
        with pytest.raises(ConnectionClosedError) as caught:
            receive(ws)
        assert caught.value.sent.code == 1009
        assert isinstance(caught.value.__cause__, TooManyFragments)


# Test the end of the connection.


def end_closed(remote: Remote) -> None:
    """Close the connection normally."""
    remote.peer.send_close(1000)


def end_broken(remote: Remote) -> None:
    """Break the protocol."""
    remote.send(b"another message")


@pytest.mark.parametrize(
    ("end", "error", "code"),
    [
        (end_closed, ConnectionClosedOK, 1000),
        (Remote.end, ConnectionClosedError, None),
        (end_broken, ConnectionClosedError, 1002),
    ],
)
def test_recv_streaming_end(raw_server, end, error, code):
    """Fragments that had come are yielded before the end of the connection is told."""
    remote = Remote(raw_server, closes=False)
    with connect(remote.url, close_timeout=100 * MS, **QUICK) as ws:
        remote.send(b"a", b"b", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "a"
        end(remote)
        wait_until(lambda: ws.state is not State.OPEN, "the end is noticed")
        assert next(fragments) == "b"
        with pytest.raises(error) as caught:
            next(fragments)
        assert (caught.value.sent and caught.value.sent.code) == code


def test_recv_after_streaming_end(remote):
    """Once no fragment is left, a closed connection says so to every call."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "a"
        remote.peer.send_close(1000)
        with pytest.raises(ConnectionClosedOK):
            next(fragments)
        with pytest.raises(ConnectionClosedOK):
            next(ws.recv_streaming())
        with pytest.raises(ConnectionClosedOK):
            ws.recv()
        assert list(ws) == []


def test_close_during_streaming(remote):
    """close ends a recv_streaming that waits in another thread."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"a", fin=False)
        fragments = ws.recv_streaming()
        assert next(fragments) == "a"
        waiting = Background(next, fragments)
        ws.close()
        with pytest.raises(ConnectionClosed):
            waiting.result()


def test_recv_streaming_invalid_text(remote):
    """The good fragments of a bad text are yielded, and then it fails with 1007."""
    with connect(remote.url, **QUICK) as ws:
        remote.send(b"good \xe2", b"\x82", b"\x28", fin=False)
        fragments = ws.recv_streaming()
        assert [next(fragments), next(fragments)] == ["good ", ""]
        with pytest.raises(ConnectionClosedError) as caught:
            next(fragments)
        assert caught.value.sent.code == 1007
