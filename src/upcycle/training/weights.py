"""How much each example counts in training: as its row says, all alike, or by the DIMP loss.

DIMP (arXiv 2410.21526): an example counts by how likely its label is to a model of real data, over how likely it is to
the student as it is now. What real data would not say counts little, and so does what the student knows already. The
weight gets no gradient. The decision: it is capped, since one label that the student finds nearly impossible would
otherwise outweigh a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.records import Example
from upcycle.training.predictor import Predictor

LARGEST = 5.0
_SMALLEST_CHANCE = 1e-6


def weights_of(weights: Sequence[float | None], settings: Training) -> list[float]:
    """The weight of each example, 1 on average; all 1 where none is given or they are not wanted.

    Raises:
        ConfigError: a weight below 0, or one that is not a number.
    """
    given = [weight for weight in weights if weight is not None] if settings.weights == "given" else []
    if any(not 0 <= weight < math.inf for weight in given):
        raise ConfigError("an example has a weight that is no number of 0 or more; correct it, or give weights: none")
    mean = sum(given) / len(given) if given else 0.0
    if mean == 0:
        return [1.0] * len(weights)
    return [1.0 if weight is None else weight / mean for weight in weights]


def dimp_weight(likely: float, own: float) -> float:
    """Weight of one example from the two probabilities of its label: real data's model, and the student's own."""
    return min(LARGEST, likely / max(own, _SMALLEST_CHANCE))


def own_probabilities(predictor: Predictor, inputs: Sequence[str], outputs: Sequence[str]) -> list[float]:
    """The probability a student gives to each output of each input."""
    return [math.exp(row[0]) for row in predictor.score(inputs, [[output] for output in outputs])]


def check_real(real: Sequence[Example]) -> None:
    """Check that there are examples to learn from what real data look like.

    Raises:
        ConfigError: there are none.
    """
    if not real:
        raise ConfigError("the DIMP weights are learned from real examples; give some with --real, or other weights")
