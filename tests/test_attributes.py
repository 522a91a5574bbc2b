"""What connections tell of themselves, and of what they haven't."""

from __future__ import annotations

import weakref

import pytest

from websocket_rs.async_client import connect as connect_async
from websocket_rs.datastructures import Headers
from websocket_rs.http11 import Request, Response
from websocket_rs.sync_client import connect


def test_request_and_response(answering):
    """The opening handshake can be looked at, as it was sent and received."""
    server = answering(lambda peer: None)
    headers = [("Cookie", "a=b"), ("X-A", "1"), ("X-A", "2")]
    with connect(server.url + "/p?q=1", additional_headers=headers) as ws:
        request, response = ws.request, ws.response
    assert (request.method, request.path, request.protocol) == (
        "GET",
        "/p?q=1",
        "HTTP/1.1",
    )
    assert request.headers["Cookie"] == "a=b"
    assert request.headers.get_all("x-a") == ["1", "2"]
    assert request.headers["Sec-WebSocket-Version"] == "13"
    assert (response.status_code, response.reason_phrase) == (
        101,
        "Switching Protocols",
    )
    assert response.headers["upgrade"] == "websocket"
    assert response.body == b""
    assert ws.request is request
    assert ws.response is response
    assert isinstance(request, Request)
    assert isinstance(response, Response)
    assert isinstance(response.headers, Headers)


def test_response_cookies(raw_server):
    """Every cookie of the response can be read."""

    def script(peer):
        peer.accept_handshake("Set-Cookie: a=1; Path=/", "Set-Cookie: b=2")
        peer.answer_close()

    with connect(raw_server(script).url) as ws:
        cookies = ws.response.headers.get_all("Set-Cookie")
    assert cookies == ["a=1; Path=/", "b=2"]


async def test_loop(echo_server):
    """The asyncio client tells the event loop that it belongs to."""
    import asyncio

    async with connect_async(echo_server.url) as ws:
        assert ws.loop is asyncio.get_running_loop()
        assert ws.request.path == "/"


def test_attributes_keep_nothing_alive(echo_server):
    """A connection that was looked at goes when nobody refers to it."""
    ws = connect(echo_server.url)
    assert ws.request
    assert ws.response
    assert ws.logger
    assert ws.id
    ws.close()
    reference = weakref.ref(ws)
    del ws
    assert reference() is None
