"""The planner that needs no model: plans are searched for, not written.

In: a task, a source's card and a sample of its records. Out: candidate plans with scores, best first. All that a plan
can be is enumerated from columns and contract (`candidates.py`) and measured on the sample (`scores.py`), so the same
input gives the same plans. `GOOD_ENOUGH` is where wrong plans end: below it a source makes more wrong rows than right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made
from upcycle.methods.datatune.plans.steps import Python
from upcycle.methods.datatune.search.candidates import propose, with_filters
from upcycle.methods.datatune.search.columns import offer_of
from upcycle.methods.datatune.search.scores import ScoredPlan, Tried, domain, score, score_made
from upcycle.methods.datatune.search.wanted import wanted_by
from upcycle.records import Record
from upcycle.task import Task

GOOD_ENOUGH = 0.4
_FIRST_LOOK = 40
_SECOND_LOOK = 8
_MOST = 80


def search_plans(task: Task, card: Any, sample: Sequence[Record], *, seed: int, limit: int = 5) -> list[ScoredPlan]:
    """Plans for one source that cost no call, best first, scored on `sample`.

    Args:
        card: the source's card (id, name, text, columns, ...).
        sample: up to about 200 of its records, drawn from all over it.
    """
    if not sample:
        return []
    wanted = wanted_by(task)
    small = offer_of(card, sample[:_FIRST_LOOK])
    offer = offer_of(card, sample)
    fits = domain(task, card, offer)
    found: dict[str, ScoredPlan] = {}
    for number, plan in enumerate(propose(wanted, offer, card)):
        plan = with_filters(plan, wanted, offer)
        if number >= _MOST:
            break
        if plan.sha() not in found:
            found[plan.sha()] = score(wanted, small, card, plan, fits, seed=seed)
    best = sorted(found.values(), key=_order)[:_SECOND_LOOK]
    again = [score(wanted, offer, card, one.plan, fits, seed=seed) for one in best if one.score > 0]
    return sorted(again, key=_order)[:limit]


def _order(scored: ScoredPlan) -> tuple[float, int, str]:
    return -scored.score, len(scored.plan.steps), scored.plan.sha()


def resemblance(
    task: Task, plan: Plan, card: Any, sample: Sequence[Record], made: Sequence[Made], failed: int, *, seed: int = 0
) -> float:
    """The score of a plan that was written, from what it made, so that it can be compared with one searched for.

    Args:
        made: examples of its pilot; `failed` more records became none.
    """
    offer = offer_of(card, sample)
    fits = domain(task, card, offer)
    if not plan.needs_model and not any(isinstance(step, Python) for step in plan.steps):
        return score(wanted_by(task), offer, card, plan, fits, seed=seed).score
    return score_made(wanted_by(task), offer, plan, fits, Tried(tuple(made), 0, failed))
