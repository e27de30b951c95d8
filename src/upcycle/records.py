"""What flows: a record is found, an example is made, and what is dropped travels with its reason.

All of these are small frozen values without behaviour. Columns and their order on disk are fixed in
`report/dataset.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from upcycle.errors import RowKind


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source, as found.

    Attributes:
        source: id of the source.
        config: configuration it came from ("default" where there is one only).
        split: split it came from.
        id: number of the row inside configuration and split, as text; stable for one revision.
        fields: name to value; nested fields are flattened ("answers.text"), label integers decoded.
        revision: revision of the source (commit, or a digest of its files).
    """

    source: str
    config: str
    split: str
    id: str
    fields: Mapping[str, Any]
    revision: str = ""

    @property
    def ref(self) -> str:
        """Where the record lies: `config/split/id`, unique inside its source."""
        return f"{self.config}/{self.split}/{self.id}"

    def sha256(self) -> str:
        """Digest of the fields, independent of their order."""
        return hashlib.sha256(orjson.dumps(dict(self.fields), option=_SORTED, default=str)).hexdigest()


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class Origin:
    """Why an example exists: everything needed to find its record, its plan and its calls again.

    Attributes:
        plan: digest of the plan.
        plan_by: who wrote it: "search", "model", or "hand" where it was given or edited.
        program: digest of the program that made it; None where a model executed the plan on this record.
    """

    method: str
    source: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    record: str | None = None
    record_sha256: str | None = None
    plan: str | None = None
    plan_by: str | None = None
    program: str | None = None
    calls: tuple[str, ...] = ()
    model: str | None = None
    round: int | None = None
    parents: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    cost_micro_usd: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One row of the dataset we make.

    Attributes:
        id: stable across resumes and workers (a digest of method, source, revision, record and position).
        choices: the options, in the order in which the input lists them; None outside multiple choice.
    """

    id: str
    input: str
    output: str
    origin: Origin
    rationale: str | None = None
    choices: tuple[str, ...] | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record or an example that is not in the dataset, with the reason.

    Attributes:
        stage: where it was dropped ("pilot", "transform", "curation", ...).
        score: how strongly, where the check has a number.
        other: id of what it duplicates or contaminates.
        again: keys of the calls that a retry asks afresh, where they are not all of the origin's: other rows of a
            shared call keep theirs.
    """

    id: str
    origin: Origin
    stage: str
    kind: RowKind
    reason: str
    input: str | None = None
    output: str | None = None
    score: float | None = None
    other: str | None = None
    again: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one example."""

    keep: bool
    kind: RowKind = RowKind.OK
    reason: str = ""
    score: float | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Curated:
    """Kept and dropped travel together, so that any user can ask why a row is not there."""

    kept: Sequence[Example] = field(default_factory=tuple)
    dropped: Sequence[Dropped] = field(default_factory=tuple)


def example_id(method: str, source: str, revision: str, ref: str, position: int | str = 0) -> str:
    """Id of the example a record becomes: 16 hex digits, the same on every machine and resume."""
    text = "\x1f".join((method, source, revision, ref, str(position)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
