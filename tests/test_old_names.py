"""Names of earlier versions of `websockets`, and those that there can't be here."""

from __future__ import annotations

import asyncio
import base64
import sys

import pytest

from support import run_script
from websocket_rs import exceptions, frames, utils
from websocket_rs.asyncio.client import ClientConnection, connect
from websocket_rs.exceptions import InvalidControlFrame, ProtocolError


OLD = [
    "from websocket_rs.client import connect, unix_connect, WebSocketClientProtocol",
    "import websocket_rs.client; websocket_rs.client.connect",
    "from websocket_rs import client; client.WebSocketClientProtocol",
    "from websocket_rs.legacy.client import connect, WebSocketClientProtocol",
    "from websocket_rs.legacy.client import Connect, unix_connect",
    "from websocket_rs.legacy.protocol import WebSocketCommonProtocol",
    "from websocket_rs.legacy.exceptions import AbortHandshake, InvalidStatusCode",
    "from websocket_rs.exceptions import AbortHandshake, RedirectHandshake",
    "from websocket_rs.exceptions import InvalidStatusCode, WebSocketProtocolError",
    "from websocket_rs import AbortHandshake, WebSocketCommonProtocol",
    "from websocket_rs.connection import State, OPEN",
    "import websocket_rs; websocket_rs.connection.State.OPEN",
    "import websocket_rs.legacy.client; websocket_rs.legacy.client.connect",
    "import websocket_rs; websocket_rs.WebSocketClientProtocol",
]
CURRENT = [
    "from websocket_rs.sync.connection import Connection",
    "from websocket_rs.sync.client import Connection",
    "from websocket_rs.asyncio.connection import Connection",
    "from websocket_rs.asyncio.client import Connection",
    "from websocket_rs.frames import CLOSE_CODE_EXPLANATIONS, EXTERNAL_CLOSE_CODES",
    "from websocket_rs.headers import build_authorization_basic, build_host",
    "from websocket_rs.extensions import ClientExtensionFactory",
    "from websocket_rs.utils import accept_key, generate_key",
    "import websocket_rs; websocket_rs.headers.build_host",
]
GONE = [
    ("from websocket_rs import serve", "this package is a client"),
    ("import websocket_rs; websocket_rs.speedups", "the core is native"),
    ("from websocket_rs.utils import apply_mask", "the core masks"),
    ("from websocket_rs.frames import Frame", "frames are made in the core"),
    ("from websocket_rs.client import ClientProtocol", r"use sync\.client"),
    ("from websocket_rs.protocol import Protocol", r"use sync\.client"),
    ("from websocket_rs.connection import Connection", r"use sync\.client"),
    ("from websocket_rs.headers import parse_upgrade", "the core builds"),
    ("from websocket_rs.client import no_such_name", "cannot import name"),
]


@pytest.fixture
def forgotten(monkeypatch):
    """The modules that warn when they are imported have not been imported."""
    for name in list(sys.modules):
        if name.startswith(("websocket_rs.legacy", "websocket_rs.connection")):
            monkeypatch.delitem(sys.modules, name)
    import websocket_rs

    for name in ("legacy", "connection"):
        if name in vars(websocket_rs):
            monkeypatch.delattr(websocket_rs, name)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("statement", OLD)
def test_old_name(statement):
    """An old name is taken, and told where it was used."""
    with pytest.warns(DeprecationWarning, match=r"old name.*; use websocket_rs\."):
        exec(statement, {})


@pytest.mark.parametrize("statement", CURRENT)
def test_current_name(statement):
    """What has its name in `websockets` has it here, without a warning."""
    exec(statement, {})


@pytest.mark.usefixtures("forgotten")
@pytest.mark.filterwarnings("ignore:websocket_rs.connection:DeprecationWarning")
@pytest.mark.parametrize(("statement", "instead"), GONE)
def test_missing_name(statement, instead):
    """A name that can't be here is an ImportError that says what to use."""
    with pytest.raises(ImportError, match=instead):
        exec(statement, {})


def test_warning_names_its_place():
    """The warning names the line of the program, whichever way the name was got at."""
    script = """
import websocket_rs.client
websocket_rs.client.connect
from websocket_rs.exceptions import AbortHandshake
import websocket_rs.legacy.client
"""
    done = run_script(script, environment={"PYTHONWARNINGS": "always"})
    assert done.returncode == 0, done.stderr
    places = [line.split(":")[1] for line in done.stderr.splitlines() if "Depr" in line]
    # Importing the exceptions imports the old package that they are in.
    assert [place for place in places if place != "<frozen importlib._bootstrap>"]
    assert {"3", "4", "5"} & set(places) == {"3", "4"}, done.stderr


def test_names_mean_the_same():
    """Old names stand for the classes of today, so that isinstance holds."""
    with pytest.warns(DeprecationWarning, match="old name"):
        from websocket_rs.client import WebSocketClientProtocol
    assert WebSocketClientProtocol is ClientConnection
    with pytest.warns(DeprecationWarning, match="old name"):
        assert exceptions.WebSocketProtocolError is ProtocolError
    with pytest.warns(DeprecationWarning, match="old name"):
        assert issubclass(exceptions.AbortHandshake, exceptions.InvalidHandshake)


@pytest.mark.parametrize("keyword", ["klass", "create_protocol", "read_limit"])
def test_connect_old_keyword(keyword):
    """A keyword that went with the old client is refused by what to use instead."""
    with pytest.raises(NotImplementedError, match=f"{keyword} isn't supported: "):
        connect("ws://127.0.0.1:1/", **{keyword: 5})


def test_keys():
    """The key is random, and its answer that of the RFC (section 1.3)."""
    assert utils.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == (
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    )
    assert len(base64.b64decode(utils.generate_key())) == 16
    assert utils.generate_key() != utils.generate_key()


def test_close_check():
    """`Close.check` accepts what may stand in a Close frame, and nothing else."""
    for code in [*range(990, 1020), 2999, 3000, 4999, 5000, -1, 10**40]:
        if code in frames.EXTERNAL_CLOSE_CODES or 3000 <= code < 5000:
            frames.Close(code, "").check()
        else:
            with pytest.raises(InvalidControlFrame, match="invalid status code"):
                frames.Close(code, "").check()


async def test_old_client(echo_server):
    """A program for the old asyncio client runs, but for its warnings."""
    with pytest.warns(DeprecationWarning, match="old name"):
        from websocket_rs.client import connect
    with pytest.warns(DeprecationWarning, match="extra_headers"):
        connecting = connect(echo_server.url, extra_headers={"X-Token": "t"})
    with pytest.warns(DeprecationWarning, match="loop is ignored"):
        connect(echo_server.url, loop=asyncio.get_running_loop())
    async with connecting as ws:
        await ws.send("x")
        assert await ws.recv() == "x"
