"""The processes beside the workers: the server, and what keeps the processors awake."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


DEFAULT_SERVER = (sys.executable, "-m", "websocket_rs", "echo-server")

# Idle priority: a spinner runs only where nothing else wants to, and gives way at once.
# It ends by itself when its parent is gone, so that a suite that was killed leaves none
# behind.
SPINNER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = int(sys.argv[2])
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@dataclass(frozen=True)
class Server:
    """Where a running server is found, and the PEM file to trust for `wss`."""

    url: str
    certificate: str | None


@contextlib.contextmanager
def serve(scheme: str, command: str | None) -> Iterator[Server]:
    """Run the echo server for `ws` or `wss` in a process of its own.

    Args:
        scheme: `ws` or `wss`.
        command: Another server than the embedded one; it gets the same options, and
            must print the same lines and know the same paths.

    Raises:
        RuntimeError: The server did not say where it listens.
    """
    tls = scheme == "wss"
    arguments = [*(shlex.split(command) if command else DEFAULT_SERVER)]
    arguments += ["--host", "127.0.0.1", "--port", "0", *(["--tls"] if tls else [])]
    # A pipe is a buffer for programs that print; without this the line would not come.
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Server(
                _announced(process, "listening on "),
                _announced(process, "certificate: ") if tls else None,
            )
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _announced(process: subprocess.Popen[str], prefix: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(prefix):
        raise RuntimeError(
            f"the server printed {line!r} instead of {prefix!r} and a value"
        )
    return line.removeprefix(prefix).strip()


@contextlib.contextmanager
def spinners(wanted: bool) -> Iterator[None]:
    """Keep every processor this process may use from going to sleep."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SPINNER, str(processor), str(os.getpid())]
        )
        for processor in sorted(os.sched_getaffinity(0))
        if wanted
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
