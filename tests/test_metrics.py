"""Metrics against hand-computed cases, and gold against itself; intervals and paired tests against known values."""

from __future__ import annotations

import math
from random import Random

import pytest

from upcycle.evaluation import metrics
from upcycle.evaluation.intervals import bootstrap, mcnemar, mean_interval, paired_bootstrap, wilson

TEXTS = [
    "Paris",
    "the Eiffel Tower",
    "1,250.50",
    "-5",
    "50%",
    "<",
    "a < b",
    "x == y",
    "!!!",
    "не видно",
    "東京",
    "A.",
    "the",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_metric_gives_gold_against_itself_one(text: str):
    for metric in (metrics.exact, metrics.soft, metrics.f1, metrics.squad_exact, metrics.same_label):
        assert metric(text, [text]) == 1, metric.__name__
    assert metrics.exact_list(text, [text]) == metrics.soft_list(text, [text]) == 1


def test_exact_match_folds_case_articles_and_punctuation_and_compares_numbers_by_value():
    assert metrics.exact("The  eiffel tower!", ["Eiffel Tower"]) == 1
    assert metrics.exact("1250.5", ["1,250.50"]) == 1
    assert metrics.exact("35", ["3.5"]) == 0  # SQuAD's script takes the point away and says yes
    assert metrics.squad_exact("35", ["3.5"]) == 1
    assert metrics.exact("5", ["-5"]) == 0
    assert metrics.exact("a > b", ["a < b"]) == 0
    assert metrics.exact("London", ["Paris", "London"]) == 1
    assert metrics.exact("", ["Paris"]) == 0


def test_soft_match_wants_whole_words_and_whole_numbers():
    assert metrics.soft("It was in Paris, I think.", ["Paris"]) == 1
    assert metrics.soft("nothing", ["no"]) == 0
    assert metrics.soft("there were 120 of them", ["12"]) == 0
    assert metrics.soft("12.0 of them", ["12"]) == 1
    assert metrics.soft("答えは東京です", ["東京"]) == 1


def test_f1_counts_shared_words():
    assert metrics.f1("the cat sat", ["a cat sat down"]) == pytest.approx(2 * 2 / (2 + 3))
    assert metrics.f1("dog", ["cat"]) == 0
    assert metrics.f1("dog", ["cat", "dog"]) == 1


def test_an_answer_of_several_values_is_right_in_any_order_and_only_whole():
    assert metrics.exact_list("Rome, Paris", ["Paris", "Rome"]) == 1
    assert metrics.exact_list("Paris", ["Paris", "Rome"]) == 0
    assert metrics.exact_list("Paris, Rome, Oslo", ["Paris", "Rome"]) == 0
    assert metrics.exact_list("1, 2", ["1", "2"]) == 1
    assert metrics.soft_list("Both Rome and Paris did.", ["Paris", "Rome"]) == 1


def test_equally_likely_options_share_the_score_so_that_position_gives_nothing_away():
    assert metrics.grade([-1.0, -1.0], [1, 0]) == 0.5
    assert metrics.grade([-math.inf, -math.inf, -math.inf], [1, 0, 0]) == pytest.approx(1 / 3)
    assert metrics.grade([math.nan, -3.0], [1, 0]) == 0
    assert metrics.grade([-2.0, -1.0], [0, 0.5]) == 0.5


def test_macro_f1_of_a_case_worked_out_by_hand():
    # a: 1 right of 2 said and 2 there; b: 1 right of 1 said and 1 there.
    assert metrics.macro_f1(["a", "a", "b", "c"], ["a", "c", "b", "a"]) == pytest.approx((2 / 4 + 1 + 0) / 3)


def test_wilsons_interval_of_all_right_is_not_a_point():
    low, high = wilson(51, 51)
    assert low == pytest.approx(0.9300, abs=1e-4)
    assert high == 1
    assert wilson(0, 0) == (0, 1)
    assert mean_interval([1.0] * 51) == (low, high)


def test_the_bootstraps_interval_of_a_mean_is_about_two_standard_errors_wide():
    random = Random(0)
    values = [random.gauss(0.5, 0.2) for _ in range(400)]
    low, high = bootstrap(values)
    mean = sum(values) / 400
    assert low < mean < high
    assert (high - low) / 2 == pytest.approx(1.96 * 0.2 / 20, rel=0.15)
    assert bootstrap(values) == (low, high)  # seeded


def test_mcnemars_exact_test_of_known_tables():
    first = [1] * 9 + [0] * 1 + [1] * 40
    second = [0] * 9 + [1] * 1 + [1] * 40
    assert mcnemar(first, second) == (9, 1, pytest.approx(0.021484, abs=1e-6))  # 2 * (1 + 10) / 2**10
    assert mcnemar([1, 0], [1, 0]).p == 1
    assert mcnemar([1] * 3000 + [0] * 2000, [0] * 3000 + [1] * 2000).p < 1e-40


def test_the_paired_bootstrap_tells_a_real_difference_from_none():
    random = Random(1)
    truth = [random.random() < 0.7 for _ in range(500)]
    other = [random.random() < 0.7 for _ in range(500)]
    worse = [one and random.random() < 0.8 for one in truth]
    assert paired_bootstrap(truth, worse).significant
    assert paired_bootstrap(truth, worse).p < 0.01
    same = paired_bootstrap(truth, truth)
    assert same == (0, 0, 0, 1)
    assert not paired_bootstrap(truth, other).significant or paired_bootstrap(truth, other).p < 0.05


def test_paired_tests_refuse_scores_of_different_items():
    with pytest.raises(ValueError, match="the same items"):
        mcnemar([1], [1, 0])
    with pytest.raises(ValueError, match="the same items"):
        paired_bootstrap([1], [1, 0])
