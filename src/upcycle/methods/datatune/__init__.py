"""DataTune (Gandhi et al., arXiv 2404.14361): find existing datasets, plan, and transform them row by row.

Read top to bottom: choose the sources and plans (search, rerank, fields, expand, compile, pilot), then run the program
of each source until its share of the examples is kept, and fill what is missing from those with records left. Where we
differ from the paper: plans are typed programs, several are drawn and vote on each other, every one is piloted, and the
model works only on what needs words, several records a call.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import NamedTuple

from upcycle.config import Datatune
from upcycle.curation.checks import Check, RecordCheck
from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Model
from upcycle.llm.roles import Roles
from upcycle.methods.datatune.batches import most_together
from upcycle.methods.datatune.choose import Search, choose
from upcycle.methods.datatune.compile import executor
from upcycle.methods.datatune.loads import Loads
from upcycle.methods.datatune.pilot import Setting
from upcycle.methods.datatune.plans.program import compile_plan
from upcycle.methods.datatune.remember import Choice, Chosen
from upcycle.methods.datatune.transform import STAGE, Transform, shuffled
from upcycle.methods.datatune.worker import Worker
from upcycle.records import Dropped, Example, Record
from upcycle.run import Run
from upcycle.sandbox import Sandbox
from upcycle.sources.source import Drawn, Source
from upcycle.task import Task

_DRAWN_WINDOW = 1_000  # records of a source that is elsewhere
_SANDBOXES = 2  # worker processes, started only where a plan holds Python

__all__ = ["Choice", "Chosen", "Search", "choose", "datatune"]


async def datatune(
    task: Task,
    settings: Datatune,
    *,
    sources: Sequence[Source],
    models: Roles,
    run: Run,
    check: Check,
    refuse: RecordCheck | None = None,
    needed: Callable[[], int],
    wanted: int,
    search: Search,
    seed: int = 0,
    at_once: int = 32,
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples made from existing datasets, and what was dropped on the way.

    Args:
        models: who plans, and who writes the fields that need words; without, only rearranging is done.
        refuse: judges a record before anything is made of it.
        needed: how many kept examples are still wanted; asked before each row.
        wanted: how many are wanted in all; each source's share is a share of them.
        at_once: most calls in flight.

    Raises:
        SourceError: no source fits the task.
        ProviderError, BudgetExceededError, DiskError: the run stops; what is finished is kept.
    """
    with Sandbox(workers=min(_SANDBOXES, os.cpu_count() or 1)) as sandbox:
        choice = await choose(
            task, settings, sources, models=models, run=run, seed=seed, search=search, wanted=wanted, sandbox=sandbox
        )
        run.tell("plan", "chosen", sources=[(one.source.card.id, one.score) for one in choice.chosen],
                 shares=[round(one.share, 3) for one in choice.chosen])  # fmt: skip
        run.journal.set_meta("transforming", "yes")
        common = _Common(task, choice.expanded, settings, models.executor, check, refuse, run, sandbox, seed)
        streams = [_Stream(one, common) for one in choice.chosen]
        cap = max(1, int(settings.max_share * wanted))
        # Each gives its share first; what is then missing comes from those with records left, the best first.
        shares = [min(cap, math.ceil(one.share * wanted)) for one in choice.chosen]
        for most in (shares, *([limit] * len(streams) for limit in sorted({cap, wanted}))):
            for stream, limit in zip(streams, most, strict=True):
                if needed() <= 0:
                    return
                rows = stream.until(lambda s=stream, m=limit: min(needed(), m - s.kept), at_once)
                async with aclosing(rows):
                    async for result in rows:
                        yield result


class _Common(NamedTuple):
    """What all sources of a run share."""

    task: Task
    expanded: str
    settings: Datatune
    model: Model | None
    check: Check
    refuse: RecordCheck | None
    run: Run
    sandbox: Sandbox
    seed: int


class _Stream:
    """One chosen source: its records in seeded order, resumable between shares."""

    def __init__(self, chosen: Chosen, common: _Common) -> None:
        self.card = chosen.source.card
        self._chosen, self._common = chosen, common
        self._open = True
        self._unread = 0

    @cached_property
    def _transform(self) -> Transform:
        # Sources that are never needed are never read: the pool may take 20,000 records.
        chosen, common = self._chosen, self._common
        program = compile_plan(chosen.plan, seed=common.seed)
        pool = program.fill(chosen.source.records() if program.needs_pool else (), common.sandbox)
        worker = Worker(
            program, task=common.task, expanded=common.expanded, model=common.model, pool=pool, sandbox=common.sandbox
        )
        batch = most_together(common.model, common.settings.batch)
        setting = Setting(common.task, common.expanded, common.model, common.sandbox, common.seed, batch)
        return Transform(
            worker,
            self.card,
            task=common.task,
            check=common.check,
            instead=executor(self.card, chosen.plan, setting) if common.settings.fallback else None,
            remembered=self._remembered(),
            batch=batch,
            log=Loads(common.run, self.card.id),
            refuse=common.refuse,
            plan_by=chosen.plan_by,
        )

    def _remembered(self) -> dict[str, RowError]:
        # A row that failed is asked again on request only (`upcycle retry`), not at every start.
        return {
            row: RowError(RowKind(kind), value["reason"])
            for row, _, kind, value, _ in self._common.run.journal.rows(STAGE, "failed")
            if value["origin"]["source"] == self.card.id
        }

    @cached_property
    def _records(self) -> Iterator[Record]:
        return self._taken()

    @property
    def kept(self) -> int:
        """Examples it gave so far."""
        return self._transform.tally.kept

    def _taken(self) -> Iterator[Record]:
        source, seed = self._chosen.source, self._common.seed
        if isinstance(source, Drawn):  # its order is a drawn one already, so that a small window will do
            records = shuffled(source.drawn(seed, self._skip), seed, window_of=_DRAWN_WINDOW)
        else:
            records = shuffled(source.records(skip=self._skip), seed)
        for record in records:
            if self._chosen.plan.takes(record.config, record.split):
                yield record

    def _skip(self, ref: str, why: str) -> None:
        self._unread += 1
        self._common.run.tell("source", "record skipped", source=self.card.id, ref=ref, why=why, number=self._unread)

    async def until(self, needed: Callable[[], int], at_once: int) -> AsyncGenerator[Example | Dropped, None]:
        if not self._open or needed() <= 0:
            return
        run, min_yield = self._common.run, self._common.settings.min_yield
        run.tell("transform", "source opened", source=self.card.id)
        rows = self._transform.rows(self._records, needed=needed, at_once=at_once, min_yield=min_yield)
        async with aclosing(rows):
            async for result in rows:
                yield result
        self._open = needed() <= 0
        tally = self._transform.tally
        if not self._open:
            low = tally.worked and tally.rate() < min_yield
            run.tell("transform", "source dropped" if low else "source exhausted", source=self.card.id,
                     kept=tally.kept, skipped=tally.skipped, failed=sum(tally.failed.values()),
                     by_model=tally.by_model, unreadable=self._unread)  # fmt: skip
