"""Which host a URL means, and that nobody who checks it sees another one.

What of a URL goes into the request as it is, is in `test_opening_request.py`.
"""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from raw_server import MS, Peer
from support import QUICK, Background
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import InvalidProxy, InvalidURI
from websocket_rs.proxy import parse_proxy
from websocket_rs.sync.client import connect
from websocket_rs.uri import parse_uri


NAMES = ["my_service_1", "node.1", "svc.2.x9", "web-1", "-dash-", "localhost.", "a--b"]
NAMES += ["*.example", "09", "1.2.3.4.5", "a" * 64, "xn--bcher-kva.example"]


@pytest.mark.parametrize("name", NAMES)
def test_connect_name(scripted, name):
    """Whatever the system may know as a name is one, and the server is told it."""
    requests = []

    def script(peer):
        requests.append(peer.accept_handshake())
        peer.answer_close()

    address = scripted(script)
    place = urlsplit(address.url)
    url = f"{place.scheme}://{name}:{place.port}/"
    options = {"host": "127.0.0.1", **address.options}
    if place.scheme == "wss":
        options["server_hostname"] = "localhost"
    sync_client.connect(url, **options).close()
    assert requests[0].one("Host") == f"{name}:{place.port}"


AMBIGUOUS = ["%65vil.example", "0x7f.1", "127.1", "2130706433", "0177.0.0.1", "1.2.3"]
AMBIGUOUS += [
    "127.0.0.1.",
    "\uff45vil.example",
    "evil\u3002example",
    "ev\xadil.example",
]
AMBIGUOUS += ["bu\u0308cher.example", "\uff11\uff12\uff17.0.0.1", "good\\@evil.example"]
AMBIGUOUS += ["good.example\\.evil.example", "%00", "evil%2eexample"]


@pytest.mark.parametrize("host", AMBIGUOUS, ids=ascii)
@pytest.mark.parametrize("connect", [sync_client.connect, async_client.connect])
def test_connect_ambiguous_host(connect, host):
    """What others read as another host than is written there is refused."""
    with pytest.raises(InvalidURI):
        connect(f"ws://{host}:1/", **QUICK)


TEXTS = ["localhost", "LOCALHOST", "b\xfccher.example", "B\xdcCHER.example", "a.b"]
TEXTS += [
    *NAMES,
    *AMBIGUOUS,
    "127.0.0.1",
    "[::1]",
    "[FE80::1%lo]",
    "user:pw@h",
    "a@b@c",
]
TEXTS += ["a:b:c@h", "[::1", "::1", "a;b", "a,b", "a:80:90", "\u2100", "[v1.a]", "x?@y"]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_parse_uri_host_as_urllib_reads_it(text):
    """A host is the one that Python's own parser reads, in the form for look-ups."""
    with contextlib.suppress(InvalidURI):
        host = parse_uri(f"ws://{text}/").host
        expected = urlsplit(f"ws://{text}/").hostname
        if not expected.isascii():
            labels = [label.encode("idna").decode() for label in expected.split(".")]
            expected = ".".join(labels)
        assert host == expected


EMPTY_LABELS = [".example", "a..b", "a..", ".", ".."]
HOST_KEYWORDS = {
    "host": {},
    "local_addr": {},
    "server_hostname": {},
    "proxy_server_hostname": {"proxy": "https://127.0.0.1:1"},
}


@pytest.mark.parametrize("host", EMPTY_LABELS)
@pytest.mark.parametrize("keyword", HOST_KEYWORDS)
def test_connect_host_with_empty_label(host, keyword):
    """A name with an empty label is refused wherever it is given, before any I/O."""
    value = (host, 0) if keyword == "local_addr" else host
    with pytest.raises(ValueError, match="empty label"):
        connect("wss://127.0.0.1:1/", **{keyword: value}, **HOST_KEYWORDS[keyword])


@pytest.mark.parametrize("host", EMPTY_LABELS)
def test_connect_url_with_empty_label(host):
    """The same holds for the host of a URL, and for that of a proxy."""
    with pytest.raises(InvalidURI, match="empty label"):
        connect(f"ws://{host}/")
    with pytest.raises(InvalidProxy, match="empty label"):
        connect("ws://127.0.0.1:1/", proxy=f"http://{host}:1")
    with pytest.raises(InvalidProxy, match="empty label"):
        parse_proxy(f"socks5h://{host}")


def test_parse_proxy_with_backslash():
    """Nobody reads a proxy's host differently either."""
    with pytest.raises(InvalidProxy, match="backslash"):
        parse_proxy("http://good.example\\@evil.example:3128")


def test_redirect_to_ambiguous_host(raw_server):
    """A server can't redirect to what others read as another host either."""

    def script(peer):
        peer.read_request()
        peer.send_bytes(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
            b"Location: ws://0x7f.1:1/\r\n\r\n"
        )

    with pytest.raises(InvalidURI, match="ambiguous"):
        connect(raw_server(script).url)


def link_local_address():
    """Return an address that belongs to one link of this machine, and the link."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _, _, scope, _, interface = line.split()
            if scope == "20":
                groups = [digits[at : at + 4] for at in range(0, 32, 4)]
                return ":".join(groups), interface
    pytest.skip("there is no link-local address on this machine")


@pytest.mark.parametrize("percent", ["%", "%25"])
def test_connect_address_with_zone(percent):
    """A link-local address is reached through its link, which isn't told the server."""
    address, interface = link_local_address()

    def serve():
        accepted, _ = listener.accept()
        with accepted:
            peer = Peer(accepted, 5000 * MS)
            request = peer.accept_handshake()
            peer.answer_close()
            return request

    with socket.socket(socket.AF_INET6) as listener:
        listener.bind((address, 0, 0, socket.if_nametoindex(interface)))
        listener.listen()
        port = listener.getsockname()[1]
        serving = Background(serve)
        with connect(f"ws://[{address}{percent}{interface}]:{port}/") as ws:
            assert ws.remote_address[3] == socket.if_nametoindex(interface)
        request = serving.result()
    assert request.one("Host") == f"[{ip_address(address)}]:{port}"
