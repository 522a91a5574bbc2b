"""Proxies that the environment or `proxy=` names."""

from __future__ import annotations

import asyncio
import os
import ssl

import pytest

from support import wait_until_async
from websocket_rs.asyncio.client import connect as connect_async
from websocket_rs.exceptions import InvalidProxy, InvalidProxyStatus, ProxyError
from websocket_rs.sync.client import connect


@pytest.fixture
def trust(certificates):
    """The context of a client that trusts the proxy."""
    return ssl.create_default_context(cafile=certificates.ca_file)


def options_for(scheme, echo, trust):
    """Return the keywords by which a server and a proxy are trusted."""
    options = {k: v for k, v in echo.options.items() if k == "ca_file"}
    return {**options, "proxy_ssl": trust} if scheme == "https" else options


def url_of(proxy, user=""):
    """Return the URL of a proxy, with these credentials."""
    name = "localhost" if proxy.scheme == "https" else proxy.host
    return f"{proxy.scheme}://{user}{name}:{proxy.port}"


def test_connect_through_proxy(scheme, echo, proxy_server, trust):
    """The URL of a proxy of any scheme leads through it."""
    proxy = proxy_server(scheme)
    options = options_for(scheme, echo, trust)
    with connect(echo.url, proxy=url_of(proxy), **options) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        assert ws.remote_address == (proxy.host, proxy.port)
    assert len(proxy.asked) == 1


async def test_connect_through_proxy_on_asyncio(scheme, echo, proxy_server, trust):
    """The asyncio client goes through proxies too."""
    proxy = proxy_server(scheme)
    options = options_for(scheme, echo, trust)
    async with connect_async(echo.url, proxy=url_of(proxy), **options) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"


def test_connect_with_credentials(scheme, echo, proxy_server, trust):
    """User name and password of the URL are decoded, and are what the proxy is told."""
    proxy = proxy_server(scheme, credentials=("me@home", "p:ss"))
    options = options_for(scheme, echo, trust)
    with connect(echo.url, proxy=url_of(proxy, "me%40home:p%3Ass@"), **options):
        pass
    expected = "" if scheme.startswith("socks4") else "p:ss"
    assert proxy.asked[0].credentials == ("me@home", expected)


def test_connect_with_wrong_credentials(scheme, echo, proxy_server, trust):
    """A proxy that wants other credentials refuses."""
    proxy = proxy_server(scheme, credentials=("me", "right"))
    options = options_for(scheme, echo, trust)
    with pytest.raises(ProxyError) as caught:
        connect(echo.url, proxy=url_of(proxy, "you:wrong@"), **options)
    is_http = scheme.startswith("http")
    assert isinstance(caught.value, InvalidProxyStatus) == is_http
    assert "wrong" not in str(caught.value)


def test_connect_request_to_proxy(echo_server, proxy_server):
    """The proxy is told the user agent, and nothing that is for the server."""
    proxy = proxy_server("http")
    with connect(
        echo_server.url,
        proxy=url_of(proxy),
        user_agent_header="agent/1",
        additional_headers={"Authorization": "secret", "Cookie": "secret"},
    ):
        pass
    assert "User-Agent: agent/1\r\n" in proxy.asked[0].head
    assert "secret" not in proxy.asked[0].head


async def test_connect_hanging_proxy_cancelled(echo_server, proxy_server):
    """An attempt through a proxy that doesn't answer can be cancelled."""
    proxy = proxy_server("http", stop_after=0, hangs=True)
    attempt = connect_async(echo_server.url, proxy=url_of(proxy))
    task = asyncio.create_task(attempt)
    await wait_until_async(lambda: proxy.visits, "the proxy is asked")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_connect_proxy_server_hostname(echo_server, proxy_server, trust):
    """The name that the proxy's certificate must carry can be given."""
    proxy = proxy_server("https")
    url = url_of(proxy).replace("localhost", "127.0.0.1")
    keywords = {"proxy": url, "proxy_ssl": trust, "proxy_server_hostname": "localhost"}
    with connect(echo_server.url, **keywords):
        pass
    refusing = proxy_server("https", tls_refused=True)
    keywords |= {"proxy": url_of(refusing), "proxy_server_hostname": "other.example"}
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(echo_server.url, **keywords)


@pytest.fixture
def environment(monkeypatch):
    """Set the variables that name proxy_server, and no others."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch.setenv


def test_connect_proxy_of_environment(echo_server, proxy_server, environment):
    """The environment names the proxy, unless the user says otherwise."""
    proxy, other = proxy_server("http"), proxy_server("socks5")
    environment("http_proxy", proxy.url)
    with connect(echo_server.url):
        pass
    assert len(proxy.asked) == 1
    with connect(echo_server.url, proxy=None):
        pass
    with connect(echo_server.url, proxy=other.url):
        pass
    environment("no_proxy", "127.0.0.1")
    with connect(echo_server.url):
        pass
    assert (len(proxy.asked), len(other.asked)) == (1, 1)


def test_connect_socks_proxy_of_environment(echo_server, proxy_server, environment):
    """A SOCKS proxy is preferred, as the RFC asks for."""
    proxy, other = proxy_server("socks5"), proxy_server("http")
    environment("socks_proxy", f"socks5h://{proxy.host}:{proxy.port}")
    environment("https_proxy", other.url)
    with connect(echo_server.url):
        pass
    assert (len(proxy.asked), len(other.asked)) == (1, 0)


def test_connect_wrong_proxy_of_environment(echo_server, environment):
    """A URL in the environment that is wrong is named when it would be used."""
    environment("ws_proxy", "ftp://proxy")
    with pytest.raises(InvalidProxy, match="ftp"):
        connect(echo_server.url)


def test_connect_redirected_past_proxy(raw_server, proxy_server, environment):
    """Each redirect is followed through the proxy that its target needs."""
    proxy = proxy_server("http")
    environment("ws_proxy", proxy.url)
    environment("no_proxy", "127.0.0.1")

    def target(peer):
        peer.accept_handshake()
        peer.answer_close()

    port = raw_server(target).port

    def site(peer):
        peer.read_request()
        head = f"HTTP/1.1 302 Found\r\nLocation: ws://localhost:{port}/\r\n"
        peer.sock.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
        peer.wait_eof()

    with connect(raw_server(site).url):
        pass
    assert [asked.host for asked in proxy.asked] == ["localhost"]
