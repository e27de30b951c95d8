"""A plan compiled to a program: record in, examples or a reason out, and nothing asked of a model here.

`compile_plan(plan, seed=...)` gives a `Program`. Where the plan has no llm step, `program(record, pool)` is the whole
story. Where it has some, `before(record, pool)` makes the fields the model is shown, the caller puts each answer into
`fields.values[step.into]`, and `after(fields, pool)` finishes. Every draw is seeded by run, source, record and step, so
that a row is the same whatever the order, the workers or the resumes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from upcycle.contract import with_options
from upcycle.errors import ConfigError
from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.operations import EMPTY, Apply, Draw, Pool, compiled, filler
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import Clause, Llm, SampleOption, Step
from upcycle.records import Record


class Skip(NamedTuple):
    """A record that becomes no example, and why."""

    reason: str


class Made(NamedTuple):
    """One example without its origin."""

    input: str
    output: str
    choices: tuple[str, ...] | None = None
    rationale: str | None = None


@dataclass(slots=True)
class Fields:
    """A record on its way to an example: its columns and what the steps wrote so far."""

    ref: str
    values: dict[str, Any]


_POOL_SIZE = 5_000
_POOL_READS = 20_000


class Program:
    """A compiled plan.

    Attributes:
        llm_steps: what the caller asks the model between `before` and `after`, in order.
        needs_pool: whether `fill` must be called once per source for the pool.
    """

    def __init__(self, plan: Plan, *, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        first, asked, last = _parts(plan)
        self.llm_steps: tuple[Llm, ...] = tuple(asked)
        self.needs_pool = any(_wants_pool(step) for step in plan.steps)
        self._first = [(number, step, compiled(step, number)) for number, step in first]
        self._last = [(number, step, compiled(step, number)) for number, step in last]
        self._input = filler(plan.input)
        self._output = filler(plan.output)
        self._rationale = filler(plan.rationale) if plan.rationale else None

    def __call__(self, record: Record, pool: Pool = EMPTY) -> list[Made] | Skip:
        """The examples of one record. Only for plans without llm steps."""
        fields = self.before(record, pool)
        return fields if isinstance(fields, Skip) else self.after(fields, pool)

    def before(self, record: Record, pool: Pool = EMPTY) -> Fields | Skip:
        """Everything that can be done before a model is asked."""
        fields = Fields(f"{record.source}/{record.ref}", dict(record.fields))
        reason = self._run(self._first, fields, pool)
        return fields if reason is None else Skip(reason)

    def after(self, fields: Fields, pool: Pool = EMPTY) -> list[Made] | Skip:
        """The rest, once every llm step's field is in `fields.values`."""
        reason = self._run(self._last, fields, pool)
        return self._made(fields.values) if reason is None else Skip(reason)

    def fill(self, records: Iterable[Record]) -> Pool:
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
        drawn: dict[str, list[str]] = {}
        for record in kept:
            for name, value in self._poured(record, spellings).items():
                if value:
                    drawn.setdefault(name, []).append(value)
        return replace(spellings, drawn={name: tuple(found) for name, found in drawn.items()})

    def _poured(self, record: Record, spellings: Pool) -> dict[str, str]:
        # Wrong answers must have been through the same steps as the right one, so the steps before are run.
        fields = Fields(f"{record.source}/{record.ref}", dict(record.fields))
        draw = Draw(f"{self.seed}/{fields.ref}")
        poured: dict[str, str] = {}
        for _, step, apply in self._first:
            if isinstance(step, SampleOption):
                poured[step.field] = values.text_of(fields.values.get(step.field)).strip()
            elif apply(fields.values, draw, spellings) is not None:
                break
        return poured

    def _run(self, steps: list[tuple[int, Step, Apply]], fields: Fields, pool: Pool) -> str | None:
        draw = Draw(f"{self.seed}/{fields.ref}")
        for _, step, apply in steps:
            reason = apply(fields.values, draw, pool)
            if reason is not None:
                return f"{step.do}: {reason}"
        return None

    def _made(self, fields: dict[str, Any]) -> list[Made] | Skip:
        text = self._input(fields).replace("\r\n", "\n")
        output = self._output(fields).replace("\r\n", "\n")
        if not text or not output:
            return Skip(f"the {'output' if text else 'input'} has an empty or missing field")
        rationale = self._rationale(fields) if self._rationale else None
        if self.plan.choices is None:
            return [Made(text.strip(), output.strip(), None, rationale or None)]
        options = values.list_of(fields.get(self.plan.choices))
        output = " ".join(output.split())
        if not options or output not in options:
            return Skip("the answer is not among the options")
        if not all(options) or len({values.same(option) or option for option in options}) < len(options):
            return Skip("two options are the same, or one is empty")
        return [Made(with_options(text.strip(), options), output, tuple(options), rationale or None)]


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
