"""The table of what shows that the RFCs are kept to."""

from __future__ import annotations

import re
from pathlib import Path


ROOT = Path(__file__).parent.parent


def test_what_shows_a_demand_exists():
    """Each test that the table names is there."""
    text = (ROOT / "docs" / "conformance.md").read_text()
    named = re.findall(r"`([\w/]+\.(py|rs))::(\w+)`", text)
    assert len(named) > 50
    folders = {"py": "tests", "rs": "src"}
    for file, kind, name in named:
        source = (ROOT / folders[kind] / file).read_text()
        assert re.search(rf"\b(def|fn) {name}\(", source), f"{file}::{name}"
