"""Turns the results of the rounds into tables, and into a picture.

Works on the plain data that `--json` writes: rounds, each a dictionary with the keys
`scheme`, `face`, `case`, `size`, `contender` and, unless the contender failed, `rate`
(messages per second) and `cpu` (microseconds of the client's processor time per
message).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from statistics import median
from typing import TYPE_CHECKING, Any

from .contenders import OURS


if TYPE_CHECKING:
    from collections.abc import Iterable


Round = dict[str, Any]

CASE_TITLES = {
    "rr": "request-response",
    "pipe": "window of 100",
    "flood": "server pushes",
    "push": "client pushes",
    "senders": "client pushes, from 16 threads or tasks",
    "busy": "request-response beside a thread that computes",
    "fan": "100 connections, request-response together",
    "delay": "1,000 messages a second",
    "many": "1,000 connections, ten messages a second each",
    "inflate": "server pushes, compressed",
    "deflate": "client pushes, compressed",
}


PACED = ("delay", "many")
"""The cases whose rate is the server's."""


@dataclass(frozen=True)
class Figure:
    """The medians of one contender in one case."""

    rate: float
    cpu: float
    # Largest minus smallest rate of the rounds, relative to the median.
    spread: float
    # The median delay in microseconds, where that was measured.
    delay: float | None = None


# The figures of a case by contender; `None` for one that failed.
Row = dict[str, "Figure | None"]


def size_name(size: int) -> str:
    """Return a size in bytes as people write it."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def summarise(
    rounds: Iterable[Round],
) -> dict[tuple[str, str], dict[tuple[str, int], Row]]:
    """Group rounds by scheme and face, then case and size, then contender."""
    groups: dict[tuple[str, str], dict[tuple[str, int], dict[str, list[Round]]]] = {}
    for one in rounds:
        table = groups.setdefault((one["scheme"], one["face"]), {})
        row = table.setdefault((one["case"], one["size"]), {})
        row.setdefault(one["contender"], []).append(one)
    return {
        group: {
            key: {contender: _figure(played) for contender, played in row.items()}
            for key, row in table.items()
        }
        for group, table in groups.items()
    }


def _figure(played: list[Round]) -> Figure | None:
    # One failure is a failure: a median of the rounds that went well would hide it.
    if any("rate" not in one for one in played):
        return None
    rates = [one["rate"] for one in played]
    rate = median(rates)
    delays = [one["delay"] for one in played if "delay" in one]
    return Figure(
        rate,
        median(one["cpu"] for one in played),
        (max(rates) - min(rates)) / rate,
        median(delays) if delays else None,
    )


def markdown(rounds: list[Round], header: dict[str, str]) -> str:
    """Return the report: a header, and one table for each scheme and face."""
    lines = [f"* {name}: {value}" for name, value in header.items()]
    for (scheme, face), table in summarise(rounds).items():
        contenders = _columns(table)
        lines += ["", f"### {scheme}, {face}", ""]
        lines.append("| " + " | ".join(["case", *contenders, "spread"]) + " |")
        lines.append("|" + "---|" * (len(contenders) + 2))
        for (case, size), row in table.items():
            cells = [f"{case} {size_name(size)}"]
            cells += [_cell(case, row, contender) for contender in contenders]
            spreads = [figure.spread for figure in row.values() if figure]
            cells.append(f"{max(spreads):.0%}" if spreads else "")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _columns(table: dict[tuple[str, int], Row]) -> list[str]:
    names = {contender for row in table.values() for contender in row}
    return sorted(names, key=lambda name: (name != OURS, name))


def _cell(case: str, row: Row, contender: str) -> str:
    if contender not in row:
        return ""
    figure, ours = row[contender], row.get(OURS)
    if figure is None:
        return "failed"
    if figure.delay is None:
        cell = f"{figure.rate:,.0f} ({figure.cpu:.1f})"
    else:
        cell = f"{figure.delay:,.0f} us ({figure.cpu:.1f})"
    if ours and contender != OURS:
        cell += f" **{_ratio(case, ours, figure):.2f}x**"
    return cell


def _ratio(case: str, ours: Figure, figure: Figure) -> float:
    """Return how much better we are: more than one is better."""
    if case in PACED:
        return figure.cpu / ours.cpu
    if ours.delay and figure.delay:
        return figure.delay / ours.delay
    return ours.rate / figure.rate


def svg(rounds: list[Round], header: dict[str, str]) -> str:
    """Return a picture: bars for each case, the fastest filling the width."""
    left, width, bar, gap, page = 190, 470, 16, 26, 860
    y = 24
    body = [text(12, y, "Messages per second, medians (rr: round trips)", "title")]
    for name in ("machine", "python"):
        y += 18
        body.append(text(12, y, f"{name}: {header.get(name, '')}", "note"))
    for (scheme, face), table in summarise(rounds).items():
        contenders = _columns(table)
        for (case, size), row in table.items():
            y += gap
            title = (
                f"{scheme}, {face}: {CASE_TITLES.get(case, case)}, {size_name(size)}"
            )
            body.append(text(12, y, title, "case"))
            y += 6
            fastest = max(
                (figure.rate for figure in row.values() if figure), default=1.0
            )
            for contender in contenders:
                if contender not in row:
                    continue
                figure = row[contender]
                middle = y + bar - 4
                body.append(text(left - 8, middle, contender, "name"))
                length = width * figure.rate / fastest if figure else 0.0
                kind = "ours" if contender == OURS else "peer"
                body.append(
                    f'<rect class="{kind}" x="{left}" y="{y + 2}" '
                    f'width="{length:.1f}" height="{bar - 4}"/>'
                )
                label = (
                    f"{figure.rate:,.0f}  ({figure.cpu:.1f} us CPU)"
                    if figure
                    else "failed"
                )
                body.append(text(left + length + 6, middle, label, "value"))
                y += bar
    style = (
        "text{font:12px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}"
        ".case{font-weight:bold}.note{fill:#666}.name{text-anchor:end}"
        ".ours{fill:#c2410c}.peer{fill:#9ca3af}"
    )
    return picture(style, body, page, y + 16)


def text(x: float, y: float, words: str, kind: str) -> str:
    """Return a text in a picture, of a class of its style."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y}">{escape(words)}</text>'


def picture(style: str, body: list[str], width: int, height: float) -> str:
    """Return a whole picture."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {width} {height}" width="{width}">\n'
        f'<style>{style}</style>\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )
