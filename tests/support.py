"""What the tests share besides their fixtures.

Calls in the background, waiting for a condition, other processes, and what the kernel
says about this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import MS
from websocket_rs import _core
from websocket_rs._client.values import Connect


if TYPE_CHECKING:
    from collections.abc import Callable


QUICK = {"connect_timeout": 5000 * MS, "receive_timeout": 5000 * MS}
"""Deadlines short enough for a test to fail by them rather than by its own."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and the keyword arguments that reach it."""

    url: str
    options: dict[str, Any]


def core_options(url: str) -> _core.ConnectOptions:
    """Return what the core opens a connection with, where no `connect` is to do it."""
    return _core.ConnectOptions(
        url,
        Connect(
            headers=[],
            origin=None,
            subprotocols=[],
            compression=None,
            user_agent=None,
            server_hostname=None,
            open_timeout=("open_timeout", 5000 * MS),
            receive_timeout=None,
            close_timeout=5000 * MS,
            ping_interval=None,
            ping_timeout=None,
            max_size=(None, None),
            max_queue=(None, None),
            inbox_limit=1 << 20,
            write_limit=1 << 20,
            reader="loop",
        ),
    )


class Background:
    """A call that runs on a daemon thread of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended_at: float | None = None
        self._call = (function, args, kwargs)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        function, args, kwargs = self._call
        try:
            self.value = function(*args, **kwargs)
        except BaseException as error:
            self.error = error
        self.ended_at = time.monotonic()
        # The frames of a finished call must not keep its connections alive.
        del self._call, function, args, kwargs

    def result(self, timeout: float = 10.0) -> Any:
        """Return what the call returned, or raise what it raised."""
        self.thread.join(timeout)
        if self.thread.is_alive():
            frame = sys._current_frames().get(self.thread.ident or 0)
            stack = "".join(traceback.format_stack(frame)) if frame else ""
            pytest.fail(f"still running after {timeout:.1f} s:\n{stack}", pytrace=False)
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        return self.value


def asleep(call: Background) -> bool:
    """Tell whether a call's thread sleeps in the kernel now and a moment later."""

    def state() -> tuple[str, str]:
        folder = f"/proc/self/task/{call.thread.native_id}"
        with open(f"{folder}/stat") as stat, open(f"{folder}/status") as status:
            switches = [line for line in status if "ctxt_switches" in line]
            return stat.read().rpartition(")")[2].split()[0], "".join(switches)

    before = state()
    time.sleep(20 * MS)
    return before[0] == "S" and state() == before


# What this process is made of.


def connection_threads() -> dict[int, str]:
    """Return the names of the connection threads of this process by thread id."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            if re.fullmatch(r"websocket-\d+", name):
                found[int(task.name)] = name
    return found


def descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process refers to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def voluntary_switches(thread: int) -> int:
    """Return how often a thread has gone to sleep, so how often it was woken."""
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wait_until(
    condition: Callable[[], Any], what: str, timeout: float = 5000 * MS
) -> Any:
    """Await a condition that no event announces, and return its value.

    Raises:
        AssertionError: The condition did not hold before the deadline.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.002)
    return value


async def wait_until_async(
    condition: Callable[[], Any], what: str, timeout: float = 5000 * MS
) -> Any:
    """Await a condition as `wait_until` does, without blocking the event loop."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        await asyncio.sleep(0.002)
    return value


# Other processes.


def run_script(
    source: str, *arguments: str, timeout: float = 20.0, environment: Any = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own and return how it ended."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", source, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )
