"""What is used by many is what most people need: popularity as counted, and how many other cards name a dataset.

In: listings. Out: two numbers a listing, standardised. On the visible half of DataFinder this prior gained more than
any encoder did; it knows the future of an old query, so benchmarks print the row without it too.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

_WORD = re.compile(r"\w+")
_LONGEST = 5  # words in a name that is looked for
_LEAST = 3  # characters
_MOST = 4.0


class Mentions:
    """Counts the cards that name a dataset, in two passes: `know` every listing, then `read` every text."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], list[int]] = {}
        # Of the names that begin with a word, how many words they have: thousands may share a first word.
        self._lengths: dict[str, set[int]] = defaultdict(set)
        self._counts: Counter[int] = Counter()

    def know(self, number: int, names: Iterable[str]) -> None:
        """What listing `number` is called."""
        for name in dict.fromkeys(names):
            found = tuple(_WORD.findall(name))
            # One word in small letters ("news", "images") is a word of the language before it is a name.
            usual = len(found) == 1 and name.islower() and name.isalpha()
            if found and len(found) <= _LONGEST and len(name) >= _LEAST and not usual:
                self._names.setdefault(found, []).append(number)
                self._lengths[found[0]].add(len(found))

    def read(self, number: int, text: str) -> None:
        """Count the names in the text of listing `number`, each once."""
        found = _WORD.findall(text)
        seen: set[int] = set()
        for at, word in enumerate(found):
            for length in self._lengths.get(word, ()):
                seen.update(self._names.get(tuple(found[at : at + length]), ()))
        seen.discard(number)
        self._counts.update(seen)

    def counts(self, listings: int) -> list[int]:
        """Cards that name each listing."""
        return [self._counts[number] for number in range(listings)]


def standardised(counts: Iterable[float | None]) -> Any:
    """Logarithms of 1 + count (float32), with mean 0 and standard deviation 1; where nobody counted, the mean.

    Nobody is more than 4 standard deviations above the others: what everyone uses would else be found for everything.
    """
    import numpy as np

    logs = np.array([math.nan if one is None else math.log1p(one) for one in counts], np.float32)
    known = logs[~np.isnan(logs)]
    if not len(known) or float(known.std()) < 1e-6:
        return np.zeros(len(logs), np.float32)
    return np.nan_to_num(np.minimum((logs - known.mean()) / known.std(), np.float32(_MOST)), nan=0.0)
