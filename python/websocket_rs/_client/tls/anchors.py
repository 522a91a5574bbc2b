"""Find out which certificates an ``ssl.SSLContext`` trusts.

``get_ca_certs()`` does not tell all: certificates of a directory are loaded only when
OpenSSL meets a chain that needs them. So where Python's OpenSSL finds the system's
authorities only as a directory, ``create_default_context()`` looks exactly like a
context that trusts nothing, for which trusting the system would be wrong.

To tell them apart, the context is asked about the certificates of the system's
directory: in memory, a session that uses it is presented with one, and either accepts
it or not. What is accepted is an anchor, and nothing else is, so that a context never
trusts more here than it does in Python. If there are many certificates to ask about,
that takes some 0.1 s once; the answers stay in the context, and later questions to it
take a few ms.

What a context trusts in a directory of its own (``capath``) cannot be found out.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re

from .values import certificates_in


TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator
else:
    from .lazy_ssl import ssl


__all__ = ["trust_anchors"]


def trust_anchors(context: ssl.SSLContext) -> list[bytes]:
    """Return the certificates (DER) that a context trusts.

    Raises:
        ValueError: If there are none that can be found out.
        NotImplementedError: If there are some that cannot be found out.
    """
    anchors = dict.fromkeys(context.get_ca_certs(binary_form=True))
    candidates = [
        certificate
        for certificate in _system_directory_certificates()
        if certificate not in anchors
    ]
    # If the directory is one of the context's, any of its certificates is accepted. A
    # few are asked about first, for one may be misplaced in it.
    if any(_accepts(context, candidate) for candidate in candidates[:3]):
        accepted = [each for each in candidates if _accepts(context, each)]
        # By now OpenSSL has loaded them all.
        anchors = dict.fromkeys(context.get_ca_certs(binary_form=True))
        anchors.update(dict.fromkeys(accepted))
    # get_ca_certs() leaves out certificates that are not of an authority, such as a
    # server's self-signed one. If they come with the system's bundle they can be found.
    missing = context.cert_store_stats()["x509"] - len(anchors)
    if missing > 0:
        found = [
            certificate
            for certificate in dict.fromkeys(_system_bundle_certificates())
            if certificate not in anchors and _accepts(context, certificate)
        ]
        if len(found) < missing:
            raise NotImplementedError(
                "a certificate that the SSLContext trusts, though it is not of an "
                "authority, cannot be read back; pass its file as ca_file"
            )
        anchors.update(dict.fromkeys(found))
    if not anchors:
        raise ValueError(
            "the SSLContext trusts no certificate that can be read back, so every "
            "server would be refused; load authorities from a file "
            "(context.load_verify_locations(cafile=...); those of a directory, capath, "
            "cannot be read), or pass ssl=None to trust what the system trusts"
        )
    return list(anchors)


def _accepts(context: ssl.SSLContext, certificate: bytes) -> bool:
    """Return whether a certificate is, or leads to, a trust anchor of a context.

    The beginning of a TLS 1.2 handshake is acted out in memory, with the certificate as
    the server's. Its key is not needed: certificates are judged when they arrive.
    """
    # The session is set up by a context of ours, for its versions to be known, and then
    # moved to the one in question, whose trust store it uses from there on.
    incoming = ssl.MemoryBIO()
    session = _asking_context().wrap_bio(incoming, ssl.MemoryBIO())
    session.context = context
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    incoming.write(_server_flight(certificate))
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        # It is content, and waits for the proof that the server has the key.
        return True
    except ssl.SSLCertVerificationError as error:
        return error.verify_code in _CHAIN_WAS_BUILT
    except ssl.SSLError:
        # Anything but a clear yes is a no: nothing may be trusted by mistake.
        return False
    return False


@functools.cache
def _asking_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _server_flight(certificate: bytes) -> bytes:
    """Return ServerHello and Certificate of TLS 1.2 (RFC 5246, section 7.4)."""

    def counted(data: bytes, width: int) -> bytes:
        return len(data).to_bytes(width, "big") + data

    # ECDHE with AES128-GCM-SHA256, authenticated by a key of the certificate's kind.
    suite = b"\xc0\x2b" if _EC_PUBLIC_KEY in certificate else b"\xc0\x2f"
    # Secure renegotiation (RFC 5746), without which OpenSSL goes no further.
    extensions = counted(b"\xff\x01\x00\x01\x00", 2)
    # Version, random, no session, the suite, no compression.
    hello = b"\x03\x03" + bytes(32) + b"\x00" + suite + b"\x00" + extensions
    chain = counted(counted(certificate, 3), 3)
    messages = b"\x02" + counted(hello, 3) + b"\x0b" + counted(chain, 3)
    return b"".join(
        b"\x16\x03\x03" + counted(messages[start : start + 16384], 2)
        for start in range(0, len(messages), 16384)
    )


def _system_directory_certificates() -> list[bytes]:
    """Return the certificates of the directories that Python's OpenSSL looks into."""
    paths = ssl.get_default_verify_paths()
    directories = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    found: dict[bytes, None] = {}
    for directory in directories.split(os.pathsep):
        try:
            changed = os.stat(directory).st_mtime_ns
            cached = _directories.get(directory)
            if cached is None or cached[0] != changed:
                cached = changed, list(_read_all(_hashed_files(directory)))
                _directories[directory] = cached
        except OSError:
            continue
        found.update(dict.fromkeys(cached[1]))
    return list(found)


def _hashed_files(directory: str) -> Iterator[str]:
    # OpenSSL looks only at files named after the hash of a subject.
    for name in sorted(os.listdir(directory)):
        if re.fullmatch(r"[0-9a-f]{8}\.\d+", name):
            yield os.path.join(directory, name)


def _system_bundle_certificates() -> Iterable[bytes]:
    cafile = ssl.get_default_verify_paths().cafile
    return () if cafile is None else _read_all([cafile])


def _read_all(files: Iterable[str]) -> Iterator[bytes]:
    for file in files:
        try:
            with open(file, "rb") as opened:
                yield from certificates_in(opened.read())
        except (OSError, ValueError):
            # OpenSSL passes over files that it cannot read, too.
            continue


#: Per directory, the time of its last change and its certificates.
_directories: dict[str, tuple[int, list[bytes]]] = {}

#: The identifier of the kind of key, in DER (RFC 5480, section 2.1.1).
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")

#: X509_V_ERR_* of a chain that leads to an anchor but has another fault, which OpenSSL
#: looks for afterwards: not yet valid, expired, not made for servers, keys and digests
#: that are too weak.
_CHAIN_WAS_BUILT = frozenset({9, 10, 26, 66, 67, 68})
