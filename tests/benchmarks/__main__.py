"""Run the benchmarks: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environments, report
from .contenders import FACES, OURS, has_face, load_all
from .processes import Server, serve, spinners


if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


CASES = ("rr", "pipe", "flood", "push")
DEFLATING = ("inflate", "deflate")
"""The cases with compression. They are over `ws`, with a server of their own."""
SCHEMES = ("ws", "wss")
SIZES = (256, 4 * 1024, 64 * 1024, 1024 * 1024)
WORKER = Path(__file__).with_name("worker.py")
DEFLATE_SERVER = (sys.executable, str(Path(__file__).with_name("deflate_server.py")))


def size(text: str) -> int:
    """Parse a size: a number of bytes, optionally with K or M behind it."""
    units = {"K": 1 << 10, "M": 1 << 20}
    unit = units.get(text[-1:].upper(), 1)
    value = int(text if unit == 1 else text[:-1]) * unit
    if value < 1:
        raise ValueError(text)
    return value


def svg_file(text: str) -> Path:
    """Parse the name of a picture file."""
    path = Path(text)
    if path.suffix != ".svg":
        raise ValueError(text)
    return path


def parse_options(modules: dict[str, ModuleType]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Compare websocket_rs with its peers in interleaved rounds.",
    )
    what = parser.add_argument_group("what is measured (default: everything)")
    what.add_argument(
        "--cases", nargs="+", choices=CASES + DEFLATING, default=CASES + DEFLATING
    )
    what.add_argument("--sizes", nargs="+", type=size, default=SIZES, metavar="BYTES")
    what.add_argument("--faces", nargs="+", choices=FACES, default=FACES)
    what.add_argument("--schemes", nargs="+", choices=SCHEMES, default=SCHEMES)
    what.add_argument("--contenders", nargs="+", choices=[*modules], default=[*modules])
    how = parser.add_argument_group("how it is measured")
    how.add_argument("--rounds", type=int, default=5)
    how.add_argument(
        "--seconds", type=float, default=0.5, help="of each round (default: 0.5)"
    )
    how.add_argument(
        "--spinners", action="store_true", help="keep the processors awake"
    )
    how.add_argument(
        "--pin", type=int, metavar="CPU", help="pin the workers to a processor"
    )
    how.add_argument(
        "--server", metavar="COMMAND", help="instead of the embedded echo server"
    )
    how.add_argument(
        "--environments",
        type=Path,
        default=environments.DEFAULT_FOLDER,
        metavar="DIR",
        help="where the peers' virtual environments are kept (default: %(default)s)",
    )
    output = parser.add_argument_group("what becomes of it")
    output.add_argument("--json", type=Path, metavar="FILE", help="write every round")
    output.add_argument(
        "--picture", type=svg_file, metavar="FILE.svg", help="draw the medians"
    )
    return parser.parse_args()


class Suite:
    """The rounds to be played, and those that have been."""

    def __init__(
        self, options: argparse.Namespace, modules: dict[str, ModuleType]
    ) -> None:
        self.options = options
        self.modules = {
            name: modules[name]
            for name in modules
            if name in options.contenders
            and environments.is_supported(modules[name].ENVIRONMENT)
        }
        for name in set(options.contenders) - set(self.modules):
            print(f"{name} needs a newer Python and is left out", file=sys.stderr)
        wanted = {module.ENVIRONMENT for module in self.modules.values()}
        # Ours is measured on the same uvloop as the peers.
        if "uvloop" in options.faces and OURS in self.modules:
            wanted.add(environments.PEERS)
        self.pythons = {
            name: environments.interpreter(name, options.environments)
            for name in wanted
        }
        self.rounds: list[report.Round] = []
        self.versions: dict[str, str] = {}

    def play(self) -> None:
        """Play all rounds, row by row, so that the rounds of a row meet one machine."""
        for scheme in self.options.schemes:
            self._play_cases(scheme, CASES, self.options.server)
        if "ws" in self.options.schemes:
            self._play_cases("ws", DEFLATING, shlex.join(DEFLATE_SERVER))

    def _play_cases(
        self, scheme: str, cases: tuple[str, ...], command: str | None
    ) -> None:
        wanted = [case for case in cases if case in self.options.cases]
        if not wanted:
            return
        with serve(scheme, command) as server:
            for face, case, size in itertools.product(
                self.options.faces, wanted, self.options.sizes
            ):
                row = {"scheme": scheme, "face": face, "case": case, "size": size}
                self._play_row(row, server)

    def _play_row(self, row: dict[str, Any], server: Server) -> None:
        names = [
            name
            for name, module in self.modules.items()
            if has_face(module, row["face"], row["case"] in DEFLATING)
        ]
        failed: set[str] = set()
        for number in range(self.options.rounds):
            # Each contender comes first once, so that none always follows the slowest.
            turn = number % max(1, len(names))
            for name in names[turn:] + names[:turn]:
                # One failure decides; to wait for another would only cost time.
                if name in failed:
                    continue
                result = self._play_round(name, row, server)
                self.rounds.append(
                    {**row, "contender": name, "round": number, **result}
                )
                if not result:
                    failed.add(name)

    def _play_round(
        self, name: str, row: dict[str, Any], server: Server
    ) -> dict[str, float]:
        environment = self.modules[name].ENVIRONMENT
        command = [str(self.pythons[environment]), str(WORKER), name]
        command += [row["face"], row["case"], str(row["size"])]
        command += ["--url", server.url, "--seconds", str(self.options.seconds)]
        if server.certificate is not None:
            command += ["--certificate", server.certificate]
        if self.options.pin is not None:
            command += ["--pin", str(self.options.pin)]
        variables = dict(os.environ)
        variables.pop("PYTHONPATH", None)
        if environment is None and row["face"] == "uvloop":
            packages = environments.site_packages(self.pythons[environments.PEERS])
            variables["PYTHONPATH"] = str(packages)
        label = " ".join(str(word) for word in (*row.values(), name))
        try:
            done = subprocess.run(
                command,
                check=False,
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60 + 20 * self.options.seconds,
            )
        except subprocess.TimeoutExpired:
            print(f"{label}: not finished in time", file=sys.stderr)
            return {}
        if done.returncode:
            reason = (
                done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            )[-1]
            print(f"{label}: {reason}", file=sys.stderr)
            return {}
        result = json.loads(done.stdout.splitlines()[-1])
        self.versions[name] = result["version"]
        if "uvloop" in result:
            self.versions["uvloop"] = result["uvloop"]
        return {
            "rate": result["messages"] / result["seconds"],
            "cpu": 1e6 * result["cpu_seconds"] / result["messages"],
        }


def header(suite: Suite) -> dict[str, str]:
    """Return what a reader has to know to judge the figures."""
    options = suite.options
    return {
        "machine": f"{processor_name()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(
            f"{name} {version}" for name, version in sorted(suite.versions.items())
        ),
        "server": options.server or "the embedded echo server, in a process of its own",
        "method": f"medians of {options.rounds} interleaved rounds of "
        f"{options.seconds:g} s, each in a fresh process after a warm-up; "
        "loopback, TCP_NODELAY, no compression but in inflate and deflate; "
        + ("processors kept awake" if options.spinners else "processors left to sleep")
        + (
            f"; workers pinned to processor {options.pin}"
            if options.pin is not None
            else ""
        ),
        "figures": "messages per second (rr: round trips); in brackets the client's "
        f"CPU microseconds per message; **bold** is the rate of {OURS} divided by that "
        "of the contender; spread is the widest range of the rounds in the row, "
        "relative to the median",
    }


def processor_name() -> str:
    """Return the model of the processor, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the rounds, but not the report of those that were played."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the last row may lack rounds", file=sys.stderr)


def main() -> int:
    """Play, report, and return 1 if any round failed."""
    modules = load_all()
    options = parse_options(modules)
    suite = Suite(options, modules)
    with interruptible(), spinners(options.spinners):
        suite.play()
    described = header(suite)
    print(report.markdown(suite.rounds, described), end="")
    if options.json:
        options.json.write_text(
            json.dumps({"header": described, "rounds": suite.rounds}, indent=1) + "\n"
        )
    if options.picture:
        options.picture.write_text(report.svg(suite.rounds, described))
    return int(any("rate" not in one for one in suite.rounds))


if __name__ == "__main__":
    sys.exit(main())
