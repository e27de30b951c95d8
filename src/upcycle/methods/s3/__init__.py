"""S3: synthesise, train, look at what the small model gets wrong, write more of that.

Wang, Zhou, Sachan, "Let's Synthesize Step by Step" (Findings of EMNLP 2023, arXiv 2310.13671), whose generation code
was never released. Read `_s3` top to bottom: a first set, a student trained on it, the gold rows it gets wrong, rows
like those, the student anew, and so on. `plain: true` is the published method; what is on beside it by default, and
why, is in design/s3.md: gold in three parts of different types, a gate, even labels, cleaned texts, checks, an audit.

`fit` and `evaluate` are handed in, so that nothing here needs a training library.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from upcycle.config import S3, Training
from upcycle.curation.check import Check
from upcycle.errors import ConfigError, UpcycleError
from upcycle.llm.roles import Roles
from upcycle.methods.s3.gold import GoldParts, split_gold
from upcycle.methods.s3.history import History
from upcycle.methods.s3.judging import METHOD
from upcycle.methods.s3.loop import Loop
from upcycle.methods.s3.presets import for_rounds, with_preset
from upcycle.methods.s3.shape import Shape, shape_of, task_with_contract
from upcycle.methods.s3.shown import ShownModel
from upcycle.methods.s3.student import Student
from upcycle.methods.s3.writing import Writer
from upcycle.records import Dropped, Example
from upcycle.run import Run
from upcycle.task import Task
from upcycle.training.fit import student_of

__all__ = ["METHOD", "GoldParts", "gold_parts", "s3", "student_name"]


def gold_parts(task: Task, settings: S3, *, seed: int = 0) -> GoldParts:
    """The task's gold in its three parts, as `s3` will use it; checks elsewhere ask for its `held_out()`.

    Raises:
        ConfigError: gold that s3 cannot work with, in one sentence.
    """
    return _prepared(task, settings, seed)[2]


def student_name(task: Task, settings: S3, training: Training) -> str | None:
    """What `s3` will train as its small model; None where it trains none. So it can be looked for before any call.

    Raises:
        ConfigError: gold that s3 cannot work with, in one sentence.
    """
    if settings.student == "served":
        return None
    settings, training = with_preset(settings, training)
    _, shape, _ = _prepared(task, settings, 0)
    return student_of(training, _taught(shape, training))


def _taught(shape: Shape, training: Training) -> str:
    """What the student learns to say."""
    if training.kind != "auto":
        return training.kind
    return {"single": "label", "pair": "label", "span": "span", "text": "text"}[shape.kind]


def s3(
    task: Task,
    settings: S3,
    *,
    models: Roles,
    run: Run,
    check: Check,
    needed: Callable[[], int],
    fit: Callable[..., Any],
    evaluate: Callable[..., Any],
    training: Training | None = None,
    before: Callable[[], Sequence[Example]] = tuple,
    seed: int = 0,
    at_once: int = 32,
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples written because of a small model's errors, and what was dropped on the way.

    Args:
        models: the executor writes rows; the planner, where there is one, names patterns; the judge is the student
            where a served one is asked for.
        check: judges every row; it must not refuse what shares a context with the mine part of the gold.
        needed: how many kept examples are still wanted.
        fit: `fit(examples, training, folder=..., seed=...)` gives a predictor (`training.fit.fit`).
        evaluate: `evaluate(predictor, items, metric, seed=...)` gives scores (`evaluation.evaluate.evaluate`).
        training: how the student is trained; its kind follows the task where it is not given.
        before: examples other methods made: the first set, where there are any.
        at_once: most calls under way.

    Raises:
        ConfigError: at once, where there is no model, or gold that cannot be worked with.
        ProviderError, BudgetExceededError, DiskError: the run stops; what is finished is kept.
    """
    if models.executor is None:
        raise ConfigError(
            "s3 has a model write examples, and there is none (no key, server or weights were found, or --model none"
            " was given); name one with --model, or leave s3 out of --method"
        )
    settings, training = with_preset(settings, training or Training())
    task, shape, gold = _prepared(task, settings, seed)
    training = training.model_copy(update={"kind": _taught(shape, training)})
    training = for_rounds(training, student_of(training, training.kind))
    if not settings.reset:
        training = training.model_copy(update={"merged": True})  # an adapter cannot be trained on from
    metric = task.metric or _metric(shape, gold)
    shown = None
    if settings.student == "served":
        judge = models.judge or models.executor
        shown = ShownModel(task, judge, evaluate, metric, run, labels=shape.labels, at_once=at_once)
    student = Student(fit, evaluate, training, gold, metric, run, seed, shown)
    writer = Writer(task, settings, shape, models.executor, seed=seed, clean=not settings.plain)
    about = {"kind": shape.kind, "student": student.name, "metric": metric,
             "settings": settings.model_dump(mode="json", exclude_none=True)}  # fmt: skip
    loop = Loop(
        task, settings, shape=shape, student=student, writer=writer, namer=models.planner or models.executor,
        check=check, history=History(run, gold, about), run=run, needed=needed, seed=seed, at_once=at_once,
    )  # fmt: skip
    return _s3(loop, before)


async def _s3(loop: Loop, before: Callable[[], Sequence[Example]]) -> AsyncGenerator[Example | Dropped, None]:
    async with loop.student:
        # The last rows wait until everything about them is written down: at the last one wanted, nobody listens on.
        waiting: list[Example | Dropped] = []
        async with aclosing(loop.first_set(before())) as first:
            async for result in first:
                for one in waiting:
                    yield one
                waiting = [result]
        stopped: UpcycleError | None = None
        try:
            await loop.learn_first()
            while loop.goes_on(_kept(waiting)):
                for one in waiting:
                    yield one
                waiting = []
                if (plan := await loop.plan()) is None:
                    break
                batch = await loop.write(plan)
                waiting = await loop.judge(plan, batch)
                if batch.stopped is not None:
                    raise batch.stopped
            await loop.compare()
        except UpcycleError as error:
            stopped = error
        for one in waiting:
            yield one
        if stopped is not None:
            raise stopped


def _kept(results: Sequence[Example | Dropped]) -> int:
    return sum(isinstance(one, Example) for one in results)


def _prepared(task: Task, settings: S3, seed: int) -> tuple[Task, Shape, GoldParts]:
    settings, _ = with_preset(settings, Training())
    if not task.gold:
        split_gold((), {})  # says so
    task = task_with_contract(task)
    shape = shape_of(task, settings)
    spans = shape.kind == "span"
    shares: dict[str, float] = {str(name): share for name, share in settings.gold.items()}
    gold = split_gold(task.gold, shares, context_of=shape.context_of, labels=shape.labels, spans=spans, seed=seed)
    return task, shape, gold


def _metric(shape: Shape, gold: GoldParts) -> str:
    if shape.kind in ("single", "pair"):
        return "accuracy"
    if shape.kind == "span":
        return "squad"
    rows = (*gold.mine, *gold.select, *gold.test)
    return "multiple_choice_grade" if all(row.choices for row in rows) else "exact_match"
