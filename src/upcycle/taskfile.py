"""The file that holds a task and the settings of its build: what `upcycle build TASK.yaml` takes.

`load_task_file(path)` reads it; `json_schema()` is its published schema. Every path in it is relative to the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from upcycle.budget import Budget, parse_budget
from upcycle.config import (
    Address,
    Compare,
    Curation,
    Licence,
    Methods,
    Models,
    Section,
    SourceName,
    Split,
    Training,
    one_model,
)
from upcycle.contract import Contract
from upcycle.errors import ConfigError
from upcycle.task import Demonstration, Task, make_task, read_demonstrations, read_gold
from upcycle.yamlfile import load_yaml


class TaskFile(Section):
    """A task file: the task, and any setting of its build."""

    name: str | None = None
    instruction: str = Field(min_length=3)
    demonstrations: tuple[Demonstration, ...] | str = ()
    gold: str | None = None
    gold_items: int | None = None
    gold_source: str | None = None
    metric: str | None = None
    language: str | None = None
    contract: Contract = Contract()
    rows: int | None = Field(None, ge=1)
    methods: Methods | list[str] | None = None
    sources: tuple[SourceName, ...] = ()
    model: str | Models | None = None
    base_url: Address | None = None
    budget: str | Budget | None = None
    licence: Licence | None = None
    split: Split | None = None
    languages: tuple[str, ...] = ()
    concurrency: int | None = Field(None, ge=1, le=4096)
    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    prices: str | None = None
    curation: Curation | None = None
    training: Training | None = None
    compare: Compare | None = None
    evaluation: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None

    @field_validator("budget", mode="before")
    @classmethod
    def _read_budget(cls, value: Any) -> Any:
        try:
            return parse_budget(value) if isinstance(value, str) else value
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @field_validator("methods", mode="before")
    @classmethod
    def _as_they_are(cls, value: Any) -> Any:
        # A method whose line says no more is wanted with its defaults; one that is not wanted is not named.
        return {name: {} if one is None else one for name, one in value.items()} if isinstance(value, dict) else value

    @field_validator("evaluation")
    @classmethod
    def _later(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value:
            raise ValueError(f"unknown key {min(value)!r}; this section has no settings yet")
        return value


def load_task_file(path: Path) -> tuple[Task, dict[str, Any]]:
    """Read a task file: the task, and the build settings it gives (flags may still win over them).

    Raises:
        ConfigError: anything wrong with the file or with what it points at, with its line.
    """
    file = load_yaml(path, TaskFile)
    demonstrations = file.demonstrations
    if isinstance(demonstrations, str):
        demonstrations = read_demonstrations(path.parent / demonstrations)
    gold = read_gold(path.parent / file.gold) if file.gold else ()
    try:
        task = make_task(
            file.instruction,
            name=file.name,
            demonstrations=demonstrations,
            contract=file.contract.model_dump(exclude_unset=True),
            metric=file.metric,
            language=file.language,
            gold=gold,
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return task, _settings(file, path)


def _settings(file: TaskFile, path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key in ("rows", "licence", "split", "languages", "concurrency", "rpm", "tpm", "seed"):
        if (value := getattr(file, key)) not in (None, ()):
            settings[key] = value
    if file.prices is not None:
        settings["prices"] = str(path.parent / file.prices)
    if file.sources:
        settings["sources"] = tuple(_beside(path, source) for source in file.sources)
    if file.model is not None:
        settings["model"] = one_model(file.model) if isinstance(file.model, str) else file.model.model_dump()
    if file.base_url is not None:
        settings.setdefault("model", {})["base_url"] = file.base_url
    if file.budget is not None:
        settings["budget"] = file.budget
    for key in ("curation", "training", "compare"):
        if (section := getattr(file, key)) is not None:
            settings[key] = section.model_dump(exclude_unset=True)
    if file.compare is not None and file.compare.existing:
        settings["compare"]["existing"] = tuple(_beside(path, one) for one in file.compare.existing)
    if file.methods is not None:
        settings["methods"] = _methods(file.methods, path)
    return settings


def json_schema() -> dict[str, Any]:
    """JSON Schema of the task file, for editors."""
    return TaskFile.model_json_schema()


def _methods(given: Methods | list[str], path: Path) -> dict[str, Any]:
    if isinstance(given, Methods):
        found = given.model_dump(exclude_unset=True)
        if (grounding := found.get("source2synth")) is not None:
            _paths_beside(path, grounding)
        return found
    for name in given:
        if name not in Methods.model_fields:
            raise ConfigError(f"method {name!r} is not there; known methods: {', '.join(Methods.model_fields)}")
    return {name: {} for name in given}


def _paths_beside(path: Path, settings: dict[str, Any]) -> None:
    for key in ("application", "topic_prompt", "construction_prompt"):
        if settings.get(key) is not None:
            settings[key] = _beside(path, settings[key])
    if (source := settings.get("source")) is not None:
        named = (source,) if isinstance(source, str) else source
        settings["source"] = tuple(_beside(path, one) for one in named)


def _beside(path: Path, source: str) -> str:
    # Paths in a task file are relative to the file, like its gold; a bare name may also be one where upcycle runs.
    if source in ("stdlib", "hub") or source.startswith(("python:", "hub:")) or Path(source).is_absolute():
        return source
    beside = path.parent / source
    return str(beside) if source.startswith(".") or beside.exists() else source
