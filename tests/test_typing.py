"""The types of the package, as type checkers see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


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
        assert_type(ws.subprotocol, str | None)
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


@pytest.mark.timeout(300)
def test_programs_are_typed(tmp_path):
    """A program gets the types that it expects, and is told of its mistakes."""
    program = tmp_path / "program.py"
    program.write_text(SAMPLE)
    options = ["--strict", "--python-version", "3.11", "--warn-unused-ignores"]
    run("mypy", *options, str(program))


@pytest.mark.timeout(300)
def test_stub_describes_the_core():
    """The stub of the extension module says what the module holds."""
    run("mypy.stubtest", "websocket_rs._core")
