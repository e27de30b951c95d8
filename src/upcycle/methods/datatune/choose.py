"""Choose: search, rerank, expand, and for each source compile and pilot, until it is known what is used and how.

The result is written into the run (`plans/` and the journal), so that going on with a run plans nothing again, and a
plan edited by hand before rows are made with it is used as edited. Sources share the wanted rows by what their pilots
measured: yield, quality and novelty.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import orjson

from upcycle.config import Datatune
from upcycle.errors import SourceError
from upcycle.llm.model import Model, in_process
from upcycle.llm.roles import Roles
from upcycle.methods.datatune.batches import most_together
from upcycle.methods.datatune.compile import compile_source
from upcycle.methods.datatune.expand import expand
from upcycle.methods.datatune.pilot import Pilot, Setting, pilot
from upcycle.methods.datatune.remember import STAGE, Choice, Chosen, given, remember, remembered, slug, write_pilot
from upcycle.methods.datatune.rerank import rerank
from upcycle.records import Record
from upcycle.run import Run
from upcycle.sandbox import Sandbox
from upcycle.sources.source import Drawn, Source
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.sources.catalog import Hit

_SAMPLE = 200
_READ = 20_000
_DRAWN = 1_000
_SEARCHED = 16  # sources a plan is searched for when that costs no call
_PLENTY = 1.5  # times the wanted rows, after which no more plans are bought
_FEW = 0.2  # of the wanted rows: what a source must have to be worth the drafts where a free plan works
_GOOD = 0.5
_PEER = 0.75  # of the best score: sources below it only fill what the others cannot give
_COMPARED = 50


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
    wanted: int,
    sandbox: Sandbox,
    price: bool = False,
) -> Choice:
    """The sources to use, best first, each with a plan that worked in its pilot; from the run where it knows them.

    Args:
        wanted: examples wanted; no more plans are bought once the sources give plenty.
        price: pilot plans by hand too (given, or edited since), so that it is known what they cost.

    Raises:
        SourceError: no source fits the task.
        StaleRunError: a source or a plan changed after rows were made with it.
    """
    settings = _affordable(settings, models.planner)
    setting = Setting(
        task, task.instruction, models.executor, sandbox, seed, most_together(models.executor, settings.batch)
    )
    if (known := run.journal.meta("chosen")) is not None:
        choice = remembered(orjson.loads(known), sources, run)
        if not price or all(one.piloted for one in choice.chosen):
            return choice
    elif settings.plan is not None:
        choice = given(Path(settings.plan), sources, asks=models.executor is not None)
    else:
        hits, named = await _ranked(task, settings, sources, models=models, run=run, search=search)
        expanded = task.instruction
        if models.planner is not None and hits:
            expanded = await expand(task, models.planner)
            run.tell("expand", "expanded", text=expanded)
        setting = setting._replace(expanded=expanded)
        choice = await _tried(hits, named, settings, setting, models=models, run=run, wanted=wanted)
    if price:
        setting = setting._replace(expanded=choice.expanded)
        choice = choice._replace(chosen=[await _priced(one, settings, setting, run) for one in choice.chosen])
    remember(choice, run)
    return choice


def _affordable(settings: Datatune, planner: Model | None) -> Datatune:
    """The same with one vote and one draft where the planner runs in this process, unless others were asked for."""
    if not in_process(planner):
        return settings
    few = {"votes": 1, "drafts": 1}
    return settings.model_copy(update={k: v for k, v in few.items() if k not in settings.model_fields_set})


async def _priced(one: Chosen, settings: Datatune, setting: Setting, run: Run) -> Chosen:
    """The same with the numbers of a pilot of its plan, where it has none."""
    if one.piloted:
        return one
    records = sample(one.source, setting.seed)
    some = records[: settings.pilot_records] if one.plan.needs_model else records
    tried = await pilot(one.plan, one.source, some, setting, likeness=lambda made, failed: 1.0, plan_by="hand")
    write_pilot(run, one.slug, tried, some)
    return _chosen(one.source, tried)._replace(share=one.share)


async def _ranked(
    task: Task, settings: Datatune, sources: Sequence[Source], *, models: Roles, run: Run, search: Search
) -> tuple[list[Hit], int]:
    """Sources found for the task, those the reranker names first, and how many these are; all where nobody ranks."""
    from upcycle.sources.catalog import Catalog

    hits = Catalog.build(sources).search(
        task.instruction,
        demonstrations=[f"{d.input}\n{d.output}" for d in task.demonstrations],
        limit=settings.candidates,
        licence=search.licence,
        languages=search.languages or None,
    )
    run.tell("search", "found", sources=[hit.card.id for hit in hits])
    if models.planner is None or not hits:
        return hits, len(hits)
    ranking = await rerank(task, hits, models.planner, votes=settings.votes)
    run.tell("rerank", "ranked", sources=[hit.card.id for hit in ranking.hits], none=ranking.none,
             votes=ranking.votes, invalid=ranking.invalid)  # fmt: skip
    named = [] if ranking.none else list(ranking.hits)
    return named + [hit for hit in hits if hit not in named], len(named)


async def _tried(
    hits: list[Hit], named: int, settings: Datatune, setting: Setting, *, models: Roles, run: Run, wanted: int
) -> Choice:
    """Every source worth a look compiled and piloted, the best of them chosen."""
    found: list[tuple[Chosen, Pilot]] = []
    plenty = enough = 0.0  # rows to be had of good plans, and of any that are used
    for number, hit in enumerate(hits[: max(_SEARCHED, settings.max_sources)]):
        records = sample(hit.source, setting.seed)
        if not records:
            run.tell(STAGE, "source dropped", source=hit.card.id, reason="it has no readable record")
            continue
        # The planner's drafts cost calls: only the sources ranked first get some, and none once there is plenty. What
        # the reranker did not name gets some only while nothing else gives the wanted rows.
        writes = number < settings.max_sources and plenty < _PLENTY * wanted and (number < named or enough < wanted)
        compiled = await compile_source(
            hit,
            records,
            settings,
            setting,
            planner=models.planner if writes else None,
            none=named == 0,
            few=(hit.card.rows or math.inf) < _FEW * wanted,
            judge=models.judge if settings.judge else None,
        )
        if (best := compiled.best) is None:
            run.tell(STAGE, "source dropped", source=hit.card.id,
                     reason="no plan makes examples of it that fit the task")  # fmt: skip
            continue
        run.tell("pilot", "tried", source=hit.card.id, kept=len(best.examples), tried=best.records, score=best.score,
                 paid=best.plan.needs_model, rivals=compiled.rivals, agreement=best.agreement,
                 doubts=[doubt.told for doubt in best.doubts])  # fmt: skip
        if (why := _refused(best, settings)) is not None:
            run.tell(STAGE, "source dropped", source=hit.card.id, reason=why)
            continue
        write_pilot(run, slug(hit.card.id), best, records)
        found.append((_chosen(hit.source, best), best))
        gives = (hit.card.rows or len(records)) * best.rate()
        enough += gives
        plenty += gives if best.score >= _GOOD else 0.0
    if not found:
        names = ", ".join(hit.card.id for hit in hits[:5]) or "none found"
        raise SourceError(f"no source fits the task (looked at {names}); add sources, demonstrations or a model")
    found.sort(key=lambda one: -one[0].score)
    return Choice(setting.expanded, _shared(found[: settings.max_sources], wanted))


def _refused(best: Pilot, settings: Datatune) -> str | None:
    if best.score > 0 and not (best.plan.needs_model and best.rate() < settings.min_yield):
        return None
    if best.doubts:
        return "; ".join(doubt.told for doubt in best.doubts)
    if best.rate() >= settings.min_yield:
        return "what its plan makes does not resemble the demonstrations"
    return f"its pilot kept {len(best.examples)} of {best.records} records"


def _chosen(source: Source, best: Pilot) -> Chosen:
    per, tokens = max(1, best.records), best.tokens_each()
    return Chosen(
        source,
        best.plan,
        best.plan_by,
        best.score,
        rate=best.rate(),
        tokens_per_row=tokens,
        micro_per_row=best.cost_micro * tokens / max(1, best.tokens),
        calls_per_row=best.calls_each(),
        seconds_per_row=best.seconds / per,
        failing=best.failures() / per,
        agreement=best.agreement,
    )


def _shared(found: Sequence[tuple[Chosen, Pilot]], wanted: int) -> list[Chosen]:
    """The chosen with their shares of the wanted rows: by yield, quality and novelty, among those near the best."""
    weights: list[float] = []
    seen: list[set[str]] = []
    for one, tried in found:
        texts = _own_words([f"{example.input} {example.output}" for example in tried.examples[:_COMPARED]])
        near = one.score >= _PEER * found[0][0].score
        weights.append(min(1.0, one.rate) * one.score**2 * _novelty(texts, seen) if near else 0.0)
        seen += texts if near else []
    shares = _within(weights, [_capacity(one) / wanted for one, _ in found])
    return [one._replace(share=share) for (one, _), share in zip(found, shares, strict=True)]


def _capacity(one: Chosen) -> float:
    return math.inf if one.source.card.rows is None else one.source.card.rows * one.rate


def _within(weights: Sequence[float], most: Sequence[float]) -> list[float]:
    """Shares by weight that sum to 1, none above its most; less in all where they cannot give as much."""
    shares = [0.0] * len(weights)
    open_places = [place for place, weight in enumerate(weights) if weight > 0]
    while open_places:
        left = 1.0 - sum(shares[place] for place in range(len(shares)) if place not in open_places)
        total = sum(weights[place] for place in open_places)
        full = [place for place in open_places if left * weights[place] / total >= most[place]]
        for place in full or open_places:
            shares[place] = most[place] if full else left * weights[place] / total
        open_places = [place for place in open_places if place not in full] if full else []
    return shares


def _novelty(texts: Sequence[set[str]], seen: Sequence[set[str]]) -> float:
    """1 minus how much of a text's words the nearest text seen before shares, on average."""
    if not seen or not texts:
        return 1.0
    nearest = [max(len(text & other) / max(1, len(text | other)) for other in seen) for text in texts]
    return 1.0 - sum(nearest) / len(texts)


def _own_words(texts: Sequence[str]) -> list[set[str]]:
    """Words of each text, without those that most of them share: the task's own wording is nobody's novelty."""
    words = [set(re.findall(r"\w+", text.casefold())) for text in texts]
    counts = Counter(word for found in words for word in found)
    return [{word for word in found if counts[word] <= len(words) / 2} or found for found in words]


def sample(source: Source, seed: int, count: int = _SAMPLE) -> list[Record]:
    """A seeded sample of a source's first 20,000 records (files are often sorted by label); of one that is elsewhere,
    of its first 1,000 in the order in which they are cheap.
    """
    random = Random(f"{seed}/{source.card.id}/sample")
    kept: list[Record] = []
    near = islice(source.drawn(seed), _DRAWN) if isinstance(source, Drawn) else islice(source.records(), _READ)
    for seen, record in enumerate(near, 1):
        if len(kept) < count:
            kept.append(record)
        elif (place := random.randrange(seen)) < count:
            kept[place] = record
    random.shuffle(kept)
    return kept
