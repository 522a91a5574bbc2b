"""The extension module: connections, and what Python needs beside them.

It is private: programs import `websocket_rs.sync_client` and
`websocket_rs.async_client`. What those classes inherit is described here.
"""

from asyncio import Future
from types import TracebackType
from typing import Literal, final

from typing_extensions import Self, disjoint_base

__all__ = [
    "AsyncConnection",
    "ConnectOptions",
    "EchoServer",
    "SyncConnection",
    "Wakeups",
    "__version__",
    "after_fork_in_child",
    "after_fork_in_parent",
    "before_fork",
    "shutdown",
]

__version__: str

@final
class ConnectOptions:
    """What a connection is opened with. Checked when it is made; does no I/O.

    Args:
        uri: A ``ws://`` or ``wss://`` URL.
        headers: Names and values of further headers, in the order to send.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        user_agent: The ``User-Agent`` header, unless it is among ``headers``.
        server_hostname: The name that TLS asks for and verifies, if not the URL's.
        connect_timeout: Seconds for opening the connection; ``None`` is no limit.
        close_timeout: Seconds for the closing handshake; ``None`` is no limit.
        max_size: The largest message accepted, in bytes; ``None`` is no limit.
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
        user_agent: str | None,
        server_hostname: str | None,
        connect_timeout: float | None,
        close_timeout: float | None,
        max_size: int | None,
        inbox_limit: int,
        write_limit: int,
    ) -> Self: ...
    @property
    def secure(self) -> bool:
        """Whether the scheme is ``wss``."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

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
class SyncConnection:
    """The base class of `websocket_rs.sync_client.WebSocket`.

    Making one opens the connection and blocks until it is open; use
    `websocket_rs.sync_client.connect`.

    Args:
        options: What to open the connection with.
        receive_timeout: Seconds that `recv` waits; ``None`` is no limit.
    """

    def __new__(
        cls, options: ConnectOptions, receive_timeout: float | None
    ) -> Self: ...
    def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send a message: text if it is a ``str``, binary if it is bytes-like.

        Returns when the operating system has taken all of it, which may take as long as
        the peer takes to read; there is no timeout for sending. May be called from any
        number of threads, also while others are in `recv`: each message goes out whole.

        If Ctrl-C or another signal handler ends the call, the message is still sent, as
        a whole, by the connection's own thread; unless more than 16 MiB of it are left,
        which fails the connection. If `close` is called meanwhile, a message that was
        accepted goes out before the Close frame.

        Args:
            message: The message. A ``memoryview`` is sent as ``bytes()`` would show it.

        Raises:
            ConnectionClosed: If the connection is closed or being closed, or fails.
            TypeError: If the message is of another type. The connection stays open.
            UnicodeEncodeError: If a ``str`` holds lone surrogates. Likewise.
        """

    def recv(
        self, timeout: float | None = None, decode: bool | None = None
    ) -> str | bytes:
        """Receive the next message: a ``str`` if it is text, ``bytes`` if it is binary.

        Reads the network in the calling thread, outside the interpreter. Messages that
        had been received before the connection was closed can still be received after.
        If another thread calls `close`, the call ends within 0.1 s, whether or not the
        peer answers. Ctrl-C ends it; the connection stays open, and nothing is lost.

        Args:
            timeout: Seconds to wait, ``0`` to take only what is there. ``None`` stands
                for the ``receive_timeout`` of `connect`.
            decode: ``True`` for ``str`` and ``False`` for ``bytes``, whatever the
                message is.

        Raises:
            ConnectionClosedOK: If the connection was closed normally, or this program
                has closed it, and no message is left.
            ConnectionClosedError: If it failed or was closed with an error, and no
                message is left. What failed is the ``__cause__``.
            TimeoutError: If the time has passed. The connection stays open, and what
                has come of a message is kept for the next call.
            ConcurrencyError: If another thread is in `recv`.
            UnicodeDecodeError: If ``decode`` is ``True`` and the message isn't UTF-8.
                The message is gone.
            ValueError: If the timeout is negative.
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
            ValueError: If the code or the reason can't be sent.
            TypeError: If they aren't an ``int`` and a ``str``.
        """

    def abandon(self) -> None:
        """Give the connection up, without the closing handshake and without waiting.

        One that is being closed is left to its thread, which sees that through.
        """

    def __iter__(self) -> Self: ...
    def __next__(self) -> str | bytes:
        """Receive the next message, as `recv` does; end if it was closed normally."""

    @property
    def name(self) -> str:
        """The name of the connection, of its thread, and of it in log records."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed upon, if any."""

    @property
    def local_address(
        self,
    ) -> tuple[str, int] | tuple[str, int, int, int] | None:
        """The address of this end, as the `socket` module shows addresses."""

    @property
    def remote_address(
        self,
    ) -> tuple[str, int] | tuple[str, int, int, int] | None:
        """The address of the server, as the `socket` module shows addresses."""

    @property
    def state_number(self) -> int:
        """The number of the state: 1 OPEN, 2 CLOSING, 3 CLOSED."""

    @property
    def close_frame(self) -> tuple[int, str] | None:
        """The close code and reason received, once the connection is closed."""

    @property
    def has_ended(self) -> bool:
        """Whether the connection's thread and descriptors are free."""

@disjoint_base
class AsyncConnection:
    """The base class of `websocket_rs.async_client.AsyncWebSocket`.

    No method waits. What would have to wait takes a future of the event loop, and
    completes it when it is time to look again. Making one starts to connect, in a
    connection thread.

    Args:
        options: What to open the connection with.
        wakeups: What wakes the event loop.

    Raises:
        ConnectError: If the system has no thread or descriptor left.
    """

    def __new__(cls, options: ConnectOptions, wakeups: Wakeups) -> Self: ...
    def on_opened(self, future: Future[None]) -> None:
        """Complete the future when the attempt to connect has ended, well or not."""

    def finish_opening(self) -> None:
        """Take the result of the attempt: return, or raise why it failed."""

    def post(self, message: str | bytes | bytearray | memoryview) -> bool:
        """Accept a message for sending.

        Returns:
            Whether there is room for more.

        Raises:
            ConnectionClosed: If the connection is closed or being closed.
            TypeError: If the message is of another type.
            UnicodeEncodeError: If a ``str`` holds lone surrogates.
        """

    def has_room(self) -> bool:
        """Tell whether there is room to send.

        Raises:
            ConnectionClosed: If there is none, and nothing can be sent any more.
        """

    def on_room(self, future: Future[None]) -> None:
        """Complete the future when there is room, or nothing can be sent any more."""

    def pop(self, decode: bool | None = None) -> str | bytes | None:
        """Take a message that has been received; ``None`` if there is none."""

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
            ValueError: If the code or the reason can't be sent.
            TypeError: If they aren't an ``int`` and a ``str``.
        """

    def on_end(self, future: Future[None]) -> bool:
        """Complete the future when the connection has ended.

        Returns:
            Whether it has ended already. The future is forgotten then.
        """

    def abandon(self) -> None:
        """Give the connection up, without the closing handshake and without waiting.

        One that is being closed is left to its thread, which sees that through.
        """

    @property
    def name(self) -> str:
        """The name of the connection, of its thread, and of it in log records."""

    @property
    def target(self) -> str:
        """The URL without credentials and query."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed upon, if any."""

    @property
    def local_address(
        self,
    ) -> tuple[str, int] | tuple[str, int, int, int] | None:
        """The address of this end, as the `socket` module shows addresses."""

    @property
    def remote_address(
        self,
    ) -> tuple[str, int] | tuple[str, int, int, int] | None:
        """The address of the server, as the `socket` module shows addresses."""

    @property
    def state_number(self) -> int:
        """The number of the state: 0 CONNECTING, 1 OPEN, 2 CLOSING, 3 CLOSED."""

    @property
    def close_frame(self) -> tuple[int, str] | None:
        """The close code and reason received, once the connection is closed."""

    @property
    def has_ended(self) -> bool:
        """Whether the thread and descriptors are free, or it was never open."""

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

def shutdown() -> None:
    """End every connection and wait for their threads, at most 1.2 s. For `atexit`."""

def before_fork() -> None:
    """Prepare for a fork, in the thread that forks."""

def after_fork_in_parent() -> None:
    """Go on after a fork, in the parent process."""

def after_fork_in_child() -> None:
    """Disown the connections of the parent process. For `os.register_at_fork`."""
