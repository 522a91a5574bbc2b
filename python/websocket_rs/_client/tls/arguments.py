"""Turn the user's TLS arguments into plain values for the core.

Everything that can be wrong with the arguments is found here, before any network I/O:
files are read, combinations are checked, and an ``ssl.SSLContext`` is interpreted (by
`context`).
"""

from __future__ import annotations

import os

from .context import read_context
from .values import TlsArguments, certificates_in


TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import TypeAlias


__all__ = ["TlsArguments", "interpret"]

FilePath: TypeAlias = "str | os.PathLike[str]"


def interpret(
    secure: bool,
    ssl: SSLContext | bool | None,
    ca_file: FilePath | None,
    client_cert: FilePath | None,
    client_key: FilePath | None,
    server_hostname: str | None,
) -> TlsArguments | None:
    """Check the TLS arguments of ``connect`` and bring them into the core's form.

    Args:
        secure: Whether the URI's scheme is ``wss``.
        ssl: A context whose settings are honoured or refused, see
            `context.read_context`; None and True stand for full
            verification against the certificate authorities that the system trusts.
        ca_file: Path of the certificate authorities (PEM) to trust instead of the
            system's. Cannot be combined with a context.
        client_cert: Path of the client's certificate (PEM), followed by intermediate
            certificates, if any. A certificate that was loaded into a context cannot be
            read back: it is not noticed, and has to be given here as well.
        client_key: Path of the key of ``client_cert`` (PEM, not encrypted; PKCS#8,
            PKCS#1 or SEC1). May be left out if ``client_cert`` holds it.
        server_hostname: The name that the server's certificate must carry.

    Returns:
        The arguments of the core, or None for a ``ws`` URI.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If arguments do not go together, or a file does not hold what it
            should.
        NotImplementedError: If the context has a setting that cannot be honoured.
        OSError: If a file cannot be read.
    """
    given = {
        "ssl": ssl,
        "ca_file": ca_file,
        "client_cert": client_cert,
        "client_key": client_key,
        "server_hostname": server_hostname,
    }
    if not secure:
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name} argument is incompatible with a ws:// URI")
        return None
    for name, value in (
        ("ca_file", ca_file),
        ("client_cert", client_cert),
        ("client_key", client_key),
    ):
        if value is not None and not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"{name} must be a path, not {value!r}")
    if server_hostname is not None:
        if not isinstance(server_hostname, str):
            kind = type(server_hostname).__name__
            raise TypeError(f"server_hostname must be a str, not {kind}")
        if not server_hostname:
            raise ValueError("server_hostname must not be empty")
    if client_key is not None and client_cert is None:
        raise ValueError("client_key requires client_cert")

    if ssl is None or ssl is True:
        arguments = TlsArguments()
        if ca_file is not None:
            arguments = arguments._replace(anchors=_read_anchors(ca_file))
    else:
        if ssl is False:
            raise TypeError(
                "ssl must be an ssl.SSLContext, True or None, not False: without TLS, "
                "the URI is a ws:// one"
            )
        if ca_file is not None:
            raise ValueError(
                "ca_file cannot be combined with an SSLContext: "
                "load it with context.load_verify_locations(cafile=...)"
            )
        arguments = read_context(ssl)
    if client_cert is not None:
        arguments = _with_identity(arguments, client_cert, client_key)
    return arguments


def _read(path: FilePath) -> bytes:
    # open() would take an int for a file descriptor, and close it.
    with open(os.fspath(path), "rb") as file:
        return file.read()


def _read_anchors(ca_file: FilePath) -> list[bytes]:
    try:
        anchors = certificates_in(_read(ca_file))
    except ValueError as error:
        raise ValueError(f"ca_file {os.fspath(ca_file)!r}: {error}") from None
    if not anchors:
        raise ValueError(f"ca_file {os.fspath(ca_file)!r} holds no certificate (PEM)")
    return anchors


def _with_identity(
    arguments: TlsArguments, client_cert: FilePath, client_key: FilePath | None
) -> TlsArguments:
    certificate = key = _read(client_cert)
    name = key_name = f"client_cert {os.fspath(client_cert)!r}"
    if client_key is not None:
        key, key_name = _read(client_key), f"client_key {os.fspath(client_key)!r}"
    return arguments._replace(
        certificate=certificate, key=key, identity_names=(name, key_name)
    )
