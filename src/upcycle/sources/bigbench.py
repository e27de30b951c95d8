"""A BIG-bench task file (`task.json`, also gzipped) as it is published, read as inputs and outputs.

In: a path. Out: a `BigBench` with one item per example, or None where the file is something else. The decision:
options stay in the order of the file (on several tasks the right one always comes first), so whoever shows or scores
by position must shuffle with a seed.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from upcycle.contract import listed_options, with_options
from upcycle.errors import SourceError
from upcycle.sources.reading import Read, as_text


@dataclass(frozen=True, slots=True)
class BigBench:
    """A task as published.

    Attributes:
        instruction: its prefix, else its description.
        items: one per example, or why it cannot be read.
    """

    name: str
    instruction: str | None
    items: Sequence[Read | str]
    revision: str


def bigbench_of(path: Path) -> BigBench | None:
    """The task in this file, or None where it is no BIG-bench task.

    Raises:
        SourceError: it is a task file of ours, whose few demonstrations would pass for a dataset.
    """
    if not path.name.lower().endswith((".json", ".json.gz")):
        return None
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        whole = orjson.loads(data) if data.lstrip()[:1] == b"{" else None
    except (OSError, EOFError, zlib.error, ValueError):
        return None  # whoever reads the file next says what is wrong with it
    if isinstance(whole, dict) and "instruction" in whole and {"demonstrations", "gold"} & set(whole):
        raise SourceError(f"{path} is a task file, not a dataset; give its gold, or a run that was made of it")
    if not isinstance(whole, dict) or not _is_task(whole):
        return None
    prefix = as_text(whole.get("task_prefix")).strip()
    return BigBench(
        str(whole.get("name") or path.name.split(".")[0]),
        prefix or as_text(whole.get("description")).strip() or None,
        [_item(item) for item in whole["examples"]],
        hashlib.sha256(data).hexdigest()[:16],
    )


def _is_task(whole: Mapping[str, Any]) -> bool:
    items = whole.get("examples")
    return (
        isinstance(items, list)
        and bool(items)
        and any(isinstance(item, dict) and {"target", "target_scores"} & set(item) for item in items)
    )


def _item(item: Any) -> Read | str:
    if not isinstance(item, dict):
        return "it is not an object of fields"
    text = as_text(item.get("input"))
    scores = item.get("target_scores")
    if isinstance(scores, dict) and scores:
        options = [" ".join(option.split()) for option in scores]
        best = max(range(len(options)), key=lambda number: list(scores.values())[number] or 0)
        shown = text if listed_options(text) else with_options(text, options)
        return Read(shown, options[best], tuple(options))
    target = item.get("target")
    if isinstance(target, list):
        target = next((value for value in target if value), None)
    if target is None or not as_text(target).strip():
        return "it has no output (neither target nor target_scores)"
    if not text.strip():
        return "it has no input"
    return Read(text, as_text(target))
