"""Batch sizes follow from the outcomes before them, and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from upcycle.methods.datatune.sizing import Sizing


def sizes_in(
    order: random.Random, failed: Callable[[int, int], int], *, batches: int, lag: int, at_once: int
) -> list[int]:
    """Sizes of all batches where up to `at_once` are under way and end in an order drawn at random."""
    sizing, under_way, sizes, started = Sizing(lag=lag), dict[int, int](), [0] * batches, 0
    ended: set[int] = set()
    while len(ended) < batches:
        while started < batches and len(under_way) < at_once and (started < lag or started - lag in ended):
            sizes[started] = under_way[started] = sizing.size(started)
            started += 1
        batch = order.choice(list(under_way))
        asked = under_way.pop(batch)
        sizing.record(batch, asked, failed(batch, asked))
        ended.add(batch)
    assert sizes == [sizing.size(batch) for batch in range(batches)], "asked again, a size is the same"
    return sizes


def some(seed: int) -> Callable[[int, int], int]:
    """Failures by batch: a rate that changes every forty batches, drawn from the seed."""

    def failed(batch: int, asked: int) -> int:
        rate = random.Random(f"{seed}/{batch // 40}").choice([0.0, 0.0, 0.01, 0.05, 0.2, 0.6])
        draw = random.Random(f"{seed}/{batch}/rows")
        return sum(draw.random() < rate for _ in range(asked))

    return failed


@pytest.mark.parametrize("seed", range(20))
def test_sizes_do_not_depend_on_the_order_in_which_batches_end(seed: int) -> None:
    lag = random.Random(seed).choice([1, 2, 7, 32])
    alone = sizes_in(random.Random(0), some(seed), batches=400, lag=lag, at_once=1)
    for order in range(4):
        crowd = random.Random(order).randint(1, lag)
        assert sizes_in(random.Random(order), some(seed), batches=400, lag=lag, at_once=crowd) == alone
    assert all(1 <= size <= 16 for size in alone)


@pytest.mark.parametrize("seed", range(5))
def test_a_size_follows_from_batches_that_ended_before_it_could_start_and_from_no_later_one(seed: int) -> None:
    lag, changed = 8, 100
    first = sizes_in(random.Random(0), some(seed), batches=300, lag=lag, at_once=lag)

    def other(batch: int, asked: int) -> int:
        return some(seed)(batch, asked) if batch < changed else asked

    assert (
        sizes_in(random.Random(0), other, batches=300, lag=lag, at_once=lag)[: changed + lag] == first[: changed + lag]
    )


def test_a_size_that_fails_is_halved_down_to_one_and_what_was_under_way_is_not_counted_twice() -> None:
    sizes = sizes_in(random.Random(0), lambda _, asked: asked, batches=200, lag=32, at_once=32)
    assert sizes[:36] == [8] * 35 + [4]
    assert sizes[35 + 32 + 8] >= 2
    assert sizes[-1] == 1


def test_a_size_that_works_is_doubled_slowly_up_to_the_most() -> None:
    sizes = sizes_in(random.Random(0), lambda *_: 0, batches=100, lag=1, at_once=1)
    assert sizes == [8] * 16 + [16] * 84


def test_a_few_failures_change_nothing() -> None:
    sizes = sizes_in(random.Random(0), lambda batch, _: batch % 3 == 0, batches=300, lag=1, at_once=1)
    assert set(sizes) == {8}


def test_what_was_once_too_much_is_tried_again_more_and_more_rarely() -> None:
    sizes = sizes_in(random.Random(0), lambda _, asked: asked if asked > 8 else 0, batches=3000, lag=1, at_once=1)
    tried = [batch for batch in range(1, 3000) if sizes[batch] == 16 and sizes[batch - 1] == 8]
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert 3 <= len(tried) <= 10
    assert waits == sorted(waits)


def test_a_size_that_is_asked_for_too_early_and_a_batch_that_ends_twice_are_refused() -> None:
    sizing = Sizing(lag=2)
    assert sizing.size(1) == 8
    with pytest.raises(ValueError, match="batch 2 is not known before batch 0 has ended"):
        sizing.size(2)
    sizing.record(1, 8, 0)
    with pytest.raises(ValueError, match="batch 2"):
        sizing.size(2)
    sizing.record(0, 8, 0)
    assert sizing.size(3) == 8
    with pytest.raises(ValueError, match="batch 0 has ended before"):
        sizing.record(0, 8, 0)
    with pytest.raises(ValueError, match="1 <= 0"):
        Sizing(least=0)
