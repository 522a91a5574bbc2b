"""The exit of the interpreter; each test in processes of its own."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

import pytest

from raw_server import CLOSE, MS, Peer, RawServer
from support import run_script
from websocket_rs._core import EchoServer


EXIT_RUNS = int(os.environ.get("WEBSOCKET_RS_TESTS_EXIT_RUNS", "20"))
"""How often the exit under traffic is repeated; 200 before a release."""

pytestmark = pytest.mark.timeout(60)

EXIT_SYNC = """
import logging, sys, threading, time
logging.basicConfig(level=logging.DEBUG, stream=open("/dev/null", "w"))
from websocket_rs.sync_client import connect
turns = [0] * 100
connections = [connect(sys.argv[1]) for _ in turns]

def traffic(number, ws):
    while True:
        ws.send("x" * 1000)
        ws.recv()
        turns[number] += 1

for number, ws in enumerate(connections):
    threading.Thread(target=traffic, args=(number, ws), daemon=True).start()
while not all(turns):
    time.sleep(0.001)
print(time.monotonic(), flush=True)
sys.exit(3)
"""

EXIT_ASYNC = """
import asyncio, logging, sys, time
logging.basicConfig(level=logging.DEBUG, stream=open("/dev/null", "w"))
from websocket_rs.async_client import connect

async def traffic(ws, done):
    while True:
        await ws.send("x" * 1000)
        await ws.recv()
        done.set()

async def main():
    waiting = []
    for _ in range(100):
        ws, done = await connect(sys.argv[1]), asyncio.Event()
        tasks.append(asyncio.create_task(traffic(ws, done)))
        waiting.append(done.wait())
    await asyncio.gather(*waiting)
    print(time.monotonic(), flush=True)
    sys.exit(3)

tasks = []
asyncio.run(main())
"""

# The connections are used by nobody, but the flooding server keeps their threads busy.
EXIT_FLOODED = """
import logging, sys, time
logging.basicConfig(level=5, stream=open("/dev/null", "w"))
from websocket_rs.sync_client import connect
connections = [connect(sys.argv[1] + "/flood") for _ in range(100)]
for ws in connections:
    ws.send("1000000 1000")
for ws in connections:
    ws.recv()
print(time.monotonic(), flush=True)
sys.exit(3)
"""


BUSY = pytest.mark.parametrize(
    "source", [EXIT_SYNC, EXIT_ASYNC, EXIT_FLOODED], ids=["sync", "async", "flooded"]
)


@BUSY
def test_exit_under_traffic(source):
    """A process with 100 busy connections exits within 2 s, with its own status."""
    with EchoServer() as server:
        done = run_script(source, server.url, timeout=30)
        ended = time.monotonic()
        assert done.returncode == 3, done.stderr
        assert "Fatal" not in done.stderr
        assert ended - float(done.stdout) < 2000 * MS


@pytest.mark.soak
@pytest.mark.timeout(60 + 20 * EXIT_RUNS)
@BUSY
def test_exit_under_traffic_every_time(source):
    """It does so every time: what threads are doing then is never the same."""
    for _ in range(EXIT_RUNS):
        test_exit_under_traffic(source)


EXIT_PLAIN = """
import sys
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1])
ws.send("x")
ws.recv()
{end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("sys.exit(7)", 7), ("raise ValueError", 1), ("del ws", 0)],
)
def test_exit_status(echo_server, end, status):
    """An open connection changes neither the exit status nor the time of the exit."""
    start = time.monotonic()
    done = run_script(EXIT_PLAIN.format(end=end), echo_server.url)
    assert done.returncode == status, done.stderr
    assert ("Traceback" in done.stderr) == (status == 1)
    assert time.monotonic() - start < 3000 * MS


EXIT_BLOCKED = """
import sys, threading
from websocket_rs.sync_client import connect
connections = [connect(sys.argv[1]) for _ in range(10)]
for ws in connections:
    threading.Thread(target=ws.recv, daemon=True).start()
sys.exit(4)
"""


def test_exit_with_daemon_threads_in_recv(echo_server):
    """Daemon threads that are blocked in recv do not keep the process."""
    start = time.monotonic()
    done = run_script(EXIT_BLOCKED, echo_server.url)
    assert done.returncode == 4, done.stderr
    assert time.monotonic() - start < 3000 * MS


EXIT_UNANSWERED = """
import sys, time
from websocket_rs.sync_client import connect
connections = [connect(sys.argv[1], close_timeout=30.0) for _ in range(20)]
print(time.monotonic(), flush=True)
"""


def test_exit_peer_never_answers(raw_server):
    """Peers that do not answer the closing handshake do not delay the exit."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.wait_eof()

    done = run_script(EXIT_UNANSWERED, raw_server(script).url)
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert ended - float(done.stdout) < 2000 * MS


# Test exit while daemon threads go on.

# Threads that give way all the time meet the exit at every place.
DAEMONS = """
import asyncio, logging, os, random, sys, threading, time
sys.setswitchinterval(1e-6)
if sys.argv[2] == "logged":
    logging.basicConfig(level=5, stream=open("/dev/null", "w"))
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import ConnectionClosed
turns = [0] * 6

async def exchange(number):
    while True:
        async with async_client.connect(sys.argv[1]) as ws:
            await ws.send("x" * 100)
            await ws.recv()
            await (await ws.ping())
        turns[number] += 1

def loop(number):
    asyncio.run(exchange(number))

def call(number):
    while True:
        with sync_client.connect(sys.argv[1]) as ws:
            ws.send(str(part) for part in range(3))
            ws.recv()
            ws.ping().wait()
        try:
            ws.recv()
        except ConnectionClosed:
            pass
        try:
            sync_client.connect("ws://127.0.0.1:1")
        except OSError:
            pass
        turns[number] += 1

function = loop if sys.argv[3] == "async" else call
for number in range(6):
    threading.Thread(target=function, args=(number,), daemon=True).start()
while not any(turns):
    time.sleep(0.001)
time.sleep(random.random() * 0.05)
print(time.monotonic(), flush=True)
sys.exit(3)
"""


@pytest.mark.parametrize("logged", ["logged", "silent"])
@pytest.mark.parametrize("client", ["async", "sync"])
def test_exit_with_busy_daemon_threads(echo_server, client, logged):
    """Daemon threads that use connections neither crash the exit nor print anything."""
    for _ in range(5):
        done = run_script(DAEMONS, echo_server.url, logged, client)
        ended = time.monotonic()
        assert (done.returncode, done.stderr) == (3, "")
        assert ended - float(done.stdout) < 2000 * MS


@pytest.mark.soak
@pytest.mark.timeout(60 + 20 * EXIT_RUNS)
@pytest.mark.parametrize("logged", ["logged", "silent"])
@pytest.mark.parametrize("client", ["async", "sync"])
def test_exit_with_busy_daemon_threads_every_time(echo_server, client, logged):
    """They never do: what threads are doing then is never the same."""
    for _ in range(EXIT_RUNS):
        test_exit_with_busy_daemon_threads(echo_server, client, logged)


WAITING = """
import asyncio, sys, threading, time, warnings
warnings.simplefilter("always")
from websocket_rs import async_client, sync_client

def iterate():
    for message in sync_client.connect(sys.argv[1]):
        pass

async def receive():
    async with async_client.connect(sys.argv[1]) as ws:
        await ws.recv()

def send():
    with sync_client.connect(sys.argv[1] + "/flood") as ws:
        # The server answers nothing to that, and reads on.
        while True:
            ws.send("0 0")

ws = sync_client.connect(sys.argv[1])
silent = sync_client.connect(sys.argv[2])
calls = [
    iterate,
    send,
    lambda: sync_client.connect(sys.argv[1]).recv(),
    lambda: silent.ping().wait(),
    lambda: ws.wait_closed(),
    lambda: [*sync_client.connect(sys.argv[1]).recv_streaming()],
    lambda: asyncio.run(receive()),
]
threads = [threading.Thread(target=call, daemon=True) for call in calls]
for thread in threads:
    thread.start()
deadline = time.monotonic() + 0.3
while time.monotonic() < deadline:
    assert all(thread.is_alive() for thread in threads)
sys.exit(3)
"""


def test_exit_is_silent(echo_server, raw_server):
    """Threads that wait on a connection when the program ends are told nothing."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.wait_eof()

    done = run_script(WAITING, echo_server.url, raw_server(script).url)
    assert (done.returncode, done.stderr) == (3, "")


# A filter holds no lock, unlike a handler, for which `logging` would wait at the exit.
SLOW_FILTER = """
import logging, sys, threading, time

def filter(record):
    started.set()
    time.sleep(20)

started = threading.Event()
logger = logging.getLogger("slow")
logger.setLevel(logging.DEBUG)
logger.addFilter(filter)
from websocket_rs.sync_client import connect

def call():
    connect(sys.argv[1], logger=logger)

threading.Thread(target=call, daemon=True).start()
started.wait()
print(time.monotonic(), flush=True)
sys.exit(3)
"""


def test_exit_during_slow_filter(echo_server):
    """A filter of records that takes long on another thread delays the exit by 1 s."""
    done = run_script(SLOW_FILTER, echo_server.url)
    ended = time.monotonic()
    assert (done.returncode, done.stderr) == (3, "")
    assert ended - float(done.stdout) < 2500 * MS


# Test what still uses connections during the exit.


@dataclass
class Echoing:
    """A server that sends every message back.

    Attributes:
        server: The server.
        closes: The codes of the Close frames that it was sent.
    """

    server: RawServer
    closes: list[int | None]


@pytest.fixture
def echoing(raw_server):
    """Start a server that notes what it is closed with."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        while (frame := peer.read_frame()).opcode != CLOSE:
            peer.send_frame(frame.opcode, frame.payload)
        closes.append(frame.close_code)
        # A program that ends doesn't wait for the answer.
        with contextlib.suppress(OSError):
            peer.send_frame(CLOSE, frame.payload)

    closes: list[int | None] = []
    return Echoing(raw_server(script), closes)


SAY = """
import atexit, sys, threading, asyncio
url = sys.argv[1]
def say(text):
    ws.send(text)
    print(ws.recv())
"""

LATE = {
    "atexit": """
def goodbye():
    say("late")
    ws.close()
atexit.register(goodbye)
from websocket_rs.sync_client import connect
ws = connect(url)
""",
    "connect": """
def goodbye():
    global ws
    with sync_client.connect(url) as ws:
        say("late")
atexit.register(goodbye)
from websocket_rs import sync_client
""",
    "asyncio": """
async def talk():
    async with async_client.connect(url) as ws:
        await ws.send("late")
        print(await ws.recv())
atexit.register(lambda: asyncio.run(talk()))
from websocket_rs import async_client
""",
    "daemon": """
# The exit waits for a daemon thread, which it tells to end.
ending = threading.Event()
def work():
    ending.wait()
    say("late")
    ws.close()
thread = threading.Thread(target=work, daemon=True)
atexit.register(lambda: (ending.set(), thread.join()))
from websocket_rs.sync_client import connect
ws = connect(url)
thread.start()
""",
    "thread": """
from websocket_rs.sync_client import connect
ws = connect(url)
def work():
    threading.main_thread().join()
    say("late")
    ws.close()
threading.Thread(target=work).start()
""",
    "__del__": """
from websocket_rs.sync_client import connect
class Owner:
    def __init__(self):
        self.ws = connect(url)
    def __del__(self):
        self.ws.send("late")
        # Standard output is gone with the modules.
        os.write(1, self.ws.recv().encode() + b"\\n")
        self.ws.close()
import os
owner = Owner()
cycle = [owner]
cycle.append(cycle)
""",
}


@pytest.mark.parametrize("place", LATE)
def test_use_during_exit(echoing, place):
    """Code that runs at the exit, whenever it was registered, finds its connection."""
    source = f"import warnings\nwarnings.simplefilter('always')\n{SAY}{LATE[place]}"
    done = run_script(source, echoing.server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "late\n", "")
    echoing.server.join()
    assert echoing.closes == [1000]


LEFT_OPEN = """
import asyncio, sys, threading, warnings
warnings.simplefilter("always")
from websocket_rs import async_client, sync_client
ws = sync_client.connect(sys.argv[1])
def receive():
    other = sync_client.connect(sys.argv[1])
    ready.set()
    other.recv()
ready = threading.Event()
threading.Thread(target=receive, daemon=True).start()
ready.wait()
async def leave():
    global left
    left = await async_client.connect(sys.argv[1])
asyncio.run(leave())
"""


def test_exit_closes_what_is_left_open(echoing):
    """The peers of connections that are left open are told, and nothing is printed."""
    done = run_script(LEFT_OPEN, echoing.server.url)
    assert (done.returncode, done.stderr) == (0, "")
    echoing.server.join()
    assert echoing.closes == [1001] * 3


NOT_YET = """
import atexit, sys, threading
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1])
atexit._run_exitfuncs()
atexit._clear()
def talk():
    ws.send("after")
    print(ws.recv())
    ws.close()
thread = threading.Thread(target=talk)
thread.start()
thread.join()
"""


def test_exit_functions_run_early(echoing):
    """Only the exit itself ends connections, not whoever runs its functions before."""
    done = run_script(NOT_YET, echoing.server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "after\n", "")
    echoing.server.join()
    assert echoing.closes == [1000]
