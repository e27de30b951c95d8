"""How far a number read on a sample may be from the truth, and whether two models differ on the same items.

Every interval is of 95 %. A share that was counted takes Wilson's, which keeps its width where all items are right; a
mean of anything else takes the percentile bootstrap over items. Two models are compared on the same items only
(Dror et al., ACL 2018, section 3): McNemar's exact test for right or wrong, the paired bootstrap for any score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NORMAL_95 = 1.959964
_RESAMPLES = 2000
_AT_ONCE = 4_000_000  # drawn positions held in memory


class Difference(NamedTuple):
    """One model's mean score minus another's on the same items.

    Attributes:
        value: the difference.
        low: end of its 95 % interval.
        high: the other end.
        p: two-sided; how likely so large a difference were if the models were alike.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class Disagreement(NamedTuple):
    """Items on which only one of two models was right.

    Attributes:
        only_first: items only the first had right.
        only_second: items only the second had right.
        p: of McNemar's exact test, two-sided.
    """

    only_first: int
    only_second: int
    p: float


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """95 % score interval of `hits` out of `rows` (Wilson 1927); (0, 1) of nothing.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if rows == 0:
        return 0.0, 1.0
    square = _NORMAL_95**2
    share = hits / rows
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    reach = _NORMAL_95 / (1 + square / rows) * math.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    # At the ends the bound is exact, and its sum is not.
    return max(0.0, middle - reach) if hits else 0.0, min(1.0, middle + reach) if hits < rows else 1.0


def bootstrap(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron 1979); (0, 1) of nothing, as nothing is known."""
    import numpy as np

    if len(values) == 0:
        return 0.0, 1.0
    means = _resampled_means(np.asarray(values, dtype=float), seed)
    return _middle(means)


def bootstrap_of(
    statistic: Callable[[NDArray[np.int64]], float], items: int, *, seed: int = 0, resamples: int = 500
) -> tuple[float, float]:
    """The same for any statistic of items, given their drawn positions."""
    import numpy as np

    if items == 0:
        return 0.0, 1.0
    random = np.random.default_rng(seed)
    return _middle(np.array([statistic(random.integers(0, items, items)) for _ in range(resamples)]))


def mean_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """Wilson's interval where every value is 0 or 1, else the bootstrap's."""
    if all(value in (0, 1) for value in values):
        return wilson(round(sum(values)), len(values))
    return bootstrap(values, seed=seed)


def mcnemar(first: Sequence[float], second: Sequence[float]) -> Disagreement:
    """Whether two models are right equally often on the same items (McNemar 1947, the exact binomial form).

    Args:
        first: what the first scored on each item, right from 0.5.
        second: the other's scores on the same items in the same order.

    Raises:
        ValueError: not the same number of items.

    >>> round(mcnemar([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1]).p, 4)
    0.125
    """
    _same_length(first, second)
    pairs = [(one >= 0.5, other >= 0.5) for one, other in zip(first, second, strict=True)]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    return Disagreement(only_first, only_second, _coin(min(only_first, only_second), only_first + only_second))


def paired_bootstrap(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Difference:
    """Mean of `first` minus mean of `second` over the same items, resampled by items (Efron and Tibshirani 1993).

    Raises:
        ValueError: not the same number of items, or none.
    """
    import numpy as np

    _same_length(first, second)
    if not len(first):
        raise ValueError("there is no item to compare on; give at least one")
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    means = _resampled_means(gaps, seed)
    low, high = _middle(means)
    # One more on both sides: with finitely many draws no difference is certain.
    below, above = int((means <= 0).sum()), int((means >= 0).sum())
    p = min(1.0, 2 * (min(below, above) + 1) / (len(means) + 1))
    return Difference(float(gaps.mean()), low, high, p)


def _same_length(first: Sequence[float], second: Sequence[float]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores; paired tests need the same items for both")


def _coin(fewer: int, of: int) -> float:
    """How likely a fair coin falls at least so unevenly: two-sided, exact."""
    if of == 0:
        return 1.0
    # In logarithms: 2**of leaves the range of floats at a thousand tosses.
    logs = [math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(math.exp(one - of * math.log(2)) for one in logs))


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    import numpy as np

    random = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // len(values))
    parts = [
        values[random.integers(0, len(values), (min(step, _RESAMPLES - start), len(values)))].mean(axis=1)
        for start in range(0, _RESAMPLES, step)
    ]
    return np.concatenate(parts)


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
