"""What programs do with a `connect` object: subclass it, ask it, change it."""

from __future__ import annotations

import inspect
import itertools
import logging

import pytest

from raw_server import MS
from redirecting import Site
from websocket_rs import async_client, asyncio as aio, sync, sync_client
from websocket_rs.asyncio import client as _aio_client  # noqa: F401
from websocket_rs.datastructures import Headers
from websocket_rs.exceptions import InvalidStatus, InvalidURI, SecurityError
from websocket_rs.sync import client as _sync_client  # noqa: F401
from websocket_rs.uri import parse_uri


def quick():
    """Yield pauses that cost no time."""
    return itertools.repeat(MS)


def enter_sync(make, url, **keywords):
    """Enter and leave an object for the blocking client; return it."""
    connecting = make(sync.client.reconnect)(url, **keywords)
    with connecting as ws:
        assert connecting.connection is ws
    return connecting


def enter_async(make, url, **keywords):
    """Enter and leave an object for the asyncio client; return it."""

    async def main():
        connecting = make(aio.client.connect)(url, **keywords)
        async with connecting as ws:
            assert connecting.connection is ws
        return connecting

    import asyncio

    return asyncio.run(main())


@pytest.fixture(params=[enter_sync, enter_async], ids=["sync", "asyncio"])
def enter(request):
    """Enter and leave what a function makes of a `connect`, with each client."""
    return request.param


def test_process_redirect_refuses(enter, raw_server):
    """A redirect is followed only if the method of a subclass says so."""
    site = Site(raw_server, {"/old": "/new"})
    seen = []

    def make(base):
        class Careful(base):
            def process_redirect(self, exc):
                target = super().process_redirect(exc)
                seen.append((self.uri, target))
                return SecurityError("not there") if isinstance(target, str) else target

        return Careful

    with pytest.raises(SecurityError, match="not there") as caught:
        enter(make, f"{site.url}/old")
    assert isinstance(caught.value.__cause__, InvalidStatus)
    assert seen == [(f"{site.url}/old", f"{site.url}/new")]
    assert site.targets == ["/old"]


def test_process_redirect_leads_elsewhere(enter, raw_server):
    """What the method returns is connected to, and asked for again there."""
    site = Site(raw_server, {"/old": "/lost", "/newer": "/newest"})
    other = Site(raw_server)
    seen = []

    def make(base):
        class Elsewhere(base):
            def process_redirect(self, exc):
                seen.append((self.uri, type(exc), self.ws_uri.path))
                if self.uri.endswith("/old"):
                    return f"{site.url}/newer"
                return f"{other.url}/there"

        return Elsewhere

    headers = {"Authorization": "secret", "X-Other": "1"}
    connecting = enter(make, f"{site.url}/old", additional_headers=headers)
    assert connecting.uri == f"{other.url}/there"
    assert [path for _, _, path in seen] == ["/old", "/newer"]
    assert site.targets == ["/old", "/newer"]
    [request] = other.requests
    # Another server isn't told what is for the first one, whoever leads there.
    assert not request.all("Authorization")
    assert request.one("X-Other") == "1"


def test_process_redirect_of_other_failures(enter):
    """Any failure is shown to the method; what it returns unchanged is raised as is."""
    seen = []

    def make(base):
        class Watching(base):
            def process_redirect(self, exc):
                seen.append(exc)
                return super().process_redirect(exc)

        return Watching

    with pytest.raises(ConnectionRefusedError) as caught:
        enter(make, "ws://127.0.0.1:1/")
    assert seen == [caught.value]
    assert caught.value.__cause__ is None


def test_process_redirect_to_wrong_uri(enter, raw_server):
    """What isn't a URI of WebSocket is refused like any."""
    site = Site(raw_server, {"/": "/new"})

    def make(base):
        return type("Wrong", (base,), {"process_redirect": lambda self, exc: "http:x"})

    with pytest.raises(InvalidURI, match="scheme"):
        enter(make, site.url)


class Gone(Exception):
    """What a program makes of a failure."""


async def test_process_exception_of_subclass():
    """The method of a subclass decides whether to connect again; an argument before."""
    seen = []

    def process(self, exc):
        seen.append(exc)
        return Gone() if len(seen) == 3 else None

    url, pauses = "ws://127.0.0.1:1/", {"reconnect_delays": quick}
    connect = type("C", (aio.client.connect,), {"process_exception": process})
    with pytest.raises(Gone):
        async for _ in connect(url, **pauses):
            pass
    assert len(seen) == 3
    seen.clear()
    again = type("R", (sync.client.reconnect,), {"process_exception": process})
    with pytest.raises(Gone):
        for _ in again(url, **pauses):
            pass
    assert len(seen) == 3
    with pytest.raises(ConnectionRefusedError):
        for _ in again(url, process_exception=lambda exc: exc, **pauses):
            pass
    assert len(seen) == 3


async def test_aiter_replaced(echo_server, monkeypatch):
    """A program may iterate in its own way, by what the object has."""

    async def __aiter__(self):
        while True:
            try:
                async with self as ws:
                    yield ws
            except OSError as exc:
                self.logger.info("again: %s", self.process_exception(exc))

    monkeypatch.setattr(aio.client.connect, "__aiter__", __aiter__)
    async for ws in aio.client.connect(echo_server.url):
        await ws.send("x")
        assert await ws.recv() == "x"
        break


def test_attributes(enter, echo_server):
    """The arguments can be asked for, as they were given."""
    headers = {"X-Token": "t"}
    logger = logging.getLogger("tests.subclasses")
    url = f"{echo_server.url}/?x"

    def make(base):
        return base

    connecting = enter(
        make,
        url,
        additional_headers=headers,
        user_agent_header="agent",
        proxy=None,
        open_timeout=5,
        logger=logger,
    )
    assert connecting.uri == url
    assert connecting.ws_uri == parse_uri(url)
    assert connecting.additional_headers is headers
    assert connecting.user_agent_header == "agent"
    assert (connecting.proxy, connecting.open_timeout) == (None, 5)
    assert connecting.logger is logger
    assert connecting.create_connection.__name__.endswith("WebSocket")
    assert callable(connecting.reconnect_delays)
    assert not hasattr(connecting, "connection")


@pytest.mark.parametrize("make", [aio.client.connect, sync.client.reconnect])
def test_attributes_by_default(make):
    """What wasn't given has its default."""
    connecting = make("ws://127.0.0.1:1/")
    assert connecting.additional_headers is None
    assert (connecting.proxy, connecting.open_timeout) == (True, 10)
    assert connecting.logger is logging.getLogger("websocket_rs.client")
    assert make("ws://h", additional_headers=iter([("a", "b")])).additional_headers == [
        ("a", "b")
    ]


def test_attributes_changed(raw_server):
    """What is set on the object, or changed in the headers, is for the next attempt."""
    site = Site(raw_server, {"/moved": "/there"})
    headers = Headers({"X-Token": "1"})
    connecting = sync.client.reconnect(f"{site.url}/moved", additional_headers=headers)
    with connecting:
        pass
    # The next one begins where the first one did.
    headers["X-Token"] = "2"
    with connecting:
        pass
    connecting.additional_headers = {"X-Token": "3"}
    connecting.user_agent_header = None
    connecting.uri = f"{site.url}/elsewhere"
    with connecting:
        pass
    assert site.targets == ["/moved", "/there", "/moved", "/there", "/elsewhere"]
    tokens = [request.all("X-Token") for request in site.requests]
    assert tokens[::2] == [["1"], ["1", "2"], ["3"]]
    assert not site.requests[-1].all("User-Agent")
    connecting.uri = "http://h"
    with pytest.raises(InvalidURI), connecting:
        pass
    connecting.uri, connecting.open_timeout = site.url, "soon"
    with pytest.raises(TypeError, match="open_timeout"), connecting:
        pass


@pytest.mark.parametrize(
    "connect",
    [
        aio.client.connect,
        sync.client.connect,
        sync.client.reconnect,
        async_client.connect,
        sync_client.connect,
    ],
)
def test_signature(connect):
    """The signature names every keyword, `ssl` among them."""
    parameters = inspect.signature(connect).parameters
    for name in ("ssl", "sock", "host", "family", "proxy_ssl", "compression"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["family"].default == 0
    assert all(one.kind is not one.VAR_KEYWORD for one in parameters.values())


def test_signature_of_subclass():
    """A subclass with another signature has that one."""

    class Own(aio.client.connect):
        def __init__(self, room):
            super().__init__(f"ws://127.0.0.1:1/{room}")

    assert list(inspect.signature(Own).parameters) == ["room"]
    assert Own("x").uri == "ws://127.0.0.1:1/x"
