"""How sure a difference between two legs is, when each was trained several times and scored on the same items.

In: for each leg, one row of item scores a seed. Out: means, differences and p-values with 95 % intervals. The decision:
items *and* seeds are resampled, items in pairs (Dror et al., ACL 2018; Bouthillier et al., MLSys 2021); pooling seeds
times items as if they were that many items would call noise significant. Of several legs, Holm's step-down (1979) keeps
the chance of any false mark at 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from upcycle.evaluation.intervals import Difference, mcnemar, mean_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Runs = Sequence[Sequence[float]]
"""Scores from 0 to 1: one row a seed, one column an item."""
_RESAMPLES = 2000
_AT_ONCE = 8_000_000  # numbers held in memory


class Mean(NamedTuple):
    """A leg's score over its seeds.

    Attributes:
        value: mean over seeds and items.
        low: end of its 95 % interval, over items and seeds.
        high: the other end.
        spread: standard deviation of the seeds' scores; None of fewer than two.
    """

    value: float
    low: float
    high: float
    spread: float | None


def mean_of(runs: Runs, *, seed: int = 0) -> Mean:
    """A leg's score.

    Where all seeds score every item alike there is one model, and its interval is Wilson's.
    """
    import numpy as np

    scores = np.asarray(runs, dtype=float)
    value = float(scores.mean())
    spread = float(scores.mean(axis=1).std(ddof=1)) if len(scores) > 1 else None
    if (scores == scores[0]).all():
        return Mean(value, *mean_interval(scores[0].tolist(), seed=seed), spread)
    low, high = np.percentile(_resampled(scores, None, seed), [2.5, 97.5])
    return Mean(value, float(low), float(high), spread)


def difference(runs: Runs, others: Runs, *, seed: int = 0) -> Difference:
    """One leg's mean score minus another's on the same items.

    Raises:
        ValueError: not the same number of items.
    """
    import numpy as np

    one, other = np.asarray(runs, dtype=float), np.asarray(others, dtype=float)
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"{one.shape[1]} and {other.shape[1]} items; legs are compared on the same ones")
    gap = float(one.mean() - other.mean())
    if not (one - other[:1]).any() and not (other - one[:1]).any():
        return Difference(0.0, 0.0, 0.0, 1.0)
    drawn = _resampled(one, other, seed)
    low, high = np.percentile(drawn, [2.5, 97.5])
    # One more on both sides: with finitely many draws no difference is certain.
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return Difference(gap, float(low), float(high), min(1.0, 2 * (beyond + 1) / (len(drawn) + 1)))


def disagreement(runs: Runs, others: Runs) -> tuple[int, int, float]:
    """Items that only the first leg has right, only the second, and McNemar's exact p.

    An item counts as right where most seeds are right; ties count as right.
    """
    import numpy as np

    return tuple(mcnemar(np.mean(runs, axis=0).tolist(), np.mean(others, axis=0).tolist()))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for there being several (Holm 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(values, key=lambda one: values[one])):
        largest = max(largest, min(1.0, (len(values) - place) * values[name]))
        adjusted[name] = largest
    return adjusted


def _resampled(one: Floats, other: Floats | None, seed: int) -> Floats:
    """Means of draws of items and seeds; differences where there are two legs, whose items are drawn in pairs."""
    import numpy as np

    random = np.random.default_rng(seed)
    items = one.shape[1]
    parts: list[Floats] = []
    step = max(1, _AT_ONCE // max(items, 1))
    for start in range(0, _RESAMPLES, step):
        count = min(step, _RESAMPLES - start)
        drawn = random.integers(0, items, (count, items))
        gaps = _seeds_drawn(one, count, random)
        if other is not None:
            gaps = gaps - _seeds_drawn(other, count, random)
        parts.append(np.take_along_axis(gaps, drawn, axis=1).mean(axis=1))
    return np.concatenate(parts)


def _seeds_drawn(scores: Floats, count: int, random: np.random.Generator) -> Floats:
    """Item scores averaged over drawn seeds, one row a draw.

    Drawing from S seeds shows (S - 1) / S of their variance; what they differ by is stretched to make up for it.
    """
    import numpy as np

    seeds = len(scores)
    middle = scores.mean(axis=0)
    if seeds == 1:
        return np.broadcast_to(middle, (count, scores.shape[1]))
    drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds
    apart = (scores - middle) * np.sqrt(seeds / (seeds - 1))
    found = np.repeat(middle[None], count, axis=0)
    for number in range(seeds):  # not `@`, whose threads cost more than they bring on a busy machine
        found += drawn[:, number, None] * apart[number]
    return found
