"""A logger for one connection."""

from __future__ import annotations

import gc
import logging

import pytest

from support import run_script
from websocket_rs.asyncio.client import connect as connect_async
from websocket_rs.sync.client import connect


class Records(logging.Handler):
    """Keeps the records that it gets."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def texts(self):
        """What the records say."""
        return [record.getMessage() for record in self.records]


@pytest.fixture
def own():
    """A logger of its own, with a handler."""
    logger = logging.getLogger("own")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Records())
    yield logger
    logger.handlers.clear()
    logger.filters.clear()


def records_of(logger):
    """Return the records that a logger of these tests has got."""
    return logger.handlers[0].records


def test_logger_gets_all_records(echo_server, own, caplog):
    """All that a connection logs goes to its logger, in order, and nowhere else."""
    caplog.set_level(logging.DEBUG, "websocket_rs")
    with connect(echo_server.url, logger=own) as ws:
        name = ws.name
        ws.send("x")
        ws.recv()
    texts = own.handlers[0].texts
    assert texts[0].startswith("connecting to ")
    assert any(text.startswith("sending opening handshake") for text in texts)
    assert [r for r in caplog.records if r.name.startswith("websocket_rs")] == []
    assert {record.websocket_name for record in records_of(own)} == {name}


async def test_logger_on_asyncio(echo_server, own):
    """The asyncio client logs to the logger that it is given."""
    async with connect_async(echo_server.url, logger=own) as ws:
        await ws.send("x")
        await ws.recv()
    assert any(text.startswith("connected to ") for text in own.handlers[0].texts)


def test_logger_level(echo_server, own, caplog):
    """The level of the logger counts, not that of the package's loggers."""
    caplog.set_level(logging.DEBUG, "websocket_rs")
    own.setLevel(logging.WARNING)
    with connect(echo_server.url, logger=own):
        pass
    assert records_of(own) == []
    caplog.set_level(logging.WARNING, "websocket_rs")
    own.setLevel(5)
    with connect(echo_server.url, logger=own) as ws:
        ws.send("x")
    assert any(text.startswith("> Text") for text in own.handlers[0].texts)
    before = len(records_of(own))
    with connect(echo_server.url):
        pass
    assert len(records_of(own)) == before


def test_logger_of_failed_connection(own):
    """An attempt that fails is logged to the logger, too."""
    with pytest.raises(ConnectionRefusedError):
        connect("ws://127.0.0.1:1", logger=own)
    assert own.handlers[0].texts == ["connecting to ws://127.0.0.1:1/"]


class Tagging(logging.LoggerAdapter):
    """Puts something before each text, and something into each record."""

    def process(self, msg, kwargs):
        extra = {**kwargs.get("extra", {}), **self.extra}
        return f"[tag] {msg}", {**kwargs, "extra": extra}


def test_logger_adapter(echo_server, own):
    """An adapter may change texts and records, and loses none of what we add."""
    adapter = Tagging(own, {"tag": "mine"})
    with connect(echo_server.url, logger=adapter) as ws:
        name = ws.name
    assert own.handlers[0].texts[0].startswith("[tag] connecting")
    for record in records_of(own):
        assert (record.tag, record.websocket_name) == ("mine", name)


def test_logger_plain_adapter(echo_server, own):
    """An adapter that isn't derived from adds its attributes."""
    adapter = logging.LoggerAdapter(own, {"tag": "mine"})
    with connect(echo_server.url, logger=adapter):
        pass
    record = records_of(own)[0]
    assert (record.tag, record.websocket_name[:10]) == ("mine", "websocket-")


def test_record_refers_to_connection(echo_server, own):
    """A record refers to the connection, once there is one, and doesn't keep it."""
    own.setLevel(5)
    ws = connect(echo_server.url, logger=own)
    ws.send("x")
    ws.close()
    assert records_of(own)[-1].websocket.name == ws.name
    del ws
    gc.collect()
    with pytest.raises(ReferenceError):
        records_of(own)[-1].websocket.name  # noqa: B018


def test_connection_logger(echo_server, own):
    """A connection offers its logger, which adds the connection to records."""
    with connect(echo_server.url, logger=own) as ws:
        ws.logger.warning("mine")
        assert records_of(own)[-1].websocket.name == ws.name
        assert ws.debug
    with connect(echo_server.url) as ws:
        assert ws.logger.logger.name == "websocket_rs.client"
        assert not ws.debug


@pytest.mark.parametrize("logger", ["name", 5, logging])
def test_wrong_logger(logger):
    """What isn't a logger is refused before anything is sent."""
    with pytest.raises(TypeError, match=r"logger must be a logging\.Logger"):
        connect("ws://127.0.0.1:1", logger=logger)


def test_handler_that_raises(echo_server, own, monkeypatch):
    """A handler that raises breaks nothing."""
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def fail(record):
        raise LookupError("handler")

    own.addFilter(fail)
    with connect(echo_server.url, logger=own) as ws:
        ws.send("x")
        assert ws.recv() == "x"


def test_loggers_are_forgotten(echo_server):
    """A logger goes with the last connection that has it."""
    script = """
import gc, logging, sys, weakref
from websocket_rs.sync.client import connect

gone = []
for number in range(50):
    logger = logging.Logger("own", logging.DEBUG)
    gone.append(weakref.ref(logger))
    with connect(sys.argv[1], logger=logger) as ws:
        ws.send("x")
        ws.recv()
del logger, ws
# What is left is forgotten when records are handed on the next time.
with connect(sys.argv[1]) as ws:
    ws.send("x")
    ws.recv()
gc.collect()
left = sum(reference() is not None for reference in gone)
assert left == 0, left
print("all gone")
"""
    done = run_script(script, echo_server.url)
    assert done.stdout == "all gone\n", done.stderr


def test_logger_after_fork(echo_server):
    """A forked process can use connections with loggers of its own."""
    script = """
import logging, os, sys
from websocket_rs.sync.client import connect

logger = logging.Logger("own", logging.DEBUG)
with connect(sys.argv[1], logger=logger):
    child = os.fork()
    if child == 0:
        with connect(sys.argv[1], logger=logger) as ws:
            ws.send("x")
            assert ws.recv() == "x"
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
print("both")
"""
    done = run_script(script, echo_server.url)
    assert "both" in done.stdout, done.stderr
