"""Start here: the product is one readable function.

`build` makes a task's dataset: open the model, produce examples from existing data, write them down, report. Every
stage is a function of its own with its own tests; the run directory shows the same order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from upcycle.config import S3, BuildConfig, Source2Synth, Training
from upcycle.curation.checks import Check, checks_for, first_drop, record_check_for, tiers_of
from upcycle.curation.contamination import LOOKED, contamination_check, tiers_in_words
from upcycle.errors import BudgetExceededError, ConfigError, ProviderError, RowKind, UpcycleError
from upcycle.llm.roles import Roles, open_models
from upcycle.methods.datatune import Search, datatune
from upcycle.methods.generate import generate
from upcycle.methods.mix import Start, mix
from upcycle.methods.s3 import gold_parts, s3
from upcycle.methods.source2synth import open_application, source2synth
from upcycle.methods.source2synth.comparison import against_random, pool_of
from upcycle.methods.source2synth.intermediate import Train, hearing, in_thread
from upcycle.records import Dropped, Example
from upcycle.report.card import write_card
from upcycle.report.croissant import write_croissant
from upcycle.report.dataset import STAGE, write
from upcycle.report.page import write_page
from upcycle.report.summary import Report, summarise
from upcycle.run import Run
from upcycle.sources.source import Source, open_sources
from upcycle.task import Task
from upcycle.training.predictor import Predictor, Told


async def build(task: Task, config: BuildConfig, run: Run) -> Report:
    """Make the dataset of `task` in the run's directory.

    Work that stops short (budget, provider, sources exhausted) still writes what was kept, and the report says why.

    Raises:
        ConfigError, SourceError, StaleRunError: nothing began; a server that refuses from the first call on is one.
        DiskError: no room; everything committed is saved, and the same call goes on when there is room.
    """
    sources = readable(config, run) if config.methods.datatune else []
    stopped: UpcycleError | None = None
    async with open_models(config, run) as models:
        produced = produce(task, config, sources, models, run)
        try:
            await keep(produced, config.rows, run)
        except (BudgetExceededError, ProviderError) as error:
            stopped = error
    if isinstance(stopped, ProviderError) and not run.journal.counts(STAGE) and not run.journal.answered():
        # A wrong key, an unknown model or an address where nobody answers: nothing began, so nothing is to be written.
        raise ConfigError(str(stopped)) from stopped
    if config.methods.source2synth is not None and config.methods.source2synth.compare and stopped is None:
        run.notes.append(await beside_random(task, config, config.methods.source2synth, run))
    run.tell("write", "writing")
    written = write(run, split=config.split, seed=config.seed)
    report = summarise(task, config, run, written, stopped)
    write_croissant(task, run, report)
    write_card(task, config, run, report)
    write_page(run.path, sources=sources, outcome=report.facts())
    run.tell("build", "done" if report.reached else "stopped short", **report.facts())
    return report


def readable(config: BuildConfig, run: Run) -> list[Source]:
    """The sources that can be read; each that cannot is named with the reason, and the others go on."""
    sources, unreadable = open_sources(config.sources or ("stdlib",))
    for name, reason in unreadable:
        run.tell("sources", "source skipped", source=name, reason=reason)
    return sources


def produce(
    task: Task,
    config: BuildConfig,
    sources: list[Source],
    models: Roles,
    run: Run,
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples and drops of the task's methods, mixed by share and judged by one set of checks."""
    written = config.methods.generate is not None or config.methods.s3 is not None
    check = own = checks_for(task, config.curation, rows=config.rows, written=written)
    if (extrapolating := config.methods.s3) is not None:
        # S3's rows share contexts with the gold they are written from; with what decides or reports, nothing may.
        gold = gold_parts(task, extrapolating, seed=config.seed)
        held_out = task.model_copy(update={"gold": gold.held_out()})
        own = checks_for(held_out, config.curation, rows=config.rows, written=True)
        check = first_drop([contamination_check(gold.mined(), tiers=tiers_of(config.curation, written=False)), own])
    if task.gold:
        looked = tiers_in_words(tiers := tiers_of(config.curation, written=written))
        run.journal.set_meta(LOOKED, looked if tiers else "")
        run.tell("curation", looked, gold=len(task.gold))
    starts: dict[str, tuple[float, Start]] = {}
    if (transforming := config.methods.datatune) is not None:
        starts["datatune"] = (
            transforming.share,
            lambda needed: datatune(
                task,
                transforming,
                sources=sources,
                models=models,
                run=run,
                check=check,
                refuse=record_check_for(task, config.curation),
                needed=needed,
                wanted=config.rows,
                seed=config.seed,
                at_once=4 * config.concurrency,  # rows that wait out a refusal must not hold up the others
                search=Search(config.licence, config.languages),
            ),
        )
    if (writing := config.methods.generate) is not None:
        starts["generate"] = (
            writing.share,
            lambda needed: generate(
                task,
                writing,
                models=models,
                run=run,
                check=check,
                needed=needed,
                seed=config.seed,
                at_once=config.concurrency,  # what is under way when too little is new has been paid in vain
            ),
        )
    if (grounding := config.methods.source2synth) is not None:
        application = open_application(grounding, config.sources, folder=run.path / "source2synth" / "read")
        starts["source2synth"] = (
            grounding.share,
            lambda needed: source2synth(
                task,
                grounding,
                application=application,
                models=models,
                run=run,
                check=check if starts.keys() == {"source2synth"} else checks_for(task, config.curation),
                screen=checks_for(task, config.curation),
                train=student(config, grounding.student),
                needed=needed,
                seed=config.seed,
                at_once=config.concurrency,
            ),
        )
    if extrapolating is not None:
        made: list[Example] = []
        starts = {name: (share, _noting(start, made)) for name, (share, start) in starts.items()}
        starts["s3"] = (extrapolating.share, _extrapolation(task, extrapolating, config, models, run, own, made))
    return mix(starts, wanted=config.rows, run=run, last=("s3",))


def _noting(start: Start, made: list[Example]) -> Start:
    """The same method, its examples noted for the one that starts from them."""

    async def noted(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        async with aclosing(start(needed)) as results:
            async for result in results:
                if isinstance(result, Example):
                    made.append(result)
                yield result

    return noted


def _extrapolation(
    task: Task, settings: S3, config: BuildConfig, models: Roles, run: Run, check: Check, before: Sequence[Example]
) -> Start:
    """S3 with what it trains and examines its student with."""
    from upcycle.evaluation.evaluate import evaluate

    return lambda needed: s3(
        task,
        settings,
        models=models,
        run=run,
        check=check,
        needed=needed,
        fit=fit_or_load,
        evaluate=evaluate,
        training=config.training,
        before=lambda: before,
        seed=config.seed,
        at_once=config.concurrency,
    )


def fit_or_load(examples: Sequence[Example], training: Training, *, folder: Path | None, seed: int) -> Predictor:
    """A student trained on these examples, or the one that an earlier process left whole in the folder made for it."""
    from upcycle.training.fit import fit
    from upcycle.training.saved import NAME, load

    if folder is not None and (folder / NAME).is_file():
        return load(folder)
    return fit(examples, training, folder=folder, seed=seed)


def student(config: BuildConfig, name: str | None) -> Train:
    """Trains the students that methods need inside, or opens the folder where an earlier process left one whole."""
    from upcycle.training.fit import fit

    settings = config.training if name is None else config.training.model_copy(update={"student": name})

    def train(examples: Sequence[Example], *, folder: Path, told: Told) -> Predictor:
        return fit(examples, settings, folder=folder, seed=config.seed, told=told)

    return train


async def beside_random(task: Task, config: BuildConfig, settings: Source2Synth, run: Run) -> str:
    """Train on what the filter kept and on as many at random, and say how both score on the task's gold."""
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.evaluation.gold import gold_items

    train = student(config, None)
    gold = gold_items([item.model_dump() for item in task.gold])
    pool = pool_of(run, settings)

    def work(stopped: Callable[[], bool]) -> str:
        try:
            return against_random(
                pool,
                gold,
                fit=lambda lessons, folder: train(lessons, folder=folder, told=hearing(run, stopped)),
                evaluate=lambda predictor, items: evaluate(predictor, items, task.metric or "auto", seed=config.seed),
                folder=run.path / "source2synth" / "compared",
                seed=config.seed,
            ).line()
        except ConfigError as error:
            return f"not compared with random: {error}"

    run.tell("source2synth", "comparing")
    return await in_thread(work)


async def keep(produced: AsyncGenerator[Example | Dropped, None], wanted: int, run: Run) -> None:
    """Write every row's fate into the journal as it is known, and say how it goes about five times a second.

    What an earlier process kept is made again from the journal, for free, so that one order decides what is kept;
    failed rows stay as they are until `upcycle retry`.
    """
    run.journal.forget_rows(STAGE, state="kept")
    run.journal.forget_rows(STAGE, state="dropped")
    run.kept, told = 0, 0.0
    async with aclosing(produced):
        async for result in produced:
            if isinstance(result, Example):
                run.journal.row(STAGE, result.id, state="kept", kind=RowKind.OK, value=result)
                run.kept += 1
            else:
                failed = result.kind in (RowKind.UNPARSEABLE, RowKind.API_TRANSIENT, RowKind.API_FATAL)
                state = "failed" if failed else "dropped"
                run.journal.row(STAGE, result.id, state=state, kind=result.kind, value=result)
            if time.monotonic() - told > 0.2 or run.kept == wanted:
                told = time.monotonic()
                spent = run.ledger
                run.tell(STAGE, "progress", keep=False, kept=run.kept, wanted=wanted,
                         usd=spent.spent_micro / 1e6, tokens=spent.spent_tokens)  # fmt: skip
    run.journal.commit()
