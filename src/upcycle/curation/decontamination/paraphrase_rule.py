"""The rule that says whether two texts say the same: what it looks at, its weights, and how gold itself bounds it.

In: features of a text and the gold item nearest to it. Out: a probability. The weights are fitted by
`benchmarks/contamination.py --fit`. The decision: one list of features, of which a rule uses as many from the
front as it has weights; an encoder without tokens, and a text that is judged by itself, have only the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from upcycle.sources.encoder import SentenceEncoder


class Features(NamedTuple):
    """What the rule looks at, for one text and the item nearest to it.

    Attributes:
        background: mean cosine of the ten nearest other items.
        words: share of the shorter one's content words that the other has, too.
        numbers_agree: 1 where both hold numbers, and at least half of them are the same.
        lengths_differ: logarithm of the ratio of their lengths in words, without sign.
        forms_differ: 1 where only one of them asks a question.
        earlier: cosine one layer before.
        earlier_background: the same for `background`.
        there, back, worst_there, worst_back: how well the words of both find each other (`alignment.Aligned`).
        fellow: cosine of the nearest other text of the set.
        earlier_fellow: the same, one layer before.
        numbers_differ: both hold numbers, and fewer than half of them are the same.
        enough: both hold so many content words that they say something of their own.
    """

    cosine: float
    background: float
    words: float
    numbers_agree: float
    lengths_differ: float
    forms_differ: float
    earlier: float = 0.0
    earlier_background: float = 0.0
    there: float = 0.0
    back: float = 0.0
    worst_there: float = 0.0
    worst_back: float = 0.0
    fellow: float = 0.0
    earlier_fellow: float = 0.0
    numbers_differ: bool = False
    enough: bool = True


class Rule(NamedTuple):
    """A logistic rule.

    Attributes:
        weights: the bias, then one for each of the first features.
        same: the probability from which on a text counts as a paraphrase.
        judged: the probability from which on a judge, where there is one, is asked about it.
        usual: the background of a text about whose surroundings nothing is known yet, by layer, the last one first.
    """

    weights: tuple[float, ...]
    same: float
    judged: float
    usual: tuple[float, ...]


RULES: Mapping[str, Rule] = {
    "minilm": Rule((-5.57, 24.25, -28.39, -3.96, 1.57, -2.61, -1.68), same=0.69, judged=0.1, usual=(0.3,)),
    "static": Rule((-3.04, 20.01, -27.16, -5.9, 2.53, -2.62, -1.62), same=0.95, judged=0.2, usual=(0.2,)),
    "minilm tokens": Rule(
        (-18.36, 7.91, -8.7, -9.43, 1.44, -2.24, -1.15, 9.66, 1.85, 1.45, 7.84, 8.68, 6.66),
        same=0.75, judged=0.1, usual=(0.26, 0.67),
    ),
    "minilm set": Rule(
        (0.52, 9.43, -7.04, -9.01, 1.32, -1.65, -0.48, 11.21, 9.13, 1.01, 8.41, 7.78, 6.66, -8.14, -27.5),
        same=0.62, judged=0.1, usual=(0.26, 0.67),
    ),
}  # fmt: skip
"""By the encoder's name and what it gives. Sharing words counts against a pair of the same cosine: it explains it
otherwise."""

_UNLIKE = 0.99


def rule_for(encode: SentenceEncoder, *, together: bool) -> Rule:
    """The rule for an encoder, and for a text by itself or together with its set."""
    if encode.read is None:
        return RULES[encode.name]
    return RULES[f"{encode.name} {'set' if together else 'tokens'}"]


def probability_of(features: Features, weights: Sequence[float]) -> float:
    """How probably a text with these features says what its item says."""
    # The same sentence with other numbers is another problem, however near the vectors lie.
    if not features.enough or features.numbers_differ:
        return 0.0
    total = weights[0] + sum(weight * value for weight, value in zip(weights[1:], features, strict=False))
    return 1 / (1 + math.exp(-total))


def least_of(among: Sequence[Features], weights: Sequence[float], same: float) -> float:
    """The probability from which on a text counts as a paraphrase, for gold whose items among themselves look so."""
    import numpy as np

    told = [probability_of(features, weights) for features in among]
    return max(same, float(np.quantile(told, _UNLIKE)) if told else 0.0)
