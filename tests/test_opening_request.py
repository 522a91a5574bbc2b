"""The opening handshake: what is sent to the server, and what is never sent.

Wrong arguments of each kind are in `test_bad_input.py`; here are the places at which a
value could become a line of the request, each with every character that could do it.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from answers import LATE
from raw_server import MS, Peer, Request
from support import QUICK
from websocket_rs import async_client, sync_client
from websocket_rs.datastructures import Headers
from websocket_rs.exceptions import InvalidURI
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


CONTROLS = [chr(code) for code in [*range(0x20), 0x7F] if chr(code) != "\t"]
"""The characters that no value of a header may have."""

SEPARATORS = [*'()<>@,;:\\"/[]?={} \t']
"""The printable characters that no token may have (RFC 2616, section 2.2)."""

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"


def sync_connect(url: str, **options: Any) -> None:
    """Connect with the sync client; a success is closed again."""
    sync_client.connect(url, close_timeout=100 * MS, **options).close()


def async_connect(url: str, **options: Any) -> None:
    """Connect with the asyncio client, which judges its arguments when called."""
    async_client.connect(url, **options)


CONNECTS = pytest.mark.parametrize("try_connect", [sync_connect, async_connect])


@pytest.fixture
def untouched(raw_server):
    """A server that must not be connected to."""
    server = raw_server(lambda peer: None)
    yield server
    assert server.accepted == 0


@pytest.fixture
def request_of(scripted) -> Callable[..., Request]:
    """Open and close a connection, and give the request that the server read."""

    def call(resource: str = "", credentials: str = "", **options: Any) -> Request:
        requests: list[Request] = []

        def script(peer: Peer) -> None:
            requests.append(peer.accept_handshake())
            # Nothing is sent before the server has answered but the request.
            assert not peer._buffer
            peer.answer_close()

        address = scripted(script)
        url = address.url.replace("://", f"://{credentials}") + resource
        connect(url, **{**address.options, **options}).close()
        [request] = requests
        assert re.fullmatch(
            rb"GET [!-~]+ HTTP/1\.1\r\n([^\r\n]+\r\n)+\r\n", request.raw
        )
        return request

    return call


def test_connect_number_in_header(request_of):
    """A number is sent as Python writes it."""
    request = request_of(additional_headers={"X-Int": 5, "X-Float": 1.5})
    assert (request.one("X-Int"), request.one("X-Float")) == ("5", "1.5")


# Test characters that would end a line, or a token.

HEADER_OPTIONS = {
    "value": lambda text: {"additional_headers": {"X-Name": text}},
    "name": lambda text: {"additional_headers": {f"X-{text}": "a"}},
    "origin": lambda text: {"origin": text},
    "user agent": lambda text: {"user_agent_header": text},
    "subprotocol": lambda text: {"subprotocols": ["chat", text]},
}


def with_each(characters: list[str], text: str) -> Iterator[str]:
    """Put each of the characters before, into and behind a text."""
    for character in characters:
        yield from (f"{character}{text}", f"a{character}{text}", f"{text}{character}")


@CONNECTS
@pytest.mark.parametrize("options", HEADER_OPTIONS.values(), ids=HEADER_OPTIONS)
def test_connect_control_character(untouched, try_connect, options):
    """A control character is a ValueError, wherever it stands, and nothing is sent."""
    for text in with_each(CONTROLS, "b"):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            try_connect(untouched.url, **QUICK, **options(text))
        assert not set(str(caught.value)) & set(CONTROLS), ascii(text)


@CONNECTS
@pytest.mark.parametrize("place", ["name", "subprotocol"])
def test_connect_no_token(untouched, try_connect, place):
    """What has to be a token may consist of the characters of tokens only."""
    options = HEADER_OPTIONS[place]
    for text in with_each([*SEPARATORS, "\x80", "\xa0", "\xff", "\u0130"], "b"):
        with pytest.raises(ValueError, match=r"header name|subprotocol"):
            try_connect(untouched.url, **QUICK, **options(text))


@CONNECTS
@pytest.mark.parametrize("place", HEADER_OPTIONS)
def test_connect_surrogate_in_header(untouched, try_connect, place):
    """Half of a character is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011
        try_connect(untouched.url, **QUICK, **HEADER_OPTIONS[place]("\udc80"))


@CONNECTS
@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_connect_bad_header_hides_its_value(untouched, try_connect, name):
    """The message about a bad value does not repeat it: it may be a credential."""
    with pytest.raises(ValueError, match=name) as caught:
        try_connect(
            untouched.url, **QUICK, additional_headers={name: "Bearer secret\n"}
        )
    assert "secret" not in f"{caught.value} {caught.value!r}"


URLS = {
    "path": "ws://{}/a{}b",
    "query": "ws://{}/?a{}b",
    "end": "ws://{}/{}",
    "user": "ws://a{}b:secret@{}/",
    "password": "ws://a:b{}c@{}/",
    "host": "ws://local{}host:{}/",
}


@CONNECTS
@pytest.mark.parametrize("place", URLS)
def test_connect_control_character_in_url(untouched, try_connect, place):
    """A control character or a space in a URL is InvalidURI, and nothing is sent."""
    address = f"{untouched.host}:{untouched.port}"
    for character in [*CONTROLS, "\t", " ", "\x80", "\x85", "\u2028"]:
        first, second = address, character
        if place in ("user", "password"):
            first, second = character, address
        elif place == "host":
            first, second = character, str(untouched.port)
        with pytest.raises(InvalidURI) as caught:
            try_connect(URLS[place].format(first, second), **QUICK)
        assert not set(str(caught.value)) & set(CONTROLS), ascii(character)


@CONNECTS
@pytest.mark.parametrize("quoted", ["%0d%0aX:y", "%00", "%20", "%2f", "%40", "%7f"])
def test_connect_quoted_character_in_host(untouched, try_connect, quoted):
    """Percent-encoding brings no forbidden character into the host."""
    with pytest.raises(InvalidURI):
        try_connect(f"ws://local{quoted}host:{untouched.port}/", **QUICK)


@CONNECTS
def test_connect_colon_in_user_name(untouched, try_connect):
    """A user name with a colon can't be sent as Basic authentication (RFC 7617)."""
    url = untouched.url.replace("ws://", "ws://alice%3Abob:secret@")
    with pytest.raises(InvalidURI, match="user") as caught:
        try_connect(url, **QUICK)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("resource", "target"),
    [
        ("/a%0d%0aX-Injected:y", "/a%0d%0aX-Injected:y"),
        ("/%00?%0A=%0D", "/%00?%0A=%0D"),
        ("/?q=\u00fc\u20ac", "/?q=%C3%BC%E2%82%AC"),
        ("/\U0001f600", "/%F0%9F%98%80"),
        ('/?"<>', '/?"<>'),
        ("/a/../b/./%2e%2E//", "/a/../b/./%2e%2E//"),
        ("/{id}|a^b`c'd?e\\f{g}", "/{id}|a^b`c'd?e\\f{g}"),
        ("/?", "/?"),
        ("/?a=b?c=/d", "/?a=b?c=/d"),
        ("?q", "/?q"),
    ],
)
def test_connect_request_target(request_of, resource, target):
    """Path and query stay what they are, byte for byte, on one line."""
    assert request_of(resource).target == target


@pytest.mark.parametrize("credentials", ["token:", ":secret", ":", "a:b:c", "a:b@c"])
def test_connect_empty_credentials(request_of, credentials):
    """Either half of the credentials may be empty; the first colon ends the user."""
    request = request_of(credentials=f"{credentials}@")
    expected = base64.b64encode(credentials.encode()).decode()
    assert request.one("Authorization") == f"Basic {expected}"


def test_connect_control_characters_in_credentials(request_of):
    """Credentials with line breaks are sent encoded, so they add no line."""
    request = request_of(credentials="a%0d%0aX-Injected:p%0a@")
    sent = request.one("Authorization").removeprefix("Basic ")
    assert base64.b64decode(sent) == b"a\r\nX-Injected:p\n"


# Test headers that are allowed.


def test_connect_header_values(request_of):
    """Values are sent as they are given, in that order, also for the same name."""
    values = ["", "a", "a\tb", "!~", 'a: b, c; d="e\\""', "x" * 10_000]
    pairs = [("X-Name", value) for value in values] + [(TOKEN, "token")]
    for headers in [pairs, Headers(pairs)]:
        request = request_of(additional_headers=headers)
        assert request.all("X-Name") == values
        assert request.one(TOKEN) == "token"


def test_connect_header_value_in_latin_1(request_of):
    """Characters up to U+00FF are sent as ISO-8859-1, in which values are received."""
    request = request_of(
        additional_headers={"X-Name": "\xe9\xff"},
        origin="https://\xe9",
        user_agent_header="\xe9",
    )
    assert b"\r\nX-Name: \xe9\xff\r\n" in request.raw
    assert b"\r\nOrigin: https://\xe9\r\n" in request.raw
    assert b"\r\nUser-Agent: \xe9\r\n" in request.raw


@CONNECTS
@pytest.mark.parametrize("place", ["value", "origin", "user agent"])
def test_connect_header_value_beyond_latin_1(untouched, try_connect, place):
    """A character beyond U+00FF has no form in a header and is a ValueError."""
    for text in ["\u0100", "\u20ac", "\U0001f600", "\u010d\u010a"]:
        with pytest.raises(ValueError, match="header"):
            try_connect(untouched.url, **QUICK, **HEADER_OPTIONS[place](text))


def test_connect_offers_subprotocols(request_of):
    """The subprotocols are offered in their order, and none if there are none."""
    assert request_of(subprotocols=[TOKEN, "b", "B"]).one("Sec-WebSocket-Protocol") == (
        f"{TOKEN}, b, B"
    )
    for nothing in [None, [], ()]:
        assert not request_of(subprotocols=nothing).all("Sec-WebSocket-Protocol")


def test_connect_key(request_of):
    """The key is 16 bytes in base64, others for each connection."""
    keys = [request_of().one("Sec-WebSocket-Key") for _ in range(5)]
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}
    assert len(set(keys)) == len(keys)


# Test headers that the handshake has already.


@CONNECTS
@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "UPGRADE",
        "sec-websocket-KEY",
        "SEC-WEBSOCKET-VERSION",
        "Sec-WebSocket-Protocol",
        "sec-websocket-extensions",
    ],
)
def test_connect_header_of_the_handshake(untouched, try_connect, name):
    """A header that belongs to the handshake can't be set, in whatever case."""
    for headers in [{name: "x"}, [("X-Name", "x"), (name, "")]]:
        with pytest.raises(ValueError, match=name):
            try_connect(untouched.url, **QUICK, additional_headers=headers)


@pytest.mark.parametrize("name", ["Host", "hOST"])
def test_connect_own_host(request_of, name):
    """A Host that is given takes the place of the URL's."""
    request = request_of(additional_headers={name: "example.com:81"})
    assert request.one("Host") == "example.com:81"


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_connect_own_authorization(request_of, name):
    """An Authorization that is given takes the place of the URL's credentials."""
    headers = {name: "Bearer x"}
    request = request_of(credentials="alice:p%40ss@", additional_headers=headers)
    assert request.one("Authorization") == "Bearer x"
    assert "@" not in request.one("Host")
    sent = request_of(credentials="alice:p%40ss@").one("Authorization")
    assert sent == "Basic " + base64.b64encode(b"alice:p@ss").decode()


@pytest.mark.parametrize("name", ["User-Agent", "user-agent"])
def test_connect_own_user_agent(request_of, name):
    """A User-Agent that is given takes the place of the default; None sends none."""
    headers = {name: "agent/1"}
    assert request_of(additional_headers=headers).one("User-Agent") == "agent/1"
    assert not request_of(user_agent_header=None).all("User-Agent")


SINGLE = {
    "Host": {"additional_headers": [("Host", "a"), ("host", "b")]},
    "Authorization": {
        "additional_headers": [("Authorization", "a"), ("authorization", "b")]
    },
    "Origin": {"origin": "https://a", "additional_headers": {"origin": "https://b"}},
    "User-Agent": {"additional_headers": [("User-Agent", "a"), ("user-agent", "b")]},
}


@CONNECTS
@pytest.mark.parametrize("name", SINGLE)
def test_connect_single_header_twice(untouched, try_connect, name):
    """A header of which a request has one can't be given twice."""
    with pytest.raises(ValueError, match=f"(?i){name}"):
        try_connect(untouched.url, **QUICK, **SINGLE[name])


# Test requests that the server does not take.

LARGE = {
    "64 KiB": {"X-Large": "x" * 65536},
    "16 MiB": {f"X-Large-{number}": "x" * (1 << 20) for number in range(16)},
}


@pytest.mark.parametrize("headers", LARGE.values(), ids=LARGE)
def test_connect_large_request_not_read(scripted, headers):
    """A server that does not read the request does not prolong connect_timeout."""
    over = threading.Event()
    address = scripted(lambda peer: over.wait(peer.timeout))
    timeout = 250 * MS
    start = time.monotonic()
    try:
        with pytest.raises(TimeoutError, match="opening handshake"):
            connect(
                address.url,
                **{**address.options, "connect_timeout": timeout},
                additional_headers=headers,
            )
        assert timeout - MS <= time.monotonic() - start < 1.1 * timeout + LATE
    finally:
        over.set()


def test_connect_large_request_not_accepted():
    """The same holds though nobody has accepted the connection yet."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = "ws://{}:{}".format(*listener.getsockname())
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="opening handshake"):
            connect(url, 300 * MS, additional_headers=LARGE["16 MiB"])
        assert 299 * MS <= time.monotonic() - start < 330 * MS + LATE


def test_connect_large_request(request_of):
    """Headers of 64 KiB reach a server that reads them."""
    headers = {"X-Large": "x" * 65536, "X-After": "y"}
    request = request_of(additional_headers=headers)
    assert request.one("X-Large") == headers["X-Large"]
    assert request.one("X-After") == "y"


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
def test_connect_end_in_large_request(scripted, end):
    """A server that ends inside of the request is a ConnectionError."""

    def script(peer: Peer) -> None:
        assert peer.sock.recv(1)
        end(peer)

    address = scripted(script)
    with pytest.raises(ConnectionError, match="opening handshake") as caught:
        connect(address.url, **address.options, additional_headers=LARGE["16 MiB"])
    assert caught.value.errno


# Test the name in the TLS handshake.


@pytest.mark.parametrize(
    ("host", "options", "name"),
    [
        ("localhost", {}, "localhost"),
        ("127.0.0.1", {}, None),
        ("127.0.0.1", {"server_hostname": "localhost"}, "localhost"),
    ],
)
def test_connect_names_the_host(answering, certificates, host, options, name):
    """The host is named in the TLS handshake, as its address can't be (section 4.1)."""
    names = []
    context = certificates.server_context()
    context.sni_callback = lambda _, name, __: names.append(name)
    server = answering(lambda peer: None, tls=context)
    url = server.url.replace("localhost", host)
    connect(url, ca_file=certificates.ca_file, **QUICK, **options).close()
    assert names == [name]
