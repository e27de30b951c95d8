"""Alignment: how well the words of two texts find each other, by the vectors an encoder gives them where they stand.

In: two readings. Out: four numbers. Each token of a text is compared with the token of the other that is most like it
(BERTScore; Zhang et al. 2020, section 3), rare ones counting more. The decision: what finds no match counts by itself,
as the mean of each text's worst third, because a neighbour of the same genre shares most and lacks one thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upcycle.sources.minilm import Reading

if TYPE_CHECKING:
    import numpy as np


class Aligned(NamedTuple):
    """Mean cosines by weight: of all tokens of one text, of the other, and of the worst third of each."""

    there: float = 0.0
    back: float = 0.0
    worst_there: float = 0.0
    worst_back: float = 0.0


def aligned(one: Reading, other: Reading) -> Aligned:
    """How well two texts align; zeros where one of them has no tokens."""
    if not len(one.tokens) or not len(other.tokens):
        return Aligned()
    cosines = one.tokens @ other.tokens.T
    there, worst_there = _found(cosines.max(axis=1), one.weights)
    back, worst_back = _found(cosines.max(axis=0), other.weights)
    return Aligned(there, back, worst_there, worst_back)


def _found(best: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean over all tokens, and over the worst third of them, by weight."""
    order = best.argsort()
    best, weights = best[order], weights[order]
    reached = weights.cumsum()
    third = reached <= reached[-1] / 3
    third[0] = True
    return float(best @ weights / reached[-1]), float(best[third] @ weights[third] / weights[third].sum())
