"""Names of earlier versions of `websockets`, and those that there can't be here.

For the ``__getattr__`` of modules. What a name stands for is imported when it is asked
for, so that modules can name what is made of them.
"""

from __future__ import annotations

import warnings
from importlib import import_module


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


__all__ = ["other_name"]

PACKAGE = __name__.partition(".")[0]


def other_name(
    module: str,
    name: str,
    renamed: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
) -> Any:
    """Return what a name that a module doesn't have stands for.

    Args:
        module: Name of the module.
        name: The name that it was asked for.
        renamed: Where old names are now: a module within the package, a dot, a name.
        missing: What to do instead of using a name.

    Raises:
        ImportError: If the name is among those that are missing. It isn't an
            `AttributeError`, of which ``from ... import`` would not show the text.
        AttributeError: If nothing is known of the name.
    """
    if renamed and name in renamed:
        place, _, now = f"{PACKAGE}.{renamed[name]}".rpartition(".")
        warnings.warn(
            f"{module}.{name} is an old name; use {place}.{now}",
            DeprecationWarning,
            stacklevel=3,
        )
        return getattr(import_module(place), now)
    if missing and name in missing:
        raise ImportError(
            f"cannot import name {name!r} from {module!r}: {missing[name]}", name=module
        )
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
