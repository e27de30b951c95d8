"""The construction interface: what Source2Synth asks of an application, and nothing else changes between tasks.

An application turns units of a source (a table, a document) into grounded examples. Splitting them into slices, the
intermediate model, filter, imputation, the final set, resuming and paying are the method's; reading the source, writing
questions and knowing when an answer is right are the application's. To implement one:

1.  `units(seed)` yields `Unit`s in an order that hangs on `seed` alone, in flat memory; what of a source cannot be used
    (a broken table, a redirect) is yielded as a `Dropped` of stage "source" and counted. A unit is what never lies on
    both sides of the split, so its `id` must be stable (a path, a title).
2.  `await construct(unit, writer)` makes up to `writer.wanted` examples of one unit, each by `writer.grounded(...)`,
    and each rejection by `writer.dropped(reason)`; both carry origin, calls and cost. All random choices come from
    `writer.rng`, all calls go through `writer.ask(request)`; `writer.model` is None under `--model none`. Calls are
    journaled, so construct is simply run again after a kill: same unit, same writer.rng, same requests, nothing paid
    twice. Beside the unit itself it may use only units of which `writer.allowed(id)` is true (the same slice), and
    names all it used in `units=`. A `RowError` from `ask` may be let through: the method drops the unit with it.
3.  `await right(grounded, said, unit)` says whether a text a model said is the answer: execution match against the
    unit, value match, or `matching.soft_match`. `said` is a whole reply, a chain before "Answer: ..." included.
4.  Where a part can be blanked and written anew (imputation), `blank(grounded)` gives the prompt that asks the
    intermediate model for it, with the part as it was (the model is taught it on slice 0), and
    `await rebuild(grounded, said, writer)` puts what it wrote back and merges again. Others return None from `blank`
    and raise from `rebuild`, which is then never called.

An application is opened by `tables.open_tables(sources, settings)`, `documents.open_documents(sources, settings)` or
`recipe.open_recipe(path, sources, settings)`, with the paths given as sources and the `source2synth` section; a source
that cannot be used at all raises `SourceError` or `ConfigError` there. Recipes (`recipe.py`) take their units from
`tables.open_ground(sources)` or `documents.open_ground(sources)`, each a `Ground`, and their executor from
`functions.PythonExecutor()` or `citations.CitationExecutor()`, each an `Executor`.

What the student sees is made by the method out of `question` and `context` (`book: open | closed`), and what it is
taught out of `rationale` and `answer` (`teach: answer | chain`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import Check, Reply, ask
from upcycle.records import Dropped, Origin, example_id
from upcycle.task import Task

METHOD = "source2synth"


@dataclass(frozen=True, slots=True)
class Unit:
    """What never lies on both sides of the split: one table, or one document.

    Attributes:
        id: stable and unique inside the source: a path, a title.
        source: id of the source; `revision` and `licences` are the source's.
        value: the table or document itself, as the application reads it.
        notes: what was mended or left out on reading it, each with a number behind ": ".
    """

    id: str
    source: str
    value: Any
    revision: str = ""
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grounded:
    """One example as constructed, with what curation needs.

    Attributes:
        units: ids of every unit it was made of, the first being the one construction began with.
        question: what is asked, without any context.
        context: what an open-book model is shown: the table, the documents' passages.
        answer: the true answer.
        rationale: the chain: sub-questions and the hop, or the SQL.
        kind: the question's type ("bridge", "comparison", "count", "superlative"); keep-rates are told by it.
        details: plain JSON values that `right`, `blank` and `rebuild` need (q1, q2, entity, sql ...).
    """

    id: str
    units: tuple[str, ...]
    question: str
    context: str
    answer: str
    origin: Origin
    rationale: str | None = None
    kind: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Blank(NamedTuple):
    """A part of an example left out: the prompt that asks for it, and the part as it was."""

    prompt: str
    part: str


class Application(Protocol):
    """Tables, documents, or a recipe; see the module's docstring for the contract of each function."""

    name: str

    def units(self, seed: int) -> Iterator[Unit | Dropped]: ...

    async def construct(self, unit: Unit, writer: Writer) -> Sequence[Grounded | Dropped]: ...

    async def right(self, grounded: Grounded, said: str, unit: Unit) -> bool: ...

    def blank(self, grounded: Grounded) -> Blank | None: ...

    async def rebuild(self, grounded: Grounded, said: str, writer: Writer) -> Grounded | Dropped: ...

    async def close(self) -> None: ...


class Truth(NamedTuple):
    """What an executor found: the answer as text, or None with the reason why there is none."""

    answer: str | None
    reason: str = ""


class Executor(Protocol):
    """The optional fourth part of a recipe: runs or checks what was constructed against its unit.

    `made` holds the construction prompt's reply, field by field. `truth` is the answer that execution finds (never one
    a model wrote), or the reason why the example cannot be right. `same` compares what a model said with it.
    """

    name: str

    async def truth(self, unit: Unit, made: Mapping[str, str]) -> Truth: ...

    async def same(self, unit: Unit, grounded: Grounded, said: str) -> bool: ...

    async def close(self) -> None: ...


class Ground(Protocol):
    """A source cut into units, for recipes: what `units` gives, and how one is shown in a prompt (at most `chars`)."""

    def units(self, seed: int) -> Iterator[Unit | Dropped]: ...

    def shown(self, unit: Unit, chars: int) -> str: ...


class Writer:
    """Writes the examples of one unit: asks the model, draws, and gives results their origin and cost.

    Args:
        wanted: the most examples to make of the unit.
        allowed: whether the unit with this id may be used too: it lies in the same slice.
    """

    def __init__(
        self,
        unit: Unit,
        *,
        task: Task,
        model: Model | None,
        seed: int,
        wanted: int = 1,
        allowed: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.unit, self.task, self.model, self.wanted, self.allowed = unit, task, model, wanted, allowed
        self.rng = random.Random(f"{seed}:{unit.source}:{unit.id}")
        self._calls: list[str] = []
        self._cost = self._tokens = 0
        self._made = 0

    async def ask(self, request: Request, *, check: Check | None = None, tries: int = 3) -> Reply:
        """Ask the model; what it costs belongs to the next example or rejection.

        Raises:
            ConfigError: there is no model.
            RowError, ProviderError, BudgetExceededError: as `llm.replies.ask`.
        """
        if self.model is None:
            raise ConfigError(
                "this application has a model write, and there is none (no key, server or weights were found, or"
                " --model none was given); name one with --model"
            )
        try:
            reply = await ask(self.model, request, check=check, tries=tries)
        except RowError as error:
            self._calls += error.calls  # of the rejection that follows, so that a retry can ask them afresh
            raise
        self._calls += reply.calls
        self._cost += reply.cost_micro
        self._tokens += reply.tokens
        return reply

    def grounded(
        self,
        question: str,
        answer: str,
        *,
        context: str,
        rationale: str | None = None,
        kind: str = "",
        units: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
        program: str | None = None,
    ) -> Grounded:
        """An example of this unit; `units` are the others it was made of, `program` the digest of what was executed."""
        name, origin = self._next(program)
        used = tuple(dict.fromkeys((self.unit.id, *units)))
        return Grounded(name, used, question, context, answer, origin, rationale, kind, details or {})

    def dropped(
        self,
        reason: str,
        kind: RowKind = RowKind.SKIPPED,
        *,
        question: str | None = None,
        answer: str | None = None,
    ) -> Dropped:
        """A rejection, with a reason that does not name values, so that equal reasons are counted together."""
        name, origin = self._next(None)
        return Dropped(name, origin, "construct", kind, reason, input=question, output=answer)

    def _next(self, program: str | None) -> tuple[str, Origin]:
        unit = self.unit
        calls, cost, tokens = tuple(self._calls), self._cost, self._tokens
        self._calls, self._cost, self._tokens = [], 0, 0
        name = example_id(METHOD, unit.source, unit.revision, unit.id, self._made)
        self._made += 1
        model = self.model.name if calls and self.model is not None else None
        return name, Origin(
            method=METHOD, source=unit.source, revision=unit.revision or None, record=unit.id, program=program,
            calls=calls, model=model, licences=unit.licences, cost_micro_usd=cost, tokens=tokens,
        )  # fmt: skip
