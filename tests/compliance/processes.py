"""The processes beside the suite: the fuzzing server, and the clients."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


SCRIPT = Path(__file__).with_name("fuzzing_server.py")
WORKER = Path(__file__).with_name("worker.py")
# Seconds in which the server has to start, and to write its reports.
PATIENCE = 60
# A client whose process fails this often is not tried any further.
LIVES = 3


@dataclass(frozen=True)
class Server:
    """Where the fuzzing server is found, and the cases that it plays."""

    url: str
    cases: Sequence[str]


@contextlib.contextmanager
def fuzzing_server(
    python: Path, specification: dict[str, Any], log: Path
) -> Iterator[Server]:
    """Run the fuzzing server; at the end, have it write its reports.

    Args:
        python: The interpreter of the server's environment.
        specification: See `fuzzing_server.py`.
        log: The file for what the server prints.

    Raises:
        RuntimeError: The server failed; the text has the end of the log.
    """
    with (
        log.open("w") as output,
        subprocess.Popen(
            [python, SCRIPT, json.dumps(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if ready else ""
            if not line:
                raise _failure("did not start", log)
            yield Server(**json.loads(line))
            process.stdin.close()
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise _failure("did not write its reports in time", log) from None
            if status:
                raise _failure(f"ended with status {status}", log)
        finally:
            process.kill()


def _failure(what: str, log: Path) -> RuntimeError:
    end = log.read_text(errors="replace").splitlines()[-10:]
    return RuntimeError("\n".join([f"the fuzzing server {what}; its log ends:", *end]))


def play(client: str, server: Server, limit: float) -> dict[str, str]:
    """Play all cases with a client, and return what is wrong with it, by case.

    A case in which its process crashes or gets stuck does no harm to those after it.

    Args:
        client: One of `worker.CLIENTS`.
        server: Where to play.
        limit: Seconds that a case may take.
    """
    complaints: dict[str, str] = {}
    remaining = list(server.cases)
    lives = LIVES
    while remaining and lives:
        with subprocess.Popen(
            [sys.executable, WORKER, client, server.url, str(limit), *remaining],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    case, complaint = json.loads(line)
                    remaining.remove(case)
                    if complaint is not None:
                        complaints[case] = f"raised {complaint}"
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            lives -= 1
            # Without a case that it was in, it was the end of the process that failed.
            case = remaining.pop(0) if remaining else server.cases[-1]
            complaints[case] = f"crashed, or took more than {limit:g} s"
    complaints.update(dict.fromkeys(remaining, "not played"))
    return complaints
