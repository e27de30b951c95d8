"""The small student learns what can be learnt, and agrees with a hand-computed case."""

from __future__ import annotations

import math
from random import Random

import pytest

from upcycle.training.shallow.tfidf import fit, tokens


def reviews(number: int, seed: int = 0) -> tuple[list[str], list[str]]:
    random = Random(seed)
    texts, labels = [], []
    for _ in range(number):
        label = random.choice(["bad", "good"])
        words = random.choices(["plot", "actor", "scene", "music", "story", "camera"], k=8)
        words.insert(random.randrange(8), random.choice({"bad": ["dull", "awful"], "good": ["fine", "lovely"]}[label]))
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


def test_a_student_learns_what_tells_labels_apart():
    student = fit(*reviews(200))
    texts, labels = reviews(100, seed=1)
    assert [one for (one,) in student.predict(texts)] == labels


def test_word_order_is_seen_by_pairs_of_words_only():
    texts = ["not good but bad", "not bad but good"] * 20
    labels = ["no", "yes"] * 20
    assert [one for (one,) in fit(texts, labels, strength=10).predict(texts[:2])] == ["no", "yes"]
    alone = fit(texts, labels, longest=1).probabilities(texts[:2])
    assert alone == pytest.approx(0.5, abs=1e-6)


def test_the_optimum_is_that_of_the_penalised_loss():
    # One word a text and label, so by symmetry the words' slopes are s and -s and there is no offset. Of 100 texts the
    # loss is log(1 + exp(-s)) + 2 s^2 / (2 C 100), as scikit-learn has it: least where s = 50 C (1 - p).
    student = fit(["left", "right"] * 50, ["l", "r"] * 50, longest=1, strength=1.0)
    chance = student.probabilities(["left"])[0][0]
    slope = 0.0
    for _ in range(200):
        slope = 50 * (1 - 1 / (1 + math.exp(-slope))) * 0.1 + slope * 0.9
    assert chance == pytest.approx(1 / (1 + math.exp(-slope)), abs=2e-3)


def test_probabilities_are_shares_and_scores_their_logarithms():
    student = fit(["a b", "c d", "e f"] * 5, ["x", "y", "z"] * 5)
    row = student.probabilities(["a b"])[0]
    assert row.sum() == pytest.approx(1)
    (scores,) = student.score(["a b"], [["x", "y", "nobody"]])
    assert math.exp(scores[0]) == pytest.approx(row[0])
    assert scores[2] == -math.inf
    assert student.predict(["a b"], samples=3) == [["x"] * 3]


@pytest.mark.parametrize("texts", [[""], ["only one"], ["same"] * 9, ["???", "!!!"]])
def test_sets_that_teach_nothing_still_give_a_student(texts: list[str]):
    student = fit(texts, ["a"] * len(texts))
    assert student.predict(["anything", ""]) == [["a"], ["a"]]


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="0 texts"):
        fit([], [])
    with pytest.raises(ValueError, match="give one label a text"):
        fit(["a"], [])


def test_words_of_scripts_without_spaces_are_their_characters():
    assert tokens("今天 it's GOOD, 42!") == ["今", "天", "it's", "good", "42"]


def test_the_same_rows_give_the_same_student():
    texts, labels = reviews(80)
    one, other = fit(texts, labels), fit(texts, labels)
    assert (one.probabilities(texts) == other.probabilities(texts)).all()
