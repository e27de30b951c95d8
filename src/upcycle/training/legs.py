"""The settings a student is trained with, one leg each, and the choice among them by loss on validation.

One leg is the usual case; with a grid each leg is trained in a folder of its own, which says when it is finished, so
that training that was killed does not train a finished leg again. Test data are never looked at here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from upcycle.config import Training
from upcycle.errors import ConfigError, boundary
from upcycle.training.predictor import Progress, Told

PAPER_RATES = (5e-5, 1e-4)
PAPER_ALPHAS = (16, 24)


class Leg(NamedTuple):
    """One point of the grid."""

    rate: float
    alpha: int

    def __str__(self) -> str:
        return f"rate {self.rate:g}, alpha {self.alpha}"


class Trained(NamedTuple):
    """What a leg came to; `facts` are plain values and hold the validation `loss` (None where there is none)."""

    leg: Leg
    folder: Path
    facts: dict[str, Any]


def legs_of(settings: Training, rate: float) -> list[Leg]:
    """The grid of the settings; `rate` is what suits the student where none is given (DataTune, appendix, for text)."""
    rates = settings.learning_rates or (PAPER_RATES if settings.grid else (rate,))
    alphas = settings.alphas or (PAPER_ALPHAS if settings.grid else PAPER_ALPHAS[:1])
    return [Leg(*point) for point in itertools.product(rates, alphas)]


def best_of(
    legs: Sequence[Leg], train: Callable[[Leg, Path], dict[str, Any]], folder: Path, *, judged: bool, told: Told
) -> tuple[Trained, list[Trained]]:
    """Train every leg that is not finished yet, and choose the one with the least validation loss.

    Args:
        train: trains one leg in a folder, leaves its weights there and returns plain facts with its `loss`.
        judged: whether there is a validation set.

    Raises:
        ConfigError: several legs and no validation set to choose by.
    """
    if len(legs) > 1 and not judged:
        raise ConfigError("choosing among settings needs validation examples; give some, or one setting of each")
    done = []
    for number, leg in enumerate(legs):
        where = folder / f"leg-{number}"
        facts = _finished(where, leg)
        if facts is None:
            if len(legs) > 1:
                told(Progress(text=f"setting {number + 1} of {len(legs)}: {leg}"))
            where.mkdir(parents=True, exist_ok=True)
            facts = train(leg, where)
            _finish(where, leg, facts)
        done.append(Trained(leg, where, facts))
    best = min(done, key=lambda one: float("inf") if one.facts["loss"] is None else one.facts["loss"])
    if len(legs) > 1:
        told(Progress(text=f"chosen by validation loss {best.facts['loss']:.4f}: {best.leg}"))
    return best, done


def _finished(folder: Path, leg: Leg) -> dict[str, Any] | None:
    try:
        found = orjson.loads((folder / "leg.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found["facts"] if found.get("leg") == list(leg) else None


def _finish(folder: Path, leg: Leg, facts: dict[str, Any]) -> None:
    with boundary(str(folder)):
        part = folder / "leg.json.part"
        part.write_bytes(orjson.dumps({"leg": list(leg), "facts": facts}))
        part.replace(folder / "leg.json")
