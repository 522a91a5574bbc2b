"""A process that has no descriptor left: what fails, and what must not."""

from __future__ import annotations

import errno

import pytest

from support import run_script


FILLED = """
import asyncio, os, resource, sys, threading
from websocket_rs import async_client, sync_client
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
url = sys.argv[1]

def fill(left=0):
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        for _ in range(left):
            os.close(taken.pop())
    return taken

def free(taken):
    for descriptor in taken:
        os.close(descriptor)
"""

USED_SYNC = (
    FILLED
    + """
ws = sync_client.connect(url)
fill()
ws.send("text")
assert ws.recv() == "text"
assert ws.ping().wait(5.0)
assert ws.ping().result(5.0) > 0
try:
    ws.recv(timeout=0.01)
except TimeoutError:
    pass
others = [
    threading.Thread(target=call)
    for call in (ws.wait_closed, ws.close, lambda: [*ws])
]
for thread in others:
    thread.start()
ws.close()
for thread in others:
    thread.join()
# What it had is free.
with open("/dev/null"):
    print(ws.close_code)
"""
)

USED_ASYNC = (
    FILLED
    + """
async def main():
    ws = await async_client.connect(url)
    fill()
    await ws.send("text")
    assert await ws.recv() == "text"
    assert await (await ws.ping()) > 0
    await asyncio.gather(ws.wait_closed(), ws.close())
    with open("/dev/null"):
        print(ws.close_code)

asyncio.run(main())
"""
)


@pytest.mark.parametrize("source", [USED_SYNC, USED_ASYNC], ids=["sync", "async"])
def test_connection_without_descriptors(echo_server, source):
    """An open connection can be used and closed, which gives descriptors back."""
    done = run_script(source, echo_server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000\n", "")


CONNECTED_SYNC = (
    FILLED
    + """
for left in range(12):
    taken = fill(left)
    try:
        sync_client.connect(url).close()
        failed = None
    except OSError as exc:
        failed = exc.errno
    free(taken)
    print(failed)
with sync_client.connect(url) as ws:
    ws.send("text")
    assert ws.recv() == "text"
"""
)

CONNECTED_ASYNC = (
    FILLED
    + """
async def main():
    for left in range(12):
        taken = fill(left)
        try:
            await (await async_client.connect(url)).close()
            failed = None
        except OSError as exc:
            failed = exc.errno
        free(taken)
        print(failed)
    async with async_client.connect(url) as ws:
        await ws.send("text")
        assert await ws.recv() == "text"

asyncio.run(main())
"""
)


@pytest.mark.parametrize(
    "source", [CONNECTED_SYNC, CONNECTED_ASYNC], ids=["sync", "async"]
)
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_connect_without_descriptors(
    echo_server, tls_echo_server, tmp_path, source, tls
):
    """It fails with EMFILE, wherever it meets the limit, and works again later."""
    trust = tmp_path / "ca.pem"
    trust.write_text(tls_echo_server.certificate)
    server = tls_echo_server if tls else echo_server
    done = run_script(source, server.url, environment={"SSL_CERT_FILE": str(trust)})
    assert (done.returncode, done.stderr) == (0, "")
    failures = done.stdout.split()
    assert {*failures} == {str(errno.EMFILE), "None"}
    assert failures[0] == str(errno.EMFILE)
    assert failures[-1] == "None"
