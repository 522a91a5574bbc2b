"""Proxies that don't connect, and the exceptions that tell why."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
import time

import pytest

from answers import LATE
from proxy_server import http_acceptance
from raw_server import MS, Peer
from routes import (
    CREDENTIALS,
    HTTP,
    RESOLVING,
    open_async,
    open_sync,
    options_for,
    refused_by,
    through,
)
from support import Background, wait_until, wait_until_async
from websocket_rs._client.tls.arguments import interpret
from websocket_rs._client.values import Proxy, Route
from websocket_rs.exceptions import (
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
    RefusedError,
)


# Test proxies that refuse.


@pytest.mark.parametrize("status", [101, 302, 403, 502])
@pytest.mark.parametrize("scheme", HTTP)
def test_http_proxy_refuses(scheme, status, echo_server, proxy_server, certificates):
    """The response of an HTTP proxy that refuses is kept, with its body."""
    proxy = proxy_server(scheme, refusal=status)
    error = refused_by(through(options_for(echo_server.url), proxy, certificates))
    assert type(error) is InvalidProxyStatus
    assert (error.response.status_code, error.response.body) == (status, b"no")


@pytest.mark.parametrize("scheme", HTTP)
def test_http_proxy_refuses_and_stays(scheme, echo_server, proxy_server, certificates):
    """A refusal without a body isn't waited for, though the connection stays open."""
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    proxy = proxy_server(scheme, answer=answer, stop_after=len(answer), hangs=True)
    options = options_for(echo_server.url, connect_timeout=None)
    error = refused_by(through(options, proxy, certificates))
    assert type(error) is InvalidProxyStatus
    assert (error.response.status_code, error.response.body) == (407, b"")


REASONS = {
    1: ("general SOCKS server failure", OSError, None),
    2: ("connection not allowed by ruleset", OSError, None),
    3: ("network unreachable", OSError, errno.ENETUNREACH),
    4: ("host unreachable", OSError, errno.EHOSTUNREACH),
    5: ("connection refused", ConnectionRefusedError, errno.ECONNREFUSED),
    6: ("TTL expired", OSError, None),
    7: ("command not supported", OSError, None),
    8: ("address type not supported", OSError, None),
    77: ("proxy replied with unknown code 77", ValueError, None),
}


@pytest.mark.parametrize("code", REASONS)
def test_socks5_proxy_refuses(code, echo_server, proxy_server, certificates):
    """The reason of a SOCKS proxy is the cause of the error."""
    proxy = proxy_server("socks5h", refusal=code)
    error = refused_by(through(options_for(echo_server.url), proxy, certificates))
    text, kind, number = REASONS[code]
    assert type(error) is ProxyError
    assert type(error.__cause__) is kind
    assert text in str(error.__cause__)
    assert getattr(error.__cause__, "errno", None) == number


async def test_async_proxy_refuses(scheme, echo_server, proxy_server, certificates):
    """The asyncio client raises the same errors."""
    proxy = proxy_server(scheme, refusal=400 if scheme in HTTP else 1)
    options = through(options_for(echo_server.url), proxy, certificates)
    with pytest.raises(ProxyError) as caught:
        await open_async(options)
    assert (type(caught.value) is InvalidProxyStatus) == (scheme in HTTP)


JUNK = [b"SSH-2.0-OpenSSH_9.2\r\n", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"<html>\n"]


@pytest.mark.parametrize("junk", [*JUNK, b"HTTP/1.1 200 OK\r\nX: " + 100_000 * b"x"])
def test_proxy_answers_junk(scheme, junk, echo_server, proxy_server, certificates):
    """What is no answer at all is an error of its own, with what is wrong as cause."""
    proxy = proxy_server(scheme, answer=junk, stop_after=1_000_000)
    error = refused_by(through(options_for(echo_server.url), proxy, certificates))
    assert type(error.__cause__) is ValueError
    if scheme in HTTP:
        assert type(error) is InvalidProxyMessage
        text = "did not receive a valid HTTP response from proxy"
    else:
        assert type(error) is ProxyError
        text = "failed to connect to SOCKS proxy"
    assert str(error) == text


ANSWER_SIZES = {
    "http": len(http_acceptance()),
    "https": len(http_acceptance()),
    "socks4a": 8,
    "socks5h": 2 + 2 + 12,
}


@pytest.mark.parametrize("scheme", RESOLVING)
def test_proxy_ends_at_every_byte(scheme, echo_server, proxy_server, certificates):
    """The end of the connection before that of the answer has an EOFError as cause."""
    step = 13 if scheme == "https" else 1
    for size in range(0, ANSWER_SIZES[scheme], step):
        proxy = proxy_server(scheme, stop_after=size, credentials=CREDENTIALS)
        options = options_for(echo_server.url)
        options = through(options, proxy, certificates, credentials=CREDENTIALS)
        error = refused_by(options)
        expected = InvalidProxyMessage if scheme in HTTP else ProxyError
        assert type(error) is expected, f"end at {size}"
        assert type(error.__cause__) is EOFError, f"end at {size}"


def test_proxy_resets(proxy_server, raw_server, certificates, scheme):
    """A reset is an OSError that names the proxy."""
    tls = certificates.server_context() if scheme == "https" else None
    server = raw_server(Peer.reset, tls=tls)
    proxy = Proxy(scheme, server.host, server.port)
    if scheme == "https":
        arguments = interpret(True, None, certificates.ca_file, None, None, None)
        proxy = proxy._replace(tls=arguments)
    error = refused_by(options_for("ws://127.0.0.1:1/").with_proxy(proxy))
    assert isinstance(error, ConnectionResetError)
    assert f"(proxy {scheme}://{server.host}:{server.port})" in str(error)


@pytest.mark.parametrize("said", [0, 5])
def test_proxy_hangs(scheme, said, echo_server, proxy_server, certificates):
    """The time for connecting includes the proxy's, and the error says so."""
    proxy = proxy_server(scheme, stop_after=said, hangs=True)
    options = options_for(echo_server.url, 200 * MS)
    start = time.monotonic()
    error = refused_by(through(options, proxy, certificates))
    assert 199 * MS <= time.monotonic() - start < 200 * MS + LATE
    assert type(error) is TimeoutError
    assert (
        str(error) == f"timed out in connecting through the proxy after {200 * MS:g} s"
    )


@pytest.mark.parametrize("timeout", [200 * MS, 1100 * MS])
def test_proxy_drips(timeout, raw_server):
    """What drips in does not prolong the time."""

    def drip(peer: Peer) -> None:
        peer.read_request()
        peer.drip(b"HTTP/1.1 200 " + 9999 * b"x")

    server = raw_server(drip)
    options = options_for("ws://127.0.0.1:1/", timeout).with_proxy(
        Proxy("http", server.host, server.port)
    )
    start = time.monotonic()
    error = refused_by(options)
    assert time.monotonic() - start < 1.1 * timeout + LATE
    assert type(error) is TimeoutError


async def test_async_proxy_cancel(scheme, echo_server, proxy_server, certificates):
    """A task that waits for a proxy can be cancelled, and leaves nothing behind."""
    proxy = proxy_server(scheme, stop_after=0, hangs=True)
    options = through(options_for(echo_server.url), proxy, certificates)
    task = asyncio.ensure_future(open_async(options))
    await wait_until_async(lambda: proxy.visits, "the proxy is asked")
    task.cancel()
    start = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - start < LATE


class Interrupted(Exception):
    """Raised by a signal handler."""


@pytest.mark.main_thread
def test_proxy_interrupted(scheme, echo_server, proxy_server, certificates):
    """A signal handler that raises ends the wait for a proxy; nothing is left."""
    proxy = proxy_server(scheme, stop_after=0, hangs=True)
    main, is_over = threading.main_thread(), threading.Event()

    def handler(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    def interrupt() -> None:
        wait_until(lambda: proxy.visits, "the proxy is asked")
        # The first may come before the wait.
        while not is_over.wait(10 * MS):
            signal.pthread_kill(main.ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    interrupting = Background(interrupt)
    try:
        with pytest.raises(Interrupted):
            open_sync(through(options_for(echo_server.url), proxy, certificates))
    finally:
        is_over.set()
        interrupting.result()
        signal.signal(signal.SIGUSR1, before)


def test_proxy_is_not_there(scheme):
    """A proxy that can't be connected to is named in an OSError."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    options = options_for("ws://127.0.0.1/")
    error = refused_by(options.with_proxy(Proxy(scheme, "127.0.0.1", port)))
    assert type(error) is RefusedError
    assert isinstance(error, ConnectionRefusedError)
    assert f"cannot connect to 127.0.0.1:{port} (proxy {scheme}://" in str(error)


# Test the limits of what can be said to a proxy.


@pytest.mark.parametrize(
    ("scheme", "host", "port", "credentials", "user_agent"),
    [
        ("ftp", "h", 1, None, None),
        ("HTTP", "h", 1, None, None),
        ("http", "", 1, None, None),
        ("http", "a b", 1, None, None),
        ("http", "h\r\nX: y", 1, None, None),
        ("http", "h", 0, None, None),
        ("http", "h", 65536, None, None),
        ("http", "h", -1, None, None),
        ("http", "h", 1, ("a:b", "c"), None),
        ("http", "h", 1, None, "a\r\nX: y"),
        ("socks5", "h", 1, ("a" * 256, ""), None),
        ("socks5", "h", 1, ("a", "b" * 256), None),
        ("socks5", "h", 1, ("a", "é" * 128), None),
        ("socks4", "h", 1, ("a\0b", ""), None),
    ],
)
def test_with_proxy_wrong(scheme, host, port, credentials, user_agent):
    """What can't be a proxy, or be told to it, is a ValueError without its secrets."""
    options = options_for("ws://example.test/")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        options.with_proxy(Proxy(scheme, host, port, credentials, user_agent))
    assert "bbb" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks4a", "socks5h"])
def test_proxy_name_too_long(scheme, proxy_server, certificates):
    """A name of more than 255 bytes is a ValueError before the proxy is asked."""
    proxy = proxy_server(scheme)
    options = options_for("ws://example.test/").with_route(
        Route(address=("x" * 256, None))
    )
    error = refused_by(through(options, proxy, certificates))
    assert type(error) is ValueError
    assert proxy.accepted == 0


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks4_proxy_ipv6(scheme, proxy_server, certificates):
    """SOCKS 4 has no way to say an IPv6 address."""
    proxy = proxy_server(scheme)
    error = refused_by(through(options_for("ws://[::1]:1/"), proxy, certificates))
    assert type(error) is ProxyError
    assert "IPv6" in str(error.__cause__)
    assert proxy.accepted == 0
