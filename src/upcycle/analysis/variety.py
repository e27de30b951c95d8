"""How varied and how long the texts of a set are: bigrams, tokens, openings, labels, option positions, languages.

In: texts, outputs, choices. Out: numbers. "Unique bigrams per example" is the paper's: different bigrams of the whole
set divided by its number of texts (arXiv 2404.14361, table 3). It falls as a set grows and rises with longer texts, so
it is also given with texts cut to their first tokens, and `describe` matches sets for number and length.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from upcycle.language import detect

FIRST = 100
"""Tokens that length-matched bigrams are counted in."""


class Lengths(NamedTuple):
    """Tokens a text."""

    mean: float
    median: float
    p95: float
    longest: int


class Opening(NamedTuple):
    """The first three tokens most texts begin with, and the share of texts that do."""

    text: str
    share: float


def lengths(tokens: Sequence[Sequence[str]]) -> Lengths:
    """Tokens a text: mean, median, 95th percentile, most."""
    counts = sorted(map(len, tokens))
    if not counts:
        return Lengths(0.0, 0.0, 0.0, 0)
    half = len(counts) // 2
    median = counts[half] if len(counts) % 2 else (counts[half - 1] + counts[half]) / 2
    return Lengths(sum(counts) / len(counts), median, counts[math.ceil(0.95 * len(counts)) - 1], counts[-1])


def bigrams_per_text(tokens: Sequence[Sequence[str]], first: int | None = None) -> float:
    """Different bigrams of all texts (or of their first tokens) divided by the number of texts."""
    seen: set[tuple[str, str]] = set()
    for text in tokens:
        seen.update(pairwise(text[:first]))
    return len(seen) / len(tokens) if tokens else 0.0


def opening(tokens: Sequence[Sequence[str]]) -> Opening:
    """The most common three-token opening; the first to appear where several are."""
    counts = Counter(tuple(text[:3]) for text in tokens if text)
    if not counts:
        return Opening("", 0.0)
    words, count = counts.most_common(1)[0]
    return Opening(" ".join(words), count / len(tokens))


def entropy(counts: Mapping[str, int]) -> float:
    """Entropy of a histogram in bits."""
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values() if count) if total else 0.0


def positions(outputs: Sequence[str], choices: Sequence[Sequence[str] | None]) -> Counter[int]:
    """How often the output is the first, second, ... option; 0 where it is none of them. Empty without options."""
    found: Counter[int] = Counter()
    for output, options in zip(outputs, choices, strict=True):
        if options:
            found[options.index(output) + 1 if output in options else 0] += 1
    return found


def languages(texts: Sequence[str]) -> Counter[str]:
    """How many texts are in each language, as far as can be told ("und" where it cannot)."""
    return Counter(detect(text).code for text in texts)
