"""Bad arguments: a ValueError or TypeError that names the value, before any I/O."""

from __future__ import annotations

import asyncio

import pytest

from support import QUICK
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import InvalidURI, WebSocketException


URLS = [
    ("http://{}/", "http"),
    ("https://{}/", "https"),
    ("file:///etc/passwd", "file"),
    ("//{}/", "{}"),
    ("{}", "{}"),
    ("", "valid URI"),
    ("ws://", "ws://"),
    ("ws:///path", "ws:///path"),
    ("ws://:80/", "ws://:80"),
    ("ws://ho st/", "ho st"),
    ("ws://[::1/", "[::1"),
    ("ws://{}/#fragment", "fragment"),
    ("ws://127.0.0.1:99999/", "99999"),
    ("ws://127.0.0.1:65536/", "65536"),
    ("ws://127.0.0.1:-1/", "-1"),
    ("ws://127.0.0.1:port/", "port"),
    ("ws://127.0.0.1:0/", "0"),
    ("ws://{}/\r\nX-Injected: 1", "X-Injected"),
    ("ws://{}/a\nb", "a"),
    ("ws://{}/?q=\r\n", "q="),
    ("ws://{}/a b", "a b"),
    ("ws://{}/\x00", "ws://"),
    ("ws://evil\r\nHost: other/", "evil"),
]

OPTIONS = [
    ("connect_timeout", -1, "-1"),
    ("connect_timeout", float("nan"), "(?i)nan"),
    ("connect_timeout", "soon", "soon"),
    ("receive_timeout", -0.5, "-0.5"),
    ("receive_timeout", [], r"\[\]"),
    ("close_timeout", -1, "-1"),
    ("close_timeout", "x", "x"),
    ("max_size", -1, "-1"),
    ("max_size", "big", "big"),
    ("max_size", (1, -2), "-2"),
    ("max_size", (1, 2, 3), r"\(1, 2, 3\)"),
    ("max_queue", -1, "-1"),
    ("max_queue", (2, 3), r"\(2, 3\)"),
    ("max_queue", 1.5, "1.5"),
    ("ping_interval", 0, "more than 0"),
    ("ping_interval", -1, "-1"),
    ("ping_timeout", -1, "-1"),
    ("compression", "gzip", "gzip"),
    ("compression", True, "True"),
    ("extensions", "deflate", "deflate"),
    ("extensions", 5, "5"),
    ("inbox_limit", -5, "-5"),
    ("inbox_limit", 1.5, "1.5"),
    ("additional_headers", {"X-A": "a\r\nX-Injected: 1"}, "X-A"),
    ("additional_headers", {"X-A\r\nX-B": "a"}, "X-A"),
    ("additional_headers", {"X A": "a"}, "X A"),
    ("additional_headers", {"": "a"}, "''|\"\""),
    ("additional_headers", {"X-A": "a\x00b"}, "X-A"),
    ("additional_headers", {"X-A": None}, "X-A.*leave it out"),
    ("additional_headers", {"X-A": True}, "X-A.*not bool"),
    ("additional_headers", {"X-A": b"x"}, "X-A.*not bytes"),
    ("additional_headers", {5: "x"}, "header 5"),
    ("ssl", False, "ws://"),
    ("additional_headers", {"Sec-WebSocket-Key": "x"}, "(?i)sec-websocket-key"),
    ("additional_headers", {"Sec-WebSocket-Version": "8"}, "(?i)sec-websocket-version"),
    ("additional_headers", {"Connection": "close"}, "(?i)connection"),
    ("additional_headers", {"Upgrade": "h2c"}, "(?i)upgrade"),
    ("additional_headers", 5, "5"),
    ("origin", "https://a\r\nX-Injected: 1", "https://a|Origin"),
    ("origin", 5, "5"),
    ("user_agent_header", "a\nb", "a"),
    ("subprotocols", ["a b"], "a b"),
    ("subprotocols", ["a,b"], "a,b"),
    ("subprotocols", [""], "''|\"\""),
    ("subprotocols", ["chat\r\nX: y"], "chat"),
    ("subprotocols", ["é"], "é"),
    ("subprotocols", ["a", "a"], "a"),
    ("subprotocols", "chat", "subprotocols"),
    ("subprotocols", [5], "subprotocols"),
    ("ssl", "yes", "ssl must be"),
    ("ca_file", 5, "5"),
    ("server_hostname", "a\r\nb", "a"),
    ("server_hostname", 5, "server_hostname"),
]


TLS_OPTIONS = {"ssl", "ca_file", "server_hostname"}


@pytest.fixture
def untouched(raw_server):
    """A server that must not be connected to."""
    server = raw_server(lambda peer: None)
    yield server
    assert server.accepted == 0


def sync_connect(url, **options):
    """Connect with the sync client; a success is closed again."""
    sync_client.connect(url, **options).close()


def async_connect(url, **options):
    """Connect with the asyncio client, which judges its arguments when called."""
    async_client.connect(url, **options)


CONNECTS = pytest.mark.parametrize("connect", [sync_connect, async_connect])


@CONNECTS
@pytest.mark.parametrize(("url", "named"), URLS, ids=[repr(url) for url, _ in URLS])
def test_connect_bad_url(untouched, connect, url, named):
    """A URL that cannot be connected to is an InvalidURI naming it, and no I/O."""
    address = f"{untouched.host}:{untouched.port}"
    url, named = url.replace("{}", address), named.replace("{}", address)
    with pytest.raises(InvalidURI) as caught:
        connect(url, **QUICK)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WebSocketException)
    assert named in str(caught.value)
    # What the message says of a line break cannot break a line of a log.
    assert "\r" not in str(caught.value)
    assert "\n" not in str(caught.value)


@CONNECTS
def test_connect_url_with_surrogate(untouched, connect):
    """A URL that cannot be encoded is a ValueError."""
    with pytest.raises(ValueError, match="ud800"):
        connect(untouched.url + "/\ud800", **QUICK)


@CONNECTS
@pytest.mark.parametrize("url", [None, 5, b"ws://localhost/", ["ws://localhost/"]])
def test_connect_url_of_wrong_type(untouched, connect, url):
    """A URL that is not a str is a TypeError."""
    with pytest.raises(TypeError):
        connect(url, **QUICK)


@CONNECTS
@pytest.mark.parametrize(
    ("option", "value", "named"), OPTIONS, ids=[f"{o}={v!r}" for o, v, _ in OPTIONS]
)
def test_connect_bad_option(untouched, connect, option, value, named):
    """A bad option is refused by a message naming its value, before any I/O."""
    url = untouched.url
    if option in TLS_OPTIONS:
        url = url.replace("ws://", "wss://")
    with pytest.raises((ValueError, TypeError), match=named):
        connect(url, **{**QUICK, option: value})


@CONNECTS
def test_connect_bad_url_hides_credentials(untouched, connect):
    """The message about a bad URL does not repeat its password."""
    url = untouched.url.replace("ws://", "ws://alice:secret@") + "/#fragment"
    with pytest.raises(InvalidURI) as caught:
        connect(url, **QUICK)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value)


@CONNECTS
@pytest.mark.parametrize("separator", ["/", "#", "?", "//", "/#?"])
def test_connect_bad_url_hides_unquoted_credentials(untouched, connect, separator):
    """A password that ends the authority, for want of quoting, is not repeated."""
    credentials = f"ws://alice:hunter{separator}secret@"
    with pytest.raises(InvalidURI) as caught:
        connect(untouched.url.replace("ws://", credentials), **QUICK)
    for text in [str(caught.value), repr(caught.value)]:
        assert "hunter" not in text
        assert "secret" not in text


@CONNECTS
def test_connect_tls_options_for_ws(untouched, connect, certificates):
    """TLS options for a ws URL are refused: nothing would be protected by them."""
    import ssl

    for options in [
        {"ssl": ssl.create_default_context()},
        {"ca_file": certificates.ca_file},
        {"server_hostname": "localhost"},
        {"client_cert": certificates.client_cert},
    ]:
        with pytest.raises((ValueError, TypeError)):
            connect(untouched.url, **options, **QUICK)


@CONNECTS
@pytest.mark.parametrize("option", ["client_cert", "client_key"])
def test_connect_half_of_a_client_certificate(untouched, connect, certificates, option):
    """A certificate without its key is refused, and so is a key alone."""
    url = untouched.url.replace("ws://", "wss://")
    with pytest.raises(ValueError, match=option):
        connect(url, **{option: getattr(certificates, option)}, **QUICK)


def test_connect_no_timeout(echo_server):
    """A timeout of None means that there is none."""
    with sync_client.connect(echo_server.url, None, None) as ws:
        ws.send("x")
        assert ws.recv() == "x"


@CONNECTS
def test_connect_missing_url(connect):
    """connect without a URL is a TypeError."""
    with pytest.raises(TypeError):
        connect()


def test_connect_not_awaited():
    """A connect that was never awaited opened nothing and needs no warning."""
    connecting = async_client.connect("ws://127.0.0.1:1/")
    assert not asyncio.iscoroutine(connecting) or connecting.close() is None
