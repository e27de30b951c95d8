"""`upcycle plan`: everything up to the pilot, and what the whole build would cost; nothing more is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upcycle.build import readable
from upcycle.config import BuildConfig
from upcycle.errors import ConfigError
from upcycle.llm.roles import open_models
from upcycle.methods.datatune import Search, choose
from upcycle.run import Run
from upcycle.task import Task


@dataclass(frozen=True, slots=True)
class Planned:
    """One source that would be used."""

    source: str
    rows: int | None
    score: float
    kept_share: float
    asks_model: bool
    file: str
    prose: str


@dataclass(frozen=True)
class PlanReport:
    """The plans, best source first, and an estimate measured on the pilots.

    Attributes:
        tokens, usd: of `wanted` rows made with the plans in order; usd is None where the price is not known.
        piloted: whether the plans were tried; a plan that is given is not, so what it will ask cannot be said.
    """

    path: Path
    task: str
    wanted: int
    plans: Sequence[Planned]
    tokens: int
    usd: float | None
    spent_usd: float
    spent_calls: int
    piloted: bool = True

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path)}

    def __repr__(self) -> str:
        lines = [f"{self.task}: {len(self.plans)} plans in {self.path / 'plans'}"]
        for one in self.plans:
            cost = "asks the model" if one.asks_model else "costs nothing"
            rows = "?" if one.rows is None else f"{one.rows:,}"
            tried = f"pilot kept {one.kept_share:.0%}, score {one.score:.2f}, " if self.piloted else "as given, "
            lines.append(f"  {one.source:<24} {rows:>8} records, {tried}{cost}")
            lines += [f"      {line}" for line in one.prose.splitlines()[:8]]
        price = "price unknown" if self.usd is None else f"about ${self.usd:.4f}"
        estimate = f"{self.tokens:,} tokens, {price}"
        if not self.piloted and any(one.asks_model for one in self.plans):
            estimate = "none, a plan that is given is not piloted"
        lines.append(f"  estimate for {self.wanted:,} examples: {estimate}")
        lines.append(f"  spent so far: ${self.spent_usd:.4f}, {self.spent_calls:,} calls")
        return "\n".join(lines)


async def plan(task: Task, config: BuildConfig, run: Run) -> PlanReport:
    """Choose and pilot; the run remembers it, and `build` goes on from there.

    Raises:
        ConfigError: datatune is not among the methods.
        SourceError: no source fits.
    """
    if config.methods.datatune is None:
        raise ConfigError("plan is about transforming sources, and datatune is not among the methods; use build")
    sources = readable(config, run)
    async with open_models(config, run) as models:
        choice = await choose(
            task,
            config.methods.datatune,
            sources,
            models=models,
            run=run,
            seed=config.seed,
            search=Search(config.licence, config.languages),
        )
    tokens = micro = 0.0
    left = float(config.rows)
    for one in choice.chosen:
        capacity = left if one.source.card.rows is None else one.source.card.rows * one.rate
        kept = min(left, capacity)
        tokens += kept / max(one.rate, 0.01) * one.tokens_per_row
        micro += kept / max(one.rate, 0.01) * one.micro_per_row
        left -= kept
    spent = run.journal.spent()
    piloted = config.methods.datatune.plan is None
    unknown = any(one.plan.needs_model for one in choice.chosen) and not (piloted and (models.priced or micro))
    return PlanReport(
        path=run.path,
        task=task.name,
        wanted=config.rows,
        plans=[
            Planned(
                one.plan.source,
                one.source.card.rows,
                one.score,
                one.rate,
                one.plan.needs_model,
                f"plans/{one.slug}.yaml",
                one.plan.prose,
            )
            for one in choice.chosen
        ],
        tokens=round(tokens),
        usd=None if unknown else micro / 1e6,
        spent_usd=spent.micro / 1e6,
        spent_calls=spent.calls,
        piloted=piloted,
    )
