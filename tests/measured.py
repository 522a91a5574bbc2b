"""Clients in a process of their own, so that what they take can be measured.

The peer lives in the process of the tests, and what it allocates does not count. A
client is a piece of source that has an open connection `ws` and may use the names
below. It says "ready" when it has measured what it begins with, and reports what it
found. It is written with `await`, which the sync client does without.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from support import QUICK, run_script


if TYPE_CHECKING:
    from raw_server import Peer
    from support import Address


MIB = 1 << 20
HALF_MINUTE = {**QUICK, "receive_timeout": 30.0}

PRELUDE = """
import asyncio, json, resource, sys, threading, time
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import ConnectionClosed

MIB = 1 << 20
url, options, given = sys.argv[1], *map(json.loads, sys.argv[2:])

def memory(name="VmRSS"):
    # In bytes: VmRSS is what is resident, VmHWM the most that was, VmSize what is
    # reserved.
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024

def limit_memory(more):
    # Let the process reserve so much more than it has; beyond that it gets nothing.
    size = memory("VmSize") + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))

def settled(count):
    # Wait until a count has stopped to grow, and return it.
    before = -1
    while before != (before := count()):
        time.sleep(0.3)
    return before

def soon(condition):
    # Wait until a condition holds, at most for some time.
    end = time.monotonic() + 2
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)

def report(**values):
    print(json.dumps(values), flush=True)
"""
SYNC = """
with sync_client.connect(url, **options) as ws:
"""
ASYNC = """
async def main():
    async with async_client.connect(url, **options) as ws:
{}

asyncio.run(main())
"""


def run_client(
    address: Address,
    source: str,
    *,
    face: str = "sync",
    given: object = None,
    **options: Any,
) -> dict[str, Any]:
    """Run a client to its end, and return what it has reported.

    Args:
        address: Where to connect to.
        source: What to do there.
        face: Which client: "sync" or "async".
        given: A value for the source, under this name.
        options: Further arguments of `connect`.

    Raises:
        AssertionError: The process has died.
    """
    body = source.strip("\n")
    if face == "sync":
        program = SYNC + textwrap.indent(body.replace("await ", ""), " " * 4)
    else:
        program = ASYNC.format(textwrap.indent(body, " " * 8))
    ended = run_script(
        PRELUDE + program,
        address.url,
        json.dumps({**address.options, **options}),
        json.dumps(given),
    )
    assert ended.returncode == 0, f"{ended.returncode}: {ended.stderr}"
    return json.loads(ended.stdout.splitlines()[-1])


def begin(peer: Peer, *headers: str) -> None:
    """Open the connection and await the client's word that it has measured."""
    peer.accept_handshake(*headers)
    assert peer.read_message() == b"ready"


def end(peer: Peer) -> None:
    """Answer the closing handshake, whatever comes before it."""
    peer.read_close()
    peer.send_close()
    peer.close()
