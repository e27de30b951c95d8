"""The table of IMDb with and without made rows comes out again, and what is drawn is drawn fairly."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

imdb = pytest.importorskip("imdb")


def test_gold_is_drawn_balanced_and_anew_with_each_draw():
    labels = ["0", "1"] * 250
    first, again, other = (imdb._drawn(labels, 50, draw) for draw in (0, 0, 1))
    assert first == again
    assert first != other
    assert sorted(labels[number] for number in first) == ["0"] * 25 + ["1"] * 25
    assert imdb._drawn(labels, 500, 7) == list(range(500))


def test_ten_draws_of_a_tenth_take_every_row_once():
    labels = ["0", "1"] * 250
    assert sorted(row for draw in range(10) for row in imdb._drawn(labels, 50, draw)) == list(range(500))


@pytest.mark.data
@pytest.mark.skipif(not imdb.DATA.is_dir(), reason="needs s3/imdb of the shared data (UPCYCLE_DATA)")
@pytest.mark.parametrize("row", [(0, "gold + add_1"), (500, "gold")])
def test_where_no_gold_is_drawn_the_known_number_comes_out_to_the_item(row):
    assert 100 * mean(imdb.right(*row, draw=0)) == pytest.approx(imdb.KNOWN[row], abs=0.025)
