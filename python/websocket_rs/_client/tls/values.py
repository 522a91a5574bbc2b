"""What TLS arguments come down to: the core's settings, and certificates out of PEM."""

from __future__ import annotations

import binascii
import re

from ..record import Record


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


__all__ = ["TlsArguments", "certificates_in"]


class TlsArguments(Record):
    """How the core is to set up TLS."""

    #: What is checked of the server's certificate.
    verify: Literal["full", "without-hostname", "off"] = "full"
    #: The certificates (DER) to trust, and no others; None trusts the system's.
    anchors: list[bytes] | None = None
    #: The client's certificate chain (PEM).
    certificate: bytes | None = None
    #: The key of that certificate (PEM); the core checks both.
    key: bytes | None = None
    #: Where both come from, for the text of errors.
    identity_names: tuple[str, str] = ("client_cert", "client_key")
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
        text = b"".join(body.split())
        try:
            # Other characters would be passed over.
            if not _BASE64.fullmatch(text):
                raise binascii.Error("not base64")
            found.append(binascii.a2b_base64(text))
        except binascii.Error as error:
            raise ValueError(f"a certificate is not valid PEM: {error}") from None
    return found


_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")

_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:X509 )?CERTIFICATE-----\s(.*?)-----END (?:X509 )?CERTIFICATE-----",
    re.DOTALL,
)
