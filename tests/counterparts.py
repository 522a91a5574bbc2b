"""The same program with `websockets` and with `websocket_rs`, to be compared.

A scenario is a coroutine that uses a connection. It runs with the asyncio clients of
both packages, and with the blocking ones, whose methods are made coroutines that never
wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import CLOSE, PING, PONG, Peer


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


PACKAGES = ["websockets", "websocket_rs"]
FACES = ["sync", "asyncio"]

WITH_WEBSOCKETS_17 = pytest.mark.skipif(
    int(importlib.metadata.version("websockets").split(".")[0]) < 17,
    reason="compared with websockets 17 or newer: pip install -U websockets",
)


class Library:
    """One face of one package.

    Args:
        package: The name of the package.
        face: ``"sync"`` or ``"asyncio"``.
    """

    def __init__(self, package: str, face: str) -> None:
        self.package = package
        self.face = face
        self.client = importlib.import_module(f"{package}.{face}.client")
        self.exceptions = importlib.import_module(f"{package}.exceptions")
        self.datastructures = importlib.import_module(f"{package}.datastructures")
        self.State = importlib.import_module(f"{package}.protocol").State

    @contextlib.asynccontextmanager
    async def connect(self, uri: str, **options: Any) -> AsyncIterator[Any]:
        """Open a connection for the block."""
        options.setdefault("proxy", None)
        if self.face == "sync":
            with self.client.connect(uri, **options) as ws:
                yield Blocking(ws)
        else:
            async with self.client.connect(uri, **options) as ws:
                yield ws

    async def open(self, uri: str, **options: Any) -> Any:
        """Open a connection, to be closed by the scenario."""
        options.setdefault("proxy", None)
        if self.face == "sync":
            return Blocking(self.client.connect(uri, legacy=True, **options))
        return await self.client.connect(uri, **options)

    async def reconnect(self, uri: str, **options: Any) -> AsyncIterator[Any]:
        """Yield one connection after the other."""
        options.setdefault("proxy", None)
        if self.face == "sync":
            for ws in self.client.reconnect(uri, **options):
                yield Blocking(ws)
        else:
            async for ws in self.client.connect(uri, **options):
                yield ws

    def direct(self, uri: str) -> dict[str, Any]:
        """Return the keywords that lead to a server, whatever another URI says."""
        host, _, port = uri.removeprefix("ws://").partition(":")
        if self.face == "sync":
            return {"address": (host, int(port))}
        return {"host": host, "port": int(port)}

    def module(self, name: str) -> Any:
        """Return a module of the package."""
        return importlib.import_module(f"{self.package}.{name}")

    async def latency(self, ws: Any, data: Any = None) -> Any:
        """Send a ping and await its pong; return the type of the latency."""
        waiter = await ws.ping(data)
        if self.face == "asyncio":
            return type(await waiter)
        return float if waiter.wait(5) else None


class Blocking:
    """The methods of a blocking connection as coroutines, which never wait."""

    METHODS = frozenset({"recv", "send", "ping", "pong", "close", "wait_closed"})

    def __init__(self, ws: Any) -> None:
        self.ws = ws

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.ws, name)
        if name not in self.METHODS:
            return value

        async def call(*arguments: Any, **keywords: Any) -> Any:
            return value(*arguments, **keywords)

        return call

    async def __aiter__(self) -> AsyncIterator[Any]:
        for message in self.ws:
            yield message

    async def recv_streaming(self, *arguments: Any) -> AsyncIterator[Any]:
        """Yield the fragments of a message."""
        for fragment in self.ws.recv_streaming(*arguments):
            yield fragment


def describe(exc: BaseException) -> dict[str, Any]:
    """Return what a program can see of an exception."""
    seen: dict[str, Any] = {"type": type(exc).__name__, "text": str(exc)}
    for name in ("rcvd", "sent"):
        frame = getattr(exc, name, None)
        seen[name] = frame and (int(frame.code), frame.reason)
    seen["rcvd_then_sent"] = getattr(exc, "rcvd_then_sent", None)
    seen["cause"] = type(exc.__cause__).__name__ if exc.__cause__ else None
    return seen


async def error_of(awaitable: Any) -> Any:
    """Return the description of what is raised."""
    try:
        value = await awaitable
    except asyncio.CancelledError:
        raise
    except BaseException as exc:
        return describe(exc)
    return {"value": value}


def ending(ws: Any) -> Any:
    """Return what a closed connection tells of its end."""
    code = ws.close_code
    return ws.state.name, code and int(code), ws.close_reason


class Recorder:
    """A peer that keeps what it gets, and answers pings and closes.

    Args:
        speech: What to do once a connection is open, before listening.
        headers: Further headers of the response.

    Attributes:
        frames: The frames that came, but pings of keepalive.
        headers: The headers of the request, without those that differ always.
    """

    def __init__(
        self, speech: Callable[[Peer], None] | None = None, *headers: str
    ) -> None:
        self.speech = speech
        self.response = headers
        self.frames: list[Any] = []
        self.line = ""
        self.headers: list[tuple[str, str]] = []

    def __call__(self, peer: Peer) -> None:
        """Follow the script."""
        request = peer.accept_handshake(*self.response)
        self.line = request.line
        varying = ("Sec-WebSocket-Key", "User-Agent", "Host")
        self.headers = [pair for pair in request.headers if pair[0] not in varying]
        if self.speech:
            self.speech(peer)
        with contextlib.suppress(EOFError, OSError):
            while True:
                frame = peer.read_frame()
                seen = (frame.opcode, frame.fin, frame.rsv, frame.payload)
                self.frames.append(seen)
                if frame.opcode == PING:
                    peer.send_frame(PONG, frame.payload)
                if frame.opcode == CLOSE:
                    peer.send_frame(CLOSE, frame.payload)
                    return


def same(outcomes: list[Any]) -> Any:
    """Check that both packages saw the same; return what it was."""
    theirs, ours = outcomes
    assert ours == theirs
    return ours
