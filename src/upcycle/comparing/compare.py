"""Which data help a task: `compare(task, config, folder)`, read from top to bottom.

Part the gold; make and read the pools; form the legs; train each leg at each size with each seed and score it on the
same test items; say what differs and what does not. Pools are runs and students are journaled (`finished.py`), so to
resume is to run again. The table is Table 2 of DataTune (arXiv 2404.14361) for the user's own task, with intervals,
controls and the same money as a second view.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upcycle.comparing import students
from upcycle.comparing.finished import Finished, key_of, path_of, read_finished, write_finished
from upcycle.comparing.gold import GoldParts, part_gold
from upcycle.comparing.legs import LeftOut, Leg, Pool
from upcycle.comparing.pools import gather, leg_names, legs_of
from upcycle.comparing.result import (
    ComparedLegs,
    Line,
    Question,
    adjusted,
    adjusted_questions,
    held,
    line_of,
)
from upcycle.comparing.sets import CURATED, EXISTING_LEG
from upcycle.comparing.students import TFIDF, Test
from upcycle.config import BuildConfig
from upcycle.errors import ConfigError
from upcycle.evaluation.asked import metric_of
from upcycle.fitting import duration
from upcycle.run import Event, Listener
from upcycle.sources.examples import open_examples
from upcycle.task import Task
from upcycle.training.predictor import Progress

_MOST = {TFIDF: 1000}
_WORTH_TELLING = 60.0  # seconds
_MOST_TORCH = 200
FEW_SHOT, MAJORITY = "few-shot prompting", "always the same"


async def compare(task: Task, config: BuildConfig, folder: Path, *, listener: Listener | None = None) -> ComparedLegs:
    """Train and score every leg there can be.

    Args:
        folder: of the comparison; what an earlier call finished there is used.

    Raises:
        ConfigError: no gold, a student that cannot be trained, a baseline that is no leg; nothing was trained.
        SourceError: a dataset named for `existing` cannot be read.
    """
    started = time.monotonic()
    student = TFIDF if config.training.student == "auto" else config.training.student
    _check(config)
    parts = part_gold(task, config.compare.gold_share)
    test = Test(parts.test, metric_of(parts.test, task.metric or "auto"))
    students.check(student, test.kind)
    rows = config.compare.rows or min(config.rows, _MOST.get(student, _MOST_TORCH))
    work = _Work(task, config, folder, student, test, listener)
    work.tell("parted", test=len(parts.test), train=len(parts.train), metric=test.metric, student=student, rows=rows)
    pools, left_out = await gather(task, config, parts, rows, folder, listener=listener, tell=work.tell)
    legs = legs_of(pools, rows, student)
    usd = max((leg.usd_of(rows) for leg in legs if leg.kind == "data"), default=0.0)
    plans, unfit = _plans(legs, rows, usd, work)
    trained = {MAJORITY: work.constant(), **_prompted(work, left_out)}
    trained |= work.train(plans)
    left_out = [*left_out, *unfit]
    baseline, lines, questions = _lines(plans, trained, work)
    return ComparedLegs(
        path=folder,
        task=task.name,
        metric=test.metric,
        items=len(test.items),
        chance=_mean(trained[MAJORITY][0][0]),
        student=student,
        rows=rows,
        seeds=config.compare.seeds,
        usd=usd,
        label_usd=config.compare.label_usd,
        baseline=baseline,
        lines=lines,
        questions=questions,
        left_out=left_out,
        notes=_notes(pools, parts, trained, lines, work),
        trained=sum(one.fresh for by_size in trained.values() for some in by_size.values() for one in some if one.rows),
        found=sum(not one.fresh for by_size in trained.values() for some in by_size.values() for one in some),
        seconds=time.monotonic() - started,
        datasets={pool.name: str(pool.path) for pool in pools.values() if pool.path is not None},
    )


def _check(config: BuildConfig) -> None:
    """Find out before anything is made whether what is named is there.

    Raises:
        ConfigError: a baseline that is no leg of any comparison.
        SourceError: a dataset for `existing` that cannot be read.
    """
    names = (MAJORITY, FEW_SHOT, *leg_names(config))
    if (named := config.compare.baseline) is not None and named not in names:
        raise ConfigError(f"{named!r} is no leg of a comparison; one of {', '.join(map(repr, names))}")
    for path in config.compare.existing:
        open_examples(path)


Trained = dict[str, dict[int, list[Finished]]]
"""Leg to rows to the students of its seeds."""


@dataclass(frozen=True)
class _Plan:
    """The sizes one leg is trained at.

    Attributes:
        main: the size that is compared.
        money: rows that the second view's money buys; None where no money was spent.
    """

    leg: Leg
    sizes: Sequence[int]
    main: int
    money: int | None


@dataclass(frozen=True)
class _Work:
    """What all legs share."""

    task: Task
    config: BuildConfig
    folder: Path
    student: str
    test: Test
    listener: Listener | None

    def tell(self, kind: str, **data: Any) -> None:
        self._pass_on("compare", kind, **data)

    @property
    def curve(self) -> Sequence[float]:
        """Shares of the rows at which legs are trained, too; by default none where each takes minutes."""
        if (given := self.config.compare.curve) is not None:
            return given
        return (0.25, 0.5) if self.student == TFIDF else ()

    def constant(self) -> dict[int, list[Finished]]:
        right, _ = students.constant(self.test)
        return {0: [Finished(MAJORITY, 0, 0, right, 0.0, "")]}

    def train(self, plans: Sequence[_Plan]) -> Trained:
        """Every leg at every size with every seed, seed by seed, so that a stop leaves whole tables."""
        found: Trained = {plan.leg.name: {size: [] for size in plan.sizes} for plan in plans}
        seeds = range(self.config.seed, self.config.seed + self.config.compare.seeds)
        wanted = [(plan.leg, size, seed) for seed in seeds for plan in plans for size in plan.sizes]
        spent: list[tuple[str, int, float]] = []
        for place, (leg, size, seed) in enumerate(wanted, 1):
            one = self._finished(leg, size, seed)
            found[leg.name][size].append(one)
            if one.fresh:
                spent.append((leg.student, one.rows, one.seconds))
            left = seconds_left(spent, [(leg.student, size) for leg, size, _ in wanted[place:]])
            how = f"{one.seconds:.1f} s" if one.fresh else "finished before"
            self.tell("leg", leg=leg.name, rows=one.rows, seed=seed, score=_mean([one]), done=place, total=len(wanted),
                      how=how + (f", about {duration(left)} left" if left and left > _WORTH_TELLING else ""),
                      seconds_left=left)  # fmt: skip
        return found

    def trains(self, now: Progress) -> None:
        """Pass on how the student at work gets on, in the words of `upcycle train`."""
        if now.text:
            self._pass_on("train", "told", text=now.text)
        else:
            self._pass_on("train", "progress", kept=now.step, wanted=now.steps, epoch=round(now.epoch, 3),
                          loss=now.loss, seconds_left=now.seconds_left)  # fmt: skip

    def scores(self, done: int, of: int) -> None:
        """Pass on how many items the student at work has answered; the fast ones are told of by their leg alone."""
        if self.student != TFIDF:
            self._pass_on("evaluate", "progress", kept=done, wanted=of)

    def _pass_on(self, stage: str, kind: str, **data: Any) -> None:
        if self.listener is not None:
            self.listener(Event(time.time(), stage, kind, data))

    def _finished(self, leg: Leg, size: int, seed: int) -> Finished:
        examples = leg.drawn(size, seed)
        settings = students.settings_for(self.config.training, leg.student or self.student, self.test.kind)
        key = key_of(examples, settings, seed, self.test.items, self.test.metric)
        path = path_of(self.folder, leg.name, size, seed, key)
        if (known := read_finished(path)) is not None:
            return known
        unfinished = path.with_suffix(".training")
        one = students.trained(leg.name, examples, settings, self.test, seed=seed, folder=unfinished, watcher=self)
        write_finished(path, one)
        shutil.rmtree(unfinished, ignore_errors=True)
        return one

    def few_shot(self) -> Finished:
        """The base model with the task's demonstrations before each item; the weights are never changed."""
        settings = students.settings_for(self.config.training, self.student, self.test.kind)
        shown = self.task.demonstrations
        key = key_of([], settings, self.config.seed, self.test.items, self.test.metric, len(shown))
        path = path_of(self.folder, FEW_SHOT, len(shown), self.config.seed, key)
        if (known := read_finished(path)) is not None:
            return known
        one = students.prompted(FEW_SHOT, self.student, shown, self.test, seed=self.config.seed, watcher=self)
        write_finished(path, one)
        return one

    def baseline(self, trained: Trained, main: Mapping[str, int]) -> str:
        """The leg that others are held against: the one named, else few-shot prompting, else existing data as they are.

        Where those are no better than always saying the same, that is the baseline: it is easily beaten otherwise.
        """
        if (named := self.config.compare.baseline) is not None and named in main:
            return named  # one that is left out is named among those, with the reason
        some = [one for one in (FEW_SHOT, EXISTING_LEG) if one in main][:1]
        floor = _mean(trained[MAJORITY][0])
        return next((one for one in some if _mean(trained[one][main[one]]) > floor), MAJORITY)


def seconds_left(spent: Sequence[tuple[str, int, float]], wanted: Sequence[tuple[str, int]]) -> float | None:
    """Seconds that the rest takes if each student takes as long a row as its like; None where no like one is done.

    Students of a kind that none is done of count nothing: the slow ones are trained first.

    Args:
        spent: student, rows and seconds of what is done.
        wanted: student and rows of what is not.

    >>> seconds_left([("", 100, 50.0), ("tfidf", 100, 1.0)], [("", 200), ("", 50), ("tfidf", 200)])
    127.0
    """
    rates: dict[str, float] = {}
    for student in {student for student, _ in wanted}:
        done = [(rows, seconds) for other, rows, seconds in spent if other == student]
        if done:
            rates[student] = sum(seconds for _, seconds in done) / max(1, sum(rows for rows, _ in done))
    if wanted and not rates:
        return None
    return sum(rates.get(student, 0.0) * rows for student, rows in wanted)


def _plans(legs: Sequence[Leg], rows: int, usd: float, work: _Work) -> tuple[list[_Plan], list[LeftOut]]:
    plans: list[_Plan] = []
    left_out: list[LeftOut] = []
    for leg in legs:
        main = min(rows, len(leg))
        why = students.unfit(leg.drawn(main, work.config.seed), leg.student or work.student, work.test.kind)
        if why is not None:
            left_out.append(LeftOut(leg.name, why))
            work.tell("left out", leg=leg.name, why=why)
            continue
        money = leg.rows_for(usd) if usd > 0 else None
        sizes = {main}
        if leg.rows is None:
            sizes |= {size for share in work.curve if 2 <= (size := round(share * rows)) < main}
            sizes |= {money} if money and money >= 2 else set()
        plans.append(_Plan(leg, sorted(sizes), main, money))
    return plans, left_out


def _prompted(work: _Work, left_out: list[LeftOut]) -> Trained:
    if not students.can_be_prompted(work.student):
        left_out.append(LeftOut(FEW_SHOT, f"{work.student} is no language model: it says nothing before it is trained"))
        return {}
    if not work.task.demonstrations:
        left_out.append(LeftOut(FEW_SHOT, "the task has no demonstrations"))
        return {}
    one = work.few_shot()
    return {FEW_SHOT: {one.rows: [one]}}


def _lines(plans: Sequence[_Plan], trained: Trained, work: _Work) -> tuple[str, list[Line], list[Question]]:
    """The baseline, a line for each leg, and what else is worth asking of two legs."""
    _, says = students.constant(work.test)
    shown = len(work.task.demonstrations)
    fixed = {MAJORITY: (says, "constant"), FEW_SHOT: (f"{shown} demonstrations, nothing is trained", "prompt")}
    main = {name: min(trained[name]) for name in fixed if name in trained}
    main |= {plan.leg.name: plan.main for plan in plans}
    legs = {plan.leg.name: plan for plan in plans}
    baseline, floor = work.baseline(trained, main), _mean(trained[MAJORITY][0])
    lines: list[Line] = []
    for name, rows in main.items():
        about, kind = fixed.get(name, ("", "data"))
        plan = legs.get(name)
        lines.append(
            line_of(
                plan.leg if plan else None, name, trained[name], rows, about=about, kind=kind, floor=floor,
                budget=plan.money if plan else None, seed=work.config.seed,
                baseline=None if name == baseline else trained[baseline][main[baseline]],
            )
        )  # fmt: skip
    asked = [(name, other) for name, other in _pairs(legs) if baseline not in (name, other)]
    questions = [
        Question(name, other, held(trained[name][main[name]], trained[other][main[other]], work.config.seed))
        for name, other in asked
    ]
    return baseline, adjusted(lines), adjusted_questions(questions)


def _pairs(legs: Mapping[str, _Plan]) -> list[tuple[str, str]]:
    """Checks against the same rows without them, a mix against each of its parts, made rows against gold."""
    pairs = [(name, name.removesuffix(CURATED)) for name in legs if name.endswith(CURATED)]
    mixes = [name for name in legs if " + " in name and not name.endswith(CURATED)]
    pairs += [(name, part) for name in mixes for part in name.split(" + ")]
    pairs += [("transformed", "generated"), *((name, "gold") for name in ("transformed", "generated"))]
    return [(name, other) for name, other in pairs if name in legs and other in legs]


def _notes(
    pools: Mapping[str, Pool], parts: GoldParts, trained: Trained, lines: Sequence[Line], work: _Work
) -> list[str]:
    notes = [*parts.told(), *(note for pool in pools.values() for note in pool.notes)]
    notes += [f"{leg}: {warning}" for leg, warning in _once(trained) if "points" not in warning]
    if (seeds := work.config.compare.seeds) < 3:
        told = "1 seed tells nothing" if seeds == 1 else f"{seeds} seeds tell little"
        notes.append(f"{told} of how much luck there is in a draw; take 3 or more")
    most = max(line.rows for line in lines)
    short = [line for line in lines if 0 < line.rows < most and line.kind in ("data", "gold", "control")]
    notes += [f"{line.name} has {line.rows:,} rows and not {most:,}: there are no more" for line in short]
    return list(dict.fromkeys(notes))


def _once(trained: Trained) -> list[tuple[str, str]]:
    return [
        (leg, warning)
        for leg, by_size in trained.items()
        for some in [by_size[max(by_size)]]
        for warning in dict.fromkeys(warning for one in some for warning in one.warnings)
    ]


def _mean(runs: Sequence[Finished] | Finished) -> float:
    some = [runs] if isinstance(runs, Finished) else runs
    return sum(sum(one.right) / len(one.right) for one in some) / len(some)
