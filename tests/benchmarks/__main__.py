"""Run the benchmarks: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import environments, report
from .contenders import FACES, load_all
from .processes import spinners
from .suite import CASES, CROWDED, DEFLATING, SCHEMES, SIZES, Suite


if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


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
        "--cases",
        nargs="+",
        choices=CASES + CROWDED + DEFLATING,
        default=CASES + CROWDED + DEFLATING,
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
        "--server",
        metavar="COMMAND",
        help="instead of the neutral one; `embedded` is the package's own",
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
    described = suite.header()
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
