"""The extension module: connections, and what Python needs beside them.

It is private: programs import `websocket_rs.sync_client` and
`websocket_rs.async_client`. What those classes inherit is described here.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, final, overload

from typing_extensions import Self, disjoint_base

from ._client.tls.values import TlsArguments
from ._client.values import Connect, Proxy, Route
from .exceptions import ConnectionClosed
from .typing import LoggerLike, Subprotocol

__all__ = [
    "AfterFork",
    "AsyncConnection",
    "ConnectOptions",
    "Connection",
    "DeflateOffer",
    "EchoServer",
    "EventQueue",
    "ParsedUri",
    "PongWaiter",
    "SyncConnection",
    "__version__",
    "accept_key",
    "begin_exit",
    "check_close",
    "generate_key",
    "host_name",
    "join_uri",
    "note_exit",
    "parse_uri",
    "provide",
]

__version__: str

@final
class ConnectOptions:
    """What a connection is opened with. Checked when it is made; does no I/O.

    Args:
        uri: A ``ws://`` or ``wss://`` URL.
        values: With what to open it.

    Raises:
        InvalidURI: If the URL breaks a rule.
        ValueError: If another value breaks a rule.
        TypeError: If a value is of the wrong type.
    """

    def __new__(cls, uri: str, values: Connect) -> Self: ...
    @property
    def secure(self) -> bool:
        """Whether the scheme is ``wss``."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

    def with_elapsed(self, seconds: float) -> ConnectOptions: ...
    def with_route(self, values: Route) -> ConnectOptions: ...
    def with_socket(self, fd: int) -> ConnectOptions: ...
    def with_proxy(self, values: Proxy) -> ConnectOptions: ...
    def with_tls(self, values: TlsArguments) -> ConnectOptions: ...

@final
class AfterFork:
    """Has a method for `os.register_at_fork`, which keeps it to the interpreter's end.

    What is open ends when it is dropped.
    """

    def __new__(cls) -> Self: ...
    def disown(self) -> None:
        """Disown the connections of the parent process."""

@final
class DeflateOffer:
    """An offer to compress messages, see `ClientPerMessageDeflateFactory`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __new__(
        cls,
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: int | None,
        client_max_window_bits: int | None,
        level: int | None,
    ) -> Self: ...

@final
class ParsedUri:
    """What a WebSocket URI says.

    The host is in ASCII and without brackets; the path is never empty; user name and
    password are decoded.
    """

    @property
    def secure(self) -> bool: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...

@disjoint_base
class Connection:
    """The base class of the connections of both clients. Nothing in it waits."""

    def abandon(self) -> None:
        """Give the connection up, without the closing handshake and without waiting.

        One that is being closed is left to its thread, which sees that through.
        """

    def abort(self) -> None:
        """End the connection at once: no closing handshake, no waiting.

        What waits to be written is dropped. Whoever waits for a message or for room
        gets `ConnectionClosedError`, with code 1006. Does nothing if the connection is
        closed.
        """

    def begin_close(self, code: int, reason: str) -> None:
        """Start the closing handshake, without waiting.

        Raises:
            InvalidControlFrame: If the code or the reason can't be sent.
        """

    @property
    def closed_error(self) -> ConnectionClosed | None:
        """What `recv` raises once the connection is closed; ``None`` before."""

    @property
    def ping_interval(self) -> float | None:
        """Seconds between pings, as given to `connect`; ``None`` if none are sent."""

    @property
    def ping_timeout(self) -> float | None:
        """Seconds to wait for a pong, as given to `connect`; ``None`` is no limit."""

    @property
    def close_timeout(self) -> float | None:
        """Seconds for the closing handshake, as given; ``None`` is no limit."""

    @property
    def max_size(self) -> int | None:
        """The largest message accepted, as given; ``None`` is no limit."""

    def introduce(self) -> None:
        """Let the records of `own_logger` refer to this object, and hand them on."""

    @property
    def own_logger(self) -> LoggerLike | None:
        """The logger that the connection was given."""

    @property
    def latency(self) -> float:
        """Seconds between the last ping that was answered and its pong.

        0 before the first.
        """

    @property
    def name(self) -> str:
        """The name of the connection, of its thread, and of it in log records."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol agreed upon, if any."""

    # Typed as the `socket` module types addresses: their form depends on their kind.

    @property
    def local_address(self) -> Any:
        """The address of this end, as the `socket` module shows addresses.

        Host and port, and two numbers more for IPv6; or the path of a Unix socket.
        """

    @property
    def remote_address(self) -> Any:
        """The address of the server, as the `socket` module shows addresses."""

    @property
    def request_parts(self) -> tuple[str, list[tuple[str, str]]] | None:
        """Path and headers of the opening handshake's request, once it is open."""

    @property
    def response_parts(self) -> tuple[int, str, list[tuple[str, str]]] | None:
        """Status, reason and headers of the response to it."""

    @property
    def state_number(self) -> int:
        """The number of the state: 0 CONNECTING, 1 OPEN, 2 CLOSING, 3 CLOSED."""

    @property
    def close_frame(self) -> tuple[int, str] | None:
        """The close code and reason received, once the connection is closed."""

    @property
    def has_ended(self) -> bool:
        """Whether the thread and descriptors are free, or it was never open."""

    @property
    def is_left_open(self) -> bool:
        """Whether it is open, and the interpreter doesn't exit, which will end it."""

@disjoint_base
class SyncConnection(Connection):
    """The base class of `websocket_rs.sync_client.WebSocket`.

    Making one opens the connection and blocks until it is open; use
    `websocket_rs.sync_client.connect`.

    Args:
        options: What to open the connection with.
        receive_timeout: Seconds that `recv` waits; ``None`` is no limit.
        logger: Where the connection's records go, if not to the package's loggers.
    """

    def __new__(
        cls,
        options: ConnectOptions,
        receive_timeout: float | None = None,
        logger: LoggerLike | None = None,
    ) -> Self: ...
    def send(
        self,
        message: str
        | bytes
        | bytearray
        | memoryview
        | Iterable[str]
        | Iterable[bytes | bytearray | memoryview],
        *,
        text: bool | None = None,
    ) -> None:
        """Send a message: text if it is a ``str``, binary if it is bytes-like.

        Returns when the operating system has taken all of it, which may take as long as
        the peer takes to read; there is no timeout for sending. May be called from any
        number of threads, also while others are in `recv`: each message goes out whole.

        If Ctrl-C or another signal handler ends the call, the message is still sent, as
        a whole, by the connection's own thread; unless more than 16 MiB of it are left,
        which fails the connection. If `close` is called meanwhile, a message that was
        accepted goes out before the Close frame. With compression, Ctrl-C is noticed
        when the message has been compressed, which takes some 5 ms per MiB.

        An iterable of such objects is sent as one message in fragments (RFC 6455,
        section 5.4), each as soon as the iterable yields it, and an empty one at the
        end. If the iterable raises after the first, or a signal handler does, the
        connection is failed with code 1011: half a message can't be taken back.

        Args:
            message: The message, or an iterable of its fragments, all ``str`` or all
                bytes-like. A ``memoryview`` is sent as ``bytes()`` would show it.
            text: ``True`` to send bytes-like objects, which hold UTF-8, as text;
                ``False`` to send ``str`` as binary.

        Raises:
            ConnectionClosed: If the connection is closed or being closed, or fails.
            ConcurrencyError: If another message is being sent in fragments.
            TypeError: If the message is of another type. The connection stays open,
                unless that is so of a fragment after the first.
            UnicodeEncodeError: If a ``str`` holds lone surrogates. Likewise.
            UnicodeDecodeError: If ``text`` is ``True`` and the message isn't UTF-8.
        """

    @overload
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...
    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...
    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...
    @overload
    def recv(
        self, timeout: float | None = None, *, decode: Literal[False]
    ) -> bytes: ...
    @overload
    def recv(
        self, timeout: float | None = None, decode: bool | None = None
    ) -> str | bytes:
        """Receive the next message: a ``str`` if it is text, ``bytes`` if it is binary.

        Reads the network in the calling thread, outside the interpreter. Messages that
        had been received before the connection was closed can still be received after.
        If another thread calls `close`, the call ends within 0.1 s, whether or not the
        peer answers. Ctrl-C ends it; the connection stays open, and nothing is lost.

        Args:
            timeout: Seconds to wait; ``0`` or less takes only what is there. ``None``
                stands for the ``receive_timeout`` of `connect`.
            decode: ``True`` for ``str`` and ``False`` for ``bytes``, whatever the
                message is.

        Raises:
            ConnectionClosedOK: If the connection was closed normally, or this program
                has closed it, and no message is left.
            ConnectionClosedError: If it failed or was closed with an error, and no
                message is left. What failed is the ``__cause__``.
            TimeoutError: If the time has passed. The connection stays open, and what
                has come of a message is kept for the next call.
            ConcurrencyError: If another thread is in `recv` or `recv_streaming`, or if
                a message has been taken in part by `recv_streaming`.
            UnicodeDecodeError: If ``decode`` is ``True`` and the message isn't UTF-8.
                The next call receives the same message.
            ValueError: If the timeout isn't a number.
        """

    def recv_fragment(self, decode: bool | None = None) -> tuple[str | bytes, bool]:
        """Receive the next fragment of a message, and whether it is the last.

        `recv_streaming` is made of it, and says what it raises.
        """

    def ping(
        self,
        data: str | bytes | bytearray | memoryview | None = None,
        *,
        ack_on_close: bool = False,
    ) -> PongWaiter:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: At most 125 bytes; a ``str`` is sent as UTF-8. ``None`` sends four
                random bytes.
            ack_on_close: Whether the end of the connection counts as an answer for
                `PongWaiter.wait` and `PongWaiter.is_set`.

        Returns:
            Something to wait for the pong with. It need not be waited for. The pong is
            noticed whether or not a thread is in `recv`.

        Raises:
            ConnectionClosed: If the connection is closed.
            ConcurrencyError: If a ping with the same data waits for its pong.
            TypeError, InvalidControlFrame: If the data can't be sent. The connection is
                as it was.
        """

    def pong(self, data: str | bytes | bytearray | memoryview = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Args:
            data: At most 125 bytes; a ``str`` is sent as UTF-8.

        Raises:
            ConnectionClosed: If the connection is closed.
            TypeError, InvalidControlFrame: If the data can't be sent. The connection is
                as it was.
        """

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the connection is closed, by whomever.

        Args:
            timeout: Seconds to wait; ``0`` or less only looks. ``None`` is no limit.

        Returns:
            Whether it is closed, and its thread and descriptors are free.

        Raises:
            ValueError: If the timeout isn't a number.
        """

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and wait until it is closed.

        Messages accepted before are sent first. The closing handshake may take
        ``close_timeout`` seconds; after that the connection is ended without it, and
        nothing is raised. Returns when the connection's thread and descriptors are
        free. May be called any number of times and from any thread, also while another
        is in `send` or `recv`. If a signal handler ends the call, closing goes on.

        Args:
            code: Close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            InvalidControlFrame: If the code or the reason can't be sent.
            TypeError: If they aren't an ``int`` and a ``str``.
        """

    def __iter__(self) -> Iterator[str | bytes]: ...
    def __next__(self) -> str | bytes:
        """Receive the next message, as `recv` does; end if it was closed normally."""

@disjoint_base
class AsyncConnection(Connection):
    """The base class of `websocket_rs.async_client.AsyncWebSocket`.

    No method waits. What would have to wait takes a future of the event loop, and
    completes it when it is time to look again. What they do is told in the core. Making
    one starts to connect, in a connection thread.

    Args:
        options: What to open the connection with.
        events: What wakes the event loop.
        receive_timeout: For the derived class.
        logger: Where the connection's records go, if not to the package's loggers.

    Raises:
        ConnectError: If the system has no thread or descriptor left.
    """

    def __new__(
        cls,
        options: ConnectOptions,
        events: EventQueue,
        receive_timeout: float | None = None,
        logger: LoggerLike | None = None,
    ) -> Self: ...
    def on_opened(self, future: Future[None]) -> None: ...
    def finish_opening(self) -> None: ...
    def post(self, message: object, text: bool | None = None) -> bool | None: ...
    def post_fragment(
        self, fragment: object, text: bool | None, first_is_text: bool | None
    ) -> bool: ...
    def post_end(self) -> bool: ...
    def give_message_up(self) -> None: ...
    def post_ping(
        self,
        data: str | bytes | bytearray | memoryview | None,
        future: Future[float],
    ) -> None: ...
    def post_pong(self, data: str | bytes | bytearray | memoryview) -> None: ...
    def has_room(self) -> bool: ...
    def on_room(self, future: Future[None]) -> None: ...
    def pop(self, decode: bool | None = None) -> str | bytes | None: ...
    def pop_fragment(
        self, decode: bool | None = None
    ) -> tuple[str | bytes, bool] | None: ...
    def leave_message(self) -> bool: ...
    def on_arrival(self, future: Future[None]) -> bool | None: ...
    def forget_arrival(self) -> None: ...
    def on_end(self, future: Future[None]) -> bool: ...

@final
class PongWaiter:
    """Waits for the pong that answers a ping, as `WebSocket.ping` returns it.

    It has those methods of `threading.Event` that are of use here. All of them may be
    called from any thread.
    """

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the pong. Return whether it has come.

        Args:
            timeout: Seconds to wait; ``None`` waits until the pong has come or the
                connection has ended.

        Returns:
            ``False`` if the time has passed, or if the connection has ended; for the
            latter, ``True`` with ``ack_on_close``.

        Raises:
            ValueError: If the timeout is negative.
        """

    def is_set(self) -> bool:
        """Tell whether the pong has come.

        With ``ack_on_close``, also whether the connection has ended.
        """

    def result(self, timeout: float | None = None) -> float:
        """Wait for the pong. Return the seconds between the ping and its pong.

        Args:
            timeout: Seconds to wait; ``None`` waits until the pong has come or the
                connection has ended.

        Raises:
            TimeoutError: If the time has passed.
            ConnectionClosed: If the connection has ended before the pong has come.
            ValueError: If the timeout is negative.
        """

    @property
    def latency(self) -> float | None:
        """Seconds between the ping and its pong; ``None`` if it hasn't come."""

@final
class EventQueue:
    """What wakes one event loop: a descriptor, and the futures that wait.

    Raises:
        OSError: If the process has no descriptor left.
    """

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """Return the descriptor to register with ``loop.add_reader``."""

    def turn(self) -> bool | None:
        """Tell what to do for others that wait for the loop, before going on.

        Returns:
            ``None`` for nothing, ``False`` to have the loop call `note_polled` soon,
            ``True`` to suspend once.
        """

    def note_polled(self) -> None:
        """Note that the loop has come to what was due. For ``loop.call_soon``."""

    def begin_to_read(
        self, add_reader: Callable[[int, Callable[[], None]], object]
    ) -> None:
        """Let the loop read its connections by itself.

        Args:
            add_reader: The loop's method of that name, to register `read` with.
        """

    def read(self) -> None:
        """Read what has come, and complete the futures that wait for it."""

    def dispatch(self) -> None:
        """Complete the futures of what has happened. The callback of the reader."""

@final
class EchoServer:
    """A server on this machine that sends every message back, until it is stopped.

    It is meant for examples, tests and measurements, not for the open network. Used as
    a context manager, it is stopped at the end.

    Args:
        host: The address to listen on.
        port: The port; 0 takes one that is free.
        tls: Whether to speak ``wss``, with a new self-signed certificate.

    Raises:
        OSError: If the address can't be had.
    """

    def __new__(
        cls, host: str = "127.0.0.1", port: int = 0, tls: bool = False
    ) -> Self: ...
    @property
    def host(self) -> str:
        """The address that it listens on."""

    @property
    def port(self) -> int:
        """The port that it listens on."""

    @property
    def url(self) -> str:
        """The URL to connect to."""

    @property
    def certificate(self) -> str | None:
        """The certificate (PEM) to trust, of a server with TLS."""

    def stop(self) -> None:
        """Stop the server and its connections. Does nothing if it is stopped."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _exc_type: type[BaseException] | None,
        _exc_value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

def generate_key() -> str:
    """Return a random value for the ``Sec-WebSocket-Key`` header."""

def accept_key(key: str) -> str:
    """Return the value that the ``Sec-WebSocket-Accept`` header must have for a key."""

def check_close(code: int, reason: str) -> None:
    """Check that a Close frame can be sent.

    Raises:
        InvalidControlFrame: If the code may not stand in it, or the reason is too long.
        TypeError: If one of them is of another type.
    """

def host_name(host: str) -> str:
    """Return the name or address of a host in the form in which it is looked up.

    Raises:
        ValueError: If it can't be one.
    """

def join_uri(uri: str, reference: str) -> str:
    """Resolve a reference against a URI (RFC 3986, section 5)."""

def provide(names: dict[str, Any]) -> None:
    """Hand over what the core needs of Python; `_client.imports` says what.

    The dictionary may be added to.
    """

def parse_uri(uri: str) -> ParsedUri:
    """Take a WebSocket URI apart.

    Raises:
        InvalidURI: If it breaks a rule.
    """

def begin_exit() -> None:
    """Keep all other threads out of the core, for good, and wait until they have left.

    For the exit of the interpreter, when all functions that were registered for it have
    run. It waits 0.9 s at most.
    """

def note_exit() -> None:
    """Hand on the records that wait, and one of the exit. For `atexit`."""
