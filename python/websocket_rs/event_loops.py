"""What the asyncio client keeps for each event loop: one descriptor that wakes it.

The connection threads of all the loop's connections write to one eventfd, and the loop
reads it as it reads a socket. It stays registered for as long as the loop exists: were
it closed with a connection, its number could be reused, and loops miss wake-ups on a
descriptor that was closed and opened again behind their back.
"""

from __future__ import annotations

import asyncio
import weakref

from . import _core


# The loop itself keeps its wakeups alive, by the callback that is registered with it. A
# reference from here would keep both alive for ever, through the futures that wait.
_wakeups: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ref[_core.Wakeups]
] = weakref.WeakKeyDictionary()


def wakeups_of(loop: asyncio.AbstractEventLoop) -> _core.Wakeups:
    """Return what wakes this loop, registered with it."""
    reference = _wakeups.get(loop)
    wakeups = None if reference is None else reference()
    if wakeups is None:
        wakeups = _core.Wakeups()
        loop.add_reader(wakeups.fileno(), wakeups.dispatch)
        _wakeups[loop] = weakref.ref(wakeups)
    return wakeups
