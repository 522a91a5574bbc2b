"""Numbers as arguments, whatever their size and type: taken, or refused by name."""

from __future__ import annotations

import inspect
import itertools
import math
from fractions import Fraction

import pytest

from raw_server import MS
from support import QUICK
from websocket_rs import _core, async_client, sync_client
from websocket_rs.asyncio.client import connect as replacing_connect
from websocket_rs.client import Reconnection, backoff, process_exception
from websocket_rs.exceptions import ConnectionClosedError, InvalidControlFrame
from websocket_rs.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websocket_rs.sync.client import reconnect


class Index:
    """An integer of another package, as `numpy.int64` is one."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Real:
    """A number of another package, as `numpy.float32` is one."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return float(self.value)

    def __int__(self):
        return int(self.value)


class Many:
    """An array of several numbers: it has the method, and no value."""

    def __float__(self):
        raise TypeError("only arrays of one element can be converted")


HUGE = [2**70, 10**40, 10**400]
EXTREMES = [*HUGE, *(-number for number in HUGE), math.inf, -math.inf, math.nan, True]
EXTREMES += [1e300, -1e300, Many(), 0.5, -1]
IDS = ["2**70", "10**40", "10**400", "-2**70", "-10**40", "-10**400"]
IDS += ["inf", "-inf", "nan", "True", "1e300", "-1e300", "many", "0.5"]
IDS += ["-1"]
EXTREME = pytest.mark.parametrize("value", EXTREMES, ids=IDS)

TIMES = ["connect_timeout", "receive_timeout", "close_timeout", "ping_interval"]
TIMES += ["ping_timeout", "happy_eyeballs_delay"]
SIZES = ["max_size", "max_queue", "inbox_limit", "write_limit"]
PLACES = ["port", "family", "local_addr", "source_address", "address"]


def argument(name, value):
    """Return a value in the form that a keyword of `connect` has it in."""
    pairs = ("local_addr", "source_address", "address")
    return ("127.0.0.1", value) if name in pairs else value


def attempt(name, call):
    """Make a call that may refuse an argument, but only by its name."""
    refusal = None
    try:
        return call()
    except (ValueError, TypeError) as exc:
        refusal = exc
    assert name in str(refusal)
    return None


@EXTREME
@pytest.mark.parametrize("name", [*TIMES, *SIZES, *PLACES])
def test_connect_extreme_number(name, value):
    """A number that can't be meant is refused by name, and taken for no limit else."""
    url, options = "ws://127.0.0.1:9/", {name: argument(name, value)}
    name = "port" if name == "address" else name
    attempt(name, lambda: async_client.connect(url, **options))
    if name in ("connect_timeout", "receive_timeout", "inbox_limit"):
        return
    attempt(name, lambda: replacing_connect(url, **options))
    if name != "write_limit":
        attempt(name, lambda: reconnect(url, **options))


@pytest.mark.parametrize("value", [*HUGE, math.inf, 1e300])
async def test_connect_unlimited(echo_server, value):
    """What is larger than any limit is none, with both clients."""
    limits = dict.fromkeys((*TIMES, *SIZES), value)
    async with async_client.connect(echo_server.url, **limits) as ws:
        await ws.send("x")
        assert await ws.recv() == "x"
    del limits["write_limit"]
    with sync_client.connect(echo_server.url, **limits) as ws:
        ws.send("x")
        assert ws.recv() == "x"


@pytest.mark.parametrize("convert", [float, Real, Index, Fraction])
def test_connect_numbers_of_other_types(echo_server, convert):
    """What is a number to Python is one, and sizes may be written as 1e3."""
    times = dict.fromkeys(TIMES, convert(5000))
    sizes = dict.fromkeys(["max_size", "inbox_limit"], convert(1000))
    keywords = {"max_queue": (convert(8), convert(2)), **times, **sizes}
    with sync_client.connect(echo_server.url, **keywords) as ws:
        ws.send("x")
        assert ws.recv(timeout=convert(5)) == "x"
        assert ws.ping().wait(convert(5))
        ws.send(b"x" * 1001)
        with pytest.raises(ConnectionClosedError, match="1000"):
            ws.recv()


def test_connect_places_of_other_types(raw_server):
    """Ports and families are whatever has an index."""
    server = raw_server(lambda peer: (peer.accept_handshake(), peer.answer_close()))
    place = {"port": Index(server.port), "local_addr": ("127.0.0.1", Index(0))}
    url = "ws://127.0.0.1:9/"
    with sync_client.connect(url, family=Index(2), **place, **QUICK) as ws:
        ws.close(Index(1001))
    for name in ("port", "family"):
        with pytest.raises(TypeError, match=name):
            sync_client.connect(url, **{name: 2.0})


@EXTREME
def test_connection_extreme_number(echo_server, value):
    """A time or a close code that can't be is refused by name; no call raises else."""
    with sync_client.connect(echo_server.url, **QUICK) as ws:
        ws.send("x")
        try:
            attempt("timeout", lambda: ws.recv(timeout=value))
        except TimeoutError:
            assert value < 0
        pong = ws.ping()
        attempt("timeout", lambda: pong.wait(timeout=value))
        try:
            attempt("timeout", lambda: pong.result(timeout=value))
        except TimeoutError:
            assert value == 0.5
        attempt("code", lambda: ws.close(value))
        assert ws.state.name == "OPEN"
        ws.close()
        attempt("timeout", lambda: ws.wait_closed(timeout=value))


async def test_number_that_cannot_be_shown(echo_server):
    """A number of more digits than Python shows is refused by name like any other."""
    number = -(10**5000)
    for name in (*TIMES, *SIZES, "port", "family"):
        with pytest.raises(ValueError, match=name):
            async_client.connect("ws://127.0.0.1:9/", **{name: number})
    async with async_client.connect(echo_server.url, **QUICK) as ws:
        with pytest.raises(InvalidControlFrame, match="code"):
            await ws.close(number)


@EXTREME
async def test_close_extreme_code(echo_server, value):
    """A close code that can't be is refused, and the connection stays open."""
    async with async_client.connect(echo_server.url, **QUICK) as ws:
        with pytest.raises((InvalidControlFrame, TypeError), match="code"):
            await ws.close(value)
        assert ws.state.name == "OPEN"


@EXTREME
@pytest.mark.parametrize(
    "name", ["server_max_window_bits", "client_max_window_bits", "level"]
)
def test_factory_extreme_number(name, value):
    """A parameter of the compression that can't be is refused by its name."""
    keywords = {name: value}
    if name == "level":
        keywords = {"compress_settings": keywords}
    attempt(name, lambda: ClientPerMessageDeflateFactory(**keywords))


def test_factory_numbers_of_other_types():
    """The parameters of the compression are whatever has an index."""
    factory = ClientPerMessageDeflateFactory(
        server_max_window_bits=Index(12),
        client_max_window_bits=Index(11),
        compress_settings={"level": Index(3)},
    )
    assert factory.level == 3


@EXTREME
def test_reconnect_extreme_delay(value):
    """A pause that can't be waited for is a century, or refused by its name."""
    reconnection = Reconnection(process_exception, lambda: iter([value]), None)
    delay = attempt("reconnect_delays", lambda: reconnection.delay_after(OSError()))
    assert delay is None or 0 <= delay < 1e10


@EXTREME
@pytest.mark.parametrize("name", ["initial_delay", "min_delay", "max_delay", "factor"])
def test_backoff_extreme_number(name, value):
    """The parameters of the pauses may be of any size, too."""

    def pauses():
        # A factor of 0.5 is as good as any: the pauses become shorter.
        return list(itertools.islice(backoff(**{name: value}), 5))

    attempt(name, pauses)


def test_echo_server_extreme_port():
    """The embedded server refuses a port that is none."""
    with pytest.raises(ValueError, match="port"):
        _core.EchoServer("127.0.0.1", 10**40)


def test_every_number_is_covered():
    """No keyword of a `connect` takes a number that isn't tried here."""
    numbers = {
        name
        for connect in (async_client.connect, sync_client.connect, replacing_connect)
        for name, parameter in inspect.signature(connect).parameters.items()
        if "int" in str(parameter.annotation) or "float" in str(parameter.annotation)
    }
    assert numbers - {*TIMES, *SIZES, *PLACES, "reconnect_delays"} == {"open_timeout"}


def test_recv_timeout_of_wrong_type(echo_server):
    """A timeout that is no number is refused by name, and shown."""
    with sync_client.connect(echo_server.url, **QUICK) as ws:
        with pytest.raises(TypeError, match=r"timeout.*'soon'"):
            ws.recv(timeout="soon")
        with pytest.raises(TimeoutError):
            ws.recv(timeout=Real(1 * MS))
