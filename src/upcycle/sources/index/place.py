"""Where the index lies, and which of its generations is in use.

In: the user's cache, or where UPCYCLE_INDEX says. Out: folders that `CardIndex` opens. It loads nothing that writes an
index, so that a search starts at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from upcycle.cache import cache_dir
from upcycle.errors import SourceError

VERSION = 2
HUB = "hub"
"""The name of a source that stands for all datasets of the index; before a colon and a name, for that one."""


def index_folder() -> Path:
    """The folder of the index in use."""
    given = os.environ.get("UPCYCLE_INDEX")
    return Path(given).expanduser() if given else cache_dir() / "index"


def current(folder: Path) -> Path | None:
    """The generation in use; None where there is none.

    Raises:
        SourceError: it is of another version.
    """
    try:
        found = folder / (folder / "current").read_text(encoding="utf-8").strip()
        meta = orjson.loads((found / "meta.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None
    if meta.get("version") != VERSION:
        raise SourceError(
            f"the index in {folder} is of version {meta.get('version')} and this upcycle reads version {VERSION};"
            " delete the folder and build it again"
        )
    return found
