"""Manners of the process: signals and fork; each test in processes of its own."""

from __future__ import annotations

import threading

import pytest

from raw_server import MS, PING, Peer, encode_frame
from support import run_script


pytestmark = pytest.mark.timeout(60)

ASLEEP = """
import os, signal, sys, threading, time

def asleep(thread):
    # A single look could see the thread wait for the interpreter.
    for _ in range(10):
        with open(f"/proc/self/task/{thread}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] != "S":
                return False
        time.sleep(0.01)
    return True

def interrupt_when_asleep():
    # The main thread has the id of the process.
    while not asleep(os.getpid()):
        time.sleep(0.001)
    global sent_at
    sent_at = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

def start():
    threading.Thread(target=interrupt_when_asleep, daemon=True).start()
"""

INTERRUPTED = (
    ASLEEP
    + """
from websocket_rs.sync_client import connect
url, call = sys.argv[1:]
long = dict(connect_timeout=15.0, receive_timeout=15.0, close_timeout=15.0)
ws = None if call == "connect" else connect(url, **long)
start()
try:
    if call == "connect":
        ws = connect(url, **long)
    elif call == "recv":
        ws.recv()
    elif call == "iterate":
        for message in ws: pass
    elif call == "send":
        ws.send(b"x" * 100_000_000)
    elif call == "close":
        ws.close()
except KeyboardInterrupt:
    print(time.monotonic() - sent_at)
os._exit(0)
"""
)


@pytest.mark.parametrize("call", ["connect", "recv", "iterate", "send", "close"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_interrupt(raw_server, certificates, call, scheme):
    """Ctrl-C in a blocked call raises KeyboardInterrupt within 100 ms."""

    def script(peer: Peer) -> None:
        if call != "connect":
            peer.accept_handshake()
        if call == "send":
            # Reading nothing is what blocks the send; the reset ends it.
            released.wait(peer.timeout)
        else:
            peer.wait_eof()

    released = threading.Event()
    tls = certificates.server_context() if scheme == "wss" else None
    server = raw_server(script, tls=tls)
    environment = {"SSL_CERT_FILE": certificates.ca_file}
    try:
        done = run_script(INTERRUPTED, server.url, call, environment=environment)
    finally:
        released.set()
    assert done.returncode == 0, done.stderr
    assert done.stdout, f"no KeyboardInterrupt: {done.stderr}"
    assert float(done.stdout) < 100 * MS


INTERRUPTED_THEN_USED = (
    ASLEEP
    + """
from websocket_rs.sync_client import connect
with connect(sys.argv[1], receive_timeout=15.0) as ws:
    start()
    try:
        ws.recv()
    except KeyboardInterrupt:
        pass
    ws.send("after")
    print(ws.recv(), end="")
"""
)


def test_interrupted_recv_keeps_the_connection(echo_server):
    """A recv that Ctrl-C ended leaves a connection that works."""
    done = run_script(INTERRUPTED_THEN_USED, echo_server.url)
    assert (done.returncode, done.stdout) == (0, "after"), done.stderr


INTERRUPTED_ASYNC = (
    ASLEEP
    + """
import asyncio
from websocket_rs.async_client import connect

async def main():
    async with connect(sys.argv[1], close_timeout=5.0) as ws:
        start()
        await ws.recv()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print(time.monotonic() - sent_at)
"""
)


def test_interrupt_async(echo_server):
    """Ctrl-C ends asyncio.run and closes the connection on the way out."""
    done = run_script(INTERRUPTED_ASYNC, echo_server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout, done.stderr
    assert float(done.stdout) < 300 * MS


SIGNAL_HANDLER = """
import signal, sys, threading, os, time
from websocket_rs.sync_client import connect
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
with connect(sys.argv[1]) as ws:
    def pester():
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.001)
        ws.send("end")
    threading.Thread(target=pester).start()
    assert ws.recv(timeout=10) == "end"
    start = time.monotonic()
    try:
        ws.recv(timeout=0.05)
    except TimeoutError:
        print(time.monotonic() - start, len(seen) > 0)
"""


def test_signal_handler_that_returns(echo_server):
    """A signal whose handler returns does not end a call."""
    done = run_script(SIGNAL_HANDLER, echo_server.url)
    assert done.returncode == 0, done.stderr
    taken, seen = done.stdout.split()
    assert seen == "True"
    # The script asks for 50 ms, whatever a millisecond of the tests is.
    assert 0.049 < float(taken) < 150 * MS


# Test fork.

FORK = """
import gc, os, sys
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1])
ws.send("before")
assert ws.recv() == "before"
child = os.fork()
if child == 0:
    refused = 0
    for call in (lambda: ws.send("child"), lambda: ws.recv(timeout=1)):
        try:
            call()
        except RuntimeError as error:
            refused += "fork" in str(error)
    if sys.argv[2] == "close":
        try:
            ws.close()
        except RuntimeError:
            pass
    if sys.argv[2] == "collect":
        import warnings
        warnings.simplefilter("ignore")
        del ws
        gc.collect()
    if sys.argv[2] == "os._exit":
        os._exit(40 + refused)
    sys.exit(40 + refused)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
for number in range(100):
    ws.send(str(number))
    assert ws.recv() == str(number)
ws.close()
print(status, ws.close_code)
"""


@pytest.mark.parametrize("end", ["exit", "close", "collect", "os._exit"])
@pytest.mark.parametrize("tls", [False, True])
def test_fork_sync(echo_server, tls_echo_server, tmp_path, end, tls):
    """A child's use is refused, and its end does not disturb the parent."""
    server = tls_echo_server if tls else echo_server
    trust = tmp_path / "ca.pem"
    trust.write_text(tls_echo_server.certificate)
    done = run_script(FORK, server.url, end, environment={"SSL_CERT_FILE": str(trust)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["42", "1000"], done.stderr


FORK_NEW = """
import os, sys
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1])
child = os.fork()
with connect(sys.argv[1]) as own:
    own.send(str(os.getpid()))
    assert own.recv() == str(os.getpid())
if child == 0:
    os._exit(42)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
ws.send("x")
print(ws.recv())
"""


def test_fork_child_connects_anew(echo_server):
    """A child may open connections of its own."""
    done = run_script(FORK_NEW, echo_server.url)
    assert (done.returncode, done.stdout.strip()) == (0, "x"), done.stderr


FORK_ASYNC = """
import asyncio, gc, os, sys
from websocket_rs.async_client import connect

async def main():
    ws = await connect(sys.argv[1])
    await ws.send("before")
    assert await ws.recv() == "before"
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (lambda: ws.send("child"), ws.recv):
            try:
                await call()
            except RuntimeError:
                refused += 1
        import warnings
        warnings.simplefilter("ignore")
        del ws, call
        gc.collect()
        os._exit(40 + refused)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for number in range(100):
        await ws.send(str(number))
        assert await ws.recv() == str(number)
    await ws.close()
    print(status, ws.close_code)

asyncio.run(main())
"""


def test_fork_async(echo_server):
    """A child's use is refused, and the parent's loop is still woken."""
    done = run_script(FORK_ASYNC, echo_server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["42", "1000"], done.stderr


FORK_LOOP = """
import asyncio, gc, os, sys, time
from websocket_rs.async_client import connect
loop = asyncio.new_event_loop()

async def talk():
    async with connect(sys.argv[1]) as ws:
        await ws.send("x")
        return await ws.recv()

print(loop.run_until_complete(talk()))
gc.collect()
child = os.fork()
if child == 0:
    # Of its own loop; the parent's, it may only drop.
    ok = asyncio.run(talk()) == "x"
    loop.close()
    del loop
    gc.collect()
    os._exit(42 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before < 0.1)
"""


def test_fork_child_closes_loop(echo_server):
    """A child that closes its parent's loop leaves the parent's threads asleep."""
    done = run_script(FORK_LOOP, echo_server.url)
    assert done.stdout.split() == ["x", "42", "True"], done.stderr


FORK_READING = """
import asyncio, os, sys, time
from websocket_rs.async_client import connect
loop = asyncio.new_event_loop()

async def begin():
    ws = await connect(sys.argv[1] + "/flood", receive_timeout=2.0)
    await ws.send("1 1")
    await ws.recv()
    waiting = asyncio.create_task(ws.recv())
    await asyncio.sleep(0)
    return ws, waiting

async def receive(ws, waiting):
    await ws.send("100 100")
    # The child may look first.
    time.sleep(0.03)
    sizes = [len(await waiting)] + [len(await ws.recv()) for _ in range(99)]
    return sizes == [100] * 100

ws, waiting = loop.run_until_complete(begin())
child = os.fork()
if child == 0:
    loop.run_until_complete(asyncio.sleep(10))
    os._exit(0)
try:
    print(loop.run_until_complete(receive(ws, waiting)))
finally:
    os.kill(child, 9)
os._exit(0)
"""


def test_fork_child_runs_loop(echo_server):
    """A child that goes on with its parent's loop takes no messages from the parent."""
    done = run_script(FORK_READING, echo_server.url)
    assert done.stdout.split() == ["True"], done.stderr


FORK_DROPPED = """
import gc, os, sys, warnings
warnings.simplefilter("always")
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1])
child = os.fork()
if child == 0:
    del ws
    gc.collect()
    os._exit(42)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ws.close()
"""

FORK_DROPPED_ASYNC = """
import asyncio, gc, os, sys, warnings
warnings.simplefilter("always")
from websocket_rs.async_client import connect

async def main():
    ws = await connect(sys.argv[1])
    child = os.fork()
    if child == 0:
        del ws
        gc.collect()
        os._exit(42)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    await ws.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "source", [FORK_DROPPED, FORK_DROPPED_ASYNC], ids=["sync", "async"]
)
def test_fork_child_drops_connection(echo_server, source):
    """A child that drops its parent's connection is not told to have closed it."""
    done = run_script(source, echo_server.url)
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    assert "unclosed" not in done.stderr


FORK_LOGGING = """
import logging, os, signal, sys
logger = logging.getLogger("websocket_rs")
logger.addHandler(logging.NullHandler())
logger.propagate = False
logger.setLevel(5)
from websocket_rs.sync_client import connect
ws = connect(sys.argv[1], close_timeout=0.1)
hung = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(3)
        try:
            connect("ws://127.0.0.1:1")
        except OSError:
            os._exit(0)
        os._exit(1)
    hung += os.waitpid(child, 0)[1] != 0
print(hung)
os._exit(0)
"""


def test_fork_while_logging(raw_server):
    """A child can log, whatever its parent's connection was logging at the fork."""

    def script(peer: Peer) -> None:
        peer.accept_handshake()
        peer.send_until_gone(encode_frame(PING) * 2000)

    done = run_script(FORK_LOGGING, raw_server(script).url)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


FORK_CALLING = """
import faulthandler, logging, os, sys, threading
from websocket_rs.sync_client import connect
logger = logging.getLogger("websocket_rs")
logger.propagate = False
logger.setLevel(5)
sys.setswitchinterval(1e-5)

def call():
    with connect(sys.argv[1]) as ws:
        while True:
            ws.send("x")
            ws.recv()

for _ in range(2):
    threading.Thread(target=call, daemon=True).start()
for _ in range(200):
    # Nothing else can end a process that waits for the interpreter.
    faulthandler.dump_traceback_later(10, exit=True)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
print("forked", flush=True)
os._exit(0)
"""


def test_fork_while_others_log(echo_server):
    """A thread can fork while others use connections that are logged."""
    done = run_script(FORK_CALLING, echo_server.url, timeout=50.0)
    assert done.stdout == "forked\n", done.stderr
