"""Datasets described side by side, from where they lie: what `upcycle describe A B` does.

In: paths. Out: a `Comparison`. Reading, measuring and (only where a model is named) asking it are three steps; what is
asked is journaled in a run's folder like every other call, so that saying it again costs nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upcycle.analysis import difficulty
from upcycle.analysis.describe import LIMIT, Description, describe
from upcycle.config import make_config, one_model
from upcycle.errors import ConfigError
from upcycle.sources.examples import ExampleSet, read_examples
from upcycle.sources.reading import Columns

Tell = Callable[[str], None]
"""Is told what is being done, in a line for people."""


@dataclass(frozen=True)
class Comparison:
    """Descriptions of datasets, side by side.

    Attributes:
        sets: gold first, where it was given; the others in the order given.
        gold: name of the one that is gold.
    """

    sets: tuple[Description, ...]
    gold: str | None = None

    def __iter__(self) -> Iterator[Description]:
        return iter(self.sets)

    def __len__(self) -> int:
        return len(self.sets)

    def facts(self) -> dict[str, Any]:
        """Everything but the maps' points as plain values, for `--json`."""
        return {"gold": self.gold, "sets": [one.facts() for one in self.sets]}

    def __repr__(self) -> str:
        return "Comparison(" + ", ".join(map(repr, self.sets)) + ")"


async def describe_paths(
    paths: Sequence[str | os.PathLike[str]],
    *,
    gold: str | os.PathLike[str] | None = None,
    columns: Columns | None = None,
    limit: int | None = LIMIT,
    seed: int = 0,
    model: str | None = None,
    base_url: str | None = None,
    budget: str | None = None,
    task: str | None = None,
    rated: int = difficulty.RATED,
    out: str | os.PathLike[str] | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """Read and describe datasets; see `upcycle.describe` for the arguments.

    Raises:
        SourceError: one of them cannot be read.
        ConfigError: no dataset, the same one twice, a limit below 1, a model that cannot be had.
    """
    told = tell or (lambda text: None)
    if model is not None:
        from upcycle.llm.connect import choose

        await choose(model, base_url=base_url)  # a name that cannot be is refused before anything is read
    sets = _named_apart([_read(path, columns, told) for path in ([gold] if gold is not None else []) + list(paths)])
    if rated < 1:
        raise ConfigError(f"the number of rated examples is {rated}; give at least 1")
    told(f"measuring {sum(min(len(one), limit or len(one)) for one in sets):,} examples of {len(sets)} sets")
    marked = sets[0].name if gold is not None else None
    described = describe(sets, gold=marked, limit=limit, seed=seed)
    if model is not None and model != "none" and any(len(one) for one in sets):
        about = task or next((one.instruction for one in sets if one.instruction), None)
        config = make_config({"model": {**one_model(model), "base_url": base_url}, **_budget(budget)})
        hard = await _rated(sets, about, config, marked, rated, seed, Path(out or _folder(model)))
        described = [replace(one, difficulty=hard.get(one.name, one.difficulty)) for one in described]
    return Comparison(tuple(described), marked)


def _read(path: str | os.PathLike[str], columns: Columns | None, told: Tell) -> ExampleSet:
    found = read_examples(os.fspath(path), columns=columns)
    told(f"read       {found.name}: {len(found):,} examples, {found.read_as}")
    if found.skipped:
        first = found.skipped[0]
        told(f"           {len(found.skipped):,} rows left out, the first of them {first.where}: {first.why}")
    return found


def _named_apart(sets: Sequence[ExampleSet]) -> list[ExampleSet]:
    """The sets under names that differ: those that share one are called by their paths."""
    if not sets:
        raise ConfigError("there is nothing to describe; give at least one dataset")
    names = Counter(one.name for one in sets)
    apart = [replace(one, name=one.path) if names[one.name] > 1 else one for one in sets]
    if len({one.name for one in apart}) < len(apart):
        raise ConfigError(f"{max((one.path for one in sets), key=[one.path for one in sets].count)} is given twice")
    return apart


def _budget(budget: str | None) -> dict[str, Any]:
    from upcycle.budget import parse_budget

    return {"budget": parse_budget(budget)} if budget else {}


def _folder(model: str) -> str:
    from upcycle.task import slug

    return f"runs/describe-{slug(model)}"


async def _rated(
    sets: Sequence[ExampleSet], task: str | None, config: Any, gold: str | None, rated: int, seed: int, out: Path
) -> dict[str, difficulty.Difficulty]:
    from upcycle.llm.roles import open_models
    from upcycle.run import Run

    about = task or "not stated; it shows in the examples: from each input follows its output"
    full = {one.name: one.examples for one in sets if len(one)}
    with Run.open(out, {"describe": True}, budget=config.budget) as run:
        async with open_models(config, run) as models:
            assert models.judge is not None, "a model was named"
            return await difficulty.by_model(
                full, models.judge, task=about, gold=gold if gold in full else None, rated=rated, seed=seed
            )
