"""Where what is fetched or computed once lies: weights, prices, the index."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder for this package; `UPCYCLE_CACHE` overrides it."""
    given = os.environ.get("UPCYCLE_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "upcycle"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upcycle"
