"""What a comparison leaves in its folder: `compare.json`, and `report.html` with the table above the datasets' rows."""

from __future__ import annotations

from pathlib import Path

import orjson

from upcycle.comparing.result import ComparedLegs
from upcycle.run import write_text

FILE = "compare.json"


def write(found: ComparedLegs) -> None:
    """Write both files whole."""
    from upcycle.report.comparison import write_comparison

    facts = found.facts()
    text = orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()
    write_text(found.path / FILE, text + "\n")
    write_comparison(found.path, facts, [Path(path) for path in found.datasets.values()])
