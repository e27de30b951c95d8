"""What every trained student can do, and what training tells while it goes on.

A `Predictor` is what `fit` returns, what `load` opens, and all that evaluation and the methods know of a model. The
decision: a protocol of three functions of texts, so that a student of numpy, of torch or of a test's own is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable


@runtime_checkable
class Predictor(Protocol):
    """A trained student."""

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """Outputs of each input: one where `samples` is 1, else as many draws at the student's temperature, seeded."""
        ...

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural logarithm of the likelihood of each choice of each input."""
        ...

    def save(self, folder: Path) -> None:
        """Write the student into a folder that `training.saved.load` opens again."""
        ...


class Progress(NamedTuple):
    """How training goes.

    Attributes:
        step: optimiser steps done, of `steps` in all.
        epoch: passes over the examples done, as a fraction.
        loss: mean loss since the last report, in nats; None before the first.
        seconds_left: as the speed so far gives it; None while it is not known.
        text: a sentence for the user (a warning, a choice made); empty where this is only a tick.
    """

    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    seconds_left: float | None = None
    text: str = ""


Told = Callable[[Progress], None]
"""Is told how training goes; the engine itself never prints."""


def silent(progress: Progress) -> None:
    """Hear nothing."""
