"""Values mean the same to `websockets` and to `websocket_rs`.

Exceptions, headers, close codes, URIs and what is made of them.
"""

from __future__ import annotations

import importlib
import itertools
import pickle

import pytest
import websockets

import websocket_rs
from counterparts import PACKAGES, WITH_WEBSOCKETS_17


pytestmark = WITH_WEBSOCKETS_17


def of(package, module):
    """Return a module of a package."""
    return importlib.import_module(f"{package}.{module}")


ARGUMENTS = {
    "ConnectionClosed": lambda p: (p.Close(4000, "x"), None, None),
    "ConnectionClosedOK": lambda p: (p.Close(1000, ""), p.Close(1000, ""), True),
    "ConnectionClosedError": lambda p: (None, p.Close(1011, "why"), None),
    "InvalidURI": lambda p: ("uri", "rule"),
    "InvalidProxy": lambda p: ("proxy", "rule"),
    "InvalidMethod": lambda p: ("POST",),
    "InvalidProtocol": lambda p: ("HTTP/1.0",),
    "InvalidStatus": lambda p: (p.Response(403, "Forbidden", p.Headers()),),
    "InvalidProxyStatus": lambda p: (p.Response(407, "Who", p.Headers()),),
    "InvalidHeader": lambda p: ("Name", "value"),
    "InvalidHeaderFormat": lambda p: ("Name", "error", "header", 3),
    "InvalidHeaderValue": lambda p: ("Name", ""),
    "InvalidOrigin": lambda p: ("https://example.com",),
    "InvalidUpgrade": lambda p: ("Upgrade",),
    "DuplicateParameter": lambda p: ("name",),
    "InvalidParameterName": lambda p: ("name",),
    "InvalidParameterValue": lambda p: ("name", None),
    "PayloadTooBig": lambda p: (7, 4),
    "TooManyFragments": lambda p: (4,),
}
EXCEPTIONS = [
    name
    for name in importlib.import_module("websockets.exceptions").__all__
    if name.isidentifier()
]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exception(name):
    """An exception has the same bases, text and attributes, also when it is copied."""
    seen = []
    for package in (websockets, websocket_rs):
        exceptions = importlib.import_module(f"{package.__name__}.exceptions")
        cls = getattr(exceptions, name)
        bases = {
            base for base in EXCEPTIONS if issubclass(cls, getattr(exceptions, base))
        }
        exc = cls(*ARGUMENTS.get(name, lambda p: ("text",))(package))
        attributes = {
            # Their responses have a deprecated field more.
            key: repr(value).replace(", _exception=None", "")
            for key, value in vars(exc).items()
            if not key.startswith("_")
        }
        seen.append((bases, str(exc), attributes))
    theirs, ours = seen
    # PayloadTooBig and TooManyFragments are what breaks the protocol, too.
    assert ours[0] >= theirs[0]
    assert ours[1] == theirs[1]
    assert theirs[2].items() - {("message", "None")} <= ours[2].items()
    copy = pickle.loads(pickle.dumps(exc))
    assert str(copy) == str(exc)
    assert vars(copy).keys() == vars(exc).keys()


def test_headers():
    """Headers behave the same."""
    results = []
    for package in (websockets, websocket_rs):
        headers = package.Headers([("A", "1"), ("b", "2")], C="3")
        headers["a"] = "4"
        with pytest.raises(package.MultipleValuesError) as caught:
            headers["A"]
        with pytest.raises(KeyError):
            headers["missing"]
        results.append(
            (
                str(caught.value),
                headers.get_all("a"),
                list(headers.raw_items()),
                list(headers),
                "B" in headers,
                len(headers),
                str(headers),
                headers.setdefault("B", "9"),
                headers.get("missing"),
                headers == headers.copy(),
                repr(package.Headers(X="1")).replace("websocket_rs", "websockets"),
            )
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("code", [1000, 1005, 1006, 1011, 1015, 1016, 3000, 4000])
def test_close(code):
    """A close code and its text are shown the same."""
    theirs = websockets.Close(code, "why")
    ours = websocket_rs.Close(code, "why")
    assert str(ours) == str(theirs)
    assert repr(ours) == repr(theirs)


def test_enumerations():
    """Close codes, opcodes and states have the same names and numbers."""
    for name in ("CloseCode", "Opcode", "State"):
        theirs, ours = getattr(websockets, name), getattr(websocket_rs, name)
        members = {member.name: int(member) for member in theirs}
        assert {member.name: int(member) for member in ours} == members


URIS = [
    "ws://localhost",
    "wss://localhost/",
    "ws://LOCALHOST:8080/a/b?c=d&e",
    "ws://localhost:80",
    "wss://localhost:443/?",
    "ws://[::1]:9/",
    "ws://127.0.0.1?q",
    "ws://localhost/%C3%A4",
    "ws://user:pass@localhost/",
    "ws://us%40er:p%3Ass@localhost/",
    "ws://localhost/;parameters",
    "ws://localhost//two",
    "ws://localhost/a%20b?c%20d",
    "ws://bücher.example/ä/%C3%A4?ö=ü",
    "ws://:@localhost/",
    "ws://token:@localhost/",
    "ws://my_service_1:8080/",
    "ws://node.1/",
    "ws://localhost./",
    "ws://localhost/a/../b/./c?x=/../y",
    'ws://localhost/{id}/a|b"c"<d>^e`f\\g',
    "ws://[fe80::1%eth0]/",
    "WS://localhost",
]
OTHERWISE = {
    # What is percent-encoded isn't encoded again.
    "ws://bücher.example/ä/%C3%A4?ö=ü": {"path": "/%C3%A4/%C3%A4"},
}
"""What is understood otherwise, and why."""
WRONG_URIS = [
    "http://localhost",
    "localhost",
    "",
    "ws://",
    "ws:///path",
    "ws://localhost/#fragment",
    "ws://user@localhost",
]


@pytest.mark.parametrize("uri", URIS)
def test_parse_uri(uri):
    """A URI is understood in the same way."""
    theirs, ours = (of(package, "uri").parse_uri(uri) for package in PACKAGES)
    # An empty path is that of the request.
    expected = vars(theirs) | {"path": theirs.path or "/"} | OTHERWISE.get(uri, {})
    assert vars(ours) == expected
    if uri not in OTHERWISE:
        assert ours.resource_name == theirs.resource_name
        assert ours.user_info == theirs.user_info


@pytest.mark.parametrize("uri", WRONG_URIS)
def test_parse_uri_wrong(uri):
    """What isn't a WebSocket URI breaks the same rule."""
    texts = []
    for package in PACKAGES:
        with pytest.raises(of(package, "exceptions").InvalidURI) as caught:
            of(package, "uri").parse_uri(uri)
        # Ours hides user names and passwords.
        text = str(caught.value).replace("user@", "***@")
        texts.append((text, caught.value.msg))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy",
        "http://proxy:3128/",
        "https://proxy",
        "https://me:s%40cret@PROXY:8443",
        "socks5h://proxy:1080",
        "socks5://[::1]:9050",
        "socks4a://proxy:1",
        "socks4://proxy:1",
        "http://bücher.example",
    ],
)
def test_parse_proxy(url):
    """The URL of a proxy is understood in the same way."""
    theirs, ours = (of(package, "proxy").parse_proxy(url) for package in PACKAGES)
    assert vars(ours) == vars(theirs)
    assert ours.user_info == theirs.user_info


@pytest.mark.parametrize(
    "url",
    [
        "ftp://proxy",
        "http://",
        "http://proxy/path",
        "http://proxy/?query",
        "http://proxy/#fragment",
        "http://me@proxy",
    ],
)
def test_parse_proxy_wrong(url):
    """What isn't the URL of a proxy breaks the same rule."""
    rules = []
    for package in PACKAGES:
        with pytest.raises(of(package, "exceptions").InvalidProxy) as caught:
            of(package, "proxy").parse_proxy(url)
        rules.append(caught.value.msg)
    assert rules[0] == rules[1]


@pytest.mark.parametrize("uri", ["ws://example.test", "wss://example.test:8443"])
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"http_proxy": "http://a"},
        {"https_proxy": "http://a", "http_proxy": "http://b"},
        {"socks_proxy": "http://a:1", "https_proxy": "http://b"},
        {"socks_proxy": "socks5://a:1"},
        {"ws_proxy": "http://a", "wss_proxy": "http://b", "socks_proxy": "http://c"},
        {"https_proxy": "http://a", "no_proxy": "example.test"},
        {"https_proxy": "http://a", "no_proxy": "*"},
        {"https_proxy": "http://a", "no_proxy": "test"},
        {"https_proxy": "http://a", "no_proxy": "other.test"},
        {"HTTPS_PROXY": "http://a", "NO_PROXY": "example.test:8443"},
        {"https_proxy": ""},
    ],
)
def test_get_proxy(monkeypatch, uri, environment):
    """The environment names the same proxy."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    theirs, ours = (
        of(package, "proxy").get_proxy(of(package, "uri").parse_uri(uri))
        for package in PACKAGES
    )
    assert ours == theirs


FAILURES = {
    "network": lambda p: OSError("no route"),
    "timeout": lambda p: TimeoutError(),
    "name": lambda p: of(p, "exceptions").InvalidURI("uri", "rule"),
    "message": lambda p: of(p, "exceptions").InvalidMessage("junk"),
    "end of stream": lambda p: because(
        EOFError(), of(p, "exceptions").InvalidMessage("nothing")
    ),
    "value": lambda p: ValueError("wrong"),
    **{
        str(status): lambda p, status=status: of(p, "exceptions").InvalidStatus(
            of(p, "http11").Response(status, "Why", of(p, "datastructures").Headers())
        )
        for status in (301, 401, 404, 429, 500, 501, 502, 503, 504, 505)
    },
}


def because(cause, exc):
    """Return the exception with a cause."""
    exc.__cause__ = cause
    return exc


@pytest.mark.parametrize("failure", FAILURES.values(), ids=list(FAILURES))
def test_process_exception(failure):
    """The same failures are worth another attempt."""
    fatal = []
    for package in PACKAGES:
        exc = failure(package)
        seen = of(package, "client").process_exception(exc)
        assert seen in (None, exc)
        fatal.append(seen is not None)
    assert fatal[0] == fatal[1]


def test_backoff():
    """The pauses between attempts are the same, but for the first one."""
    theirs, ours = (
        list(itertools.islice(of(package, "client").backoff(), 12))
        for package in PACKAGES
    )
    assert ours[1:] == theirs[1:]
    assert 0 <= ours[0] <= 5
    theirs, ours = (
        list(itertools.islice(of(package, "client").backoff(0, 1, 4, 2), 5))
        for package in PACKAGES
    )
    assert ours == theirs == [0, 1, 2, 4, 4]


def test_http_messages():
    """Requests and responses are made of the same fields."""
    seen = []
    for package in PACKAGES:
        http11 = of(package, "http11")
        headers = of(package, "datastructures").Headers([("A", "b")])
        request = http11.Request("/path", headers)
        response = http11.Response(503, "Busy", headers, b"later")
        seen.append(
            (
                request.path,
                str(request.headers),
                response.status_code,
                response.reason_phrase,
                str(response.headers),
                response.body,
                request == http11.Request("/path", headers.copy()),
                response == http11.Response(503, "Busy", headers),
            )
        )
    assert seen[0] == seen[1]


def test_types():
    """Types are those of Python that they stand for."""
    theirs, ours = (of(package, "typing") for package in PACKAGES)
    for name in ("Data", "DataLike", "BytesLike", "StatusLike"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.Origin("https://example.com") == "https://example.com"
    assert ours.Subprotocol("chat") == "chat"
    assert ours.ExtensionName("x") == "x"
