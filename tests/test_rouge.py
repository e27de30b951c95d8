"""The highest ROUGE-L of each text with any other: against a plain table, `rouge-score`, and odd sets."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from upcycle.analysis.rouge import is_compiled, max_rouge_l, share_unique
from upcycle.analysis.tokens import words

WAYS = [pytest.param(False, id="numpy"), pytest.param(True, id="numba", marks=pytest.mark.skipif(
    not is_compiled(), reason="numba is not installed"))]  # fmt: skip


def common(a: list[str], b: list[str]) -> int:
    """Longest common subsequence by the textbook's table."""
    row = [0] * (len(b) + 1)
    for token in a:
        before = row
        row = [0]
        for place, other in enumerate(b):
            row.append(before[place] + 1 if token == other else max(before[place + 1], row[place]))
    return row[-1]


def table(texts: list[str]) -> np.ndarray:
    tokens = [words(text) for text in texts]
    best = np.zeros(len(texts))
    for i, a in enumerate(tokens):
        for j, b in enumerate(tokens[:i]):
            score = 2 * common(a, b) / (len(a) + len(b)) if a and b else 0.0
            best[i], best[j] = max(best[i], score), max(best[j], score)
    return best


def made_up(count: int, sizes: list[int], *, seed: int, vocabulary: int = 60) -> list[str]:
    """Texts whose words are as unevenly frequent as real ones, some of them changed copies of others."""
    random_ = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(vocabulary)]
    texts: list[str] = []
    for _ in range(count):
        if texts and random_.random() < 0.2:
            tokens = random_.choice(texts).split()
            for _ in range(random_.randrange(1, 6)):
                tokens[random_.randrange(len(tokens))] = f"w{random_.randrange(vocabulary)}"
        else:
            tokens = [f"w{n}" for n in random_.choices(range(vocabulary), weights, k=random_.choice(sizes))]
        texts.append(" ".join(tokens))
    return texts


SETS = {
    "short": made_up(60, [1, 2, 3, 5, 9], seed=1),
    "about a machine word": made_up(40, [62, 63, 64, 65, 66], seed=2),
    "about two": made_up(30, [126, 127, 128, 129, 130], seed=3),
    "mixed": made_up(25, [1, 10, 64, 100, 128, 200, 300], seed=4),
    "many rare words": made_up(50, [20, 40], seed=5, vocabulary=3000),
    "one word again and again": made_up(9, [150, 300, 500], seed=6, vocabulary=2),
    "few words": made_up(50, [5, 30], seed=7, vocabulary=3),
}


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("texts", SETS.values(), ids=SETS.keys())
def test_every_text_gets_its_highest_score_and_a_text_that_reaches_it(texts: list[str], compiled: bool):
    scores, neighbours = max_rouge_l(texts, compiled=compiled)
    assert np.abs(scores - table(texts)).max() < 1e-12
    for place, (score, other) in enumerate(zip(scores, neighbours, strict=True)):
        assert other != place
        a, b = words(texts[place]), words(texts[other])
        assert (score == 0) if other < 0 else abs(2 * common(a, b) / (len(a) + len(b)) - score) < 1e-12


@pytest.mark.parametrize("compiled", WAYS)
def test_scores_are_those_of_rouge_score(compiled: bool):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    texts = [text.replace("w1", "Isn't it?").replace("w3", "“quoted” —") for text in made_up(25, [10, 60, 90], seed=9)]
    expected = [
        max(scorer.score(a, b)["rougeL"].fmeasure for j, b in enumerate(texts) if i != j) for i, a in enumerate(texts)
    ]
    assert np.abs(max_rouge_l(texts, compiled=compiled).scores - expected).max() < 1e-9


@pytest.mark.parametrize("compiled", WAYS)
def test_texts_that_are_the_same_score_one_with_each_other_and_are_compared_once(compiled: bool):
    texts = ["the cat sat"] * 5000 + ["the dog ran", "", "!!"]
    scores, neighbours = max_rouge_l(texts, compiled=compiled)
    assert (scores[:5000] == 1).all()
    assert scores[5000] == pytest.approx(1 / 3)
    assert neighbours[0] == 1
    assert (neighbours[1:5001] == 0).all()
    assert scores[5001:].tolist() == [0, 0], "a text without words is like no other, not even one without words"
    assert neighbours[5001:].tolist() == [-1, -1]


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("texts", [[], ["one"], [""], ["a", "b"], ["", "a"]])
def test_sets_with_nothing_to_compare(texts: list[str], compiled: bool):
    scores, neighbours = max_rouge_l(texts, compiled=compiled)
    assert scores.tolist() == [0.0] * len(texts)
    assert neighbours.tolist() == [-1] * len(texts)


@pytest.mark.parametrize("compiled", WAYS)
def test_one_giant_text_among_small_ones(compiled: bool):
    small = made_up(30, [5, 40], seed=10, vocabulary=500)
    giant = " ".join(made_up(1, [20_000], seed=11, vocabulary=500))
    texts = [*small, giant, giant + " and an end"]
    scores, neighbours = max_rouge_l(texts, compiled=compiled)
    assert np.abs(scores[:30] - table(small)).max() < 1e-12
    assert scores[30] == pytest.approx(40_000 / 40_003)
    assert neighbours[30:].tolist() == [31, 30]


@pytest.mark.parametrize("compiled", WAYS)
def test_texts_in_scripts_without_spaces_are_compared_character_by_character(compiled: bool):
    scores, _ = max_rouge_l(["我喜欢猫", "我喜欢狗", "hello"], compiled=compiled)
    assert scores.tolist() == [0.75, 0.75, 0.0]


@pytest.mark.skipif(not is_compiled(), reason="numba is not installed")
def test_the_number_of_threads_changes_nothing():
    texts = made_up(300, [30, 90, 200], seed=12, vocabulary=400)
    one, many = max_rouge_l(texts, threads=1), max_rouge_l(texts, threads=5)
    assert (one.scores == many.scores).all()
    assert (one.neighbours == many.neighbours).all()


@pytest.mark.slow
@pytest.mark.skipif(not is_compiled(), reason="numba is not installed")
def test_texts_with_more_tokens_than_sixteen_bits_count():
    head, tail = " ".join(["a b"] * 40_000), " ".join(["c"] * 100)
    scores, _ = max_rouge_l([head, f"{head} {tail}", tail + " d"])
    assert scores[:2] == pytest.approx([160_000 / 160_100] * 2)
    assert scores[2] == pytest.approx(200 / 80_201)


@pytest.mark.skipif(not is_compiled(), reason="numba is not installed")
def test_machine_code_is_kept_in_the_users_cache_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from upcycle.analysis import rouge

    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))
    assert Path(rouge._code_folder()) == tmp_path / "cache" / "numba"
    (tmp_path / "file").write_text("no folder can be made below this")
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert Path(rouge._code_folder()).is_dir()


def test_a_text_at_the_threshold_is_not_below_it():
    assert share_unique(np.array([0.7, 0.5, 1.0, 2 * 0.35]), [0.5, 0.7, 0.71, 1.0]) == [0.0, 0.25, 0.75, 0.75]
    assert share_unique(np.array([]), [0.5]) == [0.0]


@pytest.mark.data
@pytest.mark.parametrize("compiled", WAYS)
def test_real_reviews_score_as_rouge_score_says(shared_data: Path, compiled: bool):
    from upcycle.sources.examples import read_examples

    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    read = read_examples(f"{shared_data}/s3/imdb:additional_2").examples
    # rouge-score tears words with other letters than a to z ("naïve") apart; ours does not.
    texts = [e.input for e in read if all(char.isascii() or not char.isalnum() for char in e.input)][:120]
    scores, neighbours = max_rouge_l(texts, compiled=compiled)
    random_ = random.Random(0)
    for place in random_.sample(range(len(texts)), 8):
        exact = scorer.score(texts[place], texts[neighbours[place]])["rougeL"].fmeasure
        assert abs(exact - scores[place]) < 1e-9
        others = random_.sample([other for other in range(len(texts)) if other != place], 10)
        assert all(scorer.score(texts[place], texts[o])["rougeL"].fmeasure <= scores[place] + 1e-9 for o in others)
