"""What each method of a task file is handed, so that `build` reads as one line: examples are produced.

In: the task, its settings, opened sources and models. Out: one stream of examples and drops, mixed by share. The
decision: methods never reach for training, evaluation or gold themselves; what they may see of each is handed in here.
A method is imported where it is asked for, so that a build starts with what it needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from upcycle.config import BuildConfig, Source2Synth, Training
from upcycle.curation.checks import Check, checks_for, first_drop, record_check_for, tiers_of
from upcycle.curation.decontamination.tiers import LOOKED, contamination_check, tiers_in_words
from upcycle.errors import ConfigError
from upcycle.llm.roles import Roles
from upcycle.methods.mix import Start, mix
from upcycle.records import Dropped, Example
from upcycle.run import Run
from upcycle.sources.source import Source
from upcycle.task import Task
from upcycle.training.predictor import Predictor, Told

if TYPE_CHECKING:
    from upcycle.methods.source2synth.intermediate import Train


class Making(NamedTuple):
    """What every method of a build is handed.

    Attributes:
        check: judges every example, of whichever method.
        own: the same for S3, whose rows share contexts with the part of the gold they are written from, but may not
            with the parts that decide or report.
    """

    task: Task
    config: BuildConfig
    sources: list[Source]
    models: Roles
    run: Run
    check: Check
    own: Check


def produce(
    task: Task, config: BuildConfig, sources: list[Source], models: Roles, run: Run
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples and drops of the task's methods, mixed by share and judged by one set of checks."""
    _say_what_is_looked_at(task, config, run)
    making = Making(task, config, sources, models, run, *_checks(task, config))
    starts: dict[str, tuple[float, Start]] = {}
    for name, method, start in (
        ("datatune", config.methods.datatune, _transformed),
        ("generate", config.methods.generate, _generated),
        ("source2synth", config.methods.source2synth, _grounded),
    ):
        if method is not None:
            starts[name] = (method.share, start(making))
    if config.methods.s3 is not None:
        made: list[Example] = []
        starts = {name: (share, _noting(start, made)) for name, (share, start) in starts.items()}
        starts["s3"] = (config.methods.s3.share, _extrapolated(making, made))
    return mix(starts, wanted=config.rows, run=run, last=("s3",))


def _say_what_is_looked_at(task: Task, config: BuildConfig, run: Run) -> None:
    """Which tiers of decontamination run against the gold, for the card and for whoever watches."""
    if task.gold:
        looked = tiers_in_words(tiers := tiers_of(config.curation, written=_writes(config)))
        run.journal.set_meta(LOOKED, looked if tiers else "")
        run.tell("curation", looked, gold=len(task.gold))


def _writes(config: BuildConfig) -> bool:
    return config.methods.generate is not None or config.methods.s3 is not None


def _checks(task: Task, config: BuildConfig) -> tuple[Check, Check]:
    """What judges every example, and what judges S3's."""
    if config.methods.s3 is None:
        check = checks_for(task, config.curation, rows=config.rows, written=_writes(config))
        return check, check
    from upcycle.methods.s3 import gold_parts

    gold = gold_parts(task, config.methods.s3, seed=config.seed)
    held_out = task.model_copy(update={"gold": gold.held_out()})
    own = checks_for(held_out, config.curation, rows=config.rows, written=True)
    mined = contamination_check(gold.mined(), tiers=tiers_of(config.curation, written=False))
    return first_drop([mined, own]), own


def _transformed(making: Making) -> Start:
    from upcycle.methods.datatune import Search, datatune

    task, config, settings = making.task, making.config, making.config.methods.datatune
    assert settings is not None
    return lambda needed: datatune(
        task,
        settings,
        sources=making.sources,
        models=making.models,
        run=making.run,
        check=making.check,
        refuse=record_check_for(task, config.curation),
        needed=needed,
        wanted=config.rows,
        seed=config.seed,
        at_once=4 * config.concurrency,  # rows that wait out a refusal must not hold up the others
        search=Search(config.licence, config.languages),
    )


def _generated(making: Making) -> Start:
    from upcycle.methods.generate import generate

    config, settings = making.config, making.config.methods.generate
    assert settings is not None
    return lambda needed: generate(
        making.task,
        settings,
        models=making.models,
        run=making.run,
        check=making.check,
        needed=needed,
        seed=config.seed,
        at_once=config.concurrency,  # what is under way when too little is new has been paid in vain
    )


def _grounded(making: Making) -> Start:
    from upcycle.methods.source2synth import open_application, source2synth

    task, config, settings = making.task, making.config, making.config.methods.source2synth
    assert settings is not None
    alone = set(config.methods.named()) == {"source2synth"}
    _look_for_student(config, settings)
    application = open_application(settings, config.sources, folder=making.run.path / "source2synth" / "read")
    return lambda needed: source2synth(
        task,
        settings,
        application=application,
        models=making.models,
        run=making.run,
        check=making.check if alone else checks_for(task, config.curation),
        screen=checks_for(task, config.curation),
        train=student(config, settings.student),
        needed=needed,
        seed=config.seed,
        at_once=config.concurrency,
    )


def _look_for_student(config: BuildConfig, settings: Source2Synth) -> None:
    """Say what is missing of the intermediate model's base before anything is constructed and paid for."""
    name = settings.student or config.training.student
    # Which student `auto` means, only the examples of slice 0 tell.
    if settings.intermediate == "trained" and name not in ("auto", "tfidf"):
        from upcycle.training.bases import base_folder

        base_folder(name)


def _extrapolated(making: Making, before: Sequence[Example]) -> Start:
    """S3, started from what the other methods made, with what it trains and examines its student with."""
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.methods.s3 import s3, student_name
    from upcycle.training.bases import base_folder

    config, settings = making.config, making.config.methods.s3
    assert settings is not None
    if (student := student_name(making.task, settings, config.training)) not in (None, "tfidf"):
        base_folder(student)  # which says what is missing, before a row is written and paid for
    return lambda needed: s3(
        making.task,
        settings,
        models=making.models,
        run=making.run,
        check=making.own,
        needed=needed,
        fit=fit_or_load,
        evaluate=evaluate,
        training=config.training,
        before=lambda: before,
        seed=config.seed,
        at_once=config.concurrency,
    )


def _noting(start: Start, made: list[Example]) -> Start:
    """The same method, its examples noted for the one that starts from them."""

    async def noted(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        async with aclosing(start(needed)) as results:
            async for result in results:
                if isinstance(result, Example):
                    made.append(result)
                yield result

    return noted


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

    # What methods teach holds its chain already, where it is to have one.
    named = {"teach": "answer"} if name is None else {"teach": "answer", "student": name}
    settings = config.training.model_copy(update=named)

    def train(examples: Sequence[Example], *, folder: Path, told: Told) -> Predictor:
        return fit(examples, settings, folder=folder, seed=config.seed, told=told)

    return train


async def beside_random(task: Task, config: BuildConfig, settings: Source2Synth, run: Run) -> str:
    """Train on what the filter kept and on as many at random, and say how both score on the task's gold."""
    from upcycle.evaluation.evaluate import evaluate
    from upcycle.evaluation.gold import gold_items
    from upcycle.methods.source2synth.comparison import against_random, pool_of
    from upcycle.methods.source2synth.intermediate import hearing, in_thread

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
