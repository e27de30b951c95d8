"""Balance: how labels and the positions of right options are distributed, and dropping what there is too much of.

Counting is for every report. Dropping is only done when asked for, because rows are thrown away that are right:
`balance_check` for a set that is there, `quota_check` for one that is being made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from upcycle.contract import with_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.duplicates.exact import options_of
from upcycle.errors import RowKind
from upcycle.parts import label_counts
from upcycle.records import Example, Verdict


@dataclass(frozen=True, slots=True)
class Balance:
    """How even a set is.

    Attributes:
        labels: label to number, most frequent first; None where outputs are no labels.
        entropy: of the labels, 0 (one label only) to 1 (all equally often); None without labels.
        positions: how often the right option stands at each place; empty outside multiple choice.
        position_p: chance of positions at least as uneven as these if they were drawn evenly (chi-square test).
    """

    rows: int
    labels: Mapping[str, int] | None
    entropy: float | None
    positions: tuple[int, ...]
    position_p: float | None

    def facts(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return {
            "rows": self.rows,
            "labels": dict(self.labels) if self.labels is not None else None,
            "entropy": self.entropy,
            "positions": list(self.positions),
            "position_p": self.position_p,
        }


def balance(examples: Sequence[Example]) -> Balance:
    """Count labels and positions of right options."""
    labels = label_counts(examples)
    entropy = None
    if labels is not None:
        shares = [count / sum(labels.values()) for count in labels.values()]
        entropy = -sum(share * math.log(share) for share in shares) / math.log(len(shares)) if len(shares) > 1 else 0.0
    places: Counter[int] = Counter()
    expected: Counter[int] = Counter()
    for example in examples:
        options = options_of(example)
        if example.output in options:
            places[options.index(example.output)] += 1
            for place in range(len(options)):
                expected[place] += 1 / len(options)  # type: ignore[assignment]
    counted = tuple(places[place] for place in range(max(expected, default=-1) + 1))
    chance = _chi_square_p(counted, [float(expected[place]) for place in range(len(counted))]) if counted else None
    return Balance(len(examples), labels, None if entropy is None else round(entropy, 4), counted, chance)


def balance_check(examples: Sequence[Example], *, most: float = 1.0, seed: int = 0) -> Check:
    """Drops a seeded draw of the labels that are more than `most` times as frequent as the rarest one.

    One verdict an example of `examples`, looked up by its id; others pass.
    """
    labels = label_counts(examples)
    if labels is None or len(labels) < 2:
        return lambda example: KEEP
    limit = math.ceil(min(labels.values()) * most)
    surplus: dict[str, str] = {}
    for label, count in labels.items():
        if count > limit:
            ids = [example.id for example in examples if example.output == label]
            surplus |= dict.fromkeys(Random(f"{seed}/{label}").sample(ids, count - limit), label)

    def check(example: Example) -> Verdict:
        if (label := surplus.get(example.id)) is None:
            return KEEP
        reason = f"{label!r} is the output of {labels[label]:,} examples, {limit:,} are kept"
        return Verdict(keep=False, kind=RowKind.BALANCE, reason=reason, score=round(labels[label] / limit, 3))

    return check


def quota_check(most_share: float, rows: int) -> Check:
    """Drops an example whose label has its share of a set of `rows` examples already.

    Args:
        most_share: the largest share one label may have, e.g. 0.5 for two labels kept even.
        rows: how many examples the set will have.
    """
    limit = math.ceil(most_share * rows)
    counts: Counter[str] = Counter()

    def check(example: Example) -> Verdict:
        if example.choices:
            return KEEP
        if counts[example.output] >= limit:
            reason = f"{example.output[:60]!r} is the output of {limit:,} examples already"
            return Verdict(keep=False, kind=RowKind.BALANCE, reason=reason)
        counts[example.output] += 1
        return KEEP

    return check


def shuffled_options(example: Example, *, seed: int = 0) -> Example:
    """The same example with its options in an order drawn from the seed and its id; one without options as it is."""
    options = list(options_of(example))
    if len(options) < 2:
        return example
    Random(f"{seed}/{example.id}").shuffle(options)
    text = with_options(without_options(example.input), options)
    return replace(example, input=text, choices=tuple(options) if example.choices else None)


def _chi_square_p(found: Sequence[int], expected: Sequence[float]) -> float | None:
    pairs = [(count, wanted) for count, wanted in zip(found, expected, strict=True) if wanted > 0]
    if len(pairs) < 2:
        return None
    statistic = sum((count - wanted) ** 2 / wanted for count, wanted in pairs)
    return round(_upper_gamma((len(pairs) - 1) / 2, statistic / 2), 6)


def _upper_gamma(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x) for a a multiple of one half, by its recurrence."""
    if a == int(a):
        value, term, at = math.exp(-x), math.exp(-x), 1.0
    else:
        value, term, at = math.erfc(math.sqrt(x)), math.exp(-x) * math.sqrt(x) / math.gamma(1.5), 0.5
        if a > 0.5:
            value += term
            at = 1.5
    # Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1)
    while at < a:
        term *= x / at
        value += term
        at += 1
    return min(1.0, value)
