"""Where the index lies: in the user's cache, or where UPCYCLE_INDEX says."""

from __future__ import annotations

import os
from pathlib import Path

from upcycle.llm.weights import cache_dir


def index_folder() -> Path:
    """The folder of the index in use."""
    given = os.environ.get("UPCYCLE_INDEX")
    return Path(given).expanduser() if given else cache_dir() / "index"
