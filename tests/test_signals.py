"""Signal handlers that use a connection, and sends that Ctrl-C ended.

Each test runs the client in a process of its own. A second connection of that process,
to ``/go``, tells the scripted peer how far the client has come.
"""

from __future__ import annotations

import threading

import pytest

from raw_server import BINARY, MS, TEXT, Peer
from support import run_script
from test_process import ASLEEP


pytestmark = pytest.mark.timeout(60)

# Below and above the size from which a message is written without a copy.
SIZES = [200_000, 1_000_000]


class SlowReader:
    """A peer that reads its first connection only when the second tells it to.

    Attributes:
        frames: Opcode and size of each frame that the first connection has read.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[int, int]] = []
        self._expected = 0
        self._go = threading.Event()
        self._done = threading.Event()

    def __call__(self, peer: Peer) -> None:
        """Follow the script of the connection that this one is."""
        if peer.accept_handshake().target == "/go":
            self._expected = int(peer.read_message())
            self._go.set()
            assert self._done.wait(peer.timeout), "the messages did not come"
            peer.send_text("done")
            peer.answer_close()
            return
        assert self._go.wait(peer.timeout), "nobody said go"
        while len(self.frames) < self._expected:
            frame = peer.read_frame()
            assert len(set(frame.payload)) == 1
            self.frames.append((frame.opcode, len(frame.payload)))
        self._done.set()
        peer.answer_close()


SEND_INTERRUPTED = (
    ASLEEP
    + """
from websocket_rs.sync_client import connect
url, size = sys.argv[1], int(sys.argv[2])
ws = connect(url)
count = 0
start()
try:
    while True:
        count += 1
        ws.send(b"x" * size)
except KeyboardInterrupt:
    pass
with connect(url + "/go") as go:
    go.send(str(count))
    # Nobody uses the first connection meanwhile.
    assert go.recv() == "done"
ws.close()
print(count)
"""
)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_send_interrupted(raw_server, certificates, scheme, size):
    """A message whose send Ctrl-C ended is sent whole when the peer reads on."""
    reader = SlowReader()
    tls = certificates.server_context() if scheme == "wss" else None
    server = raw_server(reader, tls=tls)
    environment = {"SSL_CERT_FILE": certificates.ca_file}
    done = run_script(SEND_INTERRUPTED, server.url, str(size), environment=environment)
    assert done.returncode == 0, done.stderr
    assert reader.frames == [(BINARY, size)] * int(done.stdout)


CLOSE_AFTER_HUGE_SEND = (
    ASLEEP
    + """
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1], close_timeout=eval(sys.argv[2]))
start()
try:
    ws.send(b"x" * 100_000_000)
except KeyboardInterrupt:
    pass
begin = time.monotonic()
ws.close()
print(time.monotonic() - begin)
"""
)


@pytest.mark.parametrize("close_timeout", [15.0, None])
def test_close_after_interrupted_huge_send(raw_server, close_timeout):
    """A connection that Ctrl-C left inside a huge message is closed at once."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        released.wait(peer.timeout)

    released = threading.Event()
    server = raw_server(script)
    try:
        done = run_script(CLOSE_AFTER_HUGE_SEND, server.url, str(close_timeout))
    finally:
        released.set()
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 500 * MS


CLOSE_IN_HANDLER = (
    ASLEEP
    + """
from websocket_rs.exceptions import ConnectionClosedOK
from websocket_rs.sync_client import connect

def close(*_):
    begin = time.monotonic()
    ws.close(4001, "by the handler")
    print(time.monotonic() - begin, ws.close_code)

ws = connect(sys.argv[1], receive_timeout=15.0, close_timeout=15.0)
signal.signal(signal.SIGINT, close)
start()
try:
    ws.recv()
except ConnectionClosedOK:
    print("OK")
except Exception as error:
    print(type(error).__name__, error.sent.code)
"""
)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_close_in_handler(raw_server, certificates, scheme):
    """close in a signal handler ends the recv of the same thread, and at once."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert peer.answer_close().close_code == 4001

    tls = certificates.server_context() if scheme == "wss" else None
    server = raw_server(script, tls=tls)
    environment = {"SSL_CERT_FILE": certificates.ca_file}
    done = run_script(CLOSE_IN_HANDLER, server.url, environment=environment)
    assert done.returncode == 0, done.stderr
    in_handler, in_recv = done.stdout.splitlines()
    taken, code = in_handler.split()
    assert float(taken) < 500 * MS
    assert code == "4001"
    assert in_recv == "ConnectionClosedError 4001"


SEND_IN_HANDLER = (
    ASLEEP
    + """
from websocket_rs.exceptions import ConcurrencyError
from websocket_rs.sync_client import connect
url, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def send(*_):
    try:
        ws.send("h" * 100)
    except ConcurrencyError as error:
        print(type(error).__name__)
        go.send(str(count))
    else:
        print("sent")
        go.send(str(count + 1))

ws, go = connect(url), connect(url + "/go")
signal.signal(signal.SIGINT, send)
start()
for _ in range(count):
    ws.send(b"x" * size)
assert go.recv() == "done"
ws.close()
go.close()
"""
)


# More than the buffers of the kernel take, so that a send blocks.
MUCH = 20_000_000


def test_send_in_handler(raw_server):
    """send in a signal handler neither awaits nor hurts the send it interrupts."""
    reader = SlowReader()
    server = raw_server(reader)
    size, count = SIZES[0], MUCH // SIZES[0]
    done = run_script(SEND_IN_HANDLER, server.url, str(size), str(count))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "sent"
    assert sorted(reader.frames) == [(TEXT, 100)] + [(BINARY, size)] * count


def test_send_in_handler_during_large_send(raw_server):
    """Inside a large message send is refused, and the large message is sent whole."""
    reader = SlowReader()
    server = raw_server(reader)
    done = run_script(SEND_IN_HANDLER, server.url, str(MUCH), "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ConcurrencyError"
    assert reader.frames == [(BINARY, MUCH)]


FRAGMENT_INTERRUPTED = (
    ASLEEP
    + """
from websocket_rs.exceptions import ConnectionClosedError
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1], close_timeout=0.1)
start()
try:
    ws.send([b"x" * 50_000_000])
except KeyboardInterrupt:
    pass
try:
    ws.send("later")
except ConnectionClosedError as error:
    print(error.sent.code, error.sent.reason)
"""
)


def test_send_first_fragment_interrupted(raw_server):
    """If Ctrl-C ends send in the first fragment, the connection is failed."""
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        assert done.wait(peer.timeout)

    ended = run_script(FRAGMENT_INTERRUPTED, raw_server(script).url)
    done.set()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "1011 error in fragmented message\n"


PONG_INTERRUPTED = (
    ASLEEP
    + """
from websocket_rs.sync_client import connect
class Alarm(TimeoutError): pass
def alarm(*_):
    raise Alarm
signal.signal(signal.SIGINT, alarm)
with connect(sys.argv[1]) as ws:
    waiter = ws.ping()
    start()
    try:
        waiter.wait(10)
    except Alarm:
        print("alarm")
"""
)


def test_wait_for_pong_interrupted(raw_server):
    """What a handler raises is not taken for the end of the time, whatever it is."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.answer_close()

    ended = run_script(PONG_INTERRUPTED, raw_server(script).url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "alarm\n"
