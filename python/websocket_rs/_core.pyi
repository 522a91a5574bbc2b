"""The extension module: connections, and what Python needs beside them.

It is private: programs import `websocket_rs.sync_client` and
`websocket_rs.async_client`. What those classes inherit is described here.
"""

from asyncio import Future
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, final, overload

from typing_extensions import Self, disjoint_base

from .typing import LoggerLike, Subprotocol

__all__ = [
    "DEFLATE_LEVEL",
    "AsyncConnection",
    "ConnectOptions",
    "Connection",
    "EchoServer",
    "PongWaiter",
    "SyncConnection",
    "Wakeups",
    "__version__",
    "after_fork_in_child",
    "parse_uri",
    "shutdown",
]

__version__: str
DEFLATE_LEVEL: int
"""How hard messages are compressed by default, 0 to 9."""

@final
class ConnectOptions:
    """What a connection is opened with. Checked when it is made; does no I/O.

    Args:
        uri: A ``ws://`` or ``wss://`` URL.
        headers: Names and values of further headers, in the order to send.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        compression: What to offer of permessage-deflate: whether the server and the
            client give up their context, the windows of both, and the client's level.
        user_agent: The ``User-Agent`` header, unless it is among ``headers``.
        server_hostname: The name that TLS asks for and verifies, if not the URL's.
        connect_timeout: Seconds for opening the connection; ``None`` is no limit.
        close_timeout: Seconds for the closing handshake; ``None`` is no limit.
        ping_interval: Seconds between pings; ``None`` sends none.
        ping_timeout: Seconds to wait for a pong; ``None`` is no limit.
        max_size: The largest message and the largest fragment accepted, in bytes;
            ``None`` is no limit.
        max_queue: The frames at which reading pauses and resumes; ``None`` is no limit.
        inbox_limit: Bytes of messages that are received ahead.
        write_limit: Bytes of frames that wait to be written before senders wait.

    Raises:
        InvalidURI: If the URL breaks a rule.
        ValueError: If another value breaks a rule.
        TypeError: If a value is of the wrong type.
    """

    def __new__(
        cls,
        uri: str,
        *,
        headers: list[tuple[str, str]],
        origin: str | None,
        subprotocols: list[str],
        compression: tuple[bool, bool, int | None, int | None, int] | None,
        user_agent: str | None,
        server_hostname: str | None,
        connect_timeout: float | None,
        close_timeout: float | None,
        ping_interval: float | None,
        ping_timeout: float | None,
        max_size: tuple[int | None, int | None],
        max_queue: tuple[int, int] | None,
        inbox_limit: int,
        write_limit: int,
    ) -> Self: ...
    @property
    def secure(self) -> bool:
        """Whether the scheme is ``wss``."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

    def with_elapsed(self, seconds: float) -> ConnectOptions:
        """Return the same options for an attempt after others.

        Args:
            seconds: So much of ``connect_timeout`` is used already. Errors still name
                the whole of it.

        Raises:
            ValueError: If the number is negative.
        """

    def with_address(self, host: str | None, port: int | None) -> ConnectOptions:
        """Return the same options with another server to connect to.

        The ``Host`` header and the name that TLS verifies remain those of the URL. With
        a proxy, this is where the proxy connects to.

        Args:
            host: A name or an IP address; ``None`` is the URL's.
            port: A port; ``None`` is the URL's.

        Raises:
            ValueError: If the host can't be one, or the port isn't 1 to 65535.
        """

    def with_dialing(
        self, family: int, source: tuple[str, int] | None, head_start: float | None
    ) -> ConnectOptions:
        """Return the same options with addresses tried as given.

        With a proxy, these are the addresses of the proxy.

        Args:
            family: ``socket.AF_INET`` or ``socket.AF_INET6``; 0 uses both.
            source: The name or IP address and the port to connect from; port 0 is any.
                With another port, addresses are tried one after the other.
            head_start: Seconds that an address is tried before the next one is, too;
                ``math.inf`` waits until it has failed. ``None`` is 0.25.

        Raises:
            ValueError: If one of them can't be.
        """

    def with_unix_path(self, path: bytes) -> ConnectOptions:
        """Return the same options with a Unix socket to connect to.

        Args:
            path: The path, or a zero byte and an abstract name.

        Raises:
            ValueError: If no socket can have it.
        """

    def with_socket(self, fd: int) -> ConnectOptions:
        """Return the same options with a connected stream socket to use.

        The descriptor is duplicated: the caller closes its own. One attempt to connect
        can use it, and closes it if it fails; a second one raises `ValueError`.

        Raises:
            ConnectError: If the descriptor can't be duplicated.
            ValueError: If it isn't a stream socket.
        """

    def with_proxy(
        self,
        scheme: str,
        host: str,
        port: int,
        credentials: tuple[str, str] | None,
        user_agent: str | None,
    ) -> ConnectOptions:
        """Return the same options with a proxy between.

        It isn't used for a Unix socket, or if a socket is given.

        Args:
            scheme: ``"http"``, ``"https"``, ``"socks4"``, ``"socks4a"``, ``"socks5"``
                or ``"socks5h"``. ``socks4`` and ``socks5`` resolve the name of the
                server here, the others leave it to the proxy.
            host: The name or IP address of the proxy.
            port: Its port.
            credentials: User name and password; ``socks4`` has no password.
            user_agent: The ``User-Agent`` header of the request to an HTTP proxy.

        Raises:
            ValueError: If one of them can't be, or can't be told to such a proxy.
        """

    def with_proxy_tls(
        self,
        server_hostname: str | None,
        verify: Literal["full", "without-hostname", "off"],
        anchors: list[bytes] | None,
        certificate: bytes | None,
        key: bytes | None,
        min_version: str | None,
        max_version: str | None,
        alpn: list[str],
    ) -> ConnectOptions:
        """Return the same options with TLS with the proxy as given.

        Args:
            server_hostname: The name that TLS asks for and verifies, if not the
                proxy's host.
            verify: And the others are as in `with_tls`.
            anchors: See there.
            certificate: See there.
            key: See there.
            min_version: See there.
            max_version: See there.
            alpn: See there.

        Raises:
            ValueError: If there is no ``https`` proxy, or one of them can't be.
        """

    def with_tls(
        self,
        verify: Literal["full", "without-hostname", "off"],
        anchors: list[bytes] | None,
        certificate: bytes | None,
        key: bytes | None,
        min_version: str | None,
        max_version: str | None,
        alpn: list[str],
    ) -> ConnectOptions:
        """Return the same options with TLS as given.

        Args:
            verify: What is checked of the server's certificate.
            anchors: The certificates (DER) to trust, and no others; ``None`` trusts the
                system's.
            certificate: The client's certificate chain (PEM).
            key: The key of that certificate (PEM).
            min_version: The oldest version to agree upon, ``"TLSv1.2"`` or
                ``"TLSv1.3"``; ``None`` is the oldest that is spoken.
            max_version: The newest version to agree upon; ``None`` is the newest.
            alpn: The protocols to offer.

        Raises:
            ValueError: If ``verify`` or a version is unknown.
        """

@disjoint_base
class Connection:
    """The base class of the connections of both clients. Nothing in it waits."""

    def abandon(self) -> None:
        """Give the connection up, without the closing handshake and without waiting.

        One that is being closed is left to its thread, which sees that through.
        """

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

    def __iter__(self) -> Self: ...
    def __next__(self) -> str | bytes:
        """Receive the next message, as `recv` does; end if it was closed normally."""

@disjoint_base
class AsyncConnection(Connection):
    """The base class of `websocket_rs.async_client.AsyncWebSocket`.

    No method waits. What would have to wait takes a future of the event loop, and
    completes it when it is time to look again. Making one starts to connect, in a
    connection thread.

    Args:
        options: What to open the connection with.
        wakeups: What wakes the event loop.
        receive_timeout: For the derived class.
        logger: Where the connection's records go, if not to the package's loggers.

    Raises:
        TypeError: If the logger isn't one.
        ConnectError: If the system has no thread or descriptor left.
    """

    def __new__(
        cls,
        options: ConnectOptions,
        wakeups: Wakeups,
        receive_timeout: float | None = None,
        logger: LoggerLike | None = None,
    ) -> Self: ...
    def on_opened(self, future: Future[None]) -> None:
        """Complete the future when the attempt to connect has ended, well or not."""

    def finish_opening(self) -> None:
        """Take the result of the attempt: return, or raise why it failed."""

    def post(self, message: object, text: bool | None = None) -> bool | None:
        """Accept a message for sending.

        Args:
            message: The message.
            text: Whether it is text, if its type doesn't say so.

        Returns:
            Whether there is room for more; ``None`` if the message is neither ``str``
            nor bytes-like.

        Raises:
            ConnectionClosed: If the connection is closed or being closed.
            ConcurrencyError: If another message is being sent in fragments.
            UnicodeEncodeError: If a ``str`` holds lone surrogates.
            UnicodeDecodeError: If bytes that are to be sent as text aren't UTF-8.
        """

    def post_fragment(
        self, fragment: object, text: bool | None, is_first: bool
    ) -> bool | None:
        """Accept a fragment of a message, as `post` does messages."""

    def post_end(self) -> bool:
        """Accept the end of a message that was sent in fragments."""

    def give_message_up(self) -> None:
        """Fail the connection: the message can't be sent to its end."""

    def post_ping(
        self,
        data: str | bytes | bytearray | memoryview | None,
        future: Future[float],
    ) -> None:
        """Send a ping, and complete the future when its outcome is known.

        Raises:
            ConnectionClosed: If the connection is closed.
            ConcurrencyError: If a ping with the same data waits for its pong.
            TypeError, InvalidControlFrame: If the data can't be sent.
        """

    def post_pong(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send a pong that answers no ping."""

    def has_room(self) -> bool:
        """Tell whether there is room to send.

        Raises:
            ConnectionClosed: If there is none, and nothing can be sent any more.
        """

    def on_room(self, future: Future[None]) -> None:
        """Complete the future when there is room, or nothing can be sent any more."""

    def pop(self, decode: bool | None = None) -> str | bytes | None:
        """Take a message that has been received; ``None`` if there is none."""

    def pop_fragment(
        self, decode: bool | None = None
    ) -> tuple[str | bytes, bool] | None:
        """Take a fragment, with whether it is the last; ``None`` if there is none."""

    def leave_message(self) -> bool:
        """Stop taking fragments. Returns whether a message was taken in part."""

    def on_arrival(self, future: Future[None]) -> None:
        """Complete the future when a message has arrived, or none will come any more.

        Raises:
            ConnectionClosed: If none will come any more, and none is left.
        """

    def forget_arrival(self) -> None:
        """Forget the future given to `on_arrival`."""

    def begin_close(self, code: int, reason: str) -> None:
        """Start the closing handshake, unless it is under way.

        Raises:
            InvalidControlFrame: If the code or the reason can't be sent.
            TypeError: If they aren't an ``int`` and a ``str``.
        """

    def on_end(self, future: Future[None]) -> bool:
        """Complete the future when the connection has ended.

        Returns:
            Whether it has ended already. The future is forgotten then.
        """

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
class Wakeups:
    """What wakes one event loop: a descriptor, and the futures that wait.

    Raises:
        OSError: If the process has no descriptor left.
    """

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """Return the descriptor to register with ``loop.add_reader``."""

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

def parse_uri(
    uri: str,
) -> tuple[bool, str, int, str, str, str | None, str | None]:
    """Take a WebSocket URI apart.

    Returns:
        Whether it is secure, host, port, path, query, user name and password. The
        host is in ASCII and without brackets; the path is never empty; user name and
        password are decoded.

    Raises:
        InvalidURI: If it breaks a rule.
    """

def shutdown() -> None:
    """End every connection and wait for their threads, at most 1.2 s. For `atexit`."""

def after_fork_in_child() -> None:
    """Disown the connections of the parent process. For `os.register_at_fork`."""
