"""Transform: a program runs over the records of its source; each becomes an example, a skip or a failure.

What needs no model streams in blocks, in flat memory and at no cost. Where a model must work on rows, several travel in
one call; a record on which the program fails, or whose example breaks the contract, is given to the model that executes
the plan on it. What is started next hangs on what came back, never on when, so the examples are the same on every
resume.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from upcycle.curation.checks import Check, RecordCheck
from upcycle.errors import ProviderError, RowError, RowKind
from upcycle.methods.datatune.batches import BLOCK, Batch, Batches, Load
from upcycle.methods.datatune.plans.program import Failed, Made, Skip
from upcycle.methods.datatune.worker import Ended, Waiting, Worker
from upcycle.records import Dropped, Example, Origin, Record, Verdict, example_id
from upcycle.run import InOrder
from upcycle.sources.card import Card
from upcycle.task import Task

STAGE = "transform"
_ENOUGH = 40  # outcomes before a yield, a failure rate or a share of fallbacks is judged
_MOST_FALLBACK = 0.5
_SHUFFLED = 10_000
_SHUFFLED_BYTES = 64_000_000

PlanBy = Literal["search", "model", "hand"]


@dataclass(slots=True)
class Tally:
    """Running counts of one source; a planned skip is not a failure.

    Attributes:
        by_model: rows given to the model because the program failed on them.
    """

    kept: int = 0
    skipped: int = 0
    by_model: int = 0
    failed: dict[RowKind, int] = field(default_factory=dict)

    @property
    def worked(self) -> int:
        return self.kept + sum(self.failed.values())

    def rate(self) -> float:
        """Kept share of the rows that were not planned skips; 1 before there are any."""
        return self.kept / self.worked if self.worked else 1.0


class Transform:
    """One program over one source, with everything it needs from the run.

    Args:
        instead: the model that executes the plan on a record its program fails on; None where nobody does.
        remembered: rows an earlier process failed on, by id; they are failed again without asking, until a retry.
        batch: the most rows in one call.
        refuse: judges a record before anything is made of it.
        log: how many rows each call of an earlier process took; new ones are added.
    """

    def __init__(
        self,
        worker: Worker,
        card: Card,
        *,
        task: Task,
        check: Check,
        instead: Worker | None = None,
        remembered: Mapping[str, RowError] | None = None,
        batch: int = 8,
        log: MutableMapping[int, Load] | None = None,
        refuse: RecordCheck | None = None,
        plan_by: PlanBy = "search",
        method: str = "datatune",
    ) -> None:
        self.card, self.worker, self.tally = card, worker, Tally()
        self._task, self._check, self._instead = task, check, instead
        self._remembered = remembered or {}
        self._method, self._plan_by = method, plan_by
        self._batches = Batches(worker, instead, batch, {} if log is None else log, refuse)
        self._sha = worker.program.plan.sha()
        self._program_sha = worker.program.sha()

    async def rows(
        self, records: Iterable[Record], *, needed: Callable[[], int], at_once: int, min_yield: float = 0.0
    ) -> AsyncGenerator[Example | Dropped, None]:
        """Examples and drops, until `needed()` is 0, the records end, or the yield stays below `min_yield`.

        What was worked and is not needed yet is given first when it is asked again.

        Raises:
            ProviderError: most rows fail because of the model's server.
        """
        outcomes = self._outcomes(iter(records), needed, at_once)
        async with aclosing(outcomes):
            async for ended in outcomes:
                yield self._judged(ended)
                self._stop_when_the_server_fails(ended)
                if self.tally.worked >= _ENOUGH and self.tally.rate() < min_yield:
                    return

    async def _outcomes(
        self, records: Iterator[Record], needed: Callable[[], int], at_once: int
    ) -> AsyncGenerator[Ended, None]:
        """Every row's end, in an order that hangs on nothing but the records and the replies."""
        batches = self._batches
        calls: InOrder[tuple[Batch, list[Ended], list[Waiting]]] = InOrder(batches.most_at_once(at_once))
        in_flight = seen = 0
        try:
            while needed() > 0:
                while not calls.full:
                    batch = await batches.next(records, needed() - in_flight, alone=calls.idle)
                    if batch is None:
                        break
                    in_flight += len(batch.waiting)
                    calls.start(self._answered(batch))
                if not batches.ended:
                    if calls.idle:
                        return
                    batch, ended, again = await calls.oldest()
                    batches.back(batch, ended, again)
                    in_flight -= len(batch.waiting)
                while batches.ended and needed() > 0:
                    one = batches.ended.popleft()
                    if self._falls_back(one):
                        self.tally.by_model += 1
                        await batches.give_to_the_model(one.record)
                    else:
                        yield one
                    seen += 1
                    if seen % BLOCK == 0:
                        await asyncio.sleep(0)
            while not calls.idle:
                batches.back(*await calls.oldest())
        finally:
            await calls.close()

    async def _answered(self, batch: Batch) -> tuple[Batch, list[Ended], list[Waiting]]:
        remembered = [self._remembered.get(self._name(one.record, one.row.part)) for one in batch.waiting]
        # A call of several that come back to be asked again is answered from the journal, so that they do again.
        if self._remembered and all(remembered) and (len(remembered) == 1 or batch.waiting[0].wrong):
            ended = [
                Ended(one.record, one.row.part, error)
                for one, error in zip(batch.waiting, remembered, strict=True)
                if error is not None
            ]
            return batch, ended, []
        return batch, *await batch.worker.answer(batch.waiting)

    def _falls_back(self, ended: Ended) -> bool:
        """Whether the model executes the plan on this record: its program failed on it, or broke the contract."""
        if self._instead is None or ended.by_model or ended.part:
            return False
        end = ended.end
        failed = isinstance(end, Failed) or (
            isinstance(end, Made) and self._task.contract.violation(end.input, end.output, end.choices) is not None
        )
        seen = self.tally.worked + self.tally.by_model
        return failed and (seen < _ENOUGH or self.tally.by_model <= _MOST_FALLBACK * seen)

    def _name(self, record: Record, part: str) -> str:
        return example_id(self._method, self.card.id, self.card.revision, record.ref, part or "0")

    def _judged(self, ended: Ended) -> Example | Dropped:
        name, origin, end = self._name(ended.record, ended.part), self._origin(ended), ended.end
        if isinstance(end, Skip):
            self.tally.skipped += 1
            return Dropped(name, origin, STAGE, RowKind.SKIPPED, end.reason)
        if isinstance(end, Verdict):
            self._count(end.kind)
            return Dropped(name, origin, "source", end.kind, end.reason, score=end.score, other=end.other)
        if not isinstance(end, Made):
            if isinstance(end, RowError):
                self._count(end.kind)
                return Dropped(name, origin, STAGE, end.kind, str(end), again=end.calls)
            self._count(RowKind.PROGRAM)
            return Dropped(name, origin, STAGE, RowKind.PROGRAM, end.reason)
        example = Example(name, end.input, end.output, origin, end.rationale, end.choices)
        verdict = self._check(example)
        if verdict.keep:
            self.tally.kept += 1
            return example
        self._count(verdict.kind)
        return Dropped(
            name, origin, "curation", verdict.kind, verdict.reason,
            input=end.input, output=end.output, score=verdict.score, other=verdict.other,
        )  # fmt: skip

    def _count(self, kind: RowKind) -> None:
        # What repeats or is contaminated says nothing about the plan; its kind is counted where it is reported.
        if kind in (RowKind.DUPLICATE, RowKind.CONFLICT, RowKind.CONTAMINATED):
            self.tally.skipped += 1
        else:
            self.tally.failed[kind] = self.tally.failed.get(kind, 0) + 1

    def _stop_when_the_server_fails(self, ended: Ended) -> None:
        if not isinstance(ended.end, RowError):
            return
        lost = self.tally.failed.get(RowKind.API_TRANSIENT, 0) + self.tally.failed.get(RowKind.API_FATAL, 0)
        if lost >= _ENOUGH and lost > 0.5 * self.tally.worked:
            told = f"{lost} of {self.tally.worked} rows failed at the model's server; the last: {ended.end}"
            raise ProviderError(told)

    def _origin(self, ended: Ended) -> Origin:
        record, calls = ended.record, ended.calls
        model = self.worker.model if calls.keys else None
        return Origin(
            method=self._method,
            source=self.card.id,
            revision=self.card.revision,
            config=record.config,
            split=record.split,
            record=record.id,
            record_sha256=record.sha256(),
            plan=self._sha,
            plan_by=self._plan_by,
            program=None if ended.by_model else self._program_sha,
            calls=calls.keys,
            model=model.name if model else None,
            licences=(self.card.licence,) if self.card.licence else (),
            cost_micro_usd=calls.cost_micro,
            tokens=calls.tokens,
        )


def shuffled(records: Iterable[Record], seed: int, *, window_of: int = _SHUFFLED) -> Iterator[Record]:
    """Records in a seeded order, in flat memory: each next one is drawn from a window of 10,000 records (or 64 MB).

    Files are often sorted by label; a prefix of the file would be one-sided.
    """
    random = Random(f"{seed}/order")
    window: list[Record] = []
    size, full = 0, False
    for record in records:
        window.append(record)
        if not full:
            size += sum(len(value) for value in record.fields.values() if isinstance(value, str)) + 200
            full = len(window) >= window_of or size >= _SHUFFLED_BYTES
            if full:
                random.shuffle(window)
            continue
        place = random.randrange(len(window))
        window[place], window[-1] = window[-1], window[place]
        yield window.pop()
    random.shuffle(window)
    yield from window
