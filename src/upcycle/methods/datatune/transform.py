"""Transform: a program runs over the records of its source, row by row; each becomes an example, a skip or a failure.

A plan without llm steps streams synchronously, in flat memory and at no cost. A plan with some works rows side by side
(`run_rows`), asks the model only for the llm steps' fields, and skips a record before it is paid for wherever a
step that needs no model already can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from upcycle.contract import Contract, Kind
from upcycle.curation.checks import Check
from upcycle.errors import ConfigError, ProviderError, RowError, RowKind
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import ask
from upcycle.methods.datatune.plans.program import EMPTY, Made, Pool, Program, Skip
from upcycle.methods.datatune.plans.steps import Llm
from upcycle.methods.prompts import fill, show_fields, show_task
from upcycle.records import Dropped, Example, Origin, Record, example_id
from upcycle.run import run_rows
from upcycle.sources.card import Card
from upcycle.task import Task

STAGE = "transform"
_SHUFFLED = 10_000
_SHUFFLED_BYTES = 64_000_000
_BREATH = 256  # rows between two turns of the event loop, so that Ctrl-C and progress get theirs
_ENOUGH = 40  # outcomes before a yield or a failure rate is judged
_FIELD_TOKENS = 400


class Calls(NamedTuple):
    """What a row's calls were and cost."""

    keys: tuple[str, ...] = ()
    cost_micro: int = 0
    tokens: int = 0


class Outcome(NamedTuple):
    """What became of one record."""

    made: list[Made] | Skip
    calls: Calls = Calls()


@dataclass(slots=True)
class Tally:
    """Running counts of one source; a planned skip is not a failure."""

    kept: int = 0
    skipped: int = 0
    failed: dict[RowKind, int] = field(default_factory=dict)

    @property
    def worked(self) -> int:
        return self.kept + sum(self.failed.values())

    def rate(self) -> float:
        """Kept share of the rows that were not planned skips; 1 before there are any."""
        return self.kept / self.worked if self.worked else 1.0


class Transform:
    """One program over one source, with everything it needs from the run."""

    def __init__(
        self,
        program: Program,
        card: Card,
        *,
        task: Task,
        expanded: str,
        model: Model | None,
        check: Check,
        pool: Pool = EMPTY,
        method: str = "datatune",
    ) -> None:
        if program.llm_steps and model is None:
            raise ConfigError(f"the plan for {card.id} asks a model for {program.llm_steps[0].into!r}; give --model")
        self.program, self.card, self.model, self.pool = program, card, model, pool
        self.tally = Tally()
        self._check = check
        self._method = method
        self._sha = program.plan.sha()
        self._asks = [_Asking(step, task, expanded) for step in program.llm_steps]

    async def rows(
        self, records: Iterable[Record], *, needed: Callable[[], int], at_once: int, min_yield: float = 0.0
    ) -> AsyncGenerator[Example | Dropped, None]:
        """Examples and drops, until `needed()` is 0, the records end, or the yield stays below `min_yield`.

        Raises:
            ProviderError: most rows fail because of the model's server.
        """
        outcomes = self._paid(records, needed, at_once) if self._asks else self._free(records, needed)
        try:
            async for record, outcome in outcomes:
                for result in self._judged(record, outcome):
                    yield result
                self._stop_when_the_server_fails(outcome)
                if self._too_few(min_yield):
                    return
        finally:
            await outcomes.aclose()

    def _too_few(self, min_yield: float) -> bool:
        return self.tally.worked >= _ENOUGH and self.tally.rate() < min_yield

    async def _free(self, records: Iterable[Record], needed: Callable[[], int]) -> Any:
        iterator, number = iter(records), 0
        # A record is drawn only when it is needed: the source may be returned to later.
        while needed() > 0 and (record := next(iterator, None)) is not None:
            yield record, Outcome(self.program(record, self.pool))
            number += 1
            if number % _BREATH == 0:
                await asyncio.sleep(0)

    async def _paid(self, records: Iterable[Record], needed: Callable[[], int], at_once: int) -> Any:
        rows = run_rows(records, self.work, at_once=at_once, needed=needed)
        try:
            async for row in rows:
                yield row
        finally:
            await rows.aclose()

    async def work(self, record: Record) -> Outcome:
        """One record through the program and the model."""
        fields = self.program.before(record, self.pool)
        if isinstance(fields, Skip):
            return Outcome(fields)
        calls = Calls()
        for asking in self._asks:
            assert self.model is not None
            answer, cost = await asking.answer(fields.values, self.model)
            calls = Calls(calls.keys + cost.keys, calls.cost_micro + cost.cost_micro, calls.tokens + cost.tokens)
            if isinstance(answer, Skip):
                return Outcome(answer, calls)
            fields.values[asking.step.into] = answer
        return Outcome(self.program.after(fields, self.pool), calls)

    def _judged(self, record: Record, outcome: Outcome | RowError) -> Iterator[Example | Dropped]:
        row = example_id(self._method, self.card.id, self.card.revision, record.ref)
        if isinstance(outcome, RowError):
            origin = self._origin(record, Calls(outcome.calls))
            self._count(outcome.kind)
            yield Dropped(row, origin, STAGE, outcome.kind, str(outcome))
            return
        origin = self._origin(record, outcome.calls)
        if isinstance(outcome.made, Skip):
            self.tally.skipped += 1
            yield Dropped(row, origin, STAGE, RowKind.SKIPPED, outcome.made.reason)
            return
        for position, made in enumerate(outcome.made):
            name = (
                row
                if position == 0
                else example_id(self._method, self.card.id, self.card.revision, record.ref, position)
            )
            example = Example(name, made.input, made.output, origin, made.rationale, made.choices)
            verdict = self._check(example)
            if verdict.keep:
                self.tally.kept += 1
                yield example
                continue
            self._count(verdict.kind)
            yield Dropped(
                name,
                origin,
                "curation",
                verdict.kind,
                verdict.reason,
                input=made.input,
                output=made.output,
                score=verdict.score,
                other=verdict.other,
            )

    def _count(self, kind: RowKind) -> None:
        # What repeats or is contaminated says nothing about the plan; its kind is counted where it is reported.
        if kind in (RowKind.DUPLICATE, RowKind.CONTAMINATED):
            self.tally.skipped += 1
        else:
            self.tally.failed[kind] = self.tally.failed.get(kind, 0) + 1

    def _stop_when_the_server_fails(self, outcome: Outcome | RowError) -> None:
        if not isinstance(outcome, RowError):
            return
        lost = self.tally.failed.get(RowKind.API_TRANSIENT, 0) + self.tally.failed.get(RowKind.API_FATAL, 0)
        if lost >= _ENOUGH and lost > 0.5 * self.tally.worked:
            raise ProviderError(f"{lost} of {self.tally.worked} rows failed at the model's server; the last: {outcome}")

    def _origin(self, record: Record, calls: Calls) -> Origin:
        return Origin(
            method=self._method,
            source=self.card.id,
            revision=self.card.revision,
            config=record.config,
            split=record.split,
            record=record.id,
            record_sha256=record.sha256(),
            plan=self._sha,
            calls=calls.keys,
            model=self.model.name if self.model and self._asks else None,
            licences=(self.card.licence,) if self.card.licence else (),
            cost_micro_usd=calls.cost_micro,
            tokens=calls.tokens,
        )


class _Asking:
    """One llm step as requests: the part that is the same for every row stands first, for the server's prompt cache."""

    def __init__(self, step: Llm, task: Task, expanded: str) -> None:
        self.step = step
        self._system = fill(
            Path(__file__).parent,
            "row",
            task=show_task(task),
            expanded=expanded,
            field=step.into,
            ask=step.ask,
            contract=step.contract.described(),
        )
        self._schema = _answer_schema(step)
        self._max_tokens = min(1500, max(64, (step.contract.max_chars or 2 * _FIELD_TOKENS) // 2 + 64))

    async def answer(self, fields: dict[str, Any], model: Model) -> tuple[str | Skip, Calls]:
        shown = {name: fields.get(name) for name in self.step.fields}
        row = f"<record>{show_fields(shown, chars=8_000)}</record>"
        messages = ({"role": "system", "content": self._system}, {"role": "user", "content": row})
        request = Request(messages, stage=STAGE, max_tokens=self._max_tokens, schema=self._schema)
        reply = await ask(model, request, check=self._check)
        calls = Calls(reply.calls, reply.cost_micro, reply.tokens)
        value = reply.value[self.step.into]
        if value is None:
            return Skip(f"llm: {reply.value['skip']}"), calls
        return str(value).strip(), calls

    def _check(self, value: Any) -> str | None:
        answer, skip = value.get(self.step.into), value.get("skip")
        if answer is None:
            return None if skip else f"give {self.step.into!r}, or a reason in 'skip'"
        return _field_violation(self.step.contract, str(answer))


def _field_violation(contract: Contract, text: str) -> str | None:
    if contract.kind in (Kind.CHOICE, Kind.SPAN):
        return None if text.strip() else "the value is empty"
    return contract.violation("-", text.strip())


def _answer_schema(step: Llm) -> dict[str, Any]:
    value: dict[str, Any] = {"type": ["string", "null"]}
    if step.contract.kind == Kind.LABEL and step.contract.labels:
        value = {"enum": [*step.contract.labels, None]}
    elif step.contract.kind == Kind.NUMBER:
        value = {"type": ["string", "number", "null"]}
    return {
        "type": "object",
        "properties": {step.into: value, "skip": {"type": ["string", "null"]}},
        "required": [step.into, "skip"],
        "additionalProperties": False,
    }


def shuffled(records: Iterable[Record], seed: int) -> Iterator[Record]:
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
            full = len(window) >= _SHUFFLED or size >= _SHUFFLED_BYTES
            if full:
                random.shuffle(window)
            continue
        place = random.randrange(len(window))
        window[place], window[-1] = window[-1], window[place]
        yield window.pop()
    random.shuffle(window)
    yield from window
