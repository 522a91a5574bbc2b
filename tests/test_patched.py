"""What is replaced in Python's modules, without an effect on us, and told."""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
import warnings
from types import SimpleNamespace

import pytest

from support import run_script
from websocket_rs._client import patched
from websocket_rs.asyncio.client import connect
from websocket_rs.sync import client as sync


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    """Warnings come once in a process, which here is each test."""
    monkeypatch.setattr(patched, "_warned", set())


@functools.wraps(socket.getaddrinfo)
def resolve(*args, **kwargs):
    """Stand for what pins addresses, disguised as what it replaces."""


class Guard(socket.socket):
    """Stands for what keeps tests off the network."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("getaddrinfo", resolve),
        ("create_connection", lambda *args: None),
        ("socket", Guard),
    ],
)
def test_connect_past_a_replaced_function(echo_server, monkeypatch, name, value):
    """The first connection tells of it, and no other does."""
    monkeypatch.setattr(socket, name, value)
    with pytest.warns(RuntimeWarning, match=f"socket.{name} has been replaced"):
        sync.connect(echo_server.url).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sync.connect(echo_server.url).close()


def test_connect_past_a_replaced_method_of_the_loop(echo_server):
    """The first connection tells of it."""

    async def main():
        asyncio.get_running_loop().getaddrinfo = resolve
        with pytest.warns(RuntimeWarning, match="getaddrinfo of the event loop"):
            async with connect(echo_server.url):
                pass

    asyncio.run(main())


def test_connect_with_a_socket_past_a_replaced_function(echo_server, monkeypatch):
    """A socket that is passed is what the replacement has made: nothing is told."""
    sock = socket.create_connection((echo_server.host, echo_server.port))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with sync.connect(echo_server.url, sock=sock) as ws:
        ws.send("x")
        assert ws.recv() == "x"


@pytest.mark.parametrize(
    ("module", "method"),
    [("gevent.monkey", "is_module_patched"), ("eventlet.patcher", "is_monkey_patched")],
)
def test_connect_beside_greenlets(echo_server, monkeypatch, module, method):
    """Only the package that has replaced all is named, not each thing that it did."""
    stand_in = SimpleNamespace(**{method: lambda name: name == "socket"})
    monkeypatch.setitem(sys.modules, module, stand_in)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    package, _, _ = module.partition(".")
    with pytest.warns(RuntimeWarning, match=f"^{package} has replaced") as told:
        sync.connect(echo_server.url).close()
    assert len(told) == 1


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
source = '''
try:
    import websocket_rs.sync_client
except ImportError as error:
    assert "sub-interpreter" in str(error), error
else:
    raise AssertionError
'''
number = interpreters.create()
assert interpreters.run_string(number, source) is None
interpreters.destroy(number)
import websocket_rs.sync_client
"""


def test_import_in_a_subinterpreter():
    """It is refused there, and the main interpreter can import the package still."""
    done = run_script(SUBINTERPRETER)
    assert done.returncode == 0, done.stderr
