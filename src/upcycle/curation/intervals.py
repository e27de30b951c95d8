"""Wilson's interval: how far a share that was counted on a sample may be from the share of the whole."""

from __future__ import annotations

import math

_NORMAL_95 = 1.959964


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
    return max(0.0, middle - reach), min(1.0, middle + reach)
