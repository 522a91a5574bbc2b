"""What TLS arguments come down to: the core's settings, and certificates out of PEM."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal, NamedTuple


__all__ = ["TlsArguments", "certificates_in"]


class TlsArguments(NamedTuple):
    """How the core is to set up TLS."""

    #: What is checked of the server's certificate.
    verify: Literal["full", "without-hostname", "off"] = "full"
    #: The certificates (DER) to trust, and no others; None trusts the system's.
    anchors: list[bytes] | None = None
    #: The client's certificate chain (PEM).
    certificate: bytes | None = None
    #: The key of that certificate (PEM).
    key: bytes | None = None
    #: The oldest version of TLS to agree upon, "TLSv1.2" or "TLSv1.3"; None is the
    #: oldest that the core speaks.
    min_version: str | None = "TLSv1.2"
    #: The newest version of TLS to agree upon; None is the newest that the core speaks.
    max_version: str | None = None
    #: The protocols to offer (ALPN).
    alpn: list[str] = []  # noqa: RUF012 - never mutated, and replaced by every context

    def __repr__(self) -> str:
        """Return a representation without the key."""
        return (
            f"TlsArguments(verify={self.verify!r}, "
            f"anchors={None if self.anchors is None else len(self.anchors)}, "
            f"certificate={self.certificate is not None}, "
            f"min_version={self.min_version!r}, max_version={self.max_version!r}, "
            f"alpn={self.alpn!r})"
        )


def certificates_in(pem: bytes) -> list[bytes]:
    """Return the certificates (DER) of a PEM text, in their order.

    Raises:
        ValueError: If there is something between BEGIN and END that is not base64.
    """
    found = []
    for body in _CERTIFICATE.findall(pem):
        try:
            found.append(base64.b64decode(b"".join(body.split()), validate=True))
        except binascii.Error as error:
            raise ValueError(f"a certificate is not valid PEM: {error}") from None
    return found


_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:X509 )?CERTIFICATE-----\s(.*?)-----END (?:X509 )?CERTIFICATE-----",
    re.DOTALL,
)
