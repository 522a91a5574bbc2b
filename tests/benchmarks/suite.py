"""Plays the rounds of a comparison, each in a process of its own."""

from __future__ import annotations

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
from .contenders import OURS, has_face
from .processes import EMBEDDED_SERVER, Server, neutral_server, serve


if TYPE_CHECKING:
    import argparse
    from types import ModuleType


CASES = ("rr", "pipe", "flood", "push", "senders", "busy", "delay")
CROWDED = ("fan", "many")
"""The cases with many connections on one event loop."""
DEFLATING = ("inflate", "deflate")
"""The cases with compression. They are over `ws`, with a server of their own."""
SCHEMES = ("ws", "wss")
SIZES = (256, 4 * 1024, 64 * 1024, 1024 * 1024)
WORKER = Path(__file__).with_name("worker.py")
DEFLATE_SERVER = (sys.executable, str(Path(__file__).with_name("deflate_server.py")))


FIGURES = f"""\
messages per second (rr: round trips); in brackets the client's CPU microseconds per \
message; **bold** is the rate of {OURS} divided by that of the contender. busy, delay \
and many have a pace of their own: their first figure is the median delay, of a \
message or a round trip, and their bold one the CPU (busy: the delay) of the contender \
divided by ours. Spread is the widest range of the rounds in the row, relative to the \
median"""


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
        server = self.server_command()
        for scheme in self.options.schemes:
            self._play_cases(scheme, CASES + CROWDED, server)
        if "ws" in self.options.schemes:
            self._play_cases("ws", DEFLATING, shlex.join(DEFLATE_SERVER))

    def server_command(self) -> str:
        """Return the command of the chosen server, which is built if need be."""
        server = self.options.server or neutral_server(self.options.environments)
        return shlex.join(EMBEDDED_SERVER) if server == "embedded" else server

    def _play_cases(self, scheme: str, cases: tuple[str, ...], command: str) -> None:
        wanted = [case for case in cases if case in self.options.cases]
        if not wanted:
            return
        with serve(scheme, command) as server:
            for face, case, size in itertools.product(
                self.options.faces, wanted, self.options.sizes
            ):
                if face == "sync" and case in CROWDED:
                    continue
                row = {"scheme": scheme, "face": face, "case": case, "size": size}
                self.play_row(row, server)

    def play_row(self, row: dict[str, Any], server: Server) -> None:
        """Play the rounds of a row: its scheme, face, case and size.

        It may have a `number`, of senders or connections, instead of the usual one.
        """
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
        if "number" in row:
            command += ["--number", str(row["number"])]
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
            **({"delay": 1e6 * result["delay"]} if "delay" in result else {}),
        }

    def header(self) -> dict[str, str]:
        """Return what a reader has to know to judge the figures."""
        options = self.options
        return {
            "machine": f"{processor_name()}, {os.cpu_count()} processors, "
            f"{platform.system()} {platform.release()}",
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "packages": ", ".join(
                f"{name} {version}" for name, version in sorted(self.versions.items())
            ),
            "server": options.server
            or "plain tungstenite, a thread for each connection, in its own process",
            "method": f"medians of {options.rounds} interleaved rounds of "
            f"{options.seconds:g} s, each in a fresh process after a warm-up; "
            "loopback, TCP_NODELAY, no compression but in inflate and deflate; "
            + (
                "processors kept awake"
                if options.spinners
                else "processors left to sleep"
            )
            + (
                f"; workers pinned to processor {options.pin}"
                if options.pin is not None
                else ""
            ),
            "figures": FIGURES,
        }


def processor_name() -> str:
    """Return the model of the processor, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
