"""Compile: several programs for one source, tried on the same records, and the one the others agree with.

A plan that was searched for costs nothing; the planner's drafts are drawn from different samples of records; and a
model that executes the best draft's plan record by record is one more voter, never a candidate. What fails goes back to
the planner at most twice. The winner is chosen by contract fit, likeness and agreement (Evaporate-Code+, VLDB 2023: one
generated program alone is far less accurate than a vote).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from upcycle.config import Datatune
from upcycle.errors import ConfigError, RowKind
from upcycle.llm.model import Model, in_process
from upcycle.methods.datatune.agreement import agreements
from upcycle.methods.datatune.doubts import Doubt
from upcycle.methods.datatune.fields import select_fields
from upcycle.methods.datatune.pilot import Pilot, Setting, pilot
from upcycle.methods.datatune.planner import free_text_plan
from upcycle.methods.datatune.planner import plan as write_plan
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, compile_plan
from upcycle.methods.datatune.worker import Waiting, Worker
from upcycle.records import Record
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.sources.catalog import Hit

_REVISIONS = 2
_SURE = 0.8  # a free plan with this score is not challenged by one that costs calls
_AGREED = 0.9
_JUDGED = 10
_VOTING = 5  # records the model executes the plan on, to have a say


class Compiled(NamedTuple):
    """The pilot that won, and how many it won against."""

    best: Pilot | None
    rivals: int


async def compile_source(
    hit: Hit,
    records: Sequence[Record],
    settings: Datatune,
    setting: Setting,
    *,
    planner: Model | None,
    none: bool,
    few: bool = False,
    judge: Model | None = None,
) -> Compiled:
    """The best plan for one source, tried.

    Args:
        records: a sample of the source; a plan that asks a model is tried on the first few only.
        planner: who writes drafts; None where none are to be bought for this source.
        none: the reranker said that no source fits; then drafts are bought only where a free plan works.
        few: it can give but a few of the wanted rows; then drafts are bought only where no free plan works.
        judge: who reads what the winner made; None where nobody is to.
    """
    pilots = await _searched(hit, records, setting)
    sure = bool(pilots) and (few or max(one.score for one in pilots) >= _SURE)
    if in_process(planner):
        # Minutes a draft, and none was ever better than a plan that was found: only where none was.
        sure = bool(pilots)
    if planner is not None and (pilots or not none) and not sure:
        rivals = await _drafted(hit, records, settings, setting, planner)
        pilots = await _voted(hit, pilots, rivals, records[: settings.pilot_records], setting)
    # On a tie the plan that costs nothing wins: it stands first.
    best = max(pilots, key=lambda one: one.score * (0.25 + 0.75 * one.agreement), default=None)
    if best is not None and judge is not None and best.score > 0:
        best = await _judged(best, judge, setting)
    return Compiled(best, len(pilots))


async def _judged(best: Pilot, judge: Model, setting: Setting) -> Pilot:
    """The pilot with its score cut to the share of its examples that the judge finds right."""
    from upcycle.curation.judge import judge as read

    said = await read(best.examples[:_JUDGED], setting.task, judge, expanded=setting.expanded, seed=setting.seed)
    if not said.read or said.right == said.read:
        return best
    why = next(verdict.reason for verdict in said.verdicts.values() if not verdict.keep)
    doubt = Doubt(f"the judge finds {said.right} of {said.read} right; of one: {why}", said.right / said.read)
    return best._replace(score=round(best.score * doubt.factor, 4), doubts=(*best.doubts, doubt))


async def _searched(hit: Hit, records: Sequence[Record], setting: Setting) -> list[Pilot]:
    from upcycle.methods.datatune.search.searching import GOOD_ENOUGH, search_plans

    found = search_plans(setting.task, hit.card, records, seed=setting.seed, limit=1)
    # What was searched for costs nothing, so it is tried on the whole sample.
    return [
        await pilot(one.plan, hit.source, records, setting, likeness=_of(one.score), plan_by="search")
        for one in found
        if one.score >= GOOD_ENOUGH
    ]


def _of(score: float) -> Callable[[Sequence[Made], int], float]:
    return lambda made, failed: score


async def _drafted(
    hit: Hit, records: Sequence[Record], settings: Datatune, setting: Setting, planner: Model
) -> list[Pilot]:
    """Pilots of the planner's drafts, and of what it made of them when none would do."""
    task, tried = setting.task, records[: settings.pilot_records]
    roles = await select_fields(task, hit.card, records, planner)

    async def draft(number: int, feedback: str = "") -> Plan | None:
        # Each draft sees other records, so that an odd one does not decide them all.
        shown = [records[(number * 5 + place) % len(records)] for place in range(min(5, len(records)))]
        return await write_plan(
            task, setting.expanded, hit.card, shown, roles, planner, draft=number, feedback=feedback
        )

    async def tried_out(plan: Plan) -> Pilot:
        some = tried if plan.needs_model else records
        return await pilot(
            plan, hit.source, some, setting, likeness=_resembling(hit, records, setting, plan), plan_by="model"
        )

    plans: dict[str, Plan] = {}
    pilots: list[Pilot] = []
    # More than half of the drafts at once; where they agree, the rest could not outvote them and are not bought.
    few = settings.drafts // 2 + 1
    for numbers in (range(few), range(few, settings.drafts)):
        written = await asyncio.gather(*(draft(number) for number in numbers))
        new = {plan.sha(): plan for plan in written if plan is not None and plan.sha() not in plans}
        plans |= new
        pilots += [await tried_out(plan) for plan in new.values()]
        if None not in written and (any(map(_nothing_to_find, pilots)) or _agreed(pilots, tried, task)):
            break
    if not plans:
        pilots.append(await tried_out(free_text_plan(task, hit.card, list(roles), roles)))
    for revision in range(_REVISIONS if plans else 0):
        best = max(pilots, key=lambda one: one.score)
        if _nothing_to_find(best) or not (feedback := best.feedback()):
            break
        # Who could not write a valid plan is not asked for a better one.
        if (plan := await draft(settings.drafts + revision, feedback)) is None:
            break
        pilots.append(await tried_out(plan))
    return pilots


def _resembling(hit: Hit, records: Sequence[Record], setting: Setting, plan: Plan) -> Callable[..., float]:
    from upcycle.methods.datatune.search.searching import resemblance

    def likeness(made: Sequence[Made], failed: int) -> float:
        return resemblance(setting.task, plan, hit.card, records, made, failed)

    return likeness


def _nothing_to_find(tried: Pilot) -> bool:
    """Whether the model itself left every record out: another plan would find no more in them."""
    dropped = [drop.kind == RowKind.SKIPPED and bool(drop.origin.calls) for drop in tried.dropped]
    return not tried.examples and bool(dropped) and all(dropped)


def _agreed(pilots: Sequence[Pilot], tried: Sequence[Record], task: Task) -> bool:
    """Whether these plans make examples, and the same ones of the same records."""
    refs = {record.ref for record in tried}
    scores = agreements([_on(one, refs) for one in pilots], task.contract.kind)
    return bool(pilots) and min(scores) >= _AGREED and all(one.score > 0 for one in pilots)


def _on(one: Pilot, refs: Collection[str]) -> dict[str, Made]:
    return {ref: made for ref, made in one.made().items() if ref in refs}


async def _voted(
    hit: Hit, searched: list[Pilot], drafted: list[Pilot], tried: Sequence[Record], setting: Setting
) -> list[Pilot]:
    """All pilots with their agreement, and what it cost to have the model execute the plan beside them.

    A model in this process does not vote: it took minutes, and executed no plan better than code did.
    """
    pilots = [*searched, *drafted]
    refs = [record.ref for record in tried]
    voters = [_on(one, refs) for one in pilots]
    best = max(drafted, key=lambda one: one.score)
    if not in_process(setting.model) and (len(pilots) > 1 or not best.plan.needs_model):
        voters.append(await executed(hit, best.plan, tried[:_VOTING], setting))
    scores = agreements(voters, setting.task.contract.kind)
    return [one._replace(agreement=score) for one, score in zip(pilots, scores, strict=False)]


async def executed(hit: Hit, plan: Plan, records: Sequence[Record], setting: Setting) -> dict[str, Made]:
    """What the model makes of these records when it executes the plan itself, as in the paper (section 3.3)."""
    worker = executor(hit.source.card, plan, setting)
    if worker is None:
        return {}
    _, waiting = await worker.start(records)
    made: dict[str, Made] = {}
    later: list[Waiting] = []  # with an answer that could not be used; never in a call with those that have none yet
    while waiting:
        count = worker.fits(waiting)
        over, again = await worker.answer(waiting[:count])
        made |= {ended.record.ref: ended.end for ended in over if isinstance(ended.end, Made)}
        later += again
        waiting = waiting[count:]
        if not waiting:
            waiting, later = later, []
    return made


def executor(card: object, plan: Plan, setting: Setting) -> Worker | None:
    """The model that executes a plan on records its program cannot do; None where there is no model."""
    if setting.model is None:
        return None
    columns = sorted(plan.columns())
    whole = free_text_plan(setting.task, card, columns, {})  # type: ignore[arg-type]
    try:
        program = compile_plan(whole.model_copy(update={"prose": plan.prose}), seed=setting.seed)
    except ConfigError:
        return None
    return Worker(program, task=setting.task, expanded=setting.expanded, model=setting.model, by_model=True)
