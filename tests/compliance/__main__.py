"""Run the cases: `python -m tests.compliance --help`."""

from __future__ import annotations

import argparse
import contextlib
import platform
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import environment, report
from .processes import fuzzing_server, play
from .worker import CLIENTS


if TYPE_CHECKING:
    from types import FrameType


OURS = ("sync", "asyncio")
REFERENCE = "websockets-asyncio"
# Seconds of a case. The suite gives a case with all its messages up to 480.
LIMIT = 120.0
LIMIT_OF_ALL_MESSAGES = 600.0


def client_list(text: str) -> list[str]:
    """Parse names of clients, with commas between them."""
    names = text.split(",")
    if not set(names) <= set(CLIENTS):
        raise ValueError(text)
    return list(dict.fromkeys(names))


def group_list(text: str) -> list[int]:
    """Parse numbers of groups and ranges of them, with commas between them."""
    groups: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        groups.update(range(int(first), int(last or first) + 1))
    if not groups or not groups <= set(report.GROUPS):
        raise ValueError(text)
    return sorted(groups)


def message_count(text: str) -> int:
    """Parse a number of messages."""
    count = int(text)
    if count < 0:
        raise ValueError(text)
    return count


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.compliance",
        description="Play the cases of Autobahn|Testsuite's fuzzing server.",
    )
    what = parser.add_argument_group("what is played")
    what.add_argument(
        "--clients",
        type=client_list,
        default=[*OURS, REFERENCE],
        metavar="NAMES",
        help=f"some of {','.join(CLIENTS)} (default: all but websockets-sync)",
    )
    what.add_argument(
        "--groups",
        type=group_list,
        default=list(report.GROUPS),
        metavar="NUMBERS",
        help="some of 1-7,9,10,12,13 (default: all)",
    )
    what.add_argument(
        "--count",
        type=message_count,
        default=30,
        metavar="N",
        help="messages in each case of groups 12 and 13, of which the suite wants "
        "1000; 0 for all of them (default: %(default)s)",
    )
    how = parser.add_argument_group("how it is played")
    how.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="after which a client is taken to be stuck in a case "
        f"(default: {LIMIT:g}, with --count 0 {LIMIT_OF_ALL_MESSAGES:g})",
    )
    how.add_argument(
        "--python2",
        type=Path,
        metavar="FILE",
        help="CPython 2.7 for the server (default: that on PATH, or of pyenv)",
    )
    how.add_argument(
        "--environments",
        type=Path,
        default=environment.DEFAULT_FOLDER,
        metavar="DIR",
        help="where the server is installed (default: %(default)s)",
    )
    output = parser.add_argument_group("what becomes of it")
    output.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables"
    )
    output.add_argument(
        "--reports",
        type=Path,
        metavar="DIR",
        help="keep the server's reports, with what went over the wire",
    )
    options = parser.parse_args()
    if options.limit is None:
        options.limit = LIMIT if options.count else LIMIT_OF_ALL_MESSAGES
    return options


def run(options: argparse.Namespace, python: Path, folder: Path) -> report.Results:
    """Play the cases, with the server's reports in `folder`."""
    specification = {
        "cases": [f"{group}.*" for group in options.groups],
        "count": options.count,
        "outdir": str(folder),
        "html": options.reports is not None,
    }
    complaints = {}
    with fuzzing_server(python, specification, folder / "server.log") as server:
        for client in options.clients:
            start = time.monotonic()
            complaints[client] = play(client, server, options.limit)
            taken = time.monotonic() - start
            played = f"{client}: {len(server.cases)} cases in {taken:.0f} s"
            print(played, file=sys.stderr)
    return report.read(folder, server.cases, complaints)


def header(options: argparse.Namespace) -> list[str]:
    """Return what a reader has to know of how it was played."""
    messages = f"{options.count} messages" if options.count else "all messages"
    return [
        f"server: {environment.SUITE.replace('==', ' ')}, "
        f"{messages} in each case of groups 12 and 13",
        f"clients: websocket-rs {version('websocket-rs')}, "
        f"websockets {version('websockets')}, "
        f"{platform.python_implementation()} {platform.python_version()}",
    ]


def faults(results: report.Results) -> list[str]:
    """Return what is not accepted of our clients, a line for each case."""
    reference = results.get(REFERENCE, {})
    return [
        f"{client} {case}: {verdict}. {verdict.reason}"
        for client in OURS
        for case, verdict in results.get(client, {}).items()
        if not verdict.is_accepted(case, reference.get(case))
    ]


def end(signum: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that nothing is left behind."""
    raise KeyboardInterrupt


def main() -> int:
    """Play, report, and return 1 if there is a fault with one of our clients."""
    options = parse_options()
    described = header(options)
    signal.signal(signal.SIGTERM, end)
    try:
        python = environment.server_interpreter(options.python2, options.environments)
    except LookupError as error:
        print(*error.args, file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        if options.reports is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = options.reports.resolve()
            folder.mkdir(parents=True, exist_ok=True)
        results = run(options, python, folder)
    tables = report.markdown(results, described)
    print(tables, end="")
    if options.markdown is not None:
        options.markdown.write_text(tables)
    found = faults(results)
    for fault in found:
        print(fault, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
