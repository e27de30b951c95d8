"""A plan compiled to a program: records in, examples or reasons out, and nothing asked of a model here.

`compile_plan(plan, seed=...)` gives a `Program`. Records go through in blocks: `start(records)` does all that comes
before a model is asked, the caller puts each answer into `row.values[step.into]`, and `finish(rows)` does the rest; a
plan without llm steps needs nothing in between. Every draw is seeded by run, source, record and step, so that a row is
the same whatever the order, the blocks, the workers or the resumes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from upcycle.contract import with_options
from upcycle.errors import ConfigError
from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.operation import EMPTY, Apply, Draw, Pool, filler
from upcycle.methods.datatune.plans.operations import compiled
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import Check, Clause, Llm, Python, SampleOption, Split, Step
from upcycle.records import Record
from upcycle.sandbox import Failed as Fault
from upcycle.sandbox import Outcome, Sandbox
from upcycle.sandbox.outcome import COSTLY


class Skip(NamedTuple):
    """A record that becomes no example by the plan's own decision, and why."""

    reason: str


class Failed(NamedTuple):
    """A record the program could not do its work on, and why: the program's fault, so a model may do it instead."""

    reason: str


class Made(NamedTuple):
    """One example without its origin."""

    input: str
    output: str
    choices: tuple[str, ...] | None = None
    rationale: str | None = None


@dataclass(slots=True)
class Row:
    """A record, or one part of a split record, on its way to an example.

    Attributes:
        record: its record's place in the block that was started together.
        ref: what its draws are seeded with.
        part: which part of its record it is; "" where that was not split.
        values: its columns and what the steps wrote so far.
        ended: why no more steps are run on it.
    """

    record: int
    ref: str
    values: dict[str, Any]
    part: str = ""
    ended: Skip | Failed | None = None


_POOL_SIZE = 5_000
_POOL_READS = 20_000
_MOST_PARTS = 100
_COSTLY = 8


class Program:
    """A compiled plan.

    Attributes:
        llm_steps: what the caller asks the model between `start` and `finish`, in order.
        needs_pool: whether `fill` must be called once per source for the pool.
        needs_sandbox: whether it holds Python, which runs in the sandbox the caller gives and nowhere else.
    """

    def __init__(self, plan: Plan, *, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        first, asked, last = _parts(plan)
        self.llm_steps: tuple[Llm, ...] = tuple(asked)
        self.needs_pool = any(_wants_pool(step) for step in plan.steps)
        self.needs_sandbox = any(isinstance(step, Python) for step in plan.steps)
        self._first = _stages(first)
        self._last = _stages(last)
        self._input = filler(plan.input)
        self._output = filler(plan.output)
        self._rationale = filler(plan.rationale) if plan.rationale else None
        self._costly: dict[int, tuple[int, int]] = {}
        self._given_up: dict[int, Fault] = {}

    def __call__(
        self, record: Record, pool: Pool = EMPTY, sandbox: Sandbox | None = None
    ) -> list[Made] | Skip | Failed:
        """The examples of one record, or why there is none. Only for plans without llm steps."""
        ended = [end for _, end in self.finish(self.start([record], pool, sandbox), pool, sandbox)]
        made = [end for end in ended if isinstance(end, Made)]
        return made or next((end for end in ended if not isinstance(end, Made)), Skip("it has no part"))

    def sha(self) -> str:
        """Digest of the program: of the plan as it is read by people, code and all, and of the seed of its draws."""
        return hashlib.sha256(f"{self.seed}\n{self.plan.to_program()}".encode()).hexdigest()

    def start(self, records: Sequence[Record], pool: Pool = EMPTY, sandbox: Sandbox | None = None) -> list[Row]:
        """Everything that can be done before a model is asked, for a block of records; at least one row of each."""
        rows = [Row(place, f"{r.source}/{r.ref}", dict(r.fields)) for place, r in enumerate(records)]
        return self._run(self._first, rows, pool, sandbox)

    def finish(
        self, rows: Sequence[Row], pool: Pool = EMPTY, sandbox: Sandbox | None = None
    ) -> list[tuple[Row, Made | Skip | Failed]]:
        """The rest, once every llm step's field is in each row's `values`; what became of every row."""
        rows = self._run(self._last, list(rows), pool, sandbox) if self._last else rows
        return [(row, row.ended if row.ended is not None else self._made(row.values)) for row in rows]

    def fill(self, records: Iterable[Record], sandbox: Sandbox | None = None) -> Pool:
        """The pool of a source: a seeded sample of at most 5,000 values, from its first 20,000 records."""
        if not self.needs_pool:
            return EMPTY
        kept: list[Record] = []
        lower: Counter[str] = Counter()
        upper: Counter[str] = Counter()
        random = Random(f"{self.seed}/{self.plan.source}/pool")
        spelled = any(isinstance(step, Clause) and step.first == "lower" for step in self.plan.steps)
        for seen, record in enumerate(islice(records, _POOL_READS), 1):
            if self.plan.takes(record.config, record.split):
                _keep_one(kept, record, seen, random)
                if spelled:
                    _count_words(record, lower, upper)
        spellings = Pool(
            words=frozenset(word for word, count in lower.items() if count > 2 * upper[word]),
            names=frozenset(word.capitalize() for word, count in upper.items() if count > 2 * lower[word]),
        )
        drawn = self._poured(kept, spellings, sandbox)
        return replace(spellings, drawn={name: tuple(found) for name, found in drawn.items()})

    def _poured(self, records: list[Record], spellings: Pool, sandbox: Sandbox | None) -> dict[str, list[str]]:
        # Wrong answers must have been through the same steps as the right one, so the steps before are run.
        rows = [Row(place, f"{r.source}/{r.ref}", dict(r.fields)) for place, r in enumerate(records)]
        poured: dict[str, list[str]] = {}
        for stage in self._first:
            if isinstance(stage, tuple):
                rows = self._together(stage, rows, sandbox)
                continue
            for row in rows:
                self._pour_row(stage, row, spellings, poured)
        return poured

    def _pour_row(self, stage: list[_Line], row: Row, spellings: Pool, poured: dict[str, list[str]]) -> None:
        draw = Draw(f"{self.seed}/{row.ref}")
        for _, step, apply in stage:
            if row.ended is not None:
                return
            if isinstance(step, SampleOption):
                if value := values.text_of(row.values.get(step.field)).strip():
                    poured.setdefault(step.field, []).append(value)
            elif (reason := apply(row.values, draw, spellings)) is not None:
                row.ended = Skip(reason)

    def _run(self, stages: list[_Stage], rows: list[Row], pool: Pool, sandbox: Sandbox | None) -> list[Row]:
        for stage in stages:
            if isinstance(stage, tuple):
                rows = self._together(stage, rows, sandbox)
                continue
            for row in rows:
                if row.ended is None:
                    self._run_row(stage, row, pool)
        return rows

    def _run_row(self, stage: list[_Line], row: Row, pool: Pool) -> None:
        draw = Draw(f"{self.seed}/{row.ref}")
        for _, step, apply in stage:
            reason = apply(row.values, draw, pool)
            if reason is not None:
                told = f"{step.do}: {reason}"
                row.ended = Failed(told) if isinstance(step, Check) else Skip(told)
                return

    def _together(self, stage: tuple[int, Split | Python], rows: list[Row], sandbox: Sandbox | None) -> list[Row]:
        number, step = stage
        if isinstance(step, Split):
            return [part for row in rows for part in _split(step, row)]
        live = [row for row in rows if row.ended is None]
        assert sandbox is not None, "Python runs in a sandbox or not at all"
        if (fault := self._given_up.get(number)) is not None:
            outcomes: Sequence[Outcome] = [fault] * len(live)
        else:
            seen = [_seen(step, row, Draw(f"{self.seed}/{row.ref}"), number) for row in live]
            outcomes = sandbox.run(step.program, seen)
            self._judge(number, outcomes)
        for row, outcome in zip(live, outcomes, strict=True):
            row.ended = _taken(step, row, outcome)
        return rows

    def _judge(self, number: int, outcomes: Sequence[Outcome]) -> None:
        # A row may cost a second; code that does that again and again is not sent a million rows.
        faults = [one for one in outcomes if isinstance(one, Fault)]
        costly, seen = self._costly.get(number, (0, 0))
        costly, seen = costly + sum(one.kind in COSTLY for one in faults), seen + len(outcomes)
        self._costly[number] = (costly, seen)
        if useless := next((one for one in faults if one.program), None):
            self._given_up[number] = useless
        elif costly > max(_COSTLY, 0.01 * seen):
            kind = next(one.kind for one in reversed(faults) if one.kind in COSTLY)
            told = f"given up after {costly} of {seen} rows took all the time or memory a row may take"
            self._given_up[number] = Fault(kind, told, program=True)

    def _made(self, fields: dict[str, Any]) -> Made | Skip:
        text = self._input(fields).replace("\r\n", "\n")
        output = self._output(fields).replace("\r\n", "\n")
        if not text or not output:
            return Skip(f"the {'output' if text else 'input'} has an empty or missing field")
        rationale = self._rationale(fields) if self._rationale else None
        if self.plan.choices is None:
            return Made(text.strip(), output.strip(), None, rationale or None)
        options = values.list_of(fields.get(self.plan.choices))
        output = " ".join(output.split())
        if not options or output not in options:
            return Skip("the answer is not among the options")
        if not all(options) or len({values.same(option) or option for option in options}) < len(options):
            return Skip("two options are the same, or one is empty")
        return Made(with_options(text.strip(), options), output, tuple(options), rationale or None)


_Line = tuple[int, Step, Apply]
_Stage = list[_Line] | tuple[int, Split | Python]
"""Steps that are run row by row, or one that is run on many rows together."""


def _stages(steps: list[tuple[int, Step]]) -> list[_Stage]:
    stages: list[_Stage] = []
    for number, step in steps:
        if isinstance(step, Split | Python):
            stages.append((number, step))
        elif stages and isinstance(stages[-1], list):
            stages[-1].append((number, step, compiled(step, number)))
        else:
            stages.append([(number, step, compiled(step, number))])
    return stages


def _split(step: Split, row: Row) -> list[Row]:
    if row.ended is not None:
        return [row]
    lists = {name: values.list_of(row.values.get(column)) for name, column in step.take.items()}
    lengths = {len(found) if found else 0 for found in lists.values()}
    if lengths == {0} or len(lengths) > 1:
        why = f"{next(iter(step.take.values()))!r} is no list" if lengths == {0} else "the lists differ in length"
        row.ended = Skip(f"split: {why}")
        return [row]
    parts = zip(*(found or [] for found in lists.values()), strict=True)
    return [
        Row(
            row.record,
            f"{row.ref}#{place}",
            {**row.values, **dict(zip(lists, part, strict=True))},
            f"{row.part}.{place}" if row.part else str(place),
        )
        for place, part in enumerate(islice(parts, _MOST_PARTS))
    ]


def _seen(step: Python, row: Row, draw: Draw, number: int) -> dict[str, Any]:
    seen = {name: _plain(row.values.get(name)) for name in step.fields}
    if step.draws:
        random = draw.at(number)
        seen["_draws"] = [random.random() for _ in range(step.draws)]
    return seen


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def _taken(step: Python, row: Row, outcome: Outcome) -> Skip | Failed | None:
    """Put what the code gave into the row, or say why it ends."""
    if isinstance(outcome, Fault):
        return Failed(f"python: {outcome.kind.value}: {outcome.reason}")
    value = outcome.json
    if value is None:
        return Skip("python: it gave nothing")
    if isinstance(value, dict) and set(value) == {"skip"}:
        return Skip(f"python: {str(value['skip'])[:200]}")
    if isinstance(step.into, str):
        if isinstance(value, dict):
            return Failed("python: wrong-shape: it gave a dict for one field")
        row.values[step.into] = value
        return None
    if not isinstance(value, dict) or (missing := set(step.into) - set(value)):
        told = "no dict" if not isinstance(value, dict) else f"a dict without {min(missing)!r}"
        return Failed(f"python: wrong-shape: it gave {told}")
    row.values.update({name: value[name] for name in step.into})
    return None


def compile_plan(plan: Plan, *, seed: int) -> Program:
    """A program for the plan.

    Raises:
        ConfigError: an llm step reads what is only known after a model's answer.
    """
    return Program(plan, seed=seed)


def _parts(plan: Plan) -> tuple[list[tuple[int, Step]], list[Llm], list[tuple[int, Step]]]:
    # A step that needs nothing from a model runs before it, so that a record is skipped before it is paid for.
    answered: set[str] = set()
    made_later: set[str] = set()
    first: list[tuple[int, Step]] = []
    asked: list[Llm] = []
    last: list[tuple[int, Step]] = []
    for number, step in enumerate(plan.steps):
        touched = set(step.reads()) | set(step.writes())
        if isinstance(step, Llm):
            if late := sorted(set(step.reads()) & made_later):
                raise ConfigError(
                    f"the plan for {plan.source}: the llm step for {step.into!r} reads {late[0]!r}, which is made from"
                    " another answer; let it read that answer itself"
                )
            asked.append(step)
            answered.add(step.into)
        elif touched & (answered | made_later):
            last.append((number, step))
            made_later.update(step.writes())
        else:
            first.append((number, step))
    return first, asked, last


def _wants_pool(step: Step) -> bool:
    return isinstance(step, SampleOption) or (isinstance(step, Clause) and step.first == "lower")


def _keep_one(kept: list[Record], record: Record, seen: int, random: Random) -> None:
    if len(kept) < _POOL_SIZE:
        kept.append(record)
    elif (place := random.randrange(seen)) < _POOL_SIZE:
        kept[place] = record


_LOWER = re.compile(r"(?<![\w'’])[a-z]+(?![\w'’])")
_INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?!\w)")


def _count_words(record: Record, lower: Counter[str], upper: Counter[str]) -> None:
    """Which words stand in lower case, and which with a capital though no sentence opens there."""
    for value in record.fields.values():
        if isinstance(value, str):
            lower.update(_LOWER.findall(value[:2_000]))
            upper.update(word.lower() for word in _INSIDE.findall(value[:2_000]))
