"""Everything that clients use of `websockets` has the same name and shape here."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import warnings

import pytest
import websockets

import websocket_rs
from counterparts import WITH_WEBSOCKETS_17
from support import run_script


pytestmark = WITH_WEBSOCKETS_17

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
    "frames": {"Frame"},
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
    assert set(websocket_rs.__all__) <= set(dir(websocket_rs))
    assert all(hasattr(websocket_rs, name) for name in websocket_rs.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_module_names(module):
    """What clients import from a module is in the module of the same name."""
    theirs = importlib.import_module(f"websockets.{module}")
    ours = importlib.import_module(f"websocket_rs.{module}")
    names = set(getattr(theirs, "__all__", [])) - MODULES[module]
    missing = {name for name in names if not hasattr(ours, name)}
    assert not missing


def public_modules():
    """Return the modules of the package that programs may import."""
    warnings.filterwarnings("ignore", ".* is an old name", DeprecationWarning)
    return [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(websocket_rs.__path__, "websocket_rs.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]


def test_module_of_public_names():
    """A public name says that it comes from a public module, and is there."""
    modules = [websocket_rs, *public_modules()]
    assert len(modules) > 15
    astray = {}
    for module in modules:
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            source = getattr(value, "__module__", None)
            if not str(source).startswith("websocket_rs"):
                continue
            is_private = any(part.startswith("_") for part in source.split("."))
            there = importlib.import_module(source)
            # Values of an enumeration have no name of their own.
            own_name = getattr(value, "__name__", name)
            if is_private or getattr(there, own_name, None) is not value:
                astray[f"{module.__name__}.{name}"] = source
    assert not astray
    assert websocket_rs.sync.client.ClientConnection.__module__ == (
        "websocket_rs.sync.connection"
    )


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
    assert set(ours) >= IN_NETWORK


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


POSITIONAL_TOO = {("asyncio", "send", "text")}
"""Parameters that need not be given by keyword: each call would be slower."""


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
        if parameter.name == "self":
            continue
        own = ours[parameter.name]
        if (face, name, parameter.name) not in POSITIONAL_TOO:
            assert own.kind == parameter.kind, parameter
        if parameter.name == "code":
            assert int(own.default) == int(parameter.default)
        else:
            assert own.default == parameter.default, parameter


def parameters_of(package, path):
    """Return the parameters of what a path within a package names."""
    module, _, name = path.rpartition(".")
    value = getattr(importlib.import_module(f"{package}.{module}"), name)
    return inspect.signature(value).parameters


def test_reconnect_signature():
    """`reconnect` has the same parameters with the same defaults.

    Those that it shares with `connect` stand in the signature of `connect` alone.
    """
    theirs = parameters_of("websockets", "sync.client.reconnect")
    ours = {
        **parameters_of("websocket_rs", "sync.client.connect"),
        **parameters_of("websocket_rs", "sync.client.reconnect"),
    }
    for parameter in theirs.values():
        if parameter.name in IN_NETWORK | {"kwargs", "user_agent_header"}:
            continue
        own = ours[parameter.name]
        assert own.kind == parameter.kind, parameter
        if callable(parameter.default):
            assert own.default.__name__ == parameter.default.__name__
        else:
            assert own.default == parameter.default, parameter


@pytest.mark.parametrize(
    "path",
    [
        "asyncio.client.unix_connect",
        "sync.client.unix_connect",
        "sync.client.unix_reconnect",
        "client.backoff",
        "client.process_exception",
        "extensions.permessage_deflate.ClientPerMessageDeflateFactory",
        "uri.WebSocketURI",
        "uri.parse_uri",
        "proxy.Proxy",
        "proxy.parse_proxy",
        "proxy.get_proxy",
        "datastructures.Headers",
        "frames.Close",
        "http11.Request",
        "http11.Response",
    ],
)
def test_signature(path):
    """Functions and values are called with the same arguments."""
    theirs = parameters_of("websockets", path)
    ours = parameters_of("websocket_rs", path)
    for parameter in theirs.values():
        # `legacy` is passed on with the others, and `_exception` is a deprecated field.
        if parameter.name in ("kwargs", "legacy", "_exception"):
            continue
        own = ours[parameter.name]
        assert own.kind == parameter.kind, parameter
        if parameter.default is not inspect.Parameter.empty:
            assert own.default == parameter.default, parameter


SANS_IO_METHODS = {"check", "exception", "parse", "serialize", "set_insecure"}
"""What values need for a protocol without I/O."""


@pytest.mark.parametrize(
    "path",
    [
        "datastructures.Headers",
        "frames.Close",
        "frames.CloseCode",
        "protocol.State",
        "http11.Request",
        "http11.Response",
        "uri.WebSocketURI",
        "proxy.Proxy",
    ],
)
def test_value_members(path):
    """Values have the same methods and attributes."""
    module, _, name = path.rpartition(".")
    theirs, ours = (
        getattr(importlib.import_module(f"{package}.{module}"), name)
        for package in ("websockets", "websocket_rs")
    )
    public = {member for member in dir(theirs) if not member.startswith("_")}
    assert public - SANS_IO_METHODS - set(dir(ours)) == set()


@pytest.mark.parametrize(
    "name",
    [
        "transport",
        "recv_messages",
        "connection_lost_waiter",
        "fail_connection",
        "socket",
        "recv_events_thread",
    ],
)
def test_missing_member(echo_server, name):
    """What can't be there names what to use instead, and isn't there for hasattr."""
    from websocket_rs.sync.client import connect

    with connect(echo_server.url) as ws:
        assert not hasattr(ws, name)
        with pytest.raises(NotImplementedError, match=r"has no .*: .*"):
            getattr(ws, name)


@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_properties(face):
    """Coroutines, generators and properties are what they are in websockets."""
    kinds = []
    for package in ("websockets", "websocket_rs"):
        module = importlib.import_module(f"{package}.{face}.client")
        cls = module.ClientConnection
        kinds.append(
            {
                name: (
                    inspect.iscoroutinefunction(getattr(cls, name)),
                    inspect.isasyncgenfunction(getattr(cls, name)),
                    callable(getattr(cls, name)),
                )
                for name in dir(cls)
                if name in MEMBERS
            }
        )
    assert kinds[0].items() <= kinds[1].items()


MEMBERS = {
    "close",
    "close_code",
    "close_reason",
    "local_address",
    "ping",
    "pong",
    "recv",
    "recv_streaming",
    "remote_address",
    "send",
    "state",
    "subprotocol",
    "wait_closed",
}


def test_package_gives_its_modules():
    """A program that imports just the package finds the modules below it."""
    source = """if True:
        import importlib, sys
        package = importlib.import_module(sys.argv[1])
        names = ["exceptions", "frames", "protocol", "typing", "http11", "client",
                 "datastructures", "uri", "version", "asyncio", "sync", "proxy",
                 "extensions"]
        # This imports most of websockets.
        package.connect
        print([name for name in names if hasattr(package, name)])
    """
    theirs, ours = (
        run_script(source, package).stdout for package in ("websockets", "websocket_rs")
    )
    found = set(ast.literal_eval(theirs))
    assert found <= set(ast.literal_eval(ours))


def test_old_names():
    """Names that old programs import stand for their successors, with a warning."""
    with pytest.warns(DeprecationWarning, match=r"use .*\.ClientConnection"):
        assert websocket_rs.WebSocketClientProtocol is websocket_rs.ClientConnection
    with pytest.warns(DeprecationWarning, match=r"use .*\.InvalidStatus"):
        assert websocket_rs.InvalidStatusCode is websocket_rs.InvalidStatus
    with pytest.warns(DeprecationWarning, match=r"use .*\.InvalidStatus"):
        old = websocket_rs.exceptions.InvalidStatusCode
    exc = old(websocket_rs.Response(403, "No", websocket_rs.Headers(A="b")))
    assert (exc.status_code, exc.headers["A"]) == (403, "b")
