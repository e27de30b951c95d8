"""`report.html` of a comparison: the table of legs, drawn above the datasets they were trained on.

The page is the one every dataset gets, with one more section; its facts are those of `compare.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upcycle.report.gathered import gather
from upcycle.report.page import PAGE, Page, write_gathered

_ROWS = 2_000
"""Rows of each dataset on the page; `upcycle report` takes more."""


def write_comparison(folder: Path, facts: Mapping[str, Any], datasets: Sequence[Path]) -> Page:
    """Write the page.

    Args:
        facts: what `compare.json` holds.
        datasets: runs that legs drew from.
    """
    gathered = [gather(path, rows=_ROWS) for path in datasets]
    return write_gathered(folder / PAGE, gathered, comparison=facts)
