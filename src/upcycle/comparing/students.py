"""The student of a comparison: the same for every leg, whatever a leg's own rows look like.

What is learned follows from the test items (options, labels, texts), never from a leg, or legs would be scored by
different kinds of model. TF-IDF needs no torch and does each kind honestly: labels by logistic regression, options by
logistic regression over the pairs of input and option, texts by the answer of the nearest input.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from upcycle.comparing.finished import Finished
from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.evaluation.evaluate import evaluate
from upcycle.evaluation.gold import GoldItem
from upcycle.records import Example
from upcycle.task import Demonstration
from upcycle.training.bases import is_causal
from upcycle.training.predictor import Predictor, Progress

TFIDF = "tfidf"
_MOST_LABELS = 100


class Watcher(Protocol):
    """Hears how the student that is at work gets on."""

    def trains(self, now: Progress) -> None: ...

    def scores(self, done: int, of: int) -> None: ...


class Test(NamedTuple):
    """What every student is scored on."""

    items: Sequence[GoldItem]
    metric: str

    @property
    def kind(self) -> str:
        """`choice`, `label` or `text`."""
        if self.metric == "multiple_choice_grade":
            return "choice"
        return "label" if self.metric == "accuracy" else "text"


def settings_for(training: Training, student: str, kind: str) -> Training:
    """The settings one student is trained with."""
    learnt = training.kind
    if learnt == "auto":
        learnt = "label" if kind == "label" and not can_be_prompted(student) else "text"
    found = training.model_copy(update={"student": student, "kind": learnt})
    # Layers are those of the encoder that is named; a leg with another student has none of them.
    return found if student == training.student else found.model_copy(update={"layers": None})


def unfit(examples: Sequence[Example], student: str, kind: str) -> str | None:
    """Why a student cannot learn the task from these rows; None where it can."""
    if kind == "choice" and student == TFIDF and not any(one.choices for one in examples):
        return "its rows have no options to choose among"
    if kind == "label" and not can_be_prompted(student):
        outputs = len({one.output for one in examples})
        if outputs > _MOST_LABELS:
            return f"its rows have {outputs:,} different outputs, which are no labels"
    return None


def train(
    examples: Sequence[Example], settings: Training, kind: str, *, seed: int, folder: Path, watcher: Watcher
) -> Predictor:
    """Train one student.

    Args:
        folder: where training that was killed goes on; used by students that take long.

    Raises:
        ConfigError: a student that cannot learn this, a library that is not installed.
    """
    if settings.student == TFIDF:
        return _tfidf(examples, settings, kind, seed)
    from upcycle.training.fit import fit

    validation: Sequence[Example] = ()
    if settings.grid or len(settings.learning_rates) > 1 or len(settings.alphas) > 1:
        # The rows are in the seed's order, so the last tenth is a draw; a leg pays for its own validation.
        cut = max(1, len(examples) // 10)
        examples, validation = examples[:-cut], examples[-cut:]
    return fit(examples, settings, validation=validation, folder=folder, seed=seed, told=watcher.trains)


def _tfidf(examples: Sequence[Example], settings: Training, kind: str, seed: int) -> Predictor:
    if kind == "choice":
        from upcycle.training.shallow.choice import fit_choices

        return fit_choices(examples)
    if kind == "text":
        from upcycle.training.shallow.nearest import fit_nearest

        return fit_nearest(examples)
    from upcycle.training.fit import fit

    return fit(examples, settings, seed=seed)


def trained(
    leg: str,
    examples: Sequence[Example],
    settings: Training,
    test: Test,
    *,
    seed: int,
    folder: Path,
    watcher: Watcher,
) -> Finished:
    """Train one student on a leg's rows and score it."""
    started = time.monotonic()
    predictor = train(examples, settings, test.kind, seed=seed, folder=folder, watcher=watcher)
    scores = evaluate(predictor, test.items, test.metric, seed=seed, told=watcher.scores)
    # What happened while it learned makes its score mean less, too: a loss that was no number, memory that ran out.
    happened = getattr(predictor, "facts", {}).get("notes", ())
    return Finished(
        leg, len(examples), seed, [one.right for one in scores.items], time.monotonic() - started,
        settings.student, [_plain(one) for one in (*scores.warnings, *happened)],
    )  # fmt: skip


def prompted(
    leg: str, student: str, demonstrations: Sequence[Demonstration], test: Test, *, seed: int, watcher: Watcher
) -> Finished:
    """Score the base model as it is, shown the task's demonstrations."""
    started = time.monotonic()
    from upcycle.training.bases import base_folder
    from upcycle.training.saved import load

    base = load(base_folder(student))
    scores = evaluate(
        base, test.items, test.metric, shots=len(demonstrations), demonstrations=demonstrations, seed=seed,
        told=watcher.scores,
    )  # fmt: skip
    return Finished(
        leg, len(demonstrations), seed, [one.right for one in scores.items], time.monotonic() - started, student,
        [_plain(one) for one in scores.warnings],
    )  # fmt: skip


def constant(test: Test) -> tuple[list[float], str]:
    """What saying always the same scores on each item, and what is said; blind choice where there are options."""
    if test.kind == "choice":
        return [item.chance() or 0.0 for item in test.items], "chance"
    said, _ = Counter(answer for item in test.items for answer in item.answers[:1]).most_common(1)[0]
    return [float(said in item.answers) for item in test.items], f"always {said[:40]!r}"


def can_be_prompted(student: str) -> bool:
    """Whether this student is a language model, which answers before it is trained, too."""
    return student != TFIDF and is_causal(student) is not False


def check(student: str, kind: str) -> None:
    """Find out before anything is made whether the student can be trained.

    Raises:
        ConfigError: an unknown student, weights that were not fetched, a library that is missing, an encoder for a task
            whose answers are no labels.
    """
    if student == TFIDF:
        return
    from upcycle.training.bases import base_folder

    base_folder(student)
    if kind != "label" and not can_be_prompted(student):
        what = "options to choose among" if kind == "choice" else "texts"
        raise ConfigError(
            f"student {student!r} only tells labels, and the gold's answers are {what}; give tfidf, smollm2 or the"
            " folder of a causal language model"
        )


def _plain(warning: str) -> str:
    return " ".join(warning.split())
