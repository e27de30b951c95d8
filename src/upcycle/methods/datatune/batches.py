"""Batches: which rows travel in one call, and when it starts; decided on what came back, never on time.

A call takes a full load while as many rows are missing; the last few wait until all else is back, so that nothing is
paid beyond what was asked for and yet no call travels nearly empty. How many rows each call took is remembered in the
run: a run that goes on, with more rows or another concurrency, makes the same calls again and finds them paid.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableMapping
from itertools import islice
from typing import NamedTuple

from upcycle.curation.checks import KEEP, RecordCheck
from upcycle.errors import RowError
from upcycle.llm.model import Model, in_process
from upcycle.methods.datatune.sizing import Sizing
from upcycle.methods.datatune.worker import Ended, Waiting, Worker
from upcycle.records import Record

BLOCK = 512
"""Records worked without a model between two turns of the event loop, so that Ctrl-C and progress get theirs."""

LAG = 16
"""Batches in flight at most: what a batch's size follows from has come back before it starts."""

_LEAST = 64
_MOST = 64  # of short fields; the room for replies bounds the others


def most_together(model: Model | None, asked: int | None) -> int:
    """How many records a call may hold: what was asked for; else many, and one for the model in this process.

    That one remembers the part of the prompt that stays the same, so together they save nothing, and confuse it.
    """
    if asked is not None:
        return asked
    return 1 if in_process(model) else _MOST


class Load(NamedTuple):
    """How many rows a call took, whether the model executed the plan on them, and whether they were asked before."""

    rows: int
    instead: bool
    again: bool = False


class Batch(NamedTuple):
    """Rows for one call."""

    number: int
    waiting: list[Waiting]
    worker: Worker


class Batches:
    """The rows of one source on their way to a model.

    Args:
        instead: the model that executes the plan on a record the program fails on; None where nobody does.
        most: rows in one call at most.
        refuse: judges a record before anything is made of it.
        log: the loads of an earlier process, by number of the batch; new ones are added.

    Attributes:
        ended: rows to be looked at, in order.
    """

    def __init__(
        self,
        worker: Worker,
        instead: Worker | None,
        most: int,
        log: MutableMapping[int, Load],
        refuse: RecordCheck | None = None,
    ) -> None:
        self.ended: deque[Ended] = deque()
        self._worker, self._instead, self._log = worker, instead, log
        self._sizing = Sizing(start=most, most=most, lag=LAG) if most > 1 else None
        self._refuse = refuse
        self._live: deque[Waiting] = deque()
        self._failed: deque[Waiting] = deque()
        # Asked once, with an answer that cannot be used: asked again together, as each call repeats its whole prompt.
        self._live_again: deque[Waiting] = deque()
        self._failed_again: deque[Waiting] = deque()
        self._number = 0

    def most_at_once(self, at_once: int) -> int:
        """How many batches may be in flight."""
        return min(at_once, LAG) if self._sizing else at_once

    async def next(self, records: Iterator[Record], short: int, *, alone: bool) -> Batch | None:
        """The next rows to ask a model about, or None while nothing is to be asked.

        Args:
            short: rows still missing when all in flight come back as examples.
            alone: nothing is in flight.
        """
        if short <= 0:
            return None
        if self._number in self._log:
            return await self._again(records, short, alone=alone)
        size = self._sizing.size(self._number) if self._sizing else 1
        if self._worker.asks:
            await self._read_until(records, min(size, short))
        elif not self.ended and len(self._failed) < size:
            await self._read(records, short)
        fresh = short - len(self._live_again) - len(self._failed_again)
        for again, room in ((True, short), (False, fresh)):
            for instead in (True, False):
                waiting = self._queue(instead=instead, again=again)
                enough = len(waiting) >= size and room >= size
                if waiting and (enough or (alone and not self.ended)):
                    return self._batch(min(size, short, len(waiting)), instead=instead, again=again)
        return None

    def _queue(self, *, instead: bool, again: bool) -> deque[Waiting]:
        if again:
            return self._failed_again if instead else self._live_again
        return self._failed if instead else self._live

    async def _again(self, records: Iterator[Record], short: int, *, alone: bool) -> Batch | None:
        """The batch an earlier process made at this place; None until its rows are there."""
        load = self._log[self._number]
        waiting = self._queue(instead=load.instead, again=load.again)
        if self._worker.asks:
            await self._read_until(records, 0 if load.instead or load.again else load.rows)
        elif not self.ended and len(waiting) < load.rows:
            await self._read(records, short)
        if len(waiting) >= load.rows:
            return self._batch(load.rows, instead=load.instead, again=load.again)
        if alone and not self.ended:
            # These rows will not come again: some failed then and do not now. From here on it is decided anew.
            for number in [number for number in self._log if number >= self._number]:
                del self._log[number]
            return await self.next(records, short, alone=alone)
        return None

    def back(self, batch: Batch, ended: list[Ended], again: list[Waiting]) -> None:
        """Take in what came back, in the order it was asked."""
        if self._sizing:
            wrong = len(again) + sum(1 for one in ended if len(one.calls.keys) > 1 or isinstance(one.end, RowError))
            # Rows that were asked before are the difficult ones; they say nothing of the size.
            asked = 0 if batch.waiting[0].wrong else len(batch.waiting)
            self._sizing.record(batch.number, asked, min(wrong, asked))
        self.ended.extend(ended)
        (self._failed_again if batch.worker is self._instead else self._live_again).extend(again)

    async def give_to_the_model(self, record: Record) -> None:
        """Queue a record that the program failed on for the model."""
        assert self._instead is not None
        ended, waiting = await self._instead.start([record])
        self.ended.extendleft(ended)
        self._failed.extend(waiting)

    def _batch(self, most: int, *, instead: bool, again: bool) -> Batch:
        waiting, worker = self._queue(instead=instead, again=again), self._instead if instead else self._worker
        assert worker is not None
        rows = list(islice(waiting, most))
        rows = rows[: worker.fits(rows)] if len(rows) > 1 else rows
        for _ in rows:
            waiting.popleft()
        number, self._number = self._number, self._number + 1
        if self._sizing and number not in self._log:
            self._log[number] = Load(len(rows), instead, again)
        return Batch(number, rows, worker)

    def _refused(self, record: Record) -> bool:
        verdict = self._refuse(record) if self._refuse is not None else KEEP
        if not verdict.keep:
            self.ended.append(Ended(record, "", verdict))
        return not verdict.keep

    async def _read_until(self, records: Iterator[Record], count: int) -> None:
        while len(self._live) < count and await self._read(records, count):
            pass

    async def _read(self, records: Iterator[Record], short: int) -> bool:
        """Run a block of records as far as no model is needed; False where there are none left."""
        block = list(islice(records, min(BLOCK, max(short, _LEAST))))
        taken = [record for record in block if not self._refused(record)]
        ended, waiting = await self._worker.start(taken)
        self.ended.extend(ended)
        self._live.extend(waiting)
        return bool(block)
