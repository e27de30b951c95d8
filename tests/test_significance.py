"""Differences between legs are marked as rarely as they should be, and found where they are."""

from __future__ import annotations

import numpy as np
import pytest

from upcycle.comparing.significance import difference, disagreement, holm, mean_of
from upcycle.evaluation.intervals import wilson


def legs(random: np.random.Generator, *, items: int, seeds: int, gap: float, luck: float = 0.03):
    """Two legs on the same items: some are hard for all, and each seed has its own luck."""
    hard = random.random(items)

    def run(extra: float) -> list[float]:
        chance = np.clip(0.35 + 0.5 * hard + extra + random.normal(0, luck), 0, 1)
        return (random.random(items) < chance).astype(float).tolist()

    return [[run(extra) for _ in range(seeds)] for extra in (gap, 0.0)]


def test_one_models_interval_is_wilsons():
    runs = [[1.0] * 40 + [0.0] * 11] * 3
    found = mean_of(runs)
    assert (found.low, found.high) == wilson(40, 51)
    assert found.spread == 0


def test_a_leg_against_itself_is_no_difference():
    runs = [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    assert difference([runs[0]], [runs[0]]) == (0.0, 0.0, 0.0, 1.0)
    assert difference(runs, runs).p == 1.0


def test_legs_that_are_alike_are_rarely_marked():
    random = np.random.default_rng(0)
    marked = sum(difference(*legs(random, items=150, seeds=3, gap=0.0), seed=n).p < 0.05 for n in range(120))
    assert marked <= 12, "6 of 120 are expected by chance"


def test_seeds_pooled_as_items_would_mark_far_more():
    # What this must not do: three seeds of 150 items are not 450 items.
    from upcycle.evaluation.intervals import paired_bootstrap

    random = np.random.default_rng(0)
    naive = ours = 0
    for number in range(60):
        one, other = legs(random, items=150, seeds=3, gap=0.0, luck=0.06)
        naive += paired_bootstrap(np.concatenate(one).tolist(), np.concatenate(other).tolist(), seed=number).p < 0.05
        ours += difference(one, other, seed=number).p < 0.05
    assert naive >= 2 * ours
    assert ours <= 7


def test_a_large_difference_is_found():
    random = np.random.default_rng(1)
    found = [difference(*legs(random, items=300, seeds=3, gap=0.15), seed=n) for n in range(20)]
    assert sum(one.p < 0.05 for one in found) >= 18
    assert sum(one.low <= 0.15 <= one.high for one in found) >= 17


def test_the_interval_holds_the_difference_and_the_ends_are_in_order():
    random = np.random.default_rng(2)
    for number in range(10):
        one = difference(*legs(random, items=60, seeds=3, gap=0.05), seed=number)
        assert one.low <= one.value <= one.high


def test_legs_of_other_items_are_refused():
    with pytest.raises(ValueError, match="2 and 3 items"):
        difference([[1.0, 0.0]], [[1.0, 0.0, 1.0]])


def test_items_count_as_what_most_seeds_say():
    one, other = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]
    assert disagreement(one, other)[:2] == (1, 0)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a": 0.03, "c": 0.06, "b": 0.06}
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}
