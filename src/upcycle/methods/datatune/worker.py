"""A program at work on blocks of records, with what it asks of a model: the same for a plan's program and for the model
that executes the plan where the program cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm.model import Model
from upcycle.methods.datatune.asking import Asking, Calls
from upcycle.methods.datatune.plans.operation import EMPTY, Pool
from upcycle.methods.datatune.plans.program import Failed, Made, Program, Row, Skip
from upcycle.records import Record, Verdict
from upcycle.sandbox import Sandbox
from upcycle.task import Task

T = TypeVar("T")
NONE = Calls()


class Ended(NamedTuple):
    """What became of one record, or of one part of a split one; a verdict where nothing was to be made of it."""

    record: Record
    part: str
    end: Made | Skip | Failed | RowError | Verdict
    calls: Calls = NONE
    by_model: bool = False


class Waiting(NamedTuple):
    """A row that waits for a model's answer.

    Attributes:
        wrong: what was wrong with the answer it had; "" where it had none.
        calls: in which it had it.
    """

    record: Record
    row: Row
    wrong: str = ""
    calls: Calls = NONE


class FullCall(NamedTuple):
    """What the calls of a run hold: tokens that each repeats, rows in a full one, and rows of the records tried."""

    shared: int = 0
    rows: int = 1
    asked: int = 0


def _both(one: Calls, other: Calls) -> Calls:
    return Calls((*one.keys, *other.keys), one.cost_micro + other.cost_micro, one.tokens + other.tokens)


class Worker:
    """One program with its pool, its sandbox and its model."""

    def __init__(
        self,
        program: Program,
        *,
        task: Task,
        expanded: str,
        model: Model | None,
        pool: Pool = EMPTY,
        sandbox: Sandbox | None = None,
        by_model: bool = False,
    ) -> None:
        if program.llm_steps and model is None:
            asked = program.llm_steps[0].into
            raise ConfigError(f"the plan for {program.plan.source} asks a model for {asked!r}; give --model")
        self.program, self.model, self.pool = program, model, pool
        self._sandbox = sandbox
        self._by_model = by_model
        self.asking: Asking | None = None
        if program.llm_steps:
            prose = program.plan.prose if by_model else ""
            self.asking = Asking(program.llm_steps, task=task, expanded=expanded, prose=prose)

    @property
    def asks(self) -> bool:
        """Whether rows wait for a model."""
        return self.asking is not None

    def fits(self, waiting: Sequence[Waiting]) -> int:
        """How many of these rows, from the first on, one call can carry; at least one."""
        assert self.asking is not None
        return self.asking.fits([one.row.values for one in waiting])

    async def full_call(self, records: Sequence[Record], most: int) -> FullCall:
        """What calls of a run over records like these hold, `most` rows at most."""
        if self.asking is None:
            return FullCall()
        _, waiting = await self.start(records)
        rows = [one.row.values for one in waiting]
        return FullCall(self.asking.shared_tokens, self.asking.holds(rows, most), len(rows))

    async def start(self, records: Sequence[Record]) -> tuple[list[Ended], list[Waiting]]:
        """Run what needs no model: the rows that ended, and those that wait for an answer."""
        rows = await self._off_loop(self.program.start, records)
        if self.asking is None:
            ended = await self._off_loop(self.program.finish, rows)
            return [self._ended(records[row.record], row, end) for row, end in ended], []
        over = [self._ended(records[row.record], row, row.ended) for row in rows if row.ended is not None]
        return over, [Waiting(records[row.record], row) for row in rows if row.ended is None]

    async def answer(self, waiting: Sequence[Waiting]) -> tuple[list[Ended], list[Waiting]]:
        """Ask the model for these rows in one call, and finish them: the rows that ended, and those to ask again.

        All of them, or none, had an answer before. Of several that had none, those whose answer cannot be used are
        given back, to be asked again together with others; else they are asked again here.
        """
        assert self.asking is not None
        assert self.model is not None
        wrong = [one.wrong for one in waiting if one.wrong]
        once = len(waiting) > 1 and not wrong
        answers = await self.asking.answers([one.row.values for one in waiting], self.model, once=once, wrong=wrong)
        answers = [
            answer._replace(calls=_both(one.calls, answer.calls)) for one, answer in zip(waiting, answers, strict=True)
        ]
        over: list[list[Ended]] = [[] for _ in waiting]
        again: list[Waiting] = []
        rows: list[Row] = []
        for place, (one, answer) in enumerate(zip(waiting, answers, strict=True)):
            one.row.record = place
            if answer.error is not None and once and answer.error.kind == RowKind.UNPARSEABLE:
                again.append(one._replace(wrong=answer.wrong or "no value", calls=answer.calls))
            elif answer.error is not None:
                over[place].append(self._ended(one.record, one.row, answer.error, answer.calls))
            elif answer.skip is not None:
                over[place].append(self._ended(one.record, one.row, Skip(answer.skip), answer.calls))
            else:
                one.row.values.update(answer.values or {})
                rows.append(one.row)
        for row, end in await self._off_loop(self.program.finish, rows):
            # A call is paid for once, whatever its answer was split into.
            calls = answers[row.record].calls if not over[row.record] else Calls(answers[row.record].calls.keys)
            over[row.record].append(self._ended(waiting[row.record].record, row, end, calls))
        return [ended for place in over for ended in place], again

    def _ended(self, record: Record, row: Row, end: Made | Skip | Failed | RowError, calls: Calls = NONE) -> Ended:
        return Ended(record, row.part, end, calls, self._by_model)

    async def _off_loop(self, run: Callable[..., T], things: Sequence[Record] | Sequence[Row]) -> T:
        # The sandbox is another process; while it works, this loop's calls go on.
        if self.program.needs_sandbox:
            return await asyncio.to_thread(run, things, self.pool, self._sandbox)
        return run(things, self.pool)
