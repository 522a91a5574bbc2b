"""What importing the package imports, and that nothing is imported later."""

from __future__ import annotations

import json

import pytest

from raw_server import CLOSE, Peer, close_payload
from support import run_script


IMPORTED = """
import sys
before = set(sys.modules)
import {module}
print(*sorted(set(sys.modules) - before))
"""

SLOW = {
    "asyncio",
    "dataclasses",
    "inspect",
    "platform",
    "socket",
    "ssl",
    "typing",
    "urllib.parse",
    "uuid",
}


def imported_by(module: str) -> set[str]:
    """Return the modules that are imported with one."""
    done = run_script(IMPORTED.format(module=module))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_of_the_package():
    """The package alone imports next to nothing."""
    imported = imported_by("websocket_rs")
    own = {name for name in imported if name.startswith("websocket_rs")}
    assert own == {"websocket_rs"}
    assert not imported & (SLOW | {"logging", "re"})


@pytest.mark.parametrize("module", ["sync_client", "sync.client"])
def test_import_of_the_sync_client(module):
    """The blocking clients import nothing that is slow and that they can do without."""
    imported = imported_by(f"websocket_rs.{module}")
    assert "websocket_rs._core" in imported
    assert not imported & SLOW


# Whoever looks for a module from here on doesn't find it.
LATE = """
import json, logging, sys
urls = json.loads(sys.argv[1])

class Nothing:
    def find_spec(self, name, path=None, target=None):
        wanted.append(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def forbid_imports():
    sys.meta_path.insert(0, Nothing())

def refusal_of(call):
    try:
        call()
    except Exception as exc:
        str(exc), repr(exc), exc.__cause__
        print(type(exc).__name__)

wanted = []
logging.basicConfig(level=5, stream=open("/dev/null", "w"))
own_logger = logging.getLogger("own")
"""

LATE_SYNC = (
    LATE
    + """
from websocket_rs import sync_client
from websocket_rs.sync.client import connect, reconnect
import websocket_rs
# The first one imports what is slow and seldom used.
connect(urls["echo"]).close()
forbid_imports()

def talk(url, **keywords):
    with connect(url, **keywords) as ws:
        ws.send("text"), ws.recv(), ws.send(b"bytes"), ws.recv()
        ws.send(["in ", "fragments"]), [*ws.recv_streaming()]
        ws.ping().wait(), ws.pong(), ws.latency
        str(ws), ws.id, ws.logger, ws.request, ws.response, ws.state, ws.debug
        ws.local_address, ws.remote_address, ws.subprotocol, ws.close_code
        hasattr(ws, "transport"), hasattr(ws, "unknown"), ws.open
    ws.close_code, ws.close_reason
    for message in ws:
        pass
    return ws

talk(urls["echo"])
talk(urls["echo"], logger=own_logger, compression=None)
ws = talk(urls["echo"])
refusal_of(ws.recv)
refusal_of(lambda: ws.send("text"))
refusal_of(lambda: ws.ping("x" * 200))
refusal_of(lambda: ws.ping(1))
refusal_of(lambda: ws.close(99))
refusal_of(lambda: ws.send({}))
refusal_of(lambda: connect("http://host"))
refusal_of(lambda: connect("ws://127.0.0.1:1"))
refusal_of(lambda: connect(urls["echo"], unknown=1))
refusal_of(lambda: connect(urls["status"]))
refusal_of(lambda: connect(urls["garbage"]))
refusal_of(lambda: connect(urls["redirect"]))
refusal_of(lambda: connect(urls["echo"], proxy=urls["status"].replace("ws:", "http:")))
refusal_of(lambda: connect(urls["echo"], proxy="socks5h://user:p%40ss@127.0.0.1:1"))
refusal_of(lambda: connect(urls["echo"], proxy="ftp://127.0.0.1:1"))
refusal_of(lambda: connect(urls["echo"].replace("ws:", "wss:")))
refusal_of(lambda: connect(urls["tls"]))
refusal_of(lambda: connect(urls["protocol"]).recv())
refusal_of(lambda: connect(urls["large"], max_size=10).recv())
refusal_of(lambda: connect(urls["closing"]).recv())
refusal_of(lambda: connect(urls["gone"]).recv())
refusal_of(lambda: sync_client.connect(urls["silent"], receive_timeout=0.01).recv())
for ws in reconnect(urls["echo"], reconnect_delays=lambda: iter([0] * 10)):
    break
ws.close()
print(*wanted)
"""
)

LATE_ASYNC = (
    LATE
    + """
import asyncio
from websocket_rs import async_client
from websocket_rs.asyncio.client import connect

async def talk(url, **keywords):
    async with connect(url, **keywords) as ws:
        await ws.send("text"), await ws.recv()
        await ws.send(["in ", "fragments"])
        async for part in ws.recv_streaming():
            pass
        await (await ws.ping()), await ws.pong(), ws.latency
        str(ws), ws.id, ws.logger, ws.request, ws.response, ws.state
    async for message in ws:
        pass
    return ws

async def refusal_of(awaitable):
    try:
        await awaitable
    except Exception as exc:
        str(exc), repr(exc), exc.__cause__
        print(type(exc).__name__)

async def received(url, **keywords):
    async with connect(url, close_timeout=0.01, **keywords) as ws:
        await ws.recv()

async def main():
    forbid_imports()
    await talk(urls["echo"])
    ws = await talk(urls["echo"], logger=own_logger)
    await refusal_of(ws.recv())
    await refusal_of(ws.send("text"))
    await refusal_of(ws.ping("x" * 200))
    await refusal_of(connect("ws://127.0.0.1:1"))
    await refusal_of(connect(urls["status"]))
    await refusal_of(connect(urls["redirect"]))
    await refusal_of(connect(urls["tls"]))
    await refusal_of(received(urls["protocol"]))
    await refusal_of(received(urls["large"], max_size=10))
    await refusal_of(received(urls["closing"]))
    await refusal_of(received(urls["gone"]))
    async for ws in connect(urls["echo"]):
        await ws.close()
        break

asyncio.run(main())
print(*wanted)
"""
)


@pytest.fixture
def urls(raw_server, echo_server, tls_echo_server):
    """Return the addresses of servers that refuse and fail in all ways."""

    def answering(response: bytes) -> str:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send_bytes(response)

        return raw_server(script).url

    def sending(payload: bytes | None) -> str:
        def script(peer: Peer) -> None:
            peer.accept_handshake()
            if payload is None:
                peer.reset()
                return
            peer.send_bytes(payload)
            peer.wait_eof()

        return raw_server(script).url

    moved = b"HTTP/1.1 302 Found\r\nLocation: wss://127.0.0.1:1/\r\n\r\n"
    closing = bytes([0x80 | CLOSE, 10]) + close_payload(4000, "because.")
    return {
        "echo": echo_server.url,
        "tls": tls_echo_server.url,
        "status": answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        "garbage": answering(b"nonsense\r\n\r\n"),
        "redirect": answering(moved),
        "protocol": sending(b"\x83\x00"),
        "large": sending(b"\x82\x14" + bytes(20)),
        "closing": sending(closing),
        "gone": sending(None),
        "silent": sending(b""),
    }


@pytest.mark.parametrize("source", [LATE_SYNC, LATE_ASYNC], ids=["sync", "async"])
def test_nothing_is_imported_later(urls, source):
    """Whatever happens to a connection, what it takes was imported with the client."""
    done = run_script(source, json.dumps(urls))
    assert done.returncode == 0, done.stderr
    *raised, wanted = done.stdout.split("\n")[:-1]
    # The classes of `ssl` are done without where they can't be had.
    assert set(wanted.split()) <= {"_ssl"}
    assert "ModuleNotFoundError" not in raised
    assert {"RefusedError", "InvalidStatus", "ConnectionClosedError"} <= {*raised}


IMPORTED_ANEW = """
import sys
from websocket_rs.sync_client import connect
first = connect(sys.argv[1])
for name in list(sys.modules):
    if name.partition(".")[0] == "websocket_rs":
        del sys.modules[name]
import websocket_rs
from websocket_rs.exceptions import ConnectError, InvalidURI, TLSError
from websocket_rs.sync_client import connect

def raises(expected, call):
    try:
        call()
    except expected as exc:
        print(type(exc).__name__)

ws = connect(sys.argv[1])
ws.close()
raises(websocket_rs.ConnectionClosedOK, ws.recv)
raises(ConnectError, lambda: connect("ws://127.0.0.1:1"))
raises(TLSError, lambda: connect(sys.argv[1].replace("ws:", "wss:")))
raises(InvalidURI, lambda: connect("http://host"))
print(*ws)
first.close()
"""


def test_import_anew(echo_server):
    """A package that is imported anew gets its own exceptions out of the core."""
    done = run_script(IMPORTED_ANEW, echo_server.url)
    assert (done.returncode, done.stderr) == (0, "")
    raised = ["ConnectionClosedOK", "RefusedError", "TLSError", "InvalidURI"]
    assert done.stdout.split() == raised
