"""What `upcycle describe --json` said, read again for the page: a difficulty that was paid for is not measured twice.

In: its file. Out: levels of difficulty by the name of the set. The decision: a page shows what it is handed and finds
nothing by itself, so no measurement of another day gets onto it unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import ConfigError


def described_difficulty(file: str | Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Levels of difficulty of the named datasets: shares of the levels 1 to 5, their mean, and what said so.

    Raises:
        ConfigError: the file is not what `describe --json` printed, or holds no difficulty of one of the datasets.
    """
    path = Path(file).expanduser()
    try:
        sets = {one["name"]: one["difficulty"] for one in orjson.loads(path.read_bytes())["sets"]}
        told = {name: {"shares": list(of["shares"]), "mean": float(of["mean"]), "by": str(of["by"])}
                for name, of in sets.items() if of}  # fmt: skip
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); give what `describe --json` printed") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{file} is not what `upcycle describe --json` printed; give that output") from None
    for name in names:
        if name not in told:
            raise ConfigError(f"{file} tells no difficulty of {name}; it tells that of {', '.join(told) or 'nothing'}")
    return {name: told[name] for name in names}
