"""DataTune (Gandhi et al., arXiv 2404.14361): find existing datasets, plan, and transform them row by row.

Read top to bottom: choose the sources and plans (search, rerank, fields, expand, plan, pilot), then run each plan over
its source, the best source first, until enough examples are kept or every source is exhausted. Where we differ from the
paper: plans are typed and mostly run without a model, every plan is piloted against one that was searched for, and a
source is used up before the next is opened.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import cached_property

from upcycle.config import Datatune
from upcycle.curation.checks import Check
from upcycle.llm.model import Model
from upcycle.llm.roles import Roles
from upcycle.methods.datatune.choose import Choice, Chosen, Search, choose
from upcycle.methods.datatune.plans.program import compile_plan
from upcycle.methods.datatune.transform import Transform, shuffled
from upcycle.records import Dropped, Example, Record, example_id
from upcycle.run import Run
from upcycle.sources.source import Source
from upcycle.task import Task

__all__ = ["Choice", "Chosen", "Search", "choose", "datatune"]

METHOD = "datatune"


async def datatune(
    task: Task,
    settings: Datatune,
    *,
    sources: Sequence[Source],
    models: Roles,
    run: Run,
    check: Check,
    needed: Callable[[], int],
    wanted: int,
    search: Search,
    seed: int = 0,
    at_once: int = 32,
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples made from existing datasets, and what was dropped on the way.

    Args:
        models: who plans, and who writes the fields that need words; without, only rearranging is done.
        needed: how many kept examples are still wanted; asked before each row.
        wanted: how many are wanted in all, for `settings.max_share`.

    Raises:
        SourceError: no source fits the task.
        ProviderError, BudgetExceededError, DiskError: the run stops; what is finished is kept.
    """
    choice = await choose(task, settings, sources, models=models, run=run, seed=seed, search=search)
    run.tell("plan", "chosen", sources=[(one.source.card.id, one.score) for one in choice.chosen])
    run.journal.set_meta("transforming", "yes")
    streams = [_Stream(one, choice, task, models.executor, check, run, seed) for one in choice.chosen]
    cap = max(1, int(settings.max_share * wanted))
    # Each source gives at most its share first; what is then still missing comes from those with records left.
    for most in (cap, wanted) if cap < wanted else (wanted,):
        for stream in streams:
            if needed() <= 0:
                return
            rows = stream.until(lambda s=stream, m=most: min(needed(), m - s.kept), at_once, settings)
            async with aclosing(rows):
                async for result in rows:
                    yield result


class _Stream:
    """One chosen source: its records in seeded order, remembered failures left out, resumable between shares."""

    def __init__(
        self, chosen: Chosen, choice: Choice, task: Task, model: Model | None, check: Check, run: Run, seed: int
    ) -> None:
        self.card = chosen.source.card
        self._chosen, self._run, self._seed = chosen, run, seed
        self._start = lambda program, pool: Transform(
            program, self.card, task=task, expanded=choice.expanded, model=model, check=check, pool=pool
        )
        self._open = True
        self._unread = 0

    @cached_property
    def _transform(self) -> Transform:
        # Sources that are never needed are never read: the pool may take 20,000 records.
        program = compile_plan(self._chosen.plan, seed=self._seed)
        return self._start(program, program.fill(self._chosen.source.records() if program.needs_pool else ()))

    @cached_property
    def _records(self) -> Iterator[Record]:
        return self._owed(set(self._run.journal.row_names("transform", "failed")))

    @property
    def kept(self) -> int:
        """Examples it gave so far."""
        return self._transform.tally.kept

    def _owed(self, failed: set[str]) -> Iterator[Record]:
        # A failed row is asked again on request only (`upcycle retry`), not at every start.
        for record in shuffled(self._chosen.source.records(skip=self._skip), self._seed):
            if not self._chosen.plan.takes(record.config, record.split):
                continue
            if failed and example_id(METHOD, self.card.id, self.card.revision, record.ref) in failed:
                continue
            yield record

    def _skip(self, ref: str, why: str) -> None:
        self._unread += 1
        self._run.tell("source", "record skipped", source=self.card.id, ref=ref, why=why, number=self._unread)

    async def until(
        self, needed: Callable[[], int], at_once: int, settings: Datatune
    ) -> AsyncGenerator[Example | Dropped, None]:
        if not self._open or needed() <= 0:
            return
        self._run.tell("transform", "source opened", source=self.card.id)
        rows = self._transform.rows(self._records, needed=needed, at_once=at_once, min_yield=settings.min_yield)
        async with aclosing(rows):
            async for result in rows:
                yield result
        self._open = needed() <= 0
        tally = self._transform.tally
        if not self._open:
            low = tally.worked and tally.rate() < settings.min_yield
            self._run.tell("transform", "source dropped" if low else "source exhausted", source=self.card.id,
                           kept=tally.kept, skipped=tally.skipped, failed=sum(tally.failed.values()),
                           unreadable=self._unread)  # fmt: skip
