"""Pilot: a plan is tried on a few records before any money is spent on a source.

What is measured costs no judge: the share of records that became valid examples, what looks wrong with all of them
together (`doubts`), how far they resemble the demonstrations, and what a row costs. The paper's commonest failure is
one bad plan that nobody checked; here it is revised at most twice, with its failing rows and reasons, or loses to
another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from upcycle.curation.checks import checks_for
from upcycle.errors import RowKind
from upcycle.llm.model import Model
from upcycle.methods.datatune.doubts import Doubt, doubts
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, compile_plan
from upcycle.methods.datatune.transform import PlanBy, Transform
from upcycle.methods.datatune.worker import FullCall, Worker
from upcycle.records import Dropped, Example, Record
from upcycle.sandbox import Sandbox
from upcycle.sources.source import Source
from upcycle.task import Task

Likeness = Callable[[Sequence[Made], int], float]


class Setting(NamedTuple):
    """What every pilot of a run shares."""

    task: Task
    expanded: str
    model: Model | None
    sandbox: Sandbox
    seed: int
    batch: int


class Pilot(NamedTuple):
    """What a plan did on a few records.

    Attributes:
        score: from 0 to 1; how far the examples fit contract and demonstrations, times the yield of worked rows.
        records: how many it was tried on.
        cost_micro, tokens, calls: of all rows tried together; `seconds` too.
        load: what a call of the whole run will hold; a pilot's few rows fill none.
        agreement: how far it agrees with its rivals on the same records, 0 to 1.
    """

    plan: Plan
    plan_by: PlanBy
    examples: tuple[Example, ...]
    dropped: tuple[Dropped, ...]
    records: int
    score: float
    doubts: tuple[Doubt, ...] = ()
    cost_micro: int = 0
    tokens: int = 0
    calls: int = 0
    seconds: float = 0.0
    agreement: float = 1.0
    load: FullCall = FullCall()

    def rate(self) -> float:
        """Examples kept for each record tried."""
        return len(self.examples) / self.records if self.records else 0.0

    def calls_each(self) -> float:
        """Calls the run makes for each record, in full loads."""
        return self.load.asked / self.load.rows / max(1, self.records)

    def tokens_each(self) -> float:
        """Tokens of the run for each record: what is its own, and its part of what every call repeats."""
        own = max(0, self.tokens - self.calls * self.load.shared) / max(1, self.records)
        return own + self.calls_each() * self.load.shared

    def failures(self) -> int:
        """Rows the plan's program failed on."""
        return sum(1 for drop in self.dropped if drop.kind == RowKind.PROGRAM)

    def made(self) -> dict[str, Made]:
        """What it made of which record."""
        return {_ref(one): Made(one.input, one.output, one.choices) for one in reversed(self.examples)}

    def feedback(self) -> str:
        """What went wrong, for whoever revises the plan; "" where nothing did."""
        if not self.doubts and (not self.dropped or self.rate() > 0.7):
            return ""
        lines = [f"- {doubt.told}" for doubt in self.doubts]
        lines += [f"- {drop.kind.value}: {drop.reason}" for drop in self.dropped[:5]]
        shown = self.plan.model_dump_json(exclude={"source"}, exclude_defaults=True)
        return (
            f"An earlier plan made {len(self.examples)} examples of {self.records} rows. What was wrong:\n"
            + "\n".join(lines)
            + f"\nThat plan was: {shown}\nWrite a better one."
        )


async def pilot(
    plan: Plan,
    source: Source,
    records: Sequence[Record],
    setting: Setting,
    *,
    likeness: Likeness,
    plan_by: PlanBy,
    at_once: int = 8,
) -> Pilot:
    """Try `plan` on `records`.

    Args:
        likeness: how far what was made resembles the demonstrations, 0 to 1; asked with the examples and the
            number of records that became none.
    """
    began = time.monotonic()
    task = setting.task
    program = compile_plan(plan, seed=setting.seed)
    pool = program.fill(source.records() if program.needs_pool else (), setting.sandbox)
    # Indexing a large gold set takes a second, and what repeats it says nothing about the plan: the run itself checks.
    check = checks_for(task.model_copy(update={"gold": ()}))
    worker = Worker(
        program, task=task, expanded=setting.expanded, model=setting.model, pool=pool, sandbox=setting.sandbox
    )
    transform = Transform(worker, source.card, task=task, check=check, batch=setting.batch, plan_by=plan_by)
    kept: list[Example] = []
    dropped: list[Dropped] = []
    async for result in transform.rows(records, needed=lambda: len(records), at_once=at_once):
        (kept if isinstance(result, Example) else dropped).append(result)  # type: ignore[arg-type]
    origins = [result.origin for result in (*kept, *dropped)]
    doubted = doubts(task, kept)
    score = transform.tally.rate() if kept else 0.0
    for doubt in doubted:
        score *= doubt.factor
    if score:
        made = [Made(one.input, one.output, one.choices) for one in kept]
        score *= likeness(made, transform.tally.worked - len(kept))
    return Pilot(
        plan,
        plan_by,
        tuple(kept),
        tuple(dropped),
        len(records),
        round(score, 4),
        tuple(doubted),
        sum(origin.cost_micro_usd for origin in origins),
        sum(origin.tokens for origin in origins),
        len({key for origin in origins for key in origin.calls}),
        time.monotonic() - began,
        load=await worker.full_call(records, setting.batch) if worker.asks else FullCall(),
    )


def _ref(result: Example) -> str:
    origin = result.origin
    return f"{origin.config}/{origin.split}/{origin.record}"
