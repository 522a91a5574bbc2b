"""Fixtures shared by all tests.

Three things hold for every test without being asked for:

* it ends: the body of a plain test runs on a daemon thread that is given up when
  its time is over, and the body of an `async def` test runs under a deadline;
* it leaks nothing: the connection threads and the descriptors it opened are gone
  some time after it ended;
* an `async def` test runs twice, on asyncio's own event loop and on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from websocket_rs._client.opening import Opening
from websocket_rs._core import EchoServer
from websocket_rs.sync_client import connect


sys.path.insert(0, str(Path(__file__).parent))

pytest.register_assert_rewrite(
    "counterparts", "logged", "proxy_server", "raw_server", "routes", "support"
)

from counterparts import FACES, PACKAGES, Library, Recorder  # noqa: E402
from logged import NAMES, Collector  # noqa: E402
from proxy_server import ProxyServer  # noqa: E402
from raw_server import MS, Peer, RawServer, Script  # noqa: E402
from routes import HTTP, SOCKS  # noqa: E402
from support import (  # noqa: E402
    QUICK,
    Address,
    Background,
    connection_threads,
    descriptors,
    wait_until,
)


if TYPE_CHECKING:
    from websocket_rs._client.settings import Settings


DEFAULT_TIMEOUT = 25.0
"""Seconds a test may take unless a timeout marker says otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options of our own."""
    parser.addoption(
        "--reader",
        choices=["loop", "thread"],
        default="loop",
        help="who reads asyncio connections where a test doesn't say so",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Forget proxies, and see to who reads."""
    if config.getoption("reader") == "thread":
        have_threads_read()
    # Proxies of the environment can't reach the servers of the tests.
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]


def have_threads_read() -> None:
    """Make ``reader="thread"`` the default."""
    original = Opening.__init__

    def init(self: Opening, uri: str, settings: Settings, network: Any) -> None:
        original(self, uri, settings._replace(reader="thread"), network)

    Opening.__init__ = init  # type: ignore[method-assign]


PASSED = pytest.StashKey[bool]()
"""Whether the body of the test ended without an error."""


# How tests are run.


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every coroutine test on both kinds of event loop."""
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", ["asyncio", "uvloop"])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run the body of a test under a deadline, whatever it is blocked in."""
    marker = pyfuncitem.get_closest_marker("timeout")
    # A little earlier than pytest-timeout, whose alarm can end the whole run.
    limit = 0.9 * marker.args[0] if marker else DEFAULT_TIMEOUT
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    function = pyfuncitem.obj
    pyfuncitem.stash[PASSED] = False
    if inspect.iscoroutinefunction(function):
        kind = pyfuncitem.callspec.params["loop_kind"]
        Background(run_on_loop, kind, function, arguments, limit).result(limit + 2)
    elif pyfuncitem.get_closest_marker("main_thread"):
        function(**arguments)
    else:
        Background(function, **arguments).result(limit)
    pyfuncitem.stash[PASSED] = True
    return True


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return a new event loop of that kind."""
    if kind == "uvloop":
        return pytest.importorskip("uvloop").new_event_loop()
    return asyncio.SelectorEventLoop()


def run_on_loop(
    kind: str, function: Callable[..., Any], arguments: dict[str, Any], limit: float
) -> None:
    """Run a coroutine function on a loop of its own, as asyncio.run does."""
    loop = new_event_loop(kind)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait_for(function(**arguments), limit))
    finally:
        with contextlib.suppress(RuntimeError):
            pending = asyncio.all_tasks(loop)
            for task in pending:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


@pytest.fixture(scope="session")
def warm_up(echo_server: EchoServer, tls_echo_server: EchoServer) -> None:
    """Open what the process opens once, before descriptors are compared."""
    with connect(echo_server.url, **QUICK) as ws:
        ws.send("x")
        ws.recv()
    # The first loop of libuv opens a pipe for the signals of all later ones.
    for kind in ["asyncio", "uvloop"]:
        run_on_loop(kind, asyncio.sleep, {"delay": 0}, 5.0)
    # Each test collects what it leaves. That need not look at what was there before.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, warm_up: None) -> Iterator[None]:
    """Connection threads and descriptors return to what they were before."""
    threads, files = connection_threads(), descriptors()
    yield
    if not request.node.stash.get(PASSED, False):
        # The traceback of the failure keeps what it saw alive.
        return
    gc.collect()

    def left_threads() -> dict[int, str]:
        return dict(connection_threads().items() - threads.items())

    def left_descriptors() -> dict[int, str]:
        return dict(descriptors().items() - files.items())

    try:
        wait_until(
            lambda: not left_threads() and not left_descriptors(),
            "nothing is left",
            10_000 * MS,
        )
    except AssertionError:
        what = f"threads {left_threads()}, descriptors {left_descriptors()}"
        pytest.fail(f"left behind: {what}", pytrace=False)


# Peers.


@pytest.fixture(scope="session")
def echo_server() -> Iterator[EchoServer]:
    """The embedded echo server."""
    with EchoServer() as server:
        yield server


@pytest.fixture(scope="session")
def tls_echo_server() -> Iterator[EchoServer]:
    """The embedded echo server over TLS."""
    with EchoServer(tls=True) as server:
        yield server


@dataclass(frozen=True)
class Certificates:
    """An authority made for this run, and what it has certified.

    Attributes:
        ca_file: Path of the authority's certificate, PEM.
        cert_file: Path of the server's certificate chain, PEM.
        key_file: Path of the server's private key, PEM.
        client_cert: Path of a client's certificate chain, PEM.
        client_key: Path of that client's private key, PEM.
    """

    ca: trustme.CA
    ca_file: str
    cert_file: str
    key_file: str
    client_cert: str
    client_key: str

    def server_context(self, *, ask_client: bool = False) -> ssl.SSLContext:
        """Return the context of a server that is called localhost or 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        if ask_client:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def context_for(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server with other names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for the server and for a client, and their authority."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()

    def write(name: str, *blobs: trustme.Blob) -> str:
        path = folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    server = ca.issue_cert("localhost", "127.0.0.1")
    client = ca.issue_cert("client@example.test")
    return Certificates(
        ca=ca,
        ca_file=write("ca.pem", ca.cert_pem),
        cert_file=write("server.pem", *server.cert_chain_pems),
        key_file=write("server-key.pem", server.private_key_pem),
        client_cert=write("client.pem", *client.cert_chain_pems),
        client_key=write("client-key.pem", client.private_key_pem),
    )


@pytest.fixture(params=["ws", "wss"])
def echo(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """The embedded echo server, once in the clear and once over TLS."""
    if request.param == "ws":
        return Address(request.getfixturevalue("echo_server").url, dict(QUICK))
    return tls_address(request.getfixturevalue("tls_echo_server"), tmp_path)


def tls_address(server: EchoServer, folder: Path) -> Address:
    """Return how to reach an embedded TLS server, trusting its certificate."""
    ca_file = folder / "echo-server.pem"
    ca_file.write_text(server.certificate)
    return Address(server.url, {**QUICK, "ca_file": str(ca_file)})


RawServerFactory = Callable[..., RawServer]


@pytest.fixture
def raw_server() -> Iterator[RawServerFactory]:
    """Start servers that follow a script; an error in a script fails the test."""
    servers: list[RawServer] = []

    def start(script: Script, **options: Any) -> RawServer:
        servers.append(RawServer(script, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(params=["ws", "wss"])
def scripted(
    request: pytest.FixtureRequest,
    raw_server: RawServerFactory,
    certificates: Certificates,
) -> Callable[[Script], Address]:
    """Start scripted peers, once in the clear and once over TLS."""

    def start(script: Script) -> Address:
        if request.param == "ws":
            return Address(raw_server(script).url, dict(QUICK))
        server = raw_server(script, tls=certificates.server_context())
        return Address(server.url, {**QUICK, "ca_file": certificates.ca_file})

    return start


@pytest.fixture
def answering(raw_server: RawServerFactory) -> Callable[..., RawServer]:
    """Start peers that accept, run a script, and then answer the closing handshake."""

    def start(script: Script, **options: Any) -> RawServer:
        def whole(peer: Peer) -> None:
            peer.accept_handshake()
            script(peer)
            peer.answer_close()

        return raw_server(whole, **options)

    return start


@pytest.fixture(params=HTTP + SOCKS)
def scheme(request: pytest.FixtureRequest) -> str:
    """Each scheme of a proxy."""
    return request.param


ProxyServerFactory = Callable[..., ProxyServer]


@pytest.fixture
def proxy_server(certificates: Certificates) -> Iterator[ProxyServerFactory]:
    """Start scripted proxies; an error in one fails the test."""
    proxies: list[ProxyServer] = []

    def start(scheme: str, **options: Any) -> ProxyServer:
        if scheme == "https":
            options.setdefault("tls", certificates.server_context())
        proxies.append(ProxyServer(scheme, **options))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.stop()


@pytest.fixture(params=FACES)
def compare(
    request: pytest.FixtureRequest, raw_server: RawServerFactory
) -> Callable[..., list[Any]]:
    """Run a scenario with `websockets` and with `websocket_rs`.

    The outcomes are the scenario's result, and what its peer got: the line of the
    request, its headers, and the frames.
    """

    def run(
        scenario: Callable[..., Any],
        speech: Script | None = None,
        *headers: str,
        accepts: bool = True,
    ) -> list[Any]:
        outcomes = []
        for package in PACKAGES:
            recorder = Recorder(speech, *headers)
            server = raw_server(recorder if accepts else speech)
            library = Library(package, request.param)
            result = asyncio.run(scenario(library, server.url))
            server.join()
            outcomes.append((result, recorder.line, recorder.headers, recorder.frames))
        return outcomes

    return run


# Logging.


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's top logger, put back afterwards."""
    logger = logging.getLogger("websocket_rs")
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.filters.clear()
    logger.setLevel(level)
    for name in NAMES:
        child = logging.getLogger(f"websocket_rs.{name}")
        child.setLevel(logging.NOTSET)
        child.filters.clear()
        child.handlers.clear()


@pytest.fixture
def collector(logger: logging.Logger) -> Collector:
    """A handler of the package's top logger."""
    collector = Collector()
    logger.addHandler(collector)
    return collector
