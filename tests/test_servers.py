"""Both clients against servers that others have written."""

from __future__ import annotations

import pytest

import software
from support import wait_until, wait_until_async
from websocket_rs.asyncio.client import connect as connect_async
from websocket_rs.exceptions import ConnectionClosedError, InvalidStatus
from websocket_rs.sync.client import connect


@pytest.fixture(params=software.SERVERS, scope="module")
def server(request):
    """Every server, one after the other."""
    with software.server(request.param) as url:
        yield url


MESSAGES = ["", "hello", "ü" * 1000, b"", b"\x00\xff", b"x" * 70_000, "x" * 1_000_000]
BIG = 1 << 24


def test_echo(server):
    """Messages of all kinds and sizes come back as they were sent."""
    with connect(server, max_size=BIG) as ws:
        for message in MESSAGES:
            ws.send(message)
            assert ws.recv(timeout=10) == message
        for number in range(200):
            ws.send(str(number))
        assert [ws.recv(timeout=10) for _ in range(200)] == [str(n) for n in range(200)]


async def test_echo_on_asyncio(server):
    """Messages of all kinds and sizes come back to the asyncio client, too."""
    async with connect_async(server, max_size=BIG) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message


def test_compression(server):
    """Compression is agreed upon where the server has it, and no message suffers."""
    with connect(server, max_size=BIG) as ws:
        agreed = ws.response.headers["Sec-WebSocket-Extensions"]
        assert agreed.startswith("permessage-deflate")
        for size in [100, 10_000, 1_000_000]:
            for _ in range(3):
                text = f'{{"key": "value", "number": {size}}}' * (size // 30)
                ws.send(text)
                assert ws.recv(timeout=10) == text


def test_without_compression(server):
    """Without the offer, nothing is compressed."""
    with connect(server, compression=None) as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        ws.send("x" * 1000)
        assert ws.recv(timeout=10) == "x" * 1000


def test_fragments(server):
    """A message in fragments is one message to the server."""
    with connect(server) as ws:
        ws.send(["frag", "", "ments"])
        assert ws.recv(timeout=10) == "fragments"


def test_ping(server):
    """A ping is answered."""
    with connect(server) as ws:
        assert 0 < ws.ping().result(10) < 10


async def test_ping_on_asyncio(server):
    """A ping of the asyncio client is answered."""
    async with connect_async(server) as ws:
        assert 0 < await (await ws.ping()) < 10


@pytest.mark.parametrize("offered", [["chat"], ["other", "chat"]])
def test_subprotocol(server, offered):
    """The subprotocol that the server chooses is agreed upon."""
    with connect(server, subprotocols=offered) as ws:
        assert ws.subprotocol == "chat"
        ws.send("subprotocol")
        assert ws.recv(timeout=10) == "chat"


def test_closed_by_server(server):
    """The server's close code and reason are told."""
    with connect(server) as ws:
        ws.send("close 4001 bye")
        with pytest.raises(ConnectionClosedError, match="4001") as caught:
            ws.recv(timeout=10)
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "bye")
    assert (ws.close_code, ws.close_reason) == (4001, "bye")


async def test_closed_by_server_on_asyncio(server):
    """The server's close code and reason are told to the asyncio client."""
    async with connect_async(server) as ws:
        await ws.send("close 1000 done")
        assert [message async for message in ws] == []
        assert (ws.close_code, ws.close_reason) == (1000, "done")


@pytest.fixture
def saw(request, server):
    """Tell whether the server saw a close with this code and the reason ``enough``."""
    name = request.node.callspec.params["server"]

    def tell(code):
        with connect(server) as ws:
            ws.send("seen")
            # aiohttp doesn't tell the reason, and Hypercorn neither it nor the code.
            expected = {"aiohttp": f"{code}", "hypercorn": "1006"}
            return ws.recv(timeout=10) == expected.get(name, f"{code} enough")

    return tell


def test_closed_by_client(server, saw):
    """The server sees the code and reason of the client."""
    with connect(server) as ws:
        ws.close(4002, "enough")
    wait_until(lambda: saw(4002), "the server has seen it")


async def test_closed_by_client_on_asyncio(server, saw):
    """The server sees the code and reason of the asyncio client."""
    async with connect_async(server) as ws:
        await ws.close(4003, "enough")
    await wait_until_async(lambda: saw(4003), "the server has seen it")


def test_refused(server):
    """A refusal is an exception with the server's response."""
    with pytest.raises(InvalidStatus) as caught:
        connect(f"{server}/refuse")
    assert caught.value.response.status_code == 403
    assert caught.value.response.body == b"no"


@pytest.mark.parametrize("name", software.SERVERS)
def test_died(name):
    """A server that dies in the middle is an error, and no close code came."""
    with software.server(name) as url, connect(url) as ws:
        ws.send("hello")
        assert ws.recv(timeout=10) == "hello"
        ws.send("die")
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv(timeout=10)
        assert caught.value.rcvd is None
        assert ws.close_code == 1006


@pytest.fixture(scope="module")
def reverse_proxy(certificates, tmp_path_factory):
    """A server behind nginx, which speaks TLS."""
    folder = tmp_path_factory.mktemp("nginx")
    with (
        software.server("websockets") as target,
        software.nginx(
            target, certificates.cert_file, certificates.key_file, folder
        ) as url,
    ):
        yield url


def test_reverse_proxy(reverse_proxy, certificates):
    """A server behind a reverse proxy with TLS is like any other."""
    options = {"ca_file": certificates.ca_file, "max_size": BIG}
    with connect(reverse_proxy, **options) as ws:
        for message in MESSAGES:
            ws.send(message)
            assert ws.recv(timeout=10) == message
        assert ws.ping().result(10) > 0
        ws.send("close 4001 bye")
        with pytest.raises(ConnectionClosedError, match="4001"):
            ws.recv(timeout=10)
    with pytest.raises(InvalidStatus) as caught:
        connect(f"{reverse_proxy}/refuse", ca_file=certificates.ca_file)
    assert caught.value.response.body == b"no"


async def test_reverse_proxy_on_asyncio(reverse_proxy, certificates):
    """The asyncio client talks to a server behind a reverse proxy, too."""
    options = {"ca_file": certificates.ca_file, "max_size": BIG}
    async with connect_async(reverse_proxy, **options) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message
