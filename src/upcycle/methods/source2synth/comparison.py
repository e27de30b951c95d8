"""Is what the filter kept better than as many at random? Both are trained on from the base and scored on the same gold.

A filter makes a set smaller and easier, and either may be all it does (arXiv 2409.08239 compares with the uncurated set
only). So the pool is all of slice 1, the arms are what the filter kept, as many drawn at random, and on request the
kept ones weighted by how few of their tries were right, and the difference comes with its interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import Source2Synth
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem
from upcycle.evaluation.intervals import paired_bootstrap
from upcycle.evaluation.scores import Scores
from upcycle.methods.source2synth.lessons import taught_of
from upcycle.records import Example, Origin
from upcycle.run import Run
from upcycle.training.chains import answer_of
from upcycle.training.predictor import Predictor

POOL = "source2synth slice 1"
"""Stage of the journal that remembers every example of slice 1 the filter judged, kept or not."""

ARMS = ("filter", "random", "weighted")

Evaluate = Callable[[Predictor, Sequence[GoldItem]], Scores]
"""What the comparison is handed: scores a student on gold."""

Fit = Callable[[Sequence[Example], Path], Predictor]
"""What it is handed too: trains a student from the base into a folder, or opens it."""


class Pooled(NamedTuple):
    """An example of slice 1 as the filter judged it: what a student is taught, and how many of its tries were right."""

    lesson: Example
    right: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """What the arms came to.

    Attributes:
        rows: examples each was trained on.
        scores: arm to its scores.
        difference: filter minus random on the main metric, with its 95 % interval.
    """

    rows: int
    scores: dict[str, Scores]
    difference: tuple[float, float, float]

    def facts(self) -> dict[str, Any]:
        """Everything as plain values."""
        arms = {
            arm: {name: estimate.value for name, estimate in found.estimates.items()}
            for arm, found in self.scores.items()
        }
        return {"rows": self.rows, "arms": arms, "filter_minus_random": list(self.difference)}

    def line(self) -> str:
        """The same for people."""
        told = [f"{arm} {found.estimates[found.metric].value:.1%}" for arm, found in self.scores.items()]
        metric = next(iter(self.scores.values())).metric
        value, low, high = (f"{100 * one:+.1f}" for one in self.difference)
        apart = f"filter minus random {value}, {low} to {high}"
        return f"trained on {self.rows:,} each, {metric}: {', '.join(told)} ({apart})"


def pool_of(run: Run, settings: Source2Synth) -> list[Pooled]:
    """Every example of slice 1 the filter of this run judged, sorted by id."""
    found: list[Pooled] = []
    for name, state, _, value, _ in run.journal.rows(POOL):
        said = taught_of(value["output"], value["rationale"], settings)
        lesson = Example(name, value["input"], said, Origin("source2synth"))
        found.append(Pooled(lesson, value["right"], state == "kept"))
    return found


def against_random(
    pool: Sequence[Pooled],
    gold: Sequence[GoldItem],
    *,
    fit: Fit,
    evaluate: Evaluate,
    folder: Path,
    seed: int = 0,
    arms: Sequence[str] = ("filter", "random"),
) -> Compared:
    """Train each arm and score it.

    Args:
        folder: students go into a folder of it each.
        arms: of `ARMS`; filter and random must be among them.

    Raises:
        ConfigError: nothing was kept, nothing was dropped, or there is no gold.
    """
    kept = [one for one in pool if one.kept]
    if not gold:
        raise ConfigError("there is no gold to score the students on; give some with --gold")
    if not kept or len(kept) == len(pool):
        raise ConfigError(
            f"the filter kept {len(kept)} of {len(pool)} examples, so there is nothing to hold against chance"
        )
    scores = {arm: evaluate(Plain(fit(_arm(arm, pool, kept, seed), folder / arm)), gold) for arm in arms}
    first, second = ({one.id: one.right for one in scores[arm].items} for arm in ("filter", "random"))
    shared = [name for name in first if name in second]
    found = paired_bootstrap([first[name] for name in shared], [second[name] for name in shared], seed=seed)
    return Compared(len(kept), scores, (found.value, found.low, found.high))


def at_random(pool: Sequence[Pooled], count: int, *, seed: int) -> list[Example]:
    """So many lessons of slice 1, drawn whatever the filter said; all of them where there are no more."""
    draw = random.Random(f"{seed}:random").sample(range(len(pool)), min(count, len(pool)))
    return [pool[place].lesson for place in sorted(draw)]


def _arm(arm: str, pool: Sequence[Pooled], kept: Sequence[Pooled], seed: int) -> list[Example]:
    if arm == "random":
        return at_random(pool, len(kept), seed=seed)
    if arm == "weighted":
        most = max(one.right for one in kept)
        # What is nearly always answered teaches least: it counts half of what is answered once.
        return [replace(one.lesson, weight=1.0 - 0.5 * (one.right - 1) / max(1, most - 1)) for one in kept]
    return [one.lesson for one in kept]


class Plain:
    """A student of chains, of whose replies only the answers are scored."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        return [[answer_of(text) for text in said] for said in self._predictor.predict(inputs, samples=samples)]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        return self._predictor.score(inputs, choices)

    def save(self, folder: Path) -> None:
        self._predictor.save(folder)
