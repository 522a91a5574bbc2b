"""Reads the reports of the fuzzing server, judges them, and turns them into tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing handshake",
    9: "limits and performance",
    10: "automatic fragmentation",
    12: "compression, payloads",
    13: "compression, parameters",
}
# From the best to the worst. What the suite has beside these are ways to fail.
GRADES = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")
# Grades that are accepted of us where the reference has the same verdict.
DEBATABLE = ("NON-STRICT", "INFORMATIONAL")
# Here the server sends a message and, at once, something that is wrong. Whether the
# echo is on its way before the connection is failed (OK) or not (NON-STRICT) is up to
# the scheduler, and differs from run to run.
RACES = ("3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5")
RACES += ("5.15",)

TITLE = """\
# Compliance

What the fuzzing server of Autobahn|Testsuite says of our clients, and of `websockets`,
in numbers of cases. Of the two verdicts that it gives in a case, on the messages and on
the end of the connection, the worse one counts. NON-STRICT is right, but not what the
suite likes best; INFORMATIONAL is where the RFC leaves open what is right. In groups 3,
4 and 5, NON-STRICT means that the connection was failed before the client could echo a
message; whether it could is up to the scheduler, and differs from run to run.

Written by `python -m tests.compliance --markdown docs/compliance.md`.
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a client in a case.

    `behavior` and `closing` are the words of the suite, for the messages and for the
    end of the connection; `complaint` is what the suite can't see, such as an exception
    in the client.
    """

    behavior: str = "MISSING"
    closing: str = "MISSING"
    complaint: str | None = None
    # Why, in the words of the suite.
    reason: str = ""
    description: str = ""

    @property
    def grade(self) -> str:
        """The worst of it all, one of `GRADES`."""
        if self.complaint is not None:
            return GRADES[-1]
        ranks = [
            GRADES.index(word) if word in GRADES else len(GRADES) - 1
            for word in (self.behavior, self.closing)
        ]
        return GRADES[max(ranks)]

    def is_accepted(self, case: str, reference: Verdict | None) -> bool:
        """Tell whether it is good enough in a case, beside that of the reference."""
        if self.grade == "NON-STRICT" and case in RACES:
            return True
        return self.grade == "OK" or (
            self.grade in DEBATABLE
            and reference is not None
            and (self.behavior, self.closing) == (reference.behavior, reference.closing)
        )

    def __str__(self) -> str:
        words = [self.behavior]
        if self.closing not in ("OK", self.behavior):
            words.append(f"closing {self.closing}")
        if self.complaint is not None:
            words.append(self.complaint)
        return ", ".join(words)


# By client, then by case.
Results = dict[str, dict[str, Verdict]]


def read(
    folder: Path, cases: Sequence[str], complaints: Mapping[str, Mapping[str, str]]
) -> Results:
    """Read the reports in a folder.

    Args:
        folder: Where the server has written its reports.
        cases: The cases that were to be played.
        complaints: What `processes.play` returned, by client.
    """
    index = json.loads((folder / "index.json").read_text())
    return {
        client: {
            case: _read_verdict(
                folder, index.get(client, {}).get(case), of_client.get(case)
            )
            for case in cases
        }
        for client, of_client in complaints.items()
    }


def _read_verdict(
    folder: Path, entry: dict[str, str] | None, complaint: str | None
) -> Verdict:
    if entry is None:
        return Verdict(complaint=complaint)
    report = json.loads((folder / entry["reportfile"]).read_text())
    # It is HTML, and may go on for long.
    description = re.sub(r"<.*?>", " ", report["description"])
    return Verdict(
        report["behavior"],
        report["behaviorClose"],
        complaint,
        f"{report['result']} {report['resultClose']}.",
        shorten(description, 120, placeholder=" ..."),
    )


def markdown(results: Results, header: Iterable[str]) -> str:
    """Return the header as a list, a table of counts, and one of what is not OK."""
    clients = list(results)
    cases = list(next(iter(results.values())))
    lines = [TITLE, *(f"* {item}" for item in header), ""]
    lines += _heading(["group", *clients])
    for group in sorted({_group(case) for case in cases}):
        of_group = [case for case in cases if _group(case) == group]
        counts = [_counts(results[client], of_group) for client in clients]
        lines.append(_row([f"{group} {GROUPS[group]}", *counts]))
    lines.append(
        _row(["all", *(_counts(results[client], cases) for client in clients)])
    )
    notable = [
        case
        for case in cases
        if any(results[client][case].grade != "OK" for client in clients)
    ]
    if notable:
        lines += ["", "## Cases that are not OK", ""]
        lines += _heading(["case", *clients, "what the server does"])
    for case in notable:
        verdicts = [results[client][case] for client in clients]
        description = max(verdict.description for verdict in verdicts)
        lines.append(_row([case, *map(str, verdicts), description]))
    return "\n".join([*lines, ""])


def _group(case: str) -> int:
    return int(case.partition(".")[0])


def _heading(cells: Sequence[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _counts(verdicts: Mapping[str, Verdict], cases: Iterable[str]) -> str:
    counts = Counter(verdicts[case].grade for case in cases)
    return ", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade])
