"""What is wanted: a task is an instruction, demonstrations if there are some, and the contract of its outputs.

`load_task(text_or_path)` takes a sentence or a YAML/JSON file (the same keys as `Task`; an unknown key is refused with
the line it stands on) and `make_task` builds one from flags. A task is a frozen value; nothing is read after loading.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from upcycle.contract import Contract, infer_contract, listed_options
from upcycle.errors import ConfigError


class Demonstration(BaseModel):
    """An example shown in a prompt, given by the user; never emitted as a row."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    input: str
    output: str
    rationale: str | None = None


class Gold(BaseModel):
    """One labelled item kept for evaluation; examples that repeat it are dropped as contaminated."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    input: str
    output: str
    choices: tuple[str, ...] | None = None


class Task(BaseModel):
    """What the small model must do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    instruction: str = Field(min_length=3)
    demonstrations: tuple[Demonstration, ...] = ()
    contract: Contract = Contract()
    metric: str | None = None
    language: str | None = None
    gold: tuple[Gold, ...] = ()

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str | None) -> str | None:
        if value is not None and value not in METRICS:
            raise ValueError(f"{value!r} is not a metric; one of {', '.join(METRICS)}")
        return None if value == "none" else value

    def pairs(self) -> list[tuple[str, str]]:
        """The demonstrations as (input, output)."""
        return [(d.input, d.output) for d in self.demonstrations]


METRICS = ("accuracy", "exact_match", "soft_exact_match", "multiple_choice_grade", "squad", "none")


def make_task(
    instruction: str,
    *,
    name: str | None = None,
    demonstrations: Sequence[Demonstration] = (),
    contract: Mapping[str, Any] | None = None,
    metric: str | None = None,
    language: str | None = None,
    gold: Sequence[Gold] = (),
) -> Task:
    """A task from its parts; what `contract` gives wins over what the demonstrations say.

    Raises:
        ConfigError: the contract's own demonstrations break it, or a value is of the wrong type.
    """
    inferred = infer_contract([(d.input, d.output) for d in demonstrations], language=language)
    given = dict(contract or {})
    if given.get("labels") and "kind" not in given:
        given["kind"] = "label"
    with _in_a_sentence(Contract, "contract."):
        merged = Contract.model_validate({**inferred.model_dump(), **given})
    with _in_a_sentence(Task):
        task = Task(
            name=name or slug(instruction),
            instruction=" ".join(instruction.split()),
            demonstrations=tuple(demonstrations),
            contract=merged,
            metric=metric,
            language=merged.language,
            gold=tuple(gold),
        )
    _check_on_demonstrations(task)
    return task


@contextmanager
def _in_a_sentence(model: type[BaseModel], prefix: str = "") -> Iterator[None]:
    """The first thing wrong with a value that is not from a file, as one `ConfigError` sentence."""
    try:
        yield
    except ValidationError as error:
        problem = error.errors()[0]
        where = prefix + ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise ConfigError(f"unknown key {where!r}; known keys: {known}") from None
        said = str(problem["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{where}: {said}, not {str(problem['input'])[:60]!r}") from None


def _check_on_demonstrations(task: Task) -> None:
    # A check that rejects the user's own demonstrations would reject everything: that is a setting to mend, not a run.
    for number, demo in enumerate(task.demonstrations, 1):
        options = listed_options(demo.input) or None
        output = demo.output.strip() if task.contract.kind == "choice" else demo.output
        if reason := task.contract.violation(demo.input, output, options):
            raise ConfigError(f"demonstration {number} breaks the contract ({task.contract.described()}): {reason}")


def read_pairs(path: Path, what: str = "demonstrations") -> list[dict[str, Any]]:
    """Rows with at least `input` and `output` from a JSONL, JSON or CSV/TSV file.

    Raises:
        ConfigError: the file is missing, unreadable, empty, or a row lacks a field (named with its line).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{what}: {path} does not exist") from None
    except IsADirectoryError:
        raise ConfigError(f"{what}: {path} is a folder; give a JSONL, JSON, CSV or TSV file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}: {path} cannot be read as UTF-8 text ({error})") from None
    rows = _rows_of(text, path, what)
    if not rows:
        raise ConfigError(f"{what}: {path} is empty")
    for line, row in rows:
        for key in ("input", "output"):
            if not isinstance(row, dict) or row.get(key) in (None, ""):
                raise ConfigError(f"{what}: {path} line {line} has no {key!r}; each row needs 'input' and 'output'")
    return [row for _, row in rows]


def _rows_of(text: str, path: Path, what: str) -> list[tuple[int, Any]]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        reader = csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if suffix == ".tsv" else ",")
        return [(reader.line_num, row) for row in reader]
    if suffix == ".json" or text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{what}: {path} is not valid JSON ({error})") from None
        if not isinstance(rows, list):
            raise ConfigError(f"{what}: {path} must hold a list of rows with 'input' and 'output'")
        return list(enumerate(rows, 1))
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((number, orjson.loads(line)))
            except orjson.JSONDecodeError as error:
                raise ConfigError(f"{what}: {path} line {number} is not JSON ({error})") from None
    return rows


def read_demonstrations(path: Path) -> tuple[Demonstration, ...]:
    """Demonstrations from a JSONL, JSON, CSV or TSV file."""
    return tuple(Demonstration.model_validate(row) for row in read_pairs(path))


def read_gold(path: Path) -> tuple[Gold, ...]:
    """Gold items from a JSONL, JSON, CSV or TSV file."""
    return tuple(Gold.model_validate(row) for row in read_pairs(path, "gold"))


def slug(text: str) -> str:
    """A short file-safe name: at most eight words, lower case, joined by underscores."""
    words = re.findall(r"\w+", text.lower())
    return "_".join(words[:8])[:60] or "task"
