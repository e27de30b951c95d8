"""The journal of a comparison: one small file for each student that was trained and scored.

A file is named by what its numbers depend on (rows, settings, seed, test items, metric), is written whole and renamed
into place, and is never changed. So after `kill -9` the same command trains what is missing and nothing else, and a
changed task trains anew only the legs that changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from upcycle.config import Training
from upcycle.errors import boundary
from upcycle.evaluation.gold import GoldItem
from upcycle.records import Example
from upcycle.run import write_text
from upcycle.task import slug

FOLDER = "legs"
_FORM = 1  # of what is written and of how it is scored; another one trains anew


@dataclass(frozen=True, slots=True)
class Finished:
    """One trained student's scores.

    Attributes:
        rows: it was trained on.
        seed: of the draw and the training.
        right: score of each test item, 0 to 1, in their order.
        seconds: training and scoring took.
        student: what was trained.
        warnings: what the evaluation said.
        fresh: whether this process trained it.
    """

    leg: str
    rows: int
    seed: int
    right: Sequence[float]
    seconds: float
    student: str
    warnings: Sequence[str] = ()
    fresh: bool = True


def key_of(
    examples: Sequence[Example], settings: Training, seed: int, test: Sequence[GoldItem], metric: str, shots: int = 0
) -> str:
    """What a student's scores depend on, as 16 hex digits."""
    digest = hashlib.sha256(orjson.dumps([_FORM, settings.model_dump(mode="json"), seed, metric, shots]))
    for one in examples:
        digest.update(_bytes(one.input, one.output, one.choices, one.weight))
    digest.update(b"\x1e")
    for item in test:
        digest.update(_bytes(item.input, item.answers, item.choices))
    return digest.hexdigest()[:16]


def _bytes(*values: Any) -> bytes:
    # JSON knows no halves of surrogate pairs, which rows found in the wild do hold.
    return repr(values).encode("utf-8", "surrogatepass")


def path_of(folder: Path, leg: str, rows: int, seed: int, key: str) -> Path:
    """Where its scores lie."""
    return folder / FOLDER / f"{slug(leg)}-{rows}-{seed}-{key}.json"


def read_finished(path: Path) -> Finished | None:
    """What was written there; None where nothing was, or nothing that can be read."""
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        found["fresh"] = False
        return Finished(**found)
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None  # a file that is broken by hand is a student to train again


def write_finished(path: Path, one: Finished) -> None:
    """Write it whole."""
    facts = {name: value for name, value in asdict(one).items() if name != "fresh"}
    with boundary(str(path)):
        write_text(path, orjson.dumps(facts).decode())
