"""The types of the package, as type checkers see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counterparts import WITH_WEBSOCKETS_17


ROOT = Path(__file__).parent.parent

SAMPLE = '''
"""A program that uses what the package offers, and states the types that it expects."""

import asyncio
import ssl
import uuid
from pathlib import Path
from typing import assert_type

import websocket_rs
from websocket_rs import Close, State, async_client, sync_client
from websocket_rs.datastructures import Headers
from websocket_rs.typing import Subprotocol
from websocket_rs.exceptions import CertificateError, ConnectError, InvalidStatus


def blocking() -> None:
    with sync_client.connect("ws://localhost", 1, None) as ws:
        assert_type(ws, sync_client.WebSocket)
        assert_type(ws.recv(), str | bytes)
        assert_type(ws.recv(timeout=0.5, decode=True), str)
        assert_type(ws.recv(0.5, False), bytes)
        assert_type(ws.ping().result(1.0), float)
        for fragment in ws.recv_streaming():
            assert_type(fragment, str | bytes)
        ws.send(["frag", "ments"])
        ws.send((bytes(n) for n in range(3)), text=True)
        for message in ws:
            assert_type(message, str | bytes)
        ws.send("text")
        ws.send(b"bytes")
        ws.send(bytearray(1))
        ws.send(memoryview(b"view"))
        ws.close(1001, reason="going away")
        assert_type(ws.id, uuid.UUID)
        assert_type(ws.name, str)
        assert_type(ws.state, State)
        assert_type(ws.subprotocol, Subprotocol | None)
        assert_type(ws.close_code, int | None)
        assert_type(ws.close_reason, str | None)


async def asynchronous() -> None:
    ws = await async_client.connect(
        "wss://localhost",
        connect_timeout=1.0,
        receive_timeout=None,
        ssl=ssl.create_default_context(),
        client_cert=Path("client.pem"),
        client_key="client.key",
        server_hostname="example.com",
        origin="https://example.com",
        subprotocols=["chat"],
        additional_headers={"X-Token": "secret"},
        user_agent_header=None,
        close_timeout=None,
        max_size=None,
        inbox_limit=2**20,
        write_limit=0,
    )
    assert_type(ws, async_client.AsyncWebSocket)
    assert_type(await ws.recv(), str | bytes)
    async for message in ws:
        assert_type(message, str | bytes)
    await ws.send("text")
    await ws.close()
    await ws.wait_closed()
    headers = Headers([("X-Token", "secret")])
    connecting = async_client.connect("ws://localhost", additional_headers=headers)
    async with connecting as other:
        assert_type(other, async_client.AsyncWebSocket)
        assert_type(await other.recv(decode=True), str)
        assert_type(await (await other.ping()), float)
        async for fragment in other.recv_streaming():
            assert_type(fragment, str | bytes)
        await other.send([b"frag", b"ments"], text=True)
    task = asyncio.create_task(async_client.connect("ws://localhost"))
    assert_type(await task, async_client.AsyncWebSocket)


def errors() -> None:
    try:
        blocking()
    except websocket_rs.ConnectionClosed as exc:
        assert_type(exc.rcvd, Close | None)
        assert_type(exc.code, int)
    except CertificateError as exc:
        assert_type(exc.verify_message, str)
        assert_type(exc.errno, int | None)
    except ConnectError as exc:
        assert_type(exc.errno, int | None)
    except InvalidStatus as exc:
        assert_type(exc.response.headers, Headers)


def mistakes(ws: sync_client.WebSocket, other: async_client.AsyncWebSocket) -> None:
    ws.send(1)  # type: ignore[arg-type]
    ws.recv("1")  # type: ignore[call-overload]
    ws.close("1000")  # type: ignore[arg-type]
    sync_client.connect("ws://localhost", timeout=1)  # type: ignore[call-arg]
    other.state = State.OPEN  # type: ignore[misc]
'''


REPLACED = '''
"""A program written for websockets, whose imports are replaced."""

# pyright: strict
import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, assert_type

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.client import backoff, process_exception
from websockets.datastructures import Headers, HeadersLike
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Close, CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync import client as sync
from websockets.typing import Data, LoggerLike, Origin, Subprotocol
from websockets.uri import parse_uri


class Mine(ClientConnection):
    async def greet(self) -> Data:
        await self.send("Hello")
        return await self.recv()


async def use(ws: ClientConnection) -> None:
    assert_type(await ws.recv(), str | bytes)
    assert_type(await ws.recv(decode=True), str)
    assert_type(await ws.recv(decode=False), bytes)
    await ws.send("text")
    await ws.send(b"bytes", text=True)
    await ws.send(["frag", "ments"])
    async for message in ws:
        assert_type(message, str | bytes)
    async for fragment in ws.recv_streaming():
        assert_type(fragment, str | bytes)
    waiter = await ws.ping()
    assert_type(await waiter, float)
    assert_type(await ws.pong(b"data"), None)
    attributes(ws)
    host, port = ws.remote_address[:2]
    print(host, port)
    await ws.close(CloseCode.GOING_AWAY, "bye")
    await ws.wait_closed()


def attributes(ws: ClientConnection | sync.ClientConnection) -> None:
    assert_type(ws.id, uuid.UUID)
    assert_type(ws.latency, float)
    assert_type(ws.state, State)
    assert_type(ws.close_code, int | None)
    assert_type(ws.close_reason, str | None)
    assert_type(ws.subprotocol, Subprotocol | None)
    assert_type(ws.debug, bool)
    ws.logger.info("logged")
    if ws.request is not None and ws.response is not None:
        assert_type(ws.request, Request)
        assert_type(ws.request.path, str)
        assert_type(ws.response, Response)
        assert_type(ws.response.reason_phrase, str)
        assert_type(ws.response.headers, Headers)
        assert_type(ws.response.headers["Date"], str)
        assert_type(ws.response.headers.get_all("Date"), list[str])
        assert_type(list(ws.response.headers.raw_items()), list[tuple[str, str]])


def callback(exc: Exception) -> Exception | None:
    return exc if isinstance(exc, InvalidURI) else process_exception(exc)


async def messages(ws: ClientConnection) -> AsyncIterator[Data]:
    async for message in ws:
        yield message


class Client:
    """What keeps a connection and passes keywords on."""

    websocket: ClientConnection | None = None

    def __init__(self, uri: str, on_message: Callable[[Data], Awaitable[None]]) -> None:
        self.uri = uri
        self.on_message = on_message

    async def start(self, **options: Any) -> None:
        self.websocket = await connect(self.uri, **options)
        async for message in messages(self.websocket):
            await self.on_message(message)

    async def say(self, what: dict[str, str] | str) -> None:
        if self.websocket is None or self.websocket.state is not State.OPEN:
            raise LookupError
        await asyncio.wait_for(self.websocket.send(str(what)), 1)
        assert_type(await asyncio.wait_for(self.websocket.recv(), 1), str | bytes)


async def run(
    uri: str, headers: HeadersLike, logger: LoggerLike, **options: Any
) -> None:
    async with connect(
        uri,
        origin=Origin("https://example.com"),
        subprotocols=[Subprotocol("chat")],
        extensions=[ClientPerMessageDeflateFactory()],
        additional_headers=headers,
        open_timeout=None,
        ping_interval=None,
        max_size=(None, 2**20),
        max_queue=(16, 4),
        logger=logger,
        create_connection=Mine,
        ssl=None,
        **options,
    ) as ws:
        await use(ws)
    async for ws in connect(uri, process_exception=callback, reconnect_delays=backoff):
        try:
            await use(ws)
        except ConnectionClosed as exc:
            assert_type(exc.rcvd, Close | None)
            assert_type(exc.sent, Close | None)
            if exc.rcvd is not None and exc.rcvd.code == CloseCode.GOING_AWAY:
                assert_type(exc.rcvd.reason, str)
            continue
    ws = await unix_connect("/tmp/socket")
    try:
        await use(ws)
    except ConnectionClosedError as exc:
        print(exc.rcvd_then_sent)
    except InvalidStatus as exc:
        assert_type(exc.response.status_code, int)
        print(len(exc.response.body))
    except InvalidURI as exc:
        assert_type(exc.uri, str)
    except (ConcurrencyError, InvalidHandshake, OSError) as exc:
        print(exc)
    connections = await asyncio.gather(connect(uri), connect(uri))
    await asyncio.gather(*(use(ws) for ws in connections))


def blocking(uri: str, messages: Iterable[str]) -> None:
    with sync.connect(uri, additional_headers=Headers([("A", "b")])) as ws:
        assert_type(ws, sync.ClientConnection)
        ws.send(messages)
        assert_type(ws.recv(timeout=1), str | bytes)
        assert_type(ws.recv(decode=False), bytes)
        for message in ws:
            assert_type(message, str | bytes)
        assert_type(ws.ping().wait(1), bool)
        assert_type(ws.ping("data").is_set(), bool)
        assert_type(ws.wait_closed(timeout=1), bool)
        assert_type(ws.recv(1, True), str)
        for fragment in ws.recv_streaming():
            assert_type(fragment, str | bytes)
        ws.send(bytearray(1), text=True)
        ws.pong()
        attributes(ws)
        ws.close(1001, "bye")
    for ws in sync.reconnect(uri, open_timeout=5):
        print(ws.state is State.OPEN)
    for ws in sync.connect(uri, legacy=False):
        assert_type(ws, sync.ClientConnection)


def pauses() -> Iterator[float]:
    yield from backoff()


assert_type(next(backoff()), float)
assert_type(parse_uri("ws://localhost").port, int)
asyncio.run(run("ws://localhost", {}, logging.getLogger()))
'''


def run(*arguments: str) -> None:
    """Run a module of this interpreter, which must find nothing wrong."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_package_is_typed(version):
    """The package has no type error, for the oldest Python and for a newer one."""
    run("mypy", "--strict", "--python-version", version, "python/websocket_rs")


PROGRAMS = {
    "own": SAMPLE,
    "replaced": REPLACED.replace("from websockets", "from websocket_rs"),
    "websockets": REPLACED,
}


@pytest.fixture(
    params=[
        "own",
        "replaced",
        pytest.param("websockets", marks=WITH_WEBSOCKETS_17),
    ]
)
def program(request, tmp_path):
    """A program of its own, or one for websockets before or after the replacement."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAMS[request.param])
    return str(path)


@pytest.mark.timeout(300)
def test_programs_are_typed(program):
    """A program gets the types that it expects, and is told of its mistakes."""
    options = ["--strict", "--python-version", "3.11", "--warn-unused-ignores"]
    run("mypy", *options, program)


@pytest.mark.timeout(300)
def test_programs_are_typed_for_pyright(program):
    """Pyright understands the types too, where it is installed."""
    pytest.importorskip("pyright", reason="pip install pyright")
    # It fetches its own program when it is first used.
    works = [sys.executable, "-m", "pyright", "--version"]
    if subprocess.run(works, capture_output=True, check=False).returncode != 0:
        pytest.skip("pyright can't fetch its program")
    run("pyright", "--pythonpath", sys.executable, program)


@pytest.mark.timeout(300)
def test_stub_describes_the_core():
    """The stub of the extension module says what the module holds."""
    run("mypy.stubtest", "websocket_rs._core")
