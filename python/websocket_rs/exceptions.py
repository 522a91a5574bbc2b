"""Everything that this package raises, beside the exceptions of Python itself.

* `WebSocketException` (a `RuntimeError`)

  * `ConnectionClosed`

    * `ConnectionClosedOK`
    * `ConnectionClosedError`

  * `InvalidURI` (also a `ValueError`)
  * `InvalidProxy` (also a `ValueError`)
  * `InvalidHandshake`

    * `SecurityError`

      * `RequestLineTooLong`, `StatusLineTooLong`, `HeaderLineTooLong`,
        `TooManyHeaders`

    * `ProxyError`

      * `InvalidProxyMessage`, `InvalidProxyStatus`

    * `InvalidMessage`
    * `InvalidMethod`, `InvalidProtocol` (of servers)
    * `InvalidStatus`
    * `InvalidHeader`

      * `InvalidHeaderFormat`, `InvalidHeaderValue`, `InvalidOrigin`,
        `InvalidUpgrade`

    * `NegotiationError`

      * `DuplicateParameter`, `InvalidParameterName`, `InvalidParameterValue`

  * `ProtocolError`

    * `InvalidControlFrame` (also a `ValueError`)
    * `PayloadTooBig`
    * `TooManyFragments`

  * `InvalidState`
  * `ConcurrencyError`

* `ConnectError` (an `OSError` and a `RuntimeError`), in the shapes that Python users
  expect: `RefusedError` (also a `ConnectionRefusedError`), `ResetError` (also a
  `ConnectionResetError`), `TimedOutError` (also a `TimeoutError`), `ResolveError` (also
  a `socket.gaierror`), `TLSError` (also an `ssl.SSLError`), `CertificateError` (also an
  `ssl.SSLCertVerificationError`)

A time that ran out is Python's `TimeoutError`, and its text names what was under way.
A wrong argument is a `TypeError` or a `ValueError`, raised before anything is sent; the
connection is then as it was.
"""

from __future__ import annotations

from ._client.names import other_name
from ._client.printable import printable


TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import gaierror
    from typing import Any

    from .datastructures import Headers
    from .frames import Close
    from .http11 import Response
else:
    # The class that `socket` gives, without its slow import.
    from _socket import gaierror


__all__ = [
    "CertificateError",
    "ConcurrencyError",
    "ConnectError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "ForbiddenError",
    "HeaderLineTooLong",
    "InvalidControlFrame",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "NotFoundError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RefusedError",
    "RequestLineTooLong",
    "ResetError",
    "ResolveError",
    "SecurityError",
    "StatusLineTooLong",
    "TLSError",
    "TimedOutError",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]


class WebSocketException(RuntimeError):
    """Base class of the exceptions of this package, but for failures of the network."""


class ConnectionClosed(WebSocketException):
    """Raised when sending or receiving on a closed connection.

    Attributes:
        rcvd: The Close frame received, or ``None``.
        sent: The Close frame sent, or ``None``.
        rcvd_then_sent: Whether the peer's came first; ``None`` unless there are both.
    """

    def __init__(
        self,
        rcvd: Close | None,
        sent: Close | None,
        rcvd_then_sent: bool | None = None,
    ) -> None:
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    @property
    def code(self) -> int:
        """The close code received, 1006 if there was none."""
        return 1006 if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The close reason received, empty if there was none."""
        return "" if self.rcvd is None else self.rcvd.reason

    def __str__(self) -> str:
        if self.rcvd is None:
            if self.sent is None:
                return "no close frame received or sent"
            return f"sent {self.sent}; no close frame received"
        if self.sent is None:
            return f"received {self.rcvd}; no close frame sent"
        if self.rcvd_then_sent:
            return f"received {self.rcvd}; then sent {self.sent}"
        return f"sent {self.sent}; then received {self.rcvd}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rcvd, self.sent, self.rcvd_then_sent)


class ConnectionClosedOK(ConnectionClosed):
    """The connection was closed normally, with code 1000, 1001 or none.

    Also raised by `recv` when this program itself is closing the connection and the
    peer has not answered yet.
    """


class ConnectionClosedError(ConnectionClosed):
    """The connection failed, or was closed with a code that tells of an error.

    What failed is the ``__cause__``.
    """


class InvalidURI(WebSocketException, ValueError):
    """Raised when connecting to a URI that isn't a valid WebSocket URI.

    Attributes:
        uri: The URI, without credentials.
        msg: The rule that it breaks.
    """

    def __init__(self, uri: str, msg: str) -> None:
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uri, self.msg)


class InvalidProxy(WebSocketException, ValueError):
    """Raised when connecting through a proxy whose URI isn't valid.

    Attributes:
        proxy: The URI of the proxy.
        msg: The rule that it breaks.
    """

    def __init__(self, proxy: str, msg: str) -> None:
        super().__init__(proxy, msg)
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


class InvalidHandshake(WebSocketException):
    """Base class of what is raised when the opening handshake fails."""


class SecurityError(InvalidHandshake):
    """Raised when a response is larger than any handshake has reason to be."""


class RequestLineTooLong(SecurityError):
    """Raised when the request line of a request is too long."""


class StatusLineTooLong(SecurityError):
    """Raised when the status line of a response is too long."""


class HeaderLineTooLong(SecurityError):
    """Raised when a header of a response is too long."""


class TooManyHeaders(SecurityError):
    """Raised when a response has too many headers."""


class ProxyError(InvalidHandshake):
    """Raised when a proxy doesn't connect to the server."""


class InvalidProxyMessage(ProxyError):
    """Raised when a proxy's response isn't valid HTTP."""


class InvalidMessage(InvalidHandshake):
    """Raised when the response isn't valid HTTP."""


class InvalidMethod(InvalidHandshake):
    """Raised when a request's method isn't GET.

    Attributes:
        method: The method.
    """

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """Raised when a request's protocol isn't HTTP/1.1.

    Attributes:
        protocol: The protocol.
    """

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """Raised when the server refuses the WebSocket connection.

    Attributes:
        response: The response, with ``status_code``, ``headers`` and ``body``.
    """

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        status = self.response.status_code
        return f"server rejected WebSocket connection: HTTP {status:d}"

    @property
    def status_code(self) -> int:
        """``response.status_code``, under its name in earlier versions."""
        return self.response.status_code

    @property
    def headers(self) -> Headers:
        """``response.headers``, under their name in earlier versions."""
        return self.response.headers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.response,)


class InvalidProxyStatus(ProxyError):
    """Raised when a proxy refuses to connect to the server.

    Attributes:
        response: The proxy's response.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code:d}"


class InvalidHeader(InvalidHandshake):
    """Raised when a header of the response is missing or breaks the rules.

    Attributes:
        name: The name of the header.
        value: Its value, or ``None`` if it's missing.
    """

    def __init__(self, name: str, value: str | None = None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        if self.value == "":
            return f"empty {self.name} header"
        return f"invalid {self.name} header: {printable(self.value)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.value)


class InvalidHeaderFormat(InvalidHeader):
    """Raised when a header can't be parsed.

    Attributes:
        name: The name of the header.
        value: What is wrong with it, and where.
    """

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")
        self.args = (name, error, header, pos)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args


class InvalidHeaderValue(InvalidHeader):
    """Raised when the value of a header of the response is wrong."""


class InvalidOrigin(InvalidHeader):
    """Raised when the ``Origin`` header isn't allowed."""

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)
        self.args = (origin,)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args


class InvalidUpgrade(InvalidHeader):
    """Raised when the response doesn't upgrade the connection to WebSocket."""


class NegotiationError(InvalidHandshake):
    """Raised when the server chose a subprotocol or extension that wasn't offered."""


class DuplicateParameter(NegotiationError):
    """Raised when a parameter of an extension is repeated.

    Attributes:
        name: The name of the parameter.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """Raised when a parameter of an extension isn't known.

    Attributes:
        name: The name of the parameter.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """Raised when a parameter of an extension has a wrong value.

    Attributes:
        name: The name of the parameter.
        value: Its value, or ``None`` if it's missing.
    """

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        if self.value == "":
            return f"empty value for parameter {self.name}"
        return f"invalid value for parameter {self.name}: {printable(self.value)}"


# Not a WebSocketException: an ``except`` clause for those must leave failures of the
# network to the clause for OSError below it, as it does with `websockets`.
class ConnectError(OSError, RuntimeError):
    """Raised when the network is the reason that no connection could be opened.

    Attributes:
        errno: The number of the error.
    """


class RefusedError(ConnectionRefusedError, ConnectError):
    """Raised when no server listens at the address."""


class ResetError(ConnectionResetError, ConnectError):
    """Raised when the server breaks the connection off while it's being opened."""


class NotFoundError(FileNotFoundError, ConnectError):
    """Raised when there is no Unix socket with the path."""


class ForbiddenError(PermissionError, ConnectError):
    """Raised when the system doesn't allow to connect."""


class TimedOutError(TimeoutError, ConnectError):
    """Raised when the system gives connecting up before ``open_timeout`` has passed."""


class ResolveError(gaierror, ConnectError):
    """Raised when the host name can't be resolved."""


class ProtocolError(WebSocketException):
    """The cause of a connection's failure where the peer broke the protocol."""


class InvalidControlFrame(ProtocolError, ValueError):
    """Raised when a ping, a pong or a close frame can't be sent as it was asked for.

    The connection is as it was.
    """


class PayloadTooBig(ProtocolError):
    """The cause of a connection's failure where a message exceeded ``max_size``.

    Attributes:
        size: The size of the frame, in bytes; ``None`` if it is compressed.
        max_size: The limit for a message, in bytes.
        current_size: What had been received of the message before, in bytes.
    """

    def __init__(
        self, size: int | None, max_size: int, current_size: int | None = None
    ) -> None:
        self.size = size
        self.max_size = max_size
        self.current_size = current_size

    def __str__(self) -> str:
        size = "" if self.size is None else f"with {self.size} bytes "
        after = ""
        if self.current_size is not None:
            after = f"after reading {self.current_size} bytes "
        return f"frame {size}{after}exceeds limit of {self.max_size} bytes"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.size, self.max_size, self.current_size)


class TooManyFragments(ProtocolError):
    """The cause of a connection's failure where a message had too many fragments.

    Attributes:
        max_fragments: The limit.
    """

    def __init__(self, max_fragments: int) -> None:
        super().__init__(max_fragments)
        self.max_fragments = max_fragments

    def __str__(self) -> str:
        return f"fragmented message exceeds limit of {self.max_fragments} frames"


class InvalidState(WebSocketException, AssertionError):
    """Raised when something is done that the state of the connection doesn't allow."""


class ConcurrencyError(WebSocketException):
    """Raised when a method is called that another thread or task is already in."""


if TYPE_CHECKING:
    import ssl

    # What `__getattr__` makes, in a form that type checkers can read.

    class TLSError(ssl.SSLError, ConnectError):
        """Raised when TLS can't be agreed upon with the server."""

    class CertificateError(ssl.SSLCertVerificationError, TLSError):
        """Raised when the server's certificate isn't accepted.

        Attributes:
            verify_message: The reason.
        """


_RENAMED = {
    "AbortHandshake": "legacy.exceptions.AbortHandshake",
    "InvalidStatusCode": "exceptions.InvalidStatus",
    "RedirectHandshake": "legacy.exceptions.RedirectHandshake",
    "WebSocketProtocolError": "exceptions.ProtocolError",
}


def __getattr__(name: str) -> Any:
    """Make the classes that need `ssl`, which is slow to import.

    Names of earlier versions of `websockets` are taken with a warning.
    """
    if name not in ("TLSError", "CertificateError"):
        return other_name(__name__, name, _RENAMED)
    base, certificate_base = _classes_of_ssl()

    class TLSError(base, ConnectError):  # type: ignore[misc, valid-type]
        """Raised when TLS can't be agreed upon with the server."""

    class CertificateError(certificate_base, TLSError):  # type: ignore[misc, valid-type]
        """Raised when the server's certificate isn't accepted.

        Attributes:
            verify_message: The reason.
        """

    for cls in (TLSError, CertificateError):
        cls.__module__ = __name__
        cls.__qualname__ = cls.__name__
        globals()[cls.__name__] = cls
    return globals()[name]


def _classes_of_ssl() -> tuple[type[OSError], type[OSError]]:
    try:
        from _ssl import SSLCertVerificationError, SSLError
    except (ImportError, OSError):
        # Where it can't be imported, no program can name these.
        class SSLError(OSError):  # type: ignore[no-redef]
            pass

        class SSLCertVerificationError(SSLError, ValueError):  # type: ignore[no-redef]
            pass

    return SSLError, SSLCertVerificationError
