"""Draw what a message costs as something grows: `python -m tests.benchmarks.costs`.

Charts of the client's processor time for each message: against the size of messages
(for either face), against the number of connections of one event loop, and against the
number of threads that send on one connection. Both axes are logarithmic.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import environments, report
from .contenders import OURS, load_all
from .processes import serve
from .suite import Suite


if TYPE_CHECKING:
    from collections.abc import Iterable


class Sweep(NamedTuple):
    """One chart: the rows that differ in `axis`, which is `size` or `number`."""

    title: str
    axis: str
    face: str
    case: str
    values: tuple[int, ...]

    def rows(self) -> Iterable[dict[str, Any]]:
        """Return the rows to be played."""
        row = {"scheme": "ws", "face": self.face, "case": self.case, "size": 256}
        return ({**row, self.axis: value} for value in self.values)

    def holds(self, one: report.Round) -> bool:
        """Tell whether a round is one of this chart."""
        return one["case"] == self.case and one["face"] == self.face


SIZES = tuple(64 << shift for shift in range(0, 19, 2))
SWEEPS = (
    Sweep("round trip, by the size of the message", "size", "sync", "rr", SIZES),
    Sweep("asyncio round trip, by the size", "size", "uvloop", "rr", SIZES),
    Sweep(
        "round trip of 256 B, by the connections of an event loop",
        "number",
        "uvloop",
        "fan",
        (1, 10, 100, 1000),
    ),
    Sweep(
        "256 B sent, by the threads that send on a connection",
        "number",
        "sync",
        "senders",
        (1, 2, 4, 8, 16),
    ),
)
CONTENDERS = (OURS, "websockets", "picows.websockets", "websocket-client")
COLOURS = ("#c2410c", "#2563eb", "#059669", "#6b7280")
LEFT, TOP, WIDTH, HEIGHT, PANEL = 60, 40, 560, 200, 290
"""Of the area of a chart, and the distance between two, in pixels."""


def points(sweep: Sweep, rounds: list[report.Round]) -> dict[str, list[tuple]]:
    """Return the points of each contender: value and microseconds."""
    lines: dict[str, list[tuple]] = {}
    for value in sweep.values:
        played = [
            one for one in rounds if sweep.holds(one) and one[sweep.axis] == value
        ]
        for table in report.summarise(played).values():
            for row in table.values():
                for name, figure in row.items():
                    if figure is not None:
                        lines.setdefault(name, []).append((value, figure.cpu))
    return lines


def chart(sweep: Sweep, lines: dict[str, list[tuple]], top: float) -> list[str]:
    """Return the elements of one chart."""
    costs = [cost for line in lines.values() for _, cost in line] or [1.0]
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    high = max(high, low + 1)
    span = math.log(sweep.values[-1] / sweep.values[0])

    def x(value: float) -> float:
        return LEFT + WIDTH * math.log(value / sweep.values[0]) / span

    def y(cost: float) -> float:
        return top + HEIGHT * (high - math.log10(cost)) / (high - low)

    parts = [report.text(12, top - 12, sweep.title, "case")]
    for power in range(low, high + 1):
        height = y(10.0**power)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}h{WIDTH}"/>')
        parts.append(report.text(LEFT - 6, height + 4, f"{10.0**power:g} us", "name"))
    for value in sweep.values:
        label = report.size_name(value) if sweep.axis == "size" else str(value)
        parts.append(report.text(x(value) - 8, top + HEIGHT + 16, label, "note"))
    for name, line in lines.items():
        path = " ".join(f"{x(value):.1f},{y(cost):.1f}" for value, cost in line)
        colour = COLOURS[CONTENDERS.index(name)]
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
    return parts


def svg(rounds: list[report.Round], header: dict[str, str]) -> str:
    """Return the picture: all charts, one below the other."""
    body = []
    for number, sweep in enumerate(SWEEPS):
        top = TOP + 60 + number * PANEL
        body += chart(sweep, points(sweep, rounds), top)
    title = "Processor time of the client for each message, medians"
    legend = [report.text(12, 24, title, "title")]
    legend.append(report.text(12, 42, header["machine"], "note"))
    for place, (name, colour) in enumerate(zip(CONTENDERS, COLOURS, strict=True)):
        left = 12 + 150 * place
        line = f'<path d="M{left} 58h18" stroke="{colour}" stroke-width="2"/>'
        legend += [line, report.text(left + 24, 62, name, "value")]
    style = (
        "text{font:12px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}"
        ".case{font-weight:bold}.note{fill:#666}.name{text-anchor:end}"
        ".grid{stroke:#ddd}polyline{fill:none;stroke-width:2}"
    )
    return report.picture(style, [*legend, *body], 660, TOP + 60 + len(SWEEPS) * PANEL)


def main() -> int:
    """Play all sweeps, or read what was played, and draw it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.costs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round")
    parser.add_argument(
        "--draw", type=Path, metavar="FILE", help="draw this JSON, without playing"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", required=True)
    # What else a suite asks for.
    parser.set_defaults(
        environments=environments.DEFAULT_FOLDER,
        contenders=CONTENDERS,
        faces=("sync", "uvloop"),
        server=None,
        pin=None,
        spinners=False,
    )
    options = parser.parse_args()
    if options.draw is None:
        suite = Suite(options, load_all())
        with serve("ws", suite.server_command()) as server:
            for sweep in SWEEPS:
                for row in sweep.rows():
                    suite.play_row(row, server)
        played = {"header": suite.header(), "rounds": suite.rounds}
    else:
        played = json.loads(options.draw.read_text())
    if options.json:
        options.json.write_text(json.dumps(played, indent=1) + "\n")
    options.picture.write_text(svg(played["rounds"], played["header"]))
    return int(any("rate" not in one for one in played["rounds"]))


if __name__ == "__main__":
    sys.exit(main())
