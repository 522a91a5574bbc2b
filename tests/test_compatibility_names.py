"""Everything that clients use of `websockets` has the same name and shape here."""

from __future__ import annotations

import importlib
import inspect

import pytest
import websockets

import websocket_rs
from counterparts import WITH_WEBSOCKETS_17


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
