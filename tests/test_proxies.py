"""Proxies that connect: every scheme, to servers in the clear and over TLS.

What is said to a proxy, byte by byte, is tested in Rust too; here it is the whole way
that counts. Proxies that don't connect are in `test_proxy_refusal.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import TYPE_CHECKING

import pytest

from routes import (
    CREDENTIALS,
    HTTP,
    MIB,
    RESOLVING,
    open_async,
    open_sync,
    options_for,
    options_of,
    refused_by,
    through,
)
from support import Background
from websocket_rs._client.tls.arguments import TlsArguments, interpret
from websocket_rs._client.values import Proxy, Route
from websocket_rs.exceptions import (
    CertificateError,
    InvalidProxyStatus,
    ProxyError,
    ResolveError,
    TLSError,
)


if TYPE_CHECKING:
    from raw_server import Peer


# Test proxies that connect.


def test_proxy_connects(scheme, echo, proxy_server, certificates):
    """A connection through any proxy, in the clear or over TLS, is like any other."""
    proxy = proxy_server(scheme)
    with open_sync(through(options_of(echo), proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        ws.send(b"x" * MIB)
        assert ws.recv() == b"x" * MIB
        assert ws.remote_address == (proxy.host, proxy.port)
    assert ws.close_code == 1000
    [asked] = proxy.asked
    assert echo.url.endswith(f":{asked.port}")
    assert asked.is_name == (
        scheme in {"socks4a", "socks5h"} and "localhost" in echo.url
    )


async def test_async_proxy_connects(scheme, echo, proxy_server, certificates):
    """The same holds for the asyncio client."""
    proxy = proxy_server(scheme)
    async with open_async(through(options_of(echo), proxy, certificates)) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        await ws.send(b"x" * MIB)
        assert await ws.recv() == b"x" * MIB
    assert ws.close_code == 1000


def test_proxy_answers_byte_by_byte(scheme, echo, proxy_server, certificates):
    """The pieces in which a proxy answers change nothing."""
    proxy = proxy_server(scheme, pieces=1)
    with open_sync(through(options_of(echo), proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"


@pytest.mark.parametrize("scheme", RESOLVING)
def test_proxy_resolves_name(scheme, echo_server, proxy_server, certificates):
    """A name that only the proxy knows is left to the proxy."""
    proxy = proxy_server(scheme, names={"only.proxy.test": "127.0.0.1"})
    options = options_for(f"ws://only.proxy.test:{echo_server.port}/")
    with open_sync(through(options, proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    assert proxy.asked[0].host == "only.proxy.test"


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_proxy_gets_address(scheme, echo_server, proxy_server, certificates):
    """A name is resolved here where the scheme says so, to an IPv4 address first."""
    proxy = proxy_server(scheme)
    options = options_for(f"ws://localhost:{echo_server.port}/")
    with open_sync(through(options, proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    assert (proxy.asked[0].host, proxy.asked[0].is_name) == ("127.0.0.1", False)

    error = refused_by(through(options_for("ws://host.invalid/"), proxy, certificates))
    assert type(error) is ResolveError
    assert len(proxy.asked) == 1


def test_proxy_is_told_address(scheme, echo_server, proxy_server, certificates):
    """What with_address says is what the proxy connects to; the Host header stays."""
    proxy = proxy_server(scheme)
    options = options_for("ws://example.test/").with_route(
        Route(address=("127.0.0.1", echo_server.port))
    )
    with open_sync(through(options, proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    assert (proxy.asked[0].host, proxy.asked[0].port) == ("127.0.0.1", echo_server.port)
    if scheme in HTTP:
        assert "\r\nHost: example.test\r\n" in proxy.asked[0].head


def test_http_proxy_request(raw_server, proxy_server, certificates):
    """The request has the headers that websockets sends, and no others."""
    server = raw_server(lambda peer: (peer.accept_handshake(), peer.answer_close()))
    proxy = proxy_server("http", credentials=CREDENTIALS)
    options = through(
        options_for(server.url),
        proxy,
        certificates,
        credentials=CREDENTIALS,
        user_agent="agent",
    )
    open_sync(options).close()
    target = f"127.0.0.1:{server.port}"
    assert proxy.asked[0].head == (
        f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: agent\r\n"
        "Proxy-Authorization: Basic dXNlcjpwYXNzOndvcmQ=\r\n\r\n"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "ws://example.test/path?query",
        "wss://example.test",
        "ws://example.test:443/",
        "wss://example.test:80/",
        "ws://[2001:db8::1]/",
        "wss://[2001:db8::1]:8443/",
        "ws://192.0.2.1:8080/",
    ],
)
def test_http_proxy_request_like_websockets(uri, proxy_server, certificates):
    """A proxy can't tell this client from websockets."""
    theirs = pytest.importorskip("websockets.proxy")
    uris = pytest.importorskip("websockets.uri")
    proxy = proxy_server("http", refusal=403)
    options = through(
        options_for(uri), proxy, certificates, credentials=CREDENTIALS, user_agent="x"
    )
    assert type(refused_by(options)) is InvalidProxyStatus
    expected = theirs.prepare_connect_request(
        theirs.Proxy("http", "h", 1, *CREDENTIALS), uris.parse_uri(uri), "x"
    )
    assert proxy.asked[0].head == expected.decode()


@pytest.mark.parametrize("scheme", HTTP)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 201 \r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_http_proxy_unusual_answer(
    scheme, answer, echo_server, proxy_server, certificates
):
    """Any 2xx is an acceptance, in HTTP/1.0 too, and has no body."""
    proxy = proxy_server(scheme, answer=answer)
    with open_sync(through(options_for(echo_server.url), proxy, certificates)) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"


def test_proxy_large_messages_both_ways(scheme, echo, proxy_server, certificates):
    """Nothing stops where much goes both ways at once, also with TLS in TLS."""
    proxy = proxy_server(scheme)
    messages = [os.urandom(size) for size in [3 * MIB, 1, 70_000, 5 * MIB, 0, 2 * MIB]]
    with open_sync(through(options_of(echo), proxy, certificates)) as ws:
        sending = Background(lambda: [ws.send(message) for message in messages])
        assert [ws.recv() for _ in messages] == messages
        sending.result()
    assert ws.close_code == 1000


async def test_async_proxy_large_messages_both_ways(echo, proxy_server, certificates):
    """The same holds for the asyncio client, with the proxy that has most to do."""
    proxy = proxy_server("https")
    messages = [os.urandom(size) for size in [3 * MIB, 1, 70_000, 5 * MIB, 0, 2 * MIB]]
    async with open_async(through(options_of(echo), proxy, certificates)) as ws:

        async def send() -> None:
            for message in messages:
                await ws.send(message)

        sending = asyncio.create_task(send())
        assert [await ws.recv() for _ in messages] == messages
        await sending
    assert ws.close_code == 1000


def test_proxy_tls_in_tls_many_small_messages(
    tls_echo_server, tmp_path, proxy_server, certificates
):
    """Many small messages in one segment come out one by one."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(tls_echo_server.certificate)
    options = options_for(tls_echo_server.url, ca_file=str(ca_file))
    messages = [f"message {number}" for number in range(2000)]
    with open_sync(through(options, proxy_server("https"), certificates)) as ws:
        for message in messages:
            ws.send(message)
        assert [ws.recv() for _ in messages] == messages


# Test credentials.


def test_proxy_credentials(scheme, echo_server, proxy_server, certificates):
    """A proxy that asks for credentials is given them."""
    proxy = proxy_server(scheme, credentials=CREDENTIALS)
    options = options_for(echo_server.url)
    with open_sync(
        through(options, proxy, certificates, credentials=CREDENTIALS)
    ) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    expected = ("user", "") if scheme.startswith("socks4") else CREDENTIALS
    assert proxy.asked[0].credentials == expected


@pytest.mark.parametrize("given", [None, ("user!", "pass:word!")], ids=["no", "wrong"])
def test_proxy_wrong_credentials(
    scheme, given, echo_server, proxy_server, certificates
):
    """Credentials that a proxy does not like are a ProxyError."""
    proxy = proxy_server(scheme, credentials=CREDENTIALS)
    options = options_for(echo_server.url)
    error = refused_by(through(options, proxy, certificates, credentials=given))
    if scheme in HTTP:
        assert type(error) is InvalidProxyStatus
        assert error.response.status_code == 407
        assert error.response.headers["X-Proxy"] == "yes"
        assert error.response.body == b"no"
        assert str(error) == "proxy rejected connection: HTTP 407"
    else:
        assert type(error) is ProxyError
        assert str(error) == "failed to connect to SOCKS proxy"
        assert isinstance(error.__cause__, OSError)
        reasons = {
            "socks4": "identd reports another user name",
            "socks5": "authentication failed" if given else "authentication required",
        }
        assert str(error.__cause__) == reasons[scheme[:6]]


def test_proxy_credentials_are_not_needed(
    scheme, echo_server, proxy_server, certificates
):
    """Credentials do no harm where they aren't asked for."""
    proxy = proxy_server(scheme)
    options = options_for(echo_server.url)
    with open_sync(
        through(options, proxy, certificates, credentials=CREDENTIALS)
    ) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"


def test_proxy_log(scheme, echo_server, proxy_server, certificates, caplog):
    """The log names the proxy, and holds no credentials."""
    caplog.set_level(logging.DEBUG, "websocket_rs")
    proxy = proxy_server(scheme, credentials=CREDENTIALS)
    options = options_for(echo_server.url)
    open_sync(through(options, proxy, certificates, credentials=CREDENTIALS)).close()
    name = f"{scheme}://{proxy.host}:{proxy.port}"
    [record] = [r for r in caplog.records if "connected to proxy" in r.getMessage()]
    assert record.getMessage() == f"connected to proxy {name}"
    assert (record.name, record.levelno) == ("websocket_rs.client", logging.DEBUG)
    assert "pass" not in caplog.text
    assert "dXNlcj" not in caplog.text


# Test TLS with a proxy.


def test_https_proxy_untrusted(echo_server, proxy_server):
    """A proxy's certificate is verified, and the error tells whose it was."""
    proxy = proxy_server("https", tls_refused=True)
    options = options_for(echo_server.url).with_proxy(
        Proxy("https", proxy.host, proxy.port)
    )
    error = refused_by(options)
    assert type(error) is CertificateError
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert f"proxy https://{proxy.host}:{proxy.port}" in str(error)


def test_https_proxy_name(echo_server, proxy_server, certificates):
    """The name that TLS verifies can be another than the proxy's host."""
    context = certificates.context_for("proxy.test")
    tls = interpret(True, None, certificates.ca_file, None, None, None)
    for name, accepted in [(None, False), ("proxy.test", True)]:
        proxy = proxy_server("https", tls=context, tls_refused=not accepted)
        options = options_for(echo_server.url).with_proxy(
            Proxy("https", proxy.host, proxy.port, server_hostname=name, tls=tls)
        )
        if accepted:
            open_sync(options).close()
        else:
            assert type(refused_by(options)) is CertificateError


def test_https_proxy_is_plain(raw_server):
    """A proxy that doesn't speak TLS is a TLSError that names it."""

    def script(peer: Peer) -> None:
        peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_eof()

    proxy = raw_server(script)
    options = options_for("ws://example.test/").with_proxy(
        Proxy("https", proxy.host, proxy.port)
    )
    error = refused_by(options)
    assert type(error) is TLSError
    assert "does not speak TLS" in str(error)
    assert f"proxy https://{proxy.host}:{proxy.port}" in str(error)


def test_https_proxy_unverified_is_warned_of(
    echo_server, proxy_server, certificates, caplog
):
    """A proxy that nobody verifies is warned of."""
    proxy = proxy_server("https")
    tls = TlsArguments(verify="off")
    options = options_for(echo_server.url).with_proxy(
        Proxy("https", proxy.host, proxy.port, tls=tls)
    )
    open_sync(options).close()
    [record] = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "is not verified" in record.getMessage()
    assert f"https://{proxy.host}" in record.getMessage()


def test_with_proxy_tls_without_https_proxy():
    """TLS is for https proxies."""
    options = options_for("ws://example.test/")
    tls = interpret(True, None, None, None, None, None)
    with pytest.raises(ValueError, match="https proxy"):
        options.with_proxy(Proxy("http", "h", 1, tls=tls))
    with pytest.raises(ValueError, match="proxy_server_hostname"):
        options.with_proxy(Proxy("https", "h", 1, server_hostname="a b", tls=tls))


def test_proxied_server_untrusted(tls_echo_server, proxy_server, certificates):
    """The server's own certificate is verified, whatever the proxy's is."""
    options = options_for(tls_echo_server.url)
    error = refused_by(through(options, proxy_server("https"), certificates))
    assert type(error) is CertificateError
    assert "proxy" not in str(error)
