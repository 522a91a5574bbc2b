"""What the core has to know of its process: that it forks, and that it ends.

Importing this registers what the interpreter calls then.
"""

from __future__ import annotations

import atexit
import os
import sys

from .. import _core


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


__all__: list[str] = []


class _AtExit:
    """The exit of the interpreter, as a function that is registered for it.

    The functions that run at the exit are let go of when all of them have run, also
    those that were registered first. Nothing else tells of that moment, after which
    other threads aren't served any more.
    """

    def __call__(self) -> None:
        """Hand records on, before `logging` closes its handlers."""
        _core.note_exit()

    def __del__(
        self,
        _begin_exit: Callable[[], None] = _core.begin_exit,
        _getframe: Callable[[int], Any] = sys._getframe,
    ) -> None:
        try:
            _getframe(1)
        except ValueError:
            # No Python code runs: the interpreter itself lets go of the functions.
            _begin_exit()


atexit.register(_AtExit())
os.register_at_fork(after_in_child=_core.AfterFork().disown)
