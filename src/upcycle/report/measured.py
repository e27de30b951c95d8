"""What a report draws of the examples on it: lengths, labels, option positions, openings.

In: examples of one or several datasets. Out: plain values, the same bins for all datasets, so that the charts lie side
by side. Lengths are in characters, which need no tokeniser and mean the same in every language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from upcycle.records import Example

_BINS = 24
_LABELS = 40
_MANY = 100
_OPENING_WORDS = 3


def lengths(datasets: Sequence[Sequence[Example]]) -> dict[str, Any]:
    """Histograms of input and output lengths in characters: edges shared by all datasets, and counts of each.

    The last bin holds everything above the 99th percentile, where there are a hundred examples or more.
    """
    found: dict[str, Any] = {}
    for name in ("input", "output"):
        values = [[len(getattr(example, name)) for example in examples] for examples in datasets]
        edges = _edges(sorted(value for one in values for value in one))
        found[name] = {
            "edges": edges,
            "counts": [_binned(one, edges) for one in values],
            "median": [sorted(one)[len(one) // 2] if one else None for one in values],
            "longest": [max(one, default=None) for one in values],
        }
    return found


def _edges(values: Sequence[int]) -> list[int]:
    """Edges at round numbers that cover all but the longest hundredth."""
    if not values:
        return [0, 1]
    top = values[int(0.99 * (len(values) - 1))] if len(values) >= _MANY else values[-1]
    width = max(1, _round_up(top / _BINS))
    return list(range(0, (top // width + 1) * width + 1, width))


def _round_up(value: float) -> int:
    for power in range(12):
        for factor in (1, 2, 5):
            if factor * 10**power >= value:
                return factor * 10**power
    return 10**12


def _binned(values: Sequence[int], edges: Sequence[int]) -> list[int]:
    width, counts = edges[1] - edges[0], [0] * len(edges)
    for value in values:
        counts[min(value // width, len(edges) - 1)] += 1
    return counts


def labels(examples: Sequence[Example]) -> list[tuple[str, int]] | None:
    """Outputs with their counts, most first, where outputs are labels: few, and each used again and again."""
    counts = Counter(example.output for example in examples)
    if not counts or len(counts) > _LABELS or len(examples) < 3 * len(counts):
        return None
    return counts.most_common()


def positions(examples: Sequence[Example]) -> dict[str, Any] | None:
    """Where the right option stands, beside where it would by chance; None where no example has options.

    Chance is the expectation over examples with their own numbers of options.
    """
    answered = [(e.choices, e.output) for e in examples if e.choices and e.output in e.choices]
    if not answered:
        return None
    counts = Counter(choices.index(output) for choices, output in answered)
    sizes = Counter(len(choices) for choices, _ in answered)
    chance = [sum(count / size for size, count in sizes.items() if size > place) for place in range(max(sizes))]
    return {
        "counts": [counts[place] for place in range(max(sizes))],
        "chance": [round(value, 2) for value in chance],
        "absent": sum(bool(example.choices) for example in examples) - len(answered),
    }


def openings(texts: Sequence[str], most: int = 8) -> list[tuple[str, int]]:
    """The most common first three words, with their counts; only those used more than once."""
    counts = Counter(" ".join(text.split(None, _OPENING_WORDS)[:_OPENING_WORDS])[:80] for text in texts)
    return [(opening, count) for opening, count in counts.most_common(most) if count > 1]
