"""Everything that clients use of `websockets` has the same name and shape here."""

from __future__ import annotations

import importlib
import inspect
import pickle

import pytest
import websockets
import websockets.version

import websocket_rs


pytestmark = pytest.mark.skipif(
    int(websockets.version.version.split(".")[0]) < 17,
    reason="compared with websockets 17 or newer: pip install -U websockets",
)

SERVER_SIDE = {
    "Router",
    "Server",
    "ServerConnection",
    "ServerProtocol",
    "basic_auth",
    "broadcast",
    "route",
    "serve",
    "unix_route",
    "unix_serve",
}
SANS_IO = {"ClientProtocol", "Frame", "Protocol", "Side"}
"""Parts of a protocol without I/O; here it is in the core."""

MODULES = {
    "asyncio.client": set(),
    "sync.client": set(),
    "exceptions": set(),
    "datastructures": set(),
    "typing": set(),
    "uri": set(),
    "proxy": set(),
    "version": {"commit", "tag"},
    "frames": {"Frame", "DATA_OPCODES", "CTRL_OPCODES", "CLOSE_CODE_EXPLANATIONS"},
    "http11": {"SERVER"},
    "protocol": {"Protocol", "Side", "SEND_EOF", "CLIENT", "SERVER", "Event"},
    "extensions.permessage_deflate": {
        "PerMessageDeflate",
        "ServerPerMessageDeflateFactory",
        "enable_client_permessage_deflate",
        "enable_server_permessage_deflate",
    },
}
"""The modules of clients, and the names in them that there are no counterparts of."""


def test_package_names():
    """What clients import from the package itself is there."""
    names = set(websockets.__all__) - SERVER_SIDE - SANS_IO
    missing = {name for name in names if not hasattr(websocket_rs, name)}
    assert not missing
    assert set(websocket_rs.__all__) <= set(dir(websocket_rs)) | set(websocket_rs._LAZY)


@pytest.mark.parametrize("module", MODULES)
def test_module_names(module):
    """What clients import from a module is in the module of the same name."""
    theirs = importlib.import_module(f"websockets.{module}")
    ours = importlib.import_module(f"websocket_rs.{module}")
    names = set(getattr(theirs, "__all__", [])) - MODULES[module]
    missing = {name for name in names if not hasattr(ours, name)}
    assert not missing


def test_one_set_of_objects():
    """Both doors lead to the same classes."""
    from websocket_rs.async_client import AsyncWebSocket
    from websocket_rs.asyncio import client as asyncio_client
    from websocket_rs.sync import client as sync_client
    from websocket_rs.sync_client import WebSocket

    assert asyncio_client.ClientConnection is AsyncWebSocket
    assert sync_client.ClientConnection is WebSocket
    assert websocket_rs.connect is asyncio_client.connect
    assert websocket_rs.ClientConnection is asyncio_client.ClientConnection


IN_NETWORK = {"sock", "ssl", "server_hostname", "proxy_ssl", "proxy_server_hostname"}
"""Parameters that are among the further keywords here; all have the default None."""


@pytest.mark.parametrize("path", ["asyncio.client.connect", "sync.client.connect"])
def test_connect_signature(path):
    """`connect` has the same parameters with the same defaults."""
    module, name = path.rsplit(".", 1)
    signatures = []
    for package in ("websockets", "websocket_rs"):
        connect = getattr(importlib.import_module(f"{package}.{module}"), name)
        signatures.append(inspect.signature(connect).parameters)
    theirs, ours = signatures
    for parameter in theirs.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if parameter.name in IN_NETWORK:
            assert parameter.default is None
            continue
        own = ours[parameter.name]
        assert own.kind == parameter.kind, parameter
        if parameter.name == "user_agent_header":
            assert own.default.startswith("Python/")
        elif callable(parameter.default):
            assert own.default.__name__ == parameter.default.__name__
        else:
            assert own.default == parameter.default, parameter
    kinds = {parameter.kind for parameter in ours.values()}
    assert inspect.Parameter.VAR_KEYWORD in kinds


@pytest.mark.parametrize("name", sorted(IN_NETWORK))
def test_further_keywords(name):
    """The further keywords are taken by every `connect`."""
    from websocket_rs.asyncio.client import connect
    from websocket_rs.sync.client import reconnect

    for make in (connect, reconnect):
        make("wss://localhost", **{name: None})


@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_connection_members(face):
    """A connection has the same methods and attributes, or names the alternative."""
    theirs = importlib.import_module(f"websockets.{face}.client").ClientConnection
    ours = importlib.import_module(f"websocket_rs.{face}.client").ClientConnection
    internal = {
        "close_exc",
        "close_socket",
        "connection_lost",
        "connection_made",
        "data_received",
        "drain",
        "eof_received",
        "get_buffer",
        "buffer_updated",
        "handshake",
        "keepalive",
        "maybe_raise_legacy_warning",
        "pause_writing",
        "process_event",
        "acknowledge_pings",
        "acknowledge_pending_pings",
        "terminate_pending_pings",
        "abort_pings",
        "recv_bufsize",
        "recv_events",
        "resume_writing",
        "send_context",
        "send_data",
        "set_connection_exc",
        "set_recv_exc",
        "start_keepalive",
        "raise_if_concurrent",
    }
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public - internal - set(dir(ours)) == set()
    for name in ("__aenter__", "__aexit__", "__aiter__", "__enter__", "__iter__"):
        assert hasattr(theirs, name) <= hasattr(ours, name), name


@pytest.mark.parametrize(
    "name", ["recv", "recv_streaming", "send", "ping", "pong", "close", "wait_closed"]
)
@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_method_signatures(face, name):
    """Methods take the same parameters with the same defaults."""
    signatures = []
    for package in ("websockets", "websocket_rs"):
        module = importlib.import_module(f"{package}.{face}.client")
        method = getattr(module.ClientConnection, name)
        signatures.append(inspect.signature(method).parameters)
    theirs, ours = signatures
    for parameter in theirs.values():
        own = ours[parameter.name]
        if parameter.name == "code":
            assert int(own.default) == int(parameter.default)
        elif parameter.name != "self":
            assert own.default == parameter.default, parameter


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
