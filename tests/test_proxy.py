"""URLs of proxies, and what the environment says of them, as `websockets` has it."""

from __future__ import annotations

import pickle

import pytest
import websockets.version
from websockets import proxy as reference
from websockets.exceptions import InvalidProxy as ReferenceInvalidProxy
from websockets.uri import parse_uri as reference_parse_uri

from websocket_rs.exceptions import InvalidProxy
from websocket_rs.proxy import get_proxy, parse_proxy
from websocket_rs.uri import parse_uri


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Begin with an environment that names no proxy."""
    for scheme in ["ws", "wss", "socks", "http", "https", "all", "no"]:
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)
    monkeypatch.delenv("REQUEST_METHOD", raising=False)


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks4a", "socks5"])
@pytest.mark.parametrize(
    "rest",
    [
        "proxy:8080",
        "PROXY.example:1",
        "user:pass@proxy:80",
        "us%40er:p%3Ass@proxy:80/",
        "[::1]:3128",
        "127.0.0.1:3128/",
        "bücher.example:1",
    ],
)
def test_parse_proxy_valid(scheme, rest):
    """A valid URL is read as `websockets` reads it."""
    if "%" in rest and int(websockets.version.version.split(".")[0]) < 17:
        pytest.skip("older versions of websockets don't decode credentials")
    url = f"{scheme}://{rest}"
    ours, theirs = parse_proxy(url), reference.parse_proxy(url)
    assert vars(ours) == vars(theirs)
    assert ours.user_info == theirs.user_info


@pytest.mark.parametrize(
    ("url", "scheme", "port"),
    [
        ("http://p", "http", 80),
        ("https://p", "https", 443),
        ("socks5h://p", "socks5h", 1080),
        ("socks4://p", "socks4", 1080),
    ],
)
def test_parse_proxy_default_port(url, scheme, port):
    """A URL without a port stands for the scheme's own; SOCKS has one of its own."""
    proxy = parse_proxy(url)
    assert (proxy.scheme, proxy.port) == (scheme, port)


@pytest.mark.parametrize(
    "url",
    [
        "proxy:8080",
        "ftp://proxy",
        "http://",
        "http://proxy/path",
        "http://proxy/?query",
        "http://proxy/#fragment",
        "http://user@proxy",
    ],
)
def test_parse_proxy_invalid(url):
    """A wrong URL breaks the same rule as for `websockets`."""
    with pytest.raises(InvalidProxy) as ours:
        parse_proxy(url)
    with pytest.raises(ReferenceInvalidProxy) as theirs:
        reference.parse_proxy(url)
    assert ours.value.msg == theirs.value.msg


@pytest.mark.parametrize(
    "url", ["http://a b", "http://p:99999", "http://p:0", "http://a\r\nb", "http://p:x"]
)
def test_parse_proxy_nonsense(url):
    """A URL that can't be read is refused by the same exception."""
    with pytest.raises(InvalidProxy):
        parse_proxy(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@proxy/path",
        "user:secret@proxy:3128",
        "http://user:secret/x@proxy:3128",
        "http://user:p#secret@proxy",
    ],
)
def test_parse_proxy_hides_credentials(url):
    """A password isn't shown in an error."""
    with pytest.raises(InvalidProxy) as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


ENVIRONMENTS = [
    {},
    {"http_proxy": "http://h:1"},
    {"https_proxy": "http://h:2"},
    {"HTTPS_PROXY": "http://h:3"},
    {"http_proxy": "http://h:1", "https_proxy": "http://h:2"},
    {"socks_proxy": "http://s:4"},
    {"socks_proxy": "socks5://s:5", "https_proxy": "http://h:2"},
    {
        "ws_proxy": "http://w:6",
        "wss_proxy": "http://w:7",
        "socks_proxy": "socks4://s:8",
    },
    {"https_proxy": "socks5h://s:9"},
    {"all_proxy": "http://a:10"},
    {"http_proxy": "http://h:1", "https_proxy": "http://h:2", "no_proxy": "*"},
    {"https_proxy": "http://h:2", "no_proxy": "example.com"},
    {"https_proxy": "http://h:2", "no_proxy": ".example.com, other"},
    {"https_proxy": "http://h:2", "no_proxy": "example.com:443"},
    {"https_proxy": "http://h:2", "no_proxy": "ample.com"},
    {"http_proxy": "http://h:1", "REQUEST_METHOD": "GET"},
    {"https_proxy": ""},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
@pytest.mark.parametrize(
    "uri", ["ws://example.com/", "wss://example.com/", "wss://sub.example.com:8443/"]
)
def test_get_proxy(environment, uri, monkeypatch):
    """The environment leads to the proxy that `websockets` would use."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    expected = reference.get_proxy(reference_parse_uri(uri))
    assert get_proxy(parse_uri(uri)) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "ws://example.com",
        "wss://example.com:8443/path?query=1&x",
        "ws://user:p%40ss@example.com/",
        "ws://[::1]:80/a",
        "WS://Example.COM/Path",
        "ws://bücher.example/ü?ö",
    ],
)
def test_parse_uri(uri):
    """A URI is read as `websockets` reads it, but that no path is the root."""
    ours, theirs = parse_uri(uri), reference_parse_uri(uri)
    assert ours.resource_name == theirs.resource_name
    assert ours.user_info == theirs.user_info
    assert {**vars(ours), "path": ""} == {**vars(theirs), "path": ""}
