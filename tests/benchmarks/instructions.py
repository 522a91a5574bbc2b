"""Count the instructions of four hot paths: `python -m tests.benchmarks.instructions`.

Time is noisy; instructions are not. Each path is run twice under callgrind, with few
messages and with many, and the difference is what one message costs: the interpreter
included, the start and the opening handshake not. They are compared with those kept in
`instructions.json`. A path that needs more than `TOLERANCE` more fails; one that needs
as much less asks for the file to be written anew, with `--save`.

Counts hold for one interpreter, which the file names: with another one nothing is
compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from websocket_rs import async_client, sync_client

from . import environments
from .processes import neutral_server, serve


if TYPE_CHECKING:
    from collections.abc import Callable


KEPT = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
"""What threads that meet at other places than the last time may change."""
SIZE = 256
FEW, MANY = 500, 2500


def sync_round_trips(url: str, count: int) -> None:
    """Send a message and receive its echo, time after time."""
    with sync_client.connect(url, compression=None) as ws:
        for _ in range(count):
            ws.send(bytes(SIZE))
            assert len(ws.recv()) == SIZE


def sync_flood(url: str, count: int) -> None:
    """Receive what the server sends."""
    with sync_client.connect(url + "/flood", compression=None) as ws:
        ws.send(f"{count} {SIZE}")
        for _ in range(count):
            assert len(ws.recv()) == SIZE


def asyncio_round_trips(url: str, count: int) -> None:
    """Send a message and receive its echo, time after time."""

    async def run() -> None:
        async with async_client.connect(url, compression=None) as ws:
            for _ in range(count):
                await ws.send(bytes(SIZE))
                assert len(await ws.recv()) == SIZE

    asyncio.run(run())


def asyncio_push(url: str, count: int) -> None:
    """Send as fast as the server takes it."""

    async def run() -> None:
        async with async_client.connect(url + "/sink", compression=None) as ws:
            for _ in range(count):
                await ws.send(bytes(SIZE))
            await ws.send("report")
            assert await ws.recv() == f"{count} {count * SIZE}"

    asyncio.run(run())


PATHS: dict[str, Callable[[str, int], None]] = {
    path.__name__: path
    for path in (sync_round_trips, sync_flood, asyncio_round_trips, asyncio_push)
}


def counted(path: str, url: str, count: int) -> int:
    """Return how many instructions a process needs for so many messages.

    Raises:
        subprocess.CalledProcessError: The path failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command += [sys.executable, "-m", __spec__.name, "--run", path, url, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def measure(url: str) -> dict[str, int]:
    """Return the instructions of one message on each path."""
    costs = {}
    for path in PATHS:
        few, many = (counted(path, url, count) for count in (FEW, MANY))
        costs[path] = (many - few) // (MANY - FEW)
    return costs


def compare(costs: dict[str, int], kept: dict[str, int]) -> bool:
    """Print each path beside what is kept of it. Return whether none costs more."""
    for path, cost in costs.items():
        change = cost / kept[path] - 1
        verdict = ""
        if abs(change) > TOLERANCE:
            verdict = "  too many" if change > 0 else "  fewer: --save"
        print(f"{path:20} {cost:8,}  kept {kept[path]:8,}  {change:+.1%}{verdict}")
    return all(costs[path] <= kept[path] * (1 + TOLERANCE) for path in costs)


def main() -> int:
    """Count, and compare or save."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.instructions")
    parser.add_argument("--save", action="store_true", help="keep what is counted")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        path, url, count = options.run
        PATHS[path](url, int(count))
        return 0
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed")
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    kept = json.loads(KEPT.read_text())
    if not options.save and kept["interpreter"] != interpreter:
        parser.error(f"what is kept is of {kept['interpreter']}, not {interpreter}")
    with serve("ws", neutral_server(environments.DEFAULT_FOLDER)) as server:
        costs = measure(server.url)
    if options.save:
        text = json.dumps({"interpreter": interpreter, "paths": costs}, indent=2)
        KEPT.write_text(text + "\n")
        return 0
    return 0 if compare(costs, kept["paths"]) else 1


if __name__ == "__main__":
    sys.exit(main())
