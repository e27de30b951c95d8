"""Pilot: a plan is tried on a few records before any money is spent on a source.

What is measured costs no judge: the share of records that became valid examples, how far those resemble the
demonstrations, and what a row costs. The paper's commonest failure is one bad plan that nobody checked; here a bad plan
is revised at most twice, with its failing rows and reasons, or loses to the plan that was searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from upcycle.curation.checks import checks_for
from upcycle.errors import RowKind
from upcycle.llm.model import Model
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, compile_plan
from upcycle.methods.datatune.transform import Transform
from upcycle.records import Dropped, Example, Record
from upcycle.sources.source import Source
from upcycle.task import Task

Likeness = Callable[[Sequence[Made], int], float]


class Pilot(NamedTuple):
    """What a plan did on a few records.

    Attributes:
        score: from 0 to 1; how far the examples fit contract and demonstrations, times the yield of worked rows.
        cost_micro, tokens: of all rows tried together.
    """

    plan: Plan
    examples: tuple[Example, ...]
    dropped: tuple[Dropped, ...]
    score: float
    cost_micro: int = 0
    tokens: int = 0

    @property
    def tried(self) -> int:
        return len(self.examples) + len(self.dropped)

    def rate(self) -> float:
        """Kept share of all records tried."""
        return len(self.examples) / self.tried if self.tried else 0.0

    def failures(self) -> list[Dropped]:
        """Drops that are the plan's fault: not planned skips, not repeats."""
        fine = (RowKind.SKIPPED, RowKind.DUPLICATE, RowKind.CONTAMINATED)
        return [drop for drop in self.dropped if drop.kind not in fine]

    def feedback(self) -> str:
        """What went wrong, for whoever revises the plan; "" where nothing did."""
        if not self.dropped or self.rate() > 0.7:
            return ""
        lines = [f"- {drop.kind.value}: {drop.reason}" for drop in self.dropped[:5]]
        shown = self.plan.model_dump_json(exclude={"source"}, exclude_defaults=True)
        return (
            f"An earlier plan made {len(self.examples)} examples of {self.tried} rows. The rows it lost:\n"
            + "\n".join(lines)
            + f"\nThat plan was: {shown}\nWrite a better one."
        )


async def pilot(
    task: Task,
    plan: Plan,
    source: Source,
    records: Sequence[Record],
    *,
    model: Model | None,
    expanded: str,
    seed: int,
    likeness: Likeness,
    at_once: int = 8,
) -> Pilot:
    """Try `plan` on `records`.

    Args:
        likeness: how far what was made resembles the demonstrations, 0 to 1; asked with the examples and the
            number of records that became none.
    """
    program = compile_plan(plan, seed=seed)
    pool = program.fill(source.records()) if program.needs_pool else program.fill(())
    # Indexing a large gold set takes a second, and what repeats it says nothing about the plan: the run itself checks.
    check = checks_for(task.model_copy(update={"gold": ()}))
    transform = Transform(program, source.card, task=task, expanded=expanded, model=model, check=check, pool=pool)
    kept: list[Example] = []
    dropped: list[Dropped] = []
    async for result in transform.rows(records, needed=lambda: len(records), at_once=at_once):
        (kept if isinstance(result, Example) else dropped).append(result)  # type: ignore[arg-type]
    origins = [result.origin for result in (*kept, *dropped)]
    same = len(kept) >= 4 and len({example.input for example in kept}) == 1
    made = 0.0 if same or not kept else transform.tally.rate()
    resembles = likeness([Made(one.input, one.output, one.choices) for one in kept], transform.tally.worked - len(kept))
    return Pilot(
        plan,
        tuple(kept),
        tuple(dropped),
        round(made * resembles, 4),
        sum(origin.cost_micro_usd for origin in origins),
        sum(origin.tokens for origin in origins),
    )
