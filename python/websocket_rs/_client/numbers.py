"""Numbers as arguments: what counts as one, and the errors that name what doesn't.

Types are checked here; whether a number is in range is checked by the core. Numbers of
other packages, such as those of NumPy, are numbers; ``True`` and ``False`` are none.
"""

from __future__ import annotations

import math
import operator


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["integer", "seconds", "size"]


def integer(name: str, value: Any, wanted: str = "an integer") -> int:
    """Check that an argument is an integer, of any size."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be {wanted}, not {value!r}")


def size(name: str, value: Any) -> int:
    """Check that an argument is a number of bytes or frames.

    A ``float`` without a fraction, such as ``1e8``, is one; infinity is no limit.
    """
    number = None if hasattr(type(value), "__index__") else _real(value)
    if number is None:
        return integer(name, value, "a number")
    if math.isinf(number):
        return int(math.copysign(_UNLIMITED, number))
    if number.is_integer():
        return int(value)
    raise TypeError(f"{name} must be a whole number, not {value!r}")


def seconds(name: str, value: Any) -> float | None:
    """Check that an argument is a number of seconds, or ``None``."""
    if value is None:
        return None
    number = None if isinstance(value, bool) else _real(value)
    if number is None:
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    return number


def _real(value: Any) -> float | None:
    """Return a number as a ``float``: infinity, if it is out of range."""
    if not any(hasattr(type(value), name) for name in ("__float__", "__index__")):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        # An array of several numbers, for example, has the method and no value.
        return None


# The core takes what doesn't fit into the machine's word for no limit.
_UNLIMITED = 2**100
