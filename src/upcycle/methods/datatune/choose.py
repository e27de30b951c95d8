"""Choose: search, rerank, select fields, expand, plan and pilot, until it is known which sources are used and how.

The result is written into the run (`plans/` and the journal), so that going on with a run plans nothing again, and a
plan edited by hand before rows are made with it is used as edited.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from upcycle.config import Datatune
from upcycle.errors import ConfigError, SourceError, StaleRunError
from upcycle.llm.model import Model
from upcycle.llm.roles import Roles
from upcycle.methods.datatune.expand import expand
from upcycle.methods.datatune.fields import select_fields
from upcycle.methods.datatune.pilot import Pilot, pilot
from upcycle.methods.datatune.planner import free_text_plan
from upcycle.methods.datatune.planner import plan as write_plan
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made
from upcycle.methods.datatune.rerank import rerank
from upcycle.records import Record
from upcycle.run import Run, write_text
from upcycle.sources.source import Source
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.sources.catalog import Hit

STAGE = "plan"
_SAMPLE = 200
_READ = 20_000
_REVISIONS = 2
_SEARCHED = 16  # sources a plan is searched for when that costs no call
_SURE = 0.8  # a free plan with this score is not challenged by one that costs calls


class Chosen(NamedTuple):
    """A source that will be used, with its plan and what the pilot showed."""

    source: Source
    plan: Plan
    score: float
    rate: float
    tokens_per_row: float
    micro_per_row: float

    @property
    def slug(self) -> str:
        """File name of the plan, without its ending."""
        return slug(self.plan.source)


class Choice(NamedTuple):
    """What `choose` found out."""

    expanded: str
    chosen: list[Chosen]


class Search(NamedTuple):
    """What the search may return."""

    licence: str = "any"
    languages: tuple[str, ...] = ()


async def choose(
    task: Task,
    settings: Datatune,
    sources: Sequence[Source],
    *,
    models: Roles,
    run: Run,
    seed: int,
    search: Search,
) -> Choice:
    """The sources to use, best first, each with a plan that worked in its pilot; from the run where it knows them.

    Raises:
        SourceError: no source fits the task.
        StaleRunError: a source or a plan changed after rows were made with it.
    """
    if (known := run.journal.meta("chosen")) is not None:
        return _remembered(orjson.loads(known), sources, run)
    if settings.plan is not None:
        choice = _given(Path(settings.plan), sources, asks=models.executor is not None)
    else:
        choice = await _chosen(task, settings, sources, models=models, run=run, seed=seed, search=search)
    _remember(choice, run)
    return choice


async def _chosen(
    task: Task,
    settings: Datatune,
    sources: Sequence[Source],
    *,
    models: Roles,
    run: Run,
    seed: int,
    search: Search,
) -> Choice:
    from upcycle.sources.catalog import Catalog

    hits = Catalog.build(sources).search(
        task.instruction,
        demonstrations=[f"{d.input}\n{d.output}" for d in task.demonstrations],
        limit=settings.candidates,
        licence=search.licence,
        languages=search.languages or None,
    )
    run.tell("search", "found", sources=[hit.card.id for hit in hits])
    expanded = task.instruction
    none = False
    if models.planner is not None and hits:
        ranking = await rerank(task, hits, models.planner, votes=settings.votes)
        run.tell("rerank", "ranked", sources=[hit.card.id for hit in ranking.hits], none=ranking.none,
                 votes=ranking.votes, invalid=ranking.invalid)  # fmt: skip
        named = [hit for hit in ranking.hits if not ranking.none]
        none = ranking.none
        hits = named + [hit for hit in hits if hit not in named]
        expanded = await expand(task, models.planner)
        run.tell("expand", "expanded", text=expanded)
    found: list[Chosen] = []
    for number, hit in enumerate(hits[: max(_SEARCHED, settings.max_sources)]):
        # A plan of the model's costs calls: only the sources it ranked first get one. What can be searched for is free.
        writes = number < settings.max_sources
        best = await _best_plan(
            task, settings, hit, models=models, writes=writes, none=none, run=run, seed=seed, expanded=expanded
        )
        if best is not None:
            found.append(best)
    found.sort(key=lambda one: -one.score)
    if not found:
        names = ", ".join(hit.card.id for hit in hits[:5]) or "none found"
        raise SourceError(f"no source fits the task (looked at {names}); add sources, demonstrations or a model")
    return Choice(expanded, found[: settings.max_sources])


async def _best_plan(
    task: Task,
    settings: Datatune,
    hit: Hit,
    *,
    models: Roles,
    writes: bool,
    none: bool,
    run: Run,
    seed: int,
    expanded: str,
) -> Chosen | None:
    from upcycle.methods.datatune.search.searching import GOOD_ENOUGH, search_plans

    records = sample(hit.source, seed)
    if not records:
        run.tell(STAGE, "source dropped", source=hit.card.id, reason="it has no readable record")
        return None
    tried = records[: settings.pilot_records]
    more: dict[str, Any] = {"model": models.executor, "expanded": expanded, "seed": seed}
    found = [one for one in search_plans(task, hit.card, records, seed=seed, limit=1) if one.score >= GOOD_ENOUGH]
    # What was searched for costs nothing, so it is tried on the whole sample.
    pilots = [
        await pilot(task, one.plan, hit.source, records, likeness=lambda made, failed, s=one.score: s, **more)
        for one in found
    ]
    # A vote of "none" is contradicted by a plan that works; where there is neither, no plan is bought.
    asks = writes and (pilots or not none) and not any(one.score >= _SURE for one in pilots)
    if models.planner is not None and asks:
        pilots += await _written(task, hit, records, tried, models.planner, more)
    if not pilots:
        run.tell(STAGE, "source dropped", source=hit.card.id, reason="no plan makes examples of it that fit the task")
        return None
    # On a tie the plan that costs nothing wins: it stands first.
    best = max(pilots, key=lambda one: one.score)
    run.tell("pilot", "tried", source=hit.card.id, kept=len(best.examples), tried=best.tried, score=best.score,
             paid=best.plan.needs_model, rivals=len(pilots))  # fmt: skip
    if best.score <= 0 or (best.plan.needs_model and best.rate() < settings.min_yield):
        why = f"its pilot kept {len(best.examples)} of {best.tried} records"
        if best.rate() >= settings.min_yield:
            why = "what its plan makes does not resemble the demonstrations"
        run.tell(STAGE, "source dropped", source=hit.card.id, reason=why)
        return None
    per = max(1, best.tried)
    return Chosen(hit.source, best.plan, best.score, best.rate(), best.tokens / per, best.cost_micro / per)


async def _written(
    task: Task, hit: Hit, records: Sequence[Record], tried: Sequence[Record], planner: Model, more: dict[str, Any]
) -> list[Pilot]:
    from upcycle.methods.datatune.search.searching import resemblance

    expanded = more["expanded"]
    roles = await select_fields(task, hit.card, records, planner)
    pilots: list[Pilot] = []
    feedback = ""
    for revision in range(_REVISIONS + 1):
        written = await write_plan(
            task, expanded, hit.card, records, roles, planner, revision=revision, feedback=feedback
        )
        plan = written or free_text_plan(task, hit.card, list(roles), roles)

        def likeness(made: Sequence[Made], failed: int, plan: Plan = plan) -> float:
            return resemblance(task, plan, hit.card, records, made, failed)

        pilots.append(await pilot(task, plan, hit.source, tried, likeness=likeness, **more))
        feedback = pilots[-1].feedback()
        # Who could not write a valid plan in three tries is not asked for a better one.
        if not feedback or written is None:
            break
    return pilots


def sample(source: Source, seed: int, count: int = _SAMPLE) -> list[Record]:
    """A seeded sample of a source's first 20,000 records (files are often sorted by label)."""
    random = Random(f"{seed}/{source.card.id}/sample")
    kept: list[Record] = []
    for seen, record in enumerate(islice(source.records(), _READ), 1):
        if len(kept) < count:
            kept.append(record)
        elif (place := random.randrange(seen)) < count:
            kept[place] = record
    random.shuffle(kept)
    return kept


def slug(source: str) -> str:
    """File name of a source's plan."""
    return re.sub(r"[^\w.-]+", "_", source).strip("_.") or "source"


def _given(path: Path, sources: Sequence[Source], *, asks: bool) -> Choice:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the plan {path} cannot be read ({error})") from None
    plan = Plan.from_yaml(text, where=str(path))
    named = [source for source in sources if source.card.id == plan.source]
    if not named:
        ids = ", ".join(source.card.id for source in sources[:8])
        raise ConfigError(f"{path} is a plan for {plan.source!r}, which is not among the sources ({ids})")
    plan.require([column.name for column in named[0].card.columns])
    if plan.needs_model and not asks:
        raise ConfigError(f"{path} asks a model for some fields; give --model, or take its llm steps out")
    return Choice("", [Chosen(named[0], plan, 1.0, 1.0, 0.0, 0.0)])


def _remember(choice: Choice, run: Run) -> None:
    entries = []
    for one in choice.chosen:
        name = slug(one.plan.source)
        write_text(run.path / "plans" / f"{name}.yaml", one.plan.to_yaml())
        _write_readings(run, name, one.plan)
        entry = {"source": one.plan.source, "revision": one.source.card.revision, "slug": name, "sha": one.plan.sha()}
        entries.append({**entry, **{key: getattr(one, key) for key in _NUMBERS}})
    run.journal.set_meta("chosen", orjson.dumps({"expanded": choice.expanded, "chosen": entries}).decode())


_NUMBERS = ("score", "rate", "tokens_per_row", "micro_per_row")


def _write_readings(run: Run, name: str, plan: Plan) -> None:
    write_text(run.path / "plans" / f"{name}.md", plan.to_markdown())
    write_text(run.path / "plans" / f"{name}.py", plan.to_program())


def _remembered(known: dict[str, Any], sources: Sequence[Source], run: Run) -> Choice:
    by_id = {source.card.id: source for source in sources}
    begun = run.journal.meta("transforming") is not None
    chosen = []
    for entry in known["chosen"]:
        source = by_id.get(entry["source"])
        if source is None:
            raise StaleRunError(f"{run.path} was made with the source {entry['source']!r}, which is not there any more")
        if source.card.revision != entry["revision"]:
            raise StaleRunError(
                f"the source {entry['source']!r} changed since {run.path} was begun"
                f" (revision {entry['revision'][:12]} -> {source.card.revision[:12]}); use another folder"
            )
        path = run.path / "plans" / f"{entry['slug']}.yaml"
        try:
            plan = Plan.from_yaml(path.read_text(encoding="utf-8"), where=str(path))
        except FileNotFoundError:
            raise StaleRunError(f"{path} is missing; put it back or use another folder") from None
        if plan.sha() != entry["sha"]:
            if begun:
                raise StaleRunError(
                    f"{path} was edited after rows were made with it; use another folder, or undo the edit"
                )
            plan.require([column.name for column in source.card.columns])
            entry["sha"] = plan.sha()
            _write_readings(run, entry["slug"], plan)
            run.tell(STAGE, "plan edited", source=entry["source"])
        chosen.append(Chosen(source, plan, *(entry[key] for key in _NUMBERS)))
    run.journal.set_meta("chosen", orjson.dumps(known).decode())
    return Choice(known["expanded"], chosen)
