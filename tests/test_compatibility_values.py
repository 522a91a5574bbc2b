"""Values mean the same to `websockets` and to `websocket_rs`.

Exceptions, headers, close codes, URIs and what is made of them.
"""

from __future__ import annotations

import importlib
import pickle

import pytest
import websockets

import websocket_rs
from counterparts import WITH_WEBSOCKETS_17


pytestmark = WITH_WEBSOCKETS_17

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
