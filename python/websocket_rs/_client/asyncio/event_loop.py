"""What the asyncio client keeps for each event loop: two descriptors that wake it.

The connection threads of all the loop's connections write to one eventfd, and the
sockets that the loop reads by itself are in one epoll instance. The loop polls both as
it polls a socket. They stay registered for as long as the loop exists: were they closed
with a connection, their numbers could be reused, and loops miss wake-ups on a
descriptor that was closed and opened again behind their back.
"""

from __future__ import annotations

import contextlib
import select
import threading
import weakref
from typing import TYPE_CHECKING

from ... import _core


if TYPE_CHECKING:
    import asyncio


# The loop itself keeps its queue alive, by the callback that is registered with it. A
# reference from here would keep both alive for ever, through the futures that wait.
_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ref[_core.EventQueue]
] = weakref.WeakKeyDictionary()


def event_queue_of(loop: asyncio.AbstractEventLoop) -> _core.EventQueue:
    """Return what wakes this loop, registered with it."""
    reference = _queues.get(loop)
    events = None if reference is None else reference()
    if events is None:
        events = _core.EventQueue()
        try:
            loop.add_reader(events.fileno(), events.dispatch)
            # Where that can't be, the connection threads read.
            with contextlib.suppress(OSError):
                events.begin_to_read(loop.add_reader)
        except NotImplementedError:
            _relay(loop, events)
        _queues[loop] = weakref.ref(events)
    return events


def _relay(loop: asyncio.AbstractEventLoop, events: _core.EventQueue) -> None:
    """Wake a loop that can't wait for descriptors itself, by a thread that does."""
    poll = select.poll()
    poll.register(events.fileno(), select.POLLIN)
    reference = weakref.ref(events)

    def dispatch(dispatched: threading.Event) -> None:
        if (events := reference()) is not None:
            events.dispatch()
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

    # The loop's own attribute keeps the queue alive as a registered callback would.
    loop._websocket_rs_events = events  # type: ignore[attr-defined]
    threading.Thread(target=run, name="websocket-relay", daemon=True).start()
