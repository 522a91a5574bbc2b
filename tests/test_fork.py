"""Children forked while threads of their parent connect."""

from __future__ import annotations

import pytest

from support import run_script


pytestmark = pytest.mark.timeout(60)

FORK_CONNECTING = """
import os, signal, sys, threading
from websocket_rs.sync.client import connect

def key():
    with connect(sys.argv[1], compression=None) as ws:
        ws.send("x")
        assert ws.recv() == "x"
        return ws.request.headers["Sec-WebSocket-Key"]

def call():
    while True:
        key()

key()
for _ in range(3):
    threading.Thread(target=call, daemon=True).start()
keys = []
for _ in range(40):
    # Nothing else ends a process that waits for a lock. A child doesn't inherit it.
    signal.alarm(10)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os.write(write, key().encode())
        sys.exit()
    os.close(write)
    keys += [os.read(read, 100), key().encode()]
    os.close(read)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
print(len(keys), len(set(keys)), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_fork_while_connecting(echo_server, tls_echo_server, tmp_path, tls):
    """A child can connect and exit, whatever was locked, and no key is used twice."""
    server = tls_echo_server if tls else echo_server
    trust = tmp_path / "ca.pem"
    trust.write_text(tls_echo_server.certificate)
    environment = {"SSL_CERT_FILE": str(trust)}
    done = run_script(
        FORK_CONNECTING, server.url, environment=environment, timeout=50.0
    )
    assert done.stdout == "80 80\n", done.stderr


FORK_BUILDING = """
import os, signal, ssl, sys, threading
from websocket_rs.sync.client import connect

def call(**options):
    with connect(sys.argv[1], compression=None, **options):
        pass

signal.alarm(10)
# What OpenSSL does once in a process is under locks of its own, which a fork may break.
anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
anyone.check_hostname = False
anyone.verify_mode = ssl.CERT_NONE
call(ssl=anyone)
threading.Thread(target=call).start()
child = os.fork()
if child == 0:
    signal.alarm(10)
    call()
    os._exit(42)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""


def test_fork_while_reading_authorities(tls_echo_server, tmp_path):
    """A child doesn't wait for what a thread of its parent has begun to read."""
    trust = tmp_path / "ca.pem"
    # So many that they take longer to read than the process takes to fork.
    trust.write_text(tls_echo_server.certificate * 3000)
    environment = {"SSL_CERT_FILE": str(trust)}
    done = run_script(FORK_BUILDING, tls_echo_server.url, environment=environment)
    assert done.stdout == "42\n", done.stderr
