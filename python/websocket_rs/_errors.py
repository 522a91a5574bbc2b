"""Makes exceptions out of what the core reports. Imported by the core when it needs to.

It takes plain values and knows nothing of the core, so that the classes, their texts
and their causes are all in Python, in one place.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from . import exceptions


if TYPE_CHECKING:
    from .http11 import Response


def connect_error(number: int | None, text: str) -> BaseException:
    """A system call failed while the connection was being opened."""
    cls = {
        errno.ECONNREFUSED: exceptions.RefusedError,
        errno.ECONNRESET: exceptions.ResetError,
        errno.EPIPE: exceptions.ResetError,
        errno.ENOENT: exceptions.NotFoundError,
        errno.EACCES: exceptions.ForbiddenError,
        errno.EPERM: exceptions.ForbiddenError,
    }.get(number or 0, exceptions.ConnectError)
    return cls(text) if number is None else cls(number, text)


def resolve_error(code: int, text: str) -> BaseException:
    """A host name can't be resolved; the code is an ``EAI_*`` value."""
    return exceptions.ResolveError(code, text)


def tls_error(text: str) -> BaseException:
    """TLS can't be agreed upon."""
    return exceptions.TLSError(1, text)


def certificate_error(text: str, reason: str) -> BaseException:
    """The server's certificate isn't accepted."""
    exc = exceptions.CertificateError(1, text)
    exc.verify_message = reason
    return exc


def invalid_uri(uri: str, msg: str) -> BaseException:
    """The URI breaks a rule."""
    return exceptions.InvalidURI(uri, msg)


def invalid_message(text: str, eof: bool) -> BaseException:
    """The response isn't HTTP."""
    exc = exceptions.InvalidMessage("did not receive a valid HTTP response")
    exc.__cause__ = _what_is_wrong(text, eof)
    return exc


def invalid_proxy_message(text: str, eof: bool) -> BaseException:
    """The response of the proxy isn't HTTP."""
    exc = exceptions.InvalidProxyMessage(
        "did not receive a valid HTTP response from proxy"
    )
    exc.__cause__ = _what_is_wrong(text, eof)
    return exc


def invalid_proxy_reply(text: str, eof: bool) -> BaseException:
    """The reply of the proxy isn't SOCKS, or SOCKS can't express what is asked."""
    return _socks_error(_what_is_wrong(text, eof))


def proxy_refusal(number: int | None, text: str) -> BaseException:
    """A SOCKS proxy refuses."""
    return _socks_error(OSError(text) if number is None else OSError(number, text))


def invalid_status(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes
) -> BaseException:
    """The server refuses."""
    return exceptions.InvalidStatus(_response(status, reason, headers, body))


def invalid_proxy_status(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes
) -> BaseException:
    """An HTTP proxy refuses."""
    return exceptions.InvalidProxyStatus(_response(status, reason, headers, body))


def invalid_header(name: str, value: str | None, repeated: bool) -> BaseException:
    """A header is missing, repeated or wrong."""
    if value is None or repeated:
        return exceptions.InvalidHeader(name, value)
    return exceptions.InvalidHeaderValue(name, value)


def invalid_header_format(
    name: str, error: str, header: str, pos: int
) -> BaseException:
    """A header can't be parsed."""
    return exceptions.InvalidHeaderFormat(name, error, header, pos)


def invalid_upgrade(name: str, value: str | None) -> BaseException:
    """The response doesn't upgrade."""
    return exceptions.InvalidUpgrade(name, value)


def negotiation_error(text: str) -> BaseException:
    """Something was chosen that wasn't offered."""
    return exceptions.NegotiationError(text)


def security_error(text: str) -> BaseException:
    """The response is too large."""
    return exceptions.SecurityError(text)


def invalid_control_frame(text: str) -> BaseException:
    """A Ping, a Pong or a Close frame can't be sent."""
    return exceptions.InvalidControlFrame(text)


def concurrency_error(text: str) -> BaseException:
    """Someone else is in the call."""
    return exceptions.ConcurrencyError(text)


def unusable(text: str) -> BaseException:
    """The connection isn't open, or not in this process."""
    return exceptions.WebSocketException(text)


def _what_is_wrong(text: str, eof: bool) -> Exception:
    return EOFError(text) if eof else ValueError(text)


def _socks_error(cause: Exception) -> BaseException:
    exc = exceptions.ProxyError("failed to connect to SOCKS proxy")
    exc.__cause__ = cause
    return exc


def _response(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes
) -> Response:
    from .datastructures import Headers
    from .http11 import Response

    return Response(status, reason, Headers(headers), body)
