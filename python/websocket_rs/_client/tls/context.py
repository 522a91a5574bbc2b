"""Read an ``ssl.SSLContext``, so that another TLS library can do what it says.

The core has an OpenSSL of its own and cannot use Python's contexts. What a context says
is found out in three ways, none of which does I/O on the network or changes a setting:

* from its attributes;
* from the ClientHello that it produces in memory, which shows what has no attribute
  (ALPN, cipher suites, groups, signature algorithms) and is compared with that of an
  untouched context;
* by asking it about the system's certificates (see `websocket_rs.trust_anchors`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from .anchors import trust_anchors
from .values import TlsArguments


TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Literal
else:
    from .lazy_ssl import ssl


__all__ = ["read_context"]

logger = logging.getLogger("websocket_rs.tls")


def read_context(context: ssl.SSLContext) -> TlsArguments:
    """Return what a context says, or refuse it.

    Honoured are the trust anchors, ``verify_mode``, ``check_hostname``,
    ``minimum_version`` and ``maximum_version`` (also as ``OP_NO_TLSv1_2`` and
    ``OP_NO_TLSv1_3``), and ALPN, of which only ``http/1.1`` makes sense.

    Not honoured, but accepted because default contexts have them:
    ``VERIFY_X509_STRICT`` and ``VERIFY_X509_PARTIAL_CHAIN`` on Python 3.13 and newer
    (so certificates that break RFC 5280 in small ways are accepted, and a chain must
    end in a root), and ``SSLKEYLOGFILE``, for which a warning is logged.

    Not noticeable, and so not honoured: a client certificate
    (``context.load_cert_chain``; pass ``client_cert``), and certificates of a directory
    (``capath``) other than the system's, if there are other trust anchors beside them.

    Everything else that differs from an untouched context is refused.

    Raises:
        TypeError: If it is not an ``SSLContext``.
        ValueError: If the context is not for clients, or trusts no certificate that can
            be found out.
        NotImplementedError: If it has a setting that cannot be honoured.
    """
    if not isinstance(context, ssl.SSLContext):
        kind = type(context).__name__
        raise TypeError(f"ssl must be an ssl.SSLContext, True or None, not {kind}")
    if context.protocol not in (ssl.PROTOCOL_TLS_CLIENT, _PROTOCOL_TLS):
        raise ValueError(
            f"an SSLContext for {context.protocol.name} cannot be used by a client of "
            "any server; use ssl.create_default_context()"
        )
    _refuse_attributes(context)
    min_version, max_version = _versions(context)
    alpn = _offered_protocols(context, min_version, max_version)
    verify: Literal["full", "without-hostname", "off"]
    if context.verify_mode is ssl.CERT_NONE:
        verify, anchors = "off", None
    else:
        # For clients, CERT_OPTIONAL means the same as CERT_REQUIRED.
        verify = "full" if context.check_hostname else "without-hostname"
        anchors = trust_anchors(context)
    return TlsArguments(
        verify=verify,
        anchors=anchors,
        min_version=min_version,
        max_version=max_version,
        alpn=alpn,
    )


def _refuse_attributes(context: ssl.SSLContext) -> None:
    """Refuse attributes that differ from those of an untouched context."""
    untouched = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    overridden = any(
        getattr(type(context), name) is not getattr(ssl.SSLContext, name)
        for name in ("wrap_bio", "wrap_socket")
    )
    if (
        overridden
        or context.sslobject_class is not ssl.SSLObject
        or context.sslsocket_class is not ssl.SSLSocket
    ):
        raise _refusal(
            f"what {type(context).__qualname__} changes about ssl.SSLContext",
            "pass ssl=None to trust what the system trusts, or ca_file",
        )
    options = ssl.Options(context.options & ~untouched.options & ~_harmless_options())
    if options:
        raise _refusal(f"context.options {options!r}", "leave them out")
    flags = ssl.VerifyFlags(
        context.verify_flags & ~untouched.verify_flags & ~_default_verify_flags()
    )
    if flags and context.verify_mode is not ssl.CERT_NONE:
        raise _refusal(f"context.verify_flags {flags!r}", "leave them out")
    if context.keylog_filename is not None:
        # create_default_context() sets it by itself if the variable is set.
        if context.keylog_filename != os.environ.get("SSLKEYLOGFILE"):
            raise _refusal("context.keylog_filename", "capture keys at the server")
        logger.warning("SSLKEYLOGFILE is not honoured: no TLS keys are written to it")
    if context.post_handshake_auth:
        raise _refusal(
            "context.post_handshake_auth",
            "pass client_cert, which is shown during the handshake",
        )
    if context.check_hostname and not context.hostname_checks_common_name:
        raise _refusal(
            "context.hostname_checks_common_name = False",
            "leave it as it is (the common name counts only for certificates without "
            "alternative names)",
        )
    if context.security_level != untouched.security_level:
        raise _refusal(
            f"security level {context.security_level}",
            "leave @SECLEVEL out of context.set_ciphers()",
        )


def _refusal(setting: str, alternative: str) -> NotImplementedError:
    return NotImplementedError(
        f"{setting} of an SSLContext cannot be honoured; {alternative}"
    )


# --- Versions of TLS


def _versions(context: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Return the oldest and the newest version to agree upon."""
    oldest, newest = context.minimum_version, context.maximum_version
    if oldest in _ancient():
        raise _refusal(
            f"context.minimum_version {oldest.name}",
            "set it to ssl.TLSVersion.TLSv1_2",
        )
    if newest in _ancient() or newest is ssl.TLSVersion.MINIMUM_SUPPORTED:
        raise _refusal(
            f"context.maximum_version {newest.name}",
            "TLS 1.2 and TLS 1.3 are spoken",
        )
    versions = []
    if (
        oldest is not ssl.TLSVersion.TLSv1_3
        and oldest is not ssl.TLSVersion.MAXIMUM_SUPPORTED
        and not context.options & ssl.OP_NO_TLSv1_2
    ):
        versions.append("TLSv1.2")
    if newest is not ssl.TLSVersion.TLSv1_2 and not (
        context.options & ssl.OP_NO_TLSv1_3
    ):
        versions.append("TLSv1.3")
    if not versions:
        raise ValueError("the SSLContext allows no version of TLS")
    return versions[0], None if versions[-1] == "TLSv1.3" else versions[-1]


# --- The ClientHello


def _offered_protocols(
    context: ssl.SSLContext, min_version: str | None, max_version: str | None
) -> list[str]:
    """Return what the context offers through ALPN; refuse other changes."""
    untouched = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Versions as options are deprecated, and setting them gives warnings.
    untouched.options = ssl.Options(context.options & ~_version_options())
    if min_version == "TLSv1.3":
        untouched.minimum_version = ssl.TLSVersion.TLSv1_3
    if max_version == "TLSv1.2":
        untouched.maximum_version = ssl.TLSVersion.TLSv1_2
    suites, extensions = _client_hello(context)
    expected_suites, expected = _client_hello(untouched)
    if suites != expected_suites:
        raise _refusal("the choice of cipher suites", "leave out context.set_ciphers()")
    if extensions.get(_GROUPS) != expected.get(_GROUPS):
        raise _refusal("the choice of groups", "leave out context.set_ecdh_curve()")
    if extensions.get(_SIGNATURES) != expected.get(_SIGNATURES) or (
        extensions.keys() ^ expected.keys()
    ) - {_ALPN, _PADDING}:
        raise _refusal("a change to the TLS handshake", "use a default context")
    # A list with its length in two bytes, of names with their lengths in one.
    protocols, names = [], extensions.get(_ALPN, b"")[2:]
    while names:
        protocols.append(names[1 : 1 + names[0]].decode("latin-1"))
        names = names[1 + names[0] :]
    return protocols


def _client_hello(context: ssl.SSLContext) -> tuple[bytes, dict[int, bytes]]:
    """Return the cipher suites and the extensions of a context's ClientHello."""
    hello = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="example.com")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    # RFC 8446, section 4.1.2. The hello of a client fits into one record: a header of 5
    # bytes, then that of the message, of 4; the version, 2; the random, 32.
    data = hello.read()
    position = 5 + 4 + 2 + 32
    position += 1 + data[position]  # the session's id
    suites, position = _vector(data, position, 2)
    _, position = _vector(data, position, 1)  # compression methods
    block, _ = _vector(data, position, 2)
    extensions, position = {}, 0
    while position < len(block):
        kind = int.from_bytes(block[position : position + 2], "big")
        extensions[kind], position = _vector(block, position + 2, 2)
    return suites, extensions


def _vector(data: bytes, position: int, width: int) -> tuple[bytes, int]:
    """Return the vector at a position, and the position behind it."""
    start = position + width
    end = start + int.from_bytes(data[position:start], "big")
    return data[start:end], end


#: The value of ssl.PROTOCOL_TLS, which is deprecated but not gone.
_PROTOCOL_TLS = 2

# Written as functions, since importing this module doesn't import `ssl`.


def _ancient() -> tuple[ssl.TLSVersion, ...]:
    """Versions of TLS that aren't spoken."""
    return ssl.TLSVersion.SSLv3, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1


def _version_options() -> int:
    """Versions that may be excluded by options."""
    return ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3


def _harmless_options() -> int:
    """Options that change nothing here, or that are honoured as versions.

    This client never speaks older versions, never resumes a session, and judges the end
    of the stream by WebSocket's closing handshake. OP_ENABLE_KTLS is a matter of speed.
    """
    return (
        ssl.OP_ALL
        | ssl.OP_NO_SSLv2
        | ssl.OP_NO_SSLv3
        | _version_options()
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_NO_TICKET
        | ssl.OP_CIPHER_SERVER_PREFERENCE
        | ssl.OP_SINGLE_DH_USE
        | ssl.OP_SINGLE_ECDH_USE
        | getattr(ssl, "OP_ENABLE_MIDDLEBOX_COMPAT", 0)
        | getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        | getattr(ssl, "OP_ENABLE_KTLS", 0)
    )


def _default_verify_flags() -> int:
    """What create_default_context() sets on this version of Python."""
    if sys.version_info >= (3, 13):
        return ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return ssl.VERIFY_DEFAULT


#: Types of extensions of the ClientHello. Padding depends on the length of the rest.
_GROUPS, _SIGNATURES, _ALPN, _PADDING = 10, 13, 16, 21
