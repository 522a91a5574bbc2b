"""The blocking client.

>>> from websocket_rs.sync_client import connect
>>> with connect("ws://localhost:8765") as ws:
...     ws.send("Hello")
...     print(ws.recv())

Every call does its I/O in the thread that makes it, outside the interpreter. While no
thread is in `recv`, the connection's own native thread answers pings, notices when the
peer closes, and receives ahead.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from . import _core
from ._options import (
    INBOX_LIMIT,
    MAX_SIZE,
    USER_AGENT,
    WRITE_LIMIT,
    check_timeout,
    connect_options,
)
from .protocol import State


if TYPE_CHECKING:
    import os
    import uuid
    from collections.abc import Sequence
    from ssl import SSLContext
    from types import TracebackType

    from typing_extensions import Self

    from .datastructures import HeadersLike


__all__ = ["WebSocket", "connect"]


class WebSocket(_core.SyncConnection):
    """An open connection, as `connect` returns it.

    All methods may be called from any thread. While one thread is in `recv`, others may
    `send` and `close`. Used as a context manager, it is closed at the end: with code
    1000, or with 1011 if the block raised.

    Iterating yields messages until the connection is closed; it ends silently if that
    was a normal closure, and raises `ConnectionClosedError` otherwise.
    """

    __slots__ = ("__weakref__", "_id")

    _id: uuid.UUID

    @property
    def id(self) -> uuid.UUID:
        """A number that no other connection has."""
        try:
            return self._id
        except AttributeError:
            from uuid import uuid4

            self._id = uuid4()
            return self._id

    @property
    def state(self) -> State:
        """The state of the connection: ``OPEN``, ``CLOSING`` or ``CLOSED``."""
        return State(self.state_number)

    @property
    def close_code(self) -> int | None:
        """The close code received, 1006 if none was; ``None`` until ``CLOSED``."""
        frame = self.close_frame
        return None if frame is None else frame[0]

    @property
    def close_reason(self) -> str | None:
        """The close reason received; ``None`` until ``CLOSED``."""
        frame = self.close_frame
        return None if frame is None else frame[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(1000 if exc_type is None else 1011)

    def __repr__(self) -> str:
        cls = type(self).__name__
        return f"<{cls} {self.name} {self.target} {self.state.name}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"cannot pickle or copy {type(self).__name__}: it's a connection"
        )

    def __del__(self, _warn: Any = warnings.warn) -> None:
        # One that is being closed ends by itself.
        if not self.has_ended and self.state is State.OPEN:
            _warn(f"unclosed connection {self!r}", ResourceWarning, source=self)
            self.abandon()


def connect(
    url: str,
    connect_timeout: float | None = 30.0,
    receive_timeout: float | None = 30.0,
    *,
    # TCP/TLS
    ssl: SSLContext | bool | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    client_cert: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
    server_hostname: str | None = None,
    # WebSocket
    origin: str | None = None,
    subprotocols: Sequence[str] | None = None,
    # HTTP
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    # Timeouts
    close_timeout: float | None = 10.0,
    # Limits
    max_size: int | None = MAX_SIZE,
    inbox_limit: int = INBOX_LIMIT,
) -> WebSocket:
    """Connect to a WebSocket server and return the open connection.

    Ctrl-C ends the call at once; nothing is left behind then, nor on any other error.

    Args:
        url: The server's ``ws://`` or ``wss://`` URL. A user name and password in it
            are sent as Basic authentication.
        connect_timeout: Seconds for resolving the name, connecting, TLS and the opening
            handshake together. ``None`` is no limit.
        receive_timeout: Seconds that `WebSocket.recv` waits. ``None`` is no limit.
        ssl: An `ssl.SSLContext`, of which trust anchors, verification, versions and
            ALPN are honoured; what can't be is refused. ``None`` or ``True`` verify the
            certificate against the system's certificate authorities.
        ca_file: PEM file of the certificate authorities to trust instead.
        client_cert: PEM file of the client's certificate, with its chain.
        client_key: PEM file of its key, unless ``client_cert`` holds it.
        server_hostname: The name to ask for and verify, if not the URL's host.
        origin: The ``Origin`` header.
        subprotocols: Subprotocols to offer, the preferred ones first.
        additional_headers: Further headers of the request.
        user_agent_header: The ``User-Agent`` header; ``None`` to send none.
        close_timeout: Seconds for the closing handshake. ``None`` is no limit.
        max_size: The largest message accepted, in bytes; larger ones fail the
            connection with code 1009. ``None`` is no limit.
        inbox_limit: Bytes of messages that are received ahead before the server is
            slowed down.

    Raises:
        InvalidURI: If the URL isn't a valid WebSocket URL.
        TypeError, ValueError: If another argument is wrong. Nothing was sent.
        ConnectError: If the network fails; also the `OSError` subclass that says how:
            `ConnectionRefusedError`, `socket.gaierror`, ...
        ssl.SSLCertVerificationError: If the server's certificate isn't accepted.
        InvalidHandshake: If the server doesn't agree to WebSocket.
        TimeoutError: If ``connect_timeout`` has passed; the text names the phase.
    """
    options = connect_options(
        url,
        connect_timeout,
        ssl=ssl,
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        server_hostname=server_hostname,
        additional_headers=additional_headers,
        origin=origin,
        subprotocols=subprotocols,
        user_agent_header=user_agent_header,
        close_timeout=close_timeout,
        max_size=max_size,
        inbox_limit=inbox_limit,
        write_limit=WRITE_LIMIT,
    )
    return WebSocket(options, check_timeout("receive_timeout", receive_timeout))
