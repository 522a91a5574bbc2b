"""Imports what the core raises, makes and calls, and hands it over.

The core imports nothing by itself. What uses it has to import this.
"""

from __future__ import annotations

import logging

from .. import _core, exceptions
from ..datastructures import Headers
from ..frames import Close
from ..http11 import Response
from .logging import emit


__all__ = ["import_for_tls"]

_FOR_TLS = ("TLSError", "CertificateError")

_names = {
    **{
        name: getattr(exceptions, name)
        for name in exceptions.__all__
        if name not in _FOR_TLS
    },
    "Close": Close,
    "Headers": Headers,
    "Response": Response,
    "emit": emit,
    "logging": logging,
}
_core.provide(_names)


def import_for_tls() -> None:
    """Hand over what is needed for TLS only, and is slow to import.

    To be called before there is any input or output.
    """
    for name in _FOR_TLS:
        if name not in _names:
            _names[name] = getattr(exceptions, name)
