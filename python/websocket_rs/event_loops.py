"""What the asyncio client keeps for each event loop: one descriptor that wakes it.

The connection threads of all the loop's connections write to one eventfd, and the loop
reads it as it reads a socket. It stays registered for as long as the loop exists: were
it closed with a connection, its number could be reused, and loops miss wake-ups on a
descriptor that was closed and opened again behind their back.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from . import _core


if TYPE_CHECKING:
    import asyncio


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
        try:
            loop.add_reader(wakeups.fileno(), wakeups.dispatch)
        except NotImplementedError:
            _relay(loop, wakeups)
        _wakeups[loop] = weakref.ref(wakeups)
    return wakeups


def _relay(loop: asyncio.AbstractEventLoop, wakeups: _core.Wakeups) -> None:
    """Wake a loop that can't wait for descriptors itself, by a thread that does."""
    import select
    import threading

    poll = select.poll()
    poll.register(wakeups.fileno(), select.POLLIN)
    reference = weakref.ref(wakeups)

    def dispatch(dispatched: threading.Event) -> None:
        if (wakeups := reference()) is not None:
            wakeups.dispatch()
        dispatched.set()

    def run() -> None:
        while reference() is not None and not loop.is_closed():
            # The timeout ends the thread some time after its loop.
            if not poll.poll(500):
                continue
            dispatched = threading.Event()
            try:
                loop.call_soon_threadsafe(dispatch, dispatched)
            except RuntimeError:
                return
            while not dispatched.wait(0.5) and not loop.is_closed():
                pass

    # The loop's own attribute keeps the wakeups alive as a registered callback would.
    loop._websocket_rs_wakeups = wakeups  # type: ignore[attr-defined]
    threading.Thread(target=run, name="websocket-relay", daemon=True).start()
