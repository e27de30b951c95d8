"""A format to export to: what one example becomes, in which kind of file, and what lies beside the data.

In: `Format`, one value per format in a file of its own. Out: `write_rows`, which streams examples into a file in flat
memory while `Seen` counts what the formats' own files need to know (how many, how long, whether all have options).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from upcycle.records import Example
from upcycle.report.exporters.template import Template

Kind = Literal["jsonl", "json", "csv"]
MOST_LABELS = 200
"""Outputs that differ in no more ways than this may be a closed set."""


@dataclass(slots=True)
class Seen:
    """What went through, counted on the way.

    Attributes:
        rows: split to number of examples.
        longest: characters of the longest completion.
        chosen: examples whose output is one of two or more different options.
        lines: examples whose completion has more than one line.
        outputs: the different outputs, as long as they are few and short; None from there on.
        licences: rows by licence, for those that come from a source.
    """

    rows: dict[str, int] = field(default_factory=dict)
    longest: int = 0
    chosen: int = 0
    lines: int = 0
    rationales: int = 0
    outputs: set[str] | None = field(default_factory=set)
    licences: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    def add(self, split: str, example: Example, completion: str) -> None:
        """Count one example."""
        self.rows[split] = self.rows.get(split, 0) + 1
        self.longest = max(self.longest, len(completion))
        options = example.choices or ()
        self.chosen += len(set(options)) > 1 and example.output in options
        self.lines += "\n" in completion
        self.rationales += bool(example.rationale and example.rationale.strip())
        if self.outputs is not None:
            self.outputs.add(example.output)
            if len(self.outputs) > MOST_LABELS or len(example.output) > 60 or "\n" in example.output:
                self.outputs = None
        if example.origin.source is not None or example.origin.licences:
            licence = " and ".join(example.origin.licences)
            self.licences[licence] = self.licences.get(licence, 0) + 1


@dataclass(frozen=True, slots=True)
class Beside:
    """What a format's own files are made of.

    Attributes:
        name: of the dataset, safe in file names and YAML.
        out: where the folder will lie.
        data: split to the name of its data file.
        base_model: the model to be trained, for training configurations.
        task: the run's task as plain values ({} where the dataset has none).
        scored: split an evaluation scores.
    """

    name: str
    out: Path
    data: Mapping[str, str]
    seen: Seen
    template: Template
    base_model: str
    task: Mapping[str, Any]
    scored: str


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        says: one line for people: what it is for.
        row: what one example becomes.
        use: how the folder is used, for its README.
        beside: further files by name, where the format has some.
        warn: what the user should know of what was written.
    """

    name: str
    says: str
    row: Callable[[Example, Template], Mapping[str, Any]]
    use: Callable[[Beside], str]
    kind: Kind = "jsonl"
    beside: Callable[[Beside], Mapping[str, str]] | None = None
    warn: Callable[[Beside], Iterable[str]] | None = None


def write_rows(path: Path, kind: Kind, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows into one file, one after the other.

    Args:
        kind: "jsonl" one object a line; "json" one array; "csv" with a header, lists as JSON.
    """
    if kind == "csv":
        _write_csv(path, rows)
        return
    before, between, after = (b"", b"\n", b"\n") if kind == "jsonl" else (b"[\n", b",\n", b"\n]\n")
    with path.open("wb", buffering=1 << 20) as file:
        for number, row in enumerate(rows):
            file.write(between if number else before)
            file.write(orjson.dumps(row))
        file.write(after)


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="", buffering=1 << 20) as file:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list | tuple) else value
