"""Source2Synth: questions grounded in real sources, kept only if a model trained on half of them can answer.

Read top to bottom: the source's units are split in two (`slices`), slice 0 is constructed (`application`: tables,
documents, or a recipe) and an intermediate model is trained on it (`intermediate`), slice 1 is constructed in chunks,
each filtered by what that model answers in k tries (`filter`) and rewritten in part (`imputation`); what is left is the
dataset. It is Lupidi et al., arXiv 2409.08239, section 3; the final model is trained by whoever trains on the dataset,
from the base and not from the intermediate model. Slice 1 is streamed: it goes on until as many rows are kept as were
asked for, or `slice` examples were constructed, or the source is exhausted.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from upcycle.config import Source2Synth
from upcycle.curation.check import Check
from upcycle.errors import ConfigError, RowKind, SourceError
from upcycle.llm.roles import Roles
from upcycle.methods.source2synth.application import METHOD, Application, Grounded, Unit
from upcycle.methods.source2synth.comparison import POOL
from upcycle.methods.source2synth.filter import Tried, filtered
from upcycle.methods.source2synth.imputation import imputed
from upcycle.methods.source2synth.intermediate import Intermediate, Served, Train, trained
from upcycle.methods.source2synth.keep_rates import KeepRates
from upcycle.methods.source2synth.lessons import example_of, lessons_of
from upcycle.methods.source2synth.slices import Making, Slice, SliceZero, noted_lines, slice_zero
from upcycle.records import Dropped, Example
from upcycle.run import Run, write_text
from upcycle.task import Task
from upcycle.yamlfile import dump_yaml

__all__ = ["open_application", "source2synth"]

FACTS_FILE = "plans/source2synth.curation.yaml"

_CHUNKS = (16, 32, 48)
"""Examples the intermediate model is asked about together: first, second, and ever after. Fixed, so that what it draws
never changes; few at first, for whoever wants few rows; then more, since side by side they are sooner answered."""
_FEWEST = 8  # examples a student can be trained on at all
_SIZE = "source2synth slice 0: size"


def open_application(settings: Source2Synth, sources: Sequence[str], *, folder: Path | None = None) -> Application:
    """The application the settings name, over the sources given.

    Args:
        folder: where documents are kept as they were read, so that a run goes on without reading them again.

    Raises:
        ConfigError, SourceError: no such application, or nothing it can read.
    """
    paths = [settings.source] if isinstance(settings.source, str) else list(settings.source or sources)
    if not paths:
        raise ConfigError("source2synth writes questions about a source of yours, and none is given; name tables or"
                          " documents with --source or under methods.source2synth.source")  # fmt: skip
    if settings.application == "tables":
        from upcycle.methods.source2synth.tables import open_tables

        return open_tables(paths, settings)
    if settings.application == "documents":
        from upcycle.methods.source2synth.documents import open_documents

        return open_documents(paths, settings, folder=folder)
    from upcycle.methods.source2synth.recipe import open_recipe

    return open_recipe(Path(settings.application), paths, settings)


def source2synth(
    task: Task,
    settings: Source2Synth,
    *,
    application: Application,
    models: Roles,
    run: Run,
    check: Check,
    screen: Check,
    train: Train,
    needed: Callable[[], int],
    seed: int = 0,
    at_once: int = 32,
) -> AsyncGenerator[Example | Dropped, None]:
    """Grounded examples that a model trained on slice 0 could answer, and what was dropped on the way.

    Args:
        application: closed at the end.
        models: the executor writes questions; the judge is the served intermediate model, where that is asked for.
        check: judges every row; shared with other methods.
        screen: judges the examples of slice 0, which only teach.
        train: trains the intermediate model into a folder, or opens it where that is whole.
        needed: how many kept examples are still wanted.

    Raises:
        ConfigError: at once, where a served intermediate model is asked for and there is none, or a slice too small to
            train one on.
        SourceError: the source gives too few examples to train on.
        ProviderError, BudgetExceededError, DiskError: the run stops; what is finished is kept.
    """
    if settings.intermediate == "served" and models.judge is None:
        raise ConfigError("methods.source2synth.intermediate is served, and no model is there to serve it; name one"
                          " with --model, or take intermediate: trained")  # fmt: skip
    if settings.intermediate == "trained" and settings.slice is not None and settings.slice < _FEWEST:
        raise ConfigError(f"methods.source2synth.slice is {settings.slice}, too few to train on (at least {_FEWEST});"
                          " give a larger one, or take intermediate: served or none")  # fmt: skip
    split = settings.intermediate != "none"
    making = Making(application, task, models.executor, seed, settings.per_unit, at_once, split, noted={})
    return _source2synth(_Work(task, settings, making, models, run, check, screen, train, needed))


class _Work:
    """What the stages of one run share."""

    def __init__(
        self,
        task: Task,
        settings: Source2Synth,
        making: Making,
        models: Roles,
        run: Run,
        check: Check,
        screen: Check,
        train: Train,
        needed: Callable[[], int],
    ) -> None:
        self.task, self.settings, self.making, self.models = task, settings, making, models
        self.run, self.check, self.screen, self.train, self.needed = run, check, screen, train, needed
        self.rates = KeepRates()

    def judged(self, grounded: Grounded, which: int) -> Example | Dropped:
        """The row of the dataset, or what the checks have against it."""
        return _checked(example_of(grounded, self.settings, slice_=which), self.check, "curation")

    def wrong(self, grounded: Grounded) -> Dropped | None:
        """What is against an example teaching the intermediate model."""
        found = _checked(example_of(grounded, self.settings, slice_=0), self.screen, "slice 0")
        return found if isinstance(found, Dropped) else None


async def _source2synth(work: _Work) -> AsyncGenerator[Example | Dropped, None]:
    settings, run = work.settings, work.run
    try:
        first = SliceZero((), (), 0)
        if settings.intermediate != "none":
            began = time.monotonic()
            first = await slice_zero(work.making, _size(work), run, wrong=work.wrong)
            _took(work, "slice 0 constructed", began, examples=len(first.examples))
        for one in first.dropped:
            yield one
        if settings.slice_0:
            for one in first.examples:
                if work.needed() <= 0:
                    return
                yield work.judged(one, 0)
        intermediate = await _intermediate(work, first)
        async with aclosing(_slice_one(work, intermediate, first.pulled)) as results:
            async for one in results:
                yield one
        if work.needed() > 0:
            full = f"slice 1 came to its {settings.slice:,} examples" if settings.slice is not None else ""
            run.ended[METHOD] = full if _full(work) else _exhausted(work)
    finally:
        await work.making.application.close()
        _tell(work)
        run.notes += noted_lines(work.making.noted or {})


def _size(work: _Work) -> int:
    """Examples of slice 0: what the settings say, else as many as were asked for when the run began."""
    if work.settings.slice is not None:
        return work.settings.slice
    known = work.run.journal.meta(_SIZE)
    if known is None:
        wanted = work.needed()
        known = str(max(_FEWEST, wanted // 2 if work.settings.slice_0 else wanted))
        work.run.journal.set_meta(_SIZE, known)
    return int(known)


async def _intermediate(work: _Work, first: SliceZero) -> Intermediate | None:
    settings = work.settings
    work.rates.slice_0 = len(first.examples)
    if settings.intermediate == "none":
        return None
    lessons = lessons_of(first.examples, settings, work.making.application)
    if settings.intermediate == "served":
        assert work.models.judge is not None  # asked before anything began
        found: Intermediate = Served(
            work.models.judge, lessons.questions[: settings.shots], instruction=work.task.instruction,
            temperature=settings.temperature,
        )  # fmt: skip
    elif len(first.examples) < _FEWEST:
        raise SourceError(
            f"source2synth has {len(first.examples)} examples in slice 0, too few to train on (at least {_FEWEST});"
            " give more tables or documents, or take intermediate: served or none"
        )
    else:
        began = time.monotonic()
        found = await trained(lessons, work.train, work.run, temperature=settings.temperature)
        _took(work, "intermediate model trained", began, examples=len(lessons.questions))
    work.rates.intermediate = found.name
    return found


async def _slice_one(
    work: _Work, intermediate: Intermediate | None, skip: int
) -> AsyncGenerator[Example | Dropped, None]:
    """Slice 1 in chunks: constructed, filtered, rewritten, judged."""
    async with aclosing(_chunks(work, (1,) if intermediate is None else _CHUNKS, skip)) as chunks:
        async for chunk in chunks:
            results = [chunk] if isinstance(chunk, Dropped) else await _curated(work, intermediate, chunk)
            for one in results:
                if work.needed() <= 0:
                    return
                yield one


async def _chunks(
    work: _Work, sizes: Sequence[int], skip: int
) -> AsyncGenerator[list[tuple[Unit, Grounded]] | Dropped, None]:
    """Examples of slice 1, as many at a time as `sizes` says, and what construction dropped between them."""
    chunk: list[tuple[Unit, Grounded]] = []
    size, *later = sizes

    def missing() -> int:
        if (wanted := work.needed()) <= 0:
            return 0
        room = max(size, min(wanted, work.making.at_once * work.making.per_unit)) - len(chunk)
        return room if work.settings.slice is None else min(room, work.settings.slice - work.rates.constructed)

    # Where nobody is trained on one half, no table or article has to be kept out.
    which = None if work.settings.intermediate == "none" else 1
    async with aclosing(Slice(work.making, which, missing=missing, skip=skip).built()) as units:
        async for built in units:
            for one in built.results:
                if isinstance(one, Dropped):
                    yield one
                elif built.unit is not None and not _full(work):
                    chunk.append((built.unit, one))
                    work.rates.constructed += 1
            while len(chunk) >= size:
                ready, chunk[:] = chunk[:size], chunk[size:]
                size = later.pop(0) if later else size
                yield ready
    if chunk:
        yield chunk


def _exhausted(work: _Work) -> str:
    if work.rates.slice_0 and not work.rates.constructed:
        return "no table or document of the source falls into slice 1, give more of them"
    return "the source is exhausted"


def _full(work: _Work) -> bool:
    return work.settings.slice is not None and work.rates.constructed >= work.settings.slice


async def _curated(
    work: _Work, intermediate: Intermediate | None, chunk: Sequence[tuple[Unit, Grounded]]
) -> list[Example | Dropped]:
    """One chunk through filter and imputation, in the order the settings name, then the checks."""
    if intermediate is None:
        return [work.judged(one, 1) for _, one in chunk]
    settings = work.settings
    steps = {"off": ("filter",), "after": ("filter", "impute"), "before": ("impute", "filter")}[settings.impute]
    left = dict(enumerate(chunk))
    results: dict[int, Example | Dropped] = {}
    for step in steps:
        places, now = list(left), list(left.values())
        began = time.monotonic()
        if step == "filter":
            tried = await filtered(now, work.making.application, intermediate, settings)
            work.rates.count_filtered([one for _, one in now], tried)
            _remember(work, now, tried)
            found = [one.result for one in tried]
        else:
            rewritten = await imputed(now, work.making, intermediate, settings)
            work.rates.count_imputed(rewritten)
            found = [one.result for one in rewritten]
        _took(work, "filtered" if step == "filter" else "imputed", began, examples=len(now))
        for place, one in zip(places, found, strict=True):
            unit, _ = left.pop(place)
            if isinstance(one, Dropped):
                results[place] = one
            else:
                left[place] = (unit, one)
    # Only now, and in their order: what remembers (duplicates) must not see rows that go.
    results |= {place: work.judged(left[place][1], 1) for place in sorted(left)}
    return [results[place] for place in sorted(results)]


def _took(work: _Work, stage: str, began: float, *, examples: int) -> None:
    """Keep how long a stage took; of a run that goes on, the parts add up, and what is replayed takes no time."""
    work.run.tell(METHOD, stage, seconds=round(time.monotonic() - began, 3), examples=examples)


def _remember(work: _Work, asked: Sequence[tuple[Unit, Grounded]], tried: Sequence[Tried]) -> None:
    """Every example the filter judged, for whoever compares what it kept with as many at random."""
    for (_, example), one in zip(asked, tried, strict=True):
        row = example_of(example, work.settings, slice_=1)
        value = {"input": row.input, "output": row.output, "rationale": row.rationale, "kind": example.kind,
                 "units": example.units, "right": one.right, "said": one.said}  # fmt: skip
        state = "kept" if isinstance(one.result, Grounded) else "dropped"
        work.run.journal.row(POOL, example.id, state=state, kind=RowKind.OK, value=value)
    work.run.journal.commit()


def _tell(work: _Work) -> None:
    lines = work.rates.lines()
    if lines:
        write_text(work.run.path / FACTS_FILE, dump_yaml(work.rates.facts()))
        work.run.notes += lines
        work.run.tell(METHOD, "curated", text=lines[0].partition(" by ")[0], file=FACTS_FILE)


def _checked(example: Example, check: Check, stage: str) -> Example | Dropped:
    verdict = check(example)
    if verdict.keep:
        return example
    return Dropped(example.id, example.origin, stage, verdict.kind, verdict.reason, input=example.input,
                   output=example.output, score=verdict.score, other=verdict.other)  # fmt: skip
