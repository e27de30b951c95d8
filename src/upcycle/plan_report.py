"""`upcycle plan`: everything up to the pilot, and what the whole build would cost; nothing more is spent.

The price is measured, not guessed: calls, tokens and money of the pilot's rows, by the number of rows that the pilot's
yield says are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from upcycle.config import BuildConfig
from upcycle.errors import ConfigError
from upcycle.llm.model import in_process
from upcycle.llm.roles import open_models
from upcycle.methods.datatune import Chosen, Search, choose
from upcycle.methods.datatune.transform import STAGE
from upcycle.run import Run
from upcycle.sandbox import Sandbox
from upcycle.sources.opening import readable
from upcycle.task import Task

_SHOWN = 5
_BY_CODE = 10_000  # records a second, where no model is asked


@dataclass(frozen=True, slots=True)
class Planned:
    """One source that would be used.

    Attributes:
        rows: records it has, where that is known; `share`: of the wanted rows that it is to give.
        kept_share: examples its pilot kept for each record.
        plan_by: who wrote the plan: search, model or hand.
        agreement: how far its rivals agree with it on the same records, 0 to 1.
        pilot: the first records it was tried on, each with what became of it.
    """

    source: str
    rows: int | None
    share: float
    score: float
    kept_share: float
    agreement: float
    plan_by: str
    asks_model: bool
    file: str
    prose: str
    pilot: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Price:
    """What the wanted rows will take, measured on the pilots.

    Attributes:
        examples: how many the sources can give; fewer than wanted where they cannot give more.
        by_code: share of the records that no call is made for.
        usd: None where the price is not known.
    """

    examples: int = 0
    records: int = 0
    by_code: float = 1.0
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class PlanReport:
    """The plans, best source first, and what the wanted rows will cost."""

    path: Path
    task: str
    wanted: int
    plans: Sequence[Planned]
    price: Price
    spent_usd: float
    spent_calls: int
    spent_tokens: int

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path), "tokens": self.price.tokens, "usd": self.price.usd}

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.task}: {len(self.plans)} plans in {self.path / 'plans'}"
        for one in self.plans:
            rows = "?" if one.rows is None else f"{one.rows:,}"
            tried = f"pilot kept {one.kept_share:.0%}, score {one.score:.2f}"
            asks = "asks the model" if one.asks_model else "costs nothing"
            yield f"  {one.source:<24} {rows:>8} records, {one.share:.0%} of the rows, {tried}, {asks}"
            yield from (f"      {line}" for line in one.prose.splitlines()[:8])
        yield from self._shown()
        yield from self._priced()

    def _shown(self) -> Iterator[str]:
        by_source = [[(one.source, row) for row in one.pilot if "kind" not in row] for one in self.plans]
        # One of each source, then another of each, and so on.
        rows = [row for round_ in zip_longest(*by_source) for row in round_ if row is not None]
        for number, (source, row) in enumerate(rows[:_SHOWN], 1):
            yield f"  pilot {number}   {source} {row['ref']}"
            for name, value in (("record", _line(row["record"])), ("input", row["input"]), ("output", row["output"])):
                yield f"      {name:<7} {_cut(str(value))}"

    def _priced(self) -> Iterator[str]:
        price = self.price
        money = "price unknown" if price.usd is None else f"${price.usd:.4f}"
        yield f"  price for {self.wanted:,} examples"
        yield f"      records  {price.records:,}, {price.by_code:.0%} of them by code alone"
        yield f"      model    {price.calls:,} calls, {price.tokens:,} tokens, {money}"
        yield f"      time     about {_span(price.seconds)}"
        if price.examples < self.wanted:
            yield f"      short    these sources give about {price.examples:,}; add sources for the rest"
        yield f"  spent so far: ${self.spent_usd:.4f}, {self.spent_calls:,} calls, {self.spent_tokens:,} tokens"


def _line(record: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in record.items())


def _cut(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


async def plan(task: Task, config: BuildConfig, run: Run) -> PlanReport:
    """Choose and pilot; the run remembers it, and `build` goes on from there.

    Raises:
        SourceError: no source fits.
        ConfigError: the task is not made with datatune, the method that has plans.
    """
    settings = config.methods.datatune
    if settings is None:
        raise ConfigError("there is nothing to plan: only the method datatune has plans; use `upcycle build`")
    weights = {name: one.share for name, one in config.methods.named().items()}
    wanted = math.ceil(config.rows * weights["datatune"] / sum(weights.values()))
    async with open_models(config, run) as models:
        sources = await readable(task, config, run, models.planner)
        with Sandbox() as sandbox:
            choice = await choose(
                task,
                settings,
                sources,
                models=models,
                run=run,
                seed=config.seed,
                search=Search(config.licence, config.languages),
                wanted=wanted,
                sandbox=sandbox,
                price=True,
            )
    alone = in_process(models.executor)
    priced = models.priced or any(one.micro_per_row for one in choice.chosen)
    spent = run.journal.spent()
    return PlanReport(
        path=run.path,
        task=task.name,
        wanted=wanted,
        plans=[_planned(one, run) for one in choice.chosen],
        price=_price(choice.chosen, wanted, run, config, known=priced, alone=alone),
        spent_usd=spent.micro / 1e6,
        spent_calls=spent.calls,
        spent_tokens=spent.tokens,
    )


def _planned(one: Chosen, run: Run) -> Planned:
    return Planned(
        one.plan.source,
        one.source.card.rows,
        one.share,
        one.score,
        one.rate,
        one.agreement,
        one.plan_by,
        one.plan.needs_model,
        f"plans/{one.slug}.yaml",
        one.plan.prose,
        _pilot(run.path / "plans" / f"{one.slug}.pilot.jsonl"),
    )


def _pilot(path: Path) -> list[dict[str, Any]]:
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except (FileNotFoundError, orjson.JSONDecodeError):
        return []


def _price(chosen: Sequence[Chosen], wanted: int, run: Run, config: BuildConfig, *, known: bool, alone: bool) -> Price:
    """What `wanted` examples take: each source its share, what is then missing from those with records left.

    Args:
        alone: the model answers one call at a time, so more at once save no time.
    """
    gives = [0.0] * len(chosen)
    for aim in ([one.share * wanted for one in chosen], [float(wanted)] * len(chosen)):
        for place, one in enumerate(chosen):
            room = math.inf if one.source.card.rows is None else one.source.card.rows * one.rate
            gives[place] += max(0.0, min(aim[place] - gives[place], room - gives[place], wanted - sum(gives)))
    records = [given / max(one.rate, 0.01) for given, one in zip(gives, chosen, strict=True)]
    asked = [count * (1.0 if one.plan.needs_model else one.failing) for count, one in zip(records, chosen, strict=True)]
    calls = sum(count * one.calls_per_row for count, one in zip(records, chosen, strict=True))
    if alone:
        waited = sum(count * one.seconds_per_row for count, one in zip(records, chosen, strict=True))
    else:
        waited = calls * run.journal.seconds_per_call(STAGE) / config.concurrency
    micro = sum(count * one.micro_per_row for count, one in zip(records, chosen, strict=True))
    return Price(
        examples=round(sum(gives)),
        records=math.ceil(sum(records)),
        by_code=1.0 - sum(asked) / max(1e-9, sum(records)),
        calls=math.ceil(calls),
        tokens=round(sum(count * one.tokens_per_row for count, one in zip(records, chosen, strict=True))),
        usd=micro / 1e6 if known or not any(asked) else None,
        seconds=waited + sum(records) / _BY_CODE,
    )
