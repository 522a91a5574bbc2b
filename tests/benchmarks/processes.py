"""The processes beside the workers: the server, and what keeps the processors awake."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


EMBEDDED_SERVER = (sys.executable, "-m", "websocket_rs", "echo-server")
NEUTRAL_SERVER = Path(__file__).with_name("server") / "Cargo.toml"

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


def neutral_server(folder: Path) -> str:
    """Build the server that is not ours, and return its command.

    Args:
        folder: Where to keep what is built.

    Raises:
        subprocess.CalledProcessError: Cargo failed.
    """
    target = folder / "server"
    command = ["cargo", "build", "--quiet", "--release"]
    command += ["--manifest-path", str(NEUTRAL_SERVER), "--target-dir", str(target)]
    subprocess.run(command, check=True)
    return shlex.quote(str(target / "release" / "neutral-server"))


@contextlib.contextmanager
def serve(scheme: str, command: str) -> Iterator[Server]:
    """Run a server for `ws` or `wss` in a process of its own.

    Args:
        scheme: `ws` or `wss`.
        command: The server. It gets the options of the embedded one, and must print the
            same lines and know the same paths.

    Raises:
        RuntimeError: The server did not say where it listens.
    """
    tls = scheme == "wss"
    arguments = shlex.split(command)
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
