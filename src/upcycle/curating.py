"""From a dataset on disk to a curated one beside it: what `upcycle.curate` and `upcycle curate` do.

The input is only read. A run is opened in the output folder where a model is asked, so that its calls are journaled,
held against the budget and never paid twice; the same command then goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from upcycle.config import BuildConfig, make_config, one_model
from upcycle.curation.curate import CHECKS, USUAL, Checks, curate, unique_ids
from upcycle.errors import ConfigError
from upcycle.llm.model import Model
from upcycle.llm.roles import open_models
from upcycle.report.curated import CuratedReport, claim, split_name, write_curated
from upcycle.run import Event, Listener, Run
from upcycle.sources.examples import ExampleSet, read_examples
from upcycle.task import Demonstration, Task, make_task

_STRICTNESS = ("near", "semantic", "guess", "even", "judge", "tries", "licence", "tiers")
_MODEL = ("base_url", "budget", "concurrency", "rpm", "tpm", "prices")


async def curate_dataset(
    dataset: str | PathLike[str],
    *,
    out: str | PathLike[str] | None,
    check: str | Sequence[str] | None,
    task: Task | None,
    demonstrations: Sequence[Demonstration],
    gold: str | PathLike[str] | None,
    columns: Mapping[str, str | Sequence[str]] | None,
    model: str | None,
    listener: Listener | None,
    settings: Mapping[str, Any],
) -> CuratedReport:
    """Curate a dataset into a folder; the arguments are those of `upcycle.curate`.

    Raises:
        ConfigError, SourceError: nothing began, nothing was written.
    """
    checks = checks_of(check, settings)
    if checks.asks and model == "none":
        raise ConfigError("the checks judge and answerable ask a model; name one with --model")
    config = model_config(model, settings)
    found = read_examples(Path(dataset), columns=columns)
    known = () if gold is None else unique_ids(read_examples(Path(gold)).examples)
    task = _task(task, found, demonstrations, checks)
    path = Path(out) if out is not None else Path("runs") / f"{split_name(found.name)}-curated"
    claim(path, _file_of(dataset))
    tell = _Teller(listener)
    tell("read", count=len(found), unread=len(found.skipped), name=found.name, read_as=found.read_as)
    found = replace(found, examples=unique_ids(found.examples))
    async with _model(config if asks_model(checks, model) else None, path, listener) as asked:
        curated = await curate(
            found.examples, checks=checks, task=task, gold=[(one.input, one.choices) for one in known], known=known,
            model=asked,
            seed=int(settings.get("seed") or 0), tell=lambda one: tell("checked", check=one.check, dropped=one.dropped),
        )  # fmt: skip
    return write_curated(path, found, curated)


def checks_of(check: str | Sequence[str] | None, settings: Mapping[str, Any]) -> Checks:
    """The checks that are asked for.

    Raises:
        ConfigError: an unknown check or setting, or a value it cannot have.
    """
    for name in settings:
        if name not in (*_STRICTNESS, *_MODEL, "seed"):
            known = ", ".join((*_STRICTNESS, *_MODEL, "seed"))
            raise ConfigError(f"unknown setting {name!r}; known settings: {known}")
    asked = [name.strip() for name in (check.split(",") if isinstance(check, str) else check or ()) if name.strip()]
    added = tuple(name.removeprefix("+") for name in asked if name.startswith("+"))
    named = tuple(name for name in asked if not name.startswith("+"))
    wanted = (*(named or USUAL), *added)
    strict = {name: settings[name] for name in _STRICTNESS if settings.get(name) is not None}
    given = Checks(names=wanted, **strict)
    return replace(given, names=tuple(name for name in CHECKS if name in wanted))


def asks_model(checks: Checks, model: str | None) -> bool:
    """Whether a model is asked: by a check that needs one, or one was named and may confirm what repeats gold."""
    named = model is not None and model != "none"
    return checks.asks or (named and "contamination" in checks.names and "semantic" in checks.tiers)


def model_config(model: str | None, settings: Mapping[str, Any]) -> BuildConfig:
    """Which model, and what it may spend, as a build's settings."""
    values = {name: settings[name] for name in _MODEL if settings.get(name) is not None and name != "base_url"}
    if isinstance(values.get("budget"), str):
        from upcycle.budget import parse_budget

        values["budget"] = parse_budget(values["budget"])
    roles: dict[str, Any] = one_model(model) if model else {}
    if settings.get("base_url"):
        roles["base_url"] = settings["base_url"]
    return make_config({**values, "model": roles})


def _task(task: Task | None, found: ExampleSet, demonstrations: Sequence[Demonstration], checks: Checks) -> Task | None:
    """The task that was given, else what the dataset says it is, where it is needed."""
    if task is not None or not (demonstrations or checks.asks):
        return task
    if found.instruction is None and checks.asks:
        raise ConfigError(
            "a model that judges or answers must know the task; give --task with a task file or a sentence"
        )
    return make_task(found.instruction or f"The task of {found.name}.", demonstrations=demonstrations)


@asynccontextmanager
async def _model(config: BuildConfig | None, path: Path, listener: Listener | None) -> AsyncIterator[Model | None]:
    if config is None:
        yield None
        return
    with Run(path, budget=config.budget, listener=listener) as run:
        async with open_models(config, run) as models:
            yield models.judge


def _file_of(dataset: str | PathLike[str]) -> Path:
    path = Path(dataset)
    return path if path.exists() else Path(str(dataset).rpartition(":")[0])


class _Teller:
    """Tells a listener what happens, where there is one."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener

    def __call__(self, kind: str, **data: Any) -> None:
        if self._listener is not None:
            self._listener(Event(time.time(), "curation", kind, data))
