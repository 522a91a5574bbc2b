"""Warnings of replacements in Python's network modules that have no effect here.

The core resolves names and connects by itself. Whoever has replaced what Python does it
with may believe that he is behind a proxy, or that his test can't reach the network.
"""

from __future__ import annotations

import sys
import warnings


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any


__all__ = ["warn_of_patches"]

_warned: set[str] = set()


def warn_of_patches() -> None:
    """Warn, once in a process of each, of what is replaced now."""
    for name, text in _patches():
        if name not in _warned:
            _warned.add(name)
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def _patches() -> Iterator[tuple[str, str]]:
    socket = sys.modules.get("socket")
    if socket is None:
        return
    package = _patching_package()
    if package is not None:
        yield (
            package,
            f"{package} has replaced Python's blocking calls, which has no effect on "
            "websocket_rs: while one of its calls waits, no greenlet runs; make them "
            "in threads of their own",
        )
        return
    for name in _replaced(socket):
        yield (
            name,
            f"{name} has been replaced, which has no effect on websocket_rs: it "
            "resolves names and connects by itself; pass proxy, host, or a connected "
            "sock to connect() instead",
        )


def _replaced(socket: ModuleType) -> Iterator[str]:
    # A function knows its module even if `functools.wraps` has renamed it.
    for name in "getaddrinfo", "create_connection":
        if getattr(getattr(socket, name), "__globals__", None) is not vars(socket):
            yield f"socket.{name}"
    if getattr(socket.socket, "__module__", None) != "socket":
        yield "socket.socket"
    if "getaddrinfo" in getattr(_running_loop(), "__dict__", ()):
        yield "getaddrinfo of the event loop"


def _patching_package() -> str | None:
    """Return what has replaced the sockets of the whole process with its own."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    return None


def _running_loop() -> Any:
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()
