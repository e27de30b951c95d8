import random
import subprocess
import sys
from itertools import count

import pytest

from upcycle.curation.duplicates.exact import exact_check, folded, plain
from upcycle.curation.duplicates.near import Content, NearIndex, content_of, jaccard, near_check
from upcycle.curation.duplicates.near_join import Near, near_duplicates
from upcycle.errors import ConfigError
from upcycle.records import Example, Origin

IDS = (f"{n:016x}" for n in count(1))


def example(
    text: str, output: str = "yes", choices: tuple[str, ...] | None = None, named: str | None = None
) -> Example:
    return Example(named or next(IDS), text, output, Origin("test"), choices=choices)


def contents(texts: list[str]) -> list[Content]:
    return [Content(folded(text), "") for text in texts]


def made_up(rows: int, *, longest: int = 40, template: str = "", seed: int = 1) -> list[str]:
    """Texts of which half have a copy with one word changed."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(400)]
    texts = []
    while len(texts) < rows:
        text = rng.choices(words, k=rng.randint(1, longest))
        texts.append(f"{template} {' '.join(text)}")
        if rng.random() < 0.5:
            text[rng.randrange(len(text))] = rng.choice(["other", text[-1]])
            texts.append(f"{template} {' '.join(text)}")
    return texts[:rows]


def compared_with_all(rows: list[Content], threshold: float) -> list[Near]:
    kept: list[int] = []
    found = []
    for row, one in enumerate(rows):
        scores = [(jaccard(one.text, rows[other].text), -other) for other in kept if rows[other].answer == one.answer]
        best = max(scores, default=(0.0, 0))
        if best[0] >= threshold:
            found.append(Near(row, -best[1], best[0]))
        else:
            kept.append(row)
    return found


def in_stream(rows: list[Content], threshold: float) -> list[Near]:
    index, kept, found = NearIndex(threshold), [], []
    for row, one in enumerate(rows):
        near = index.nearest(one)
        if near is None:
            index.add(one)
            kept.append(row)
        else:
            found.append(Near(row, kept[near[0]], near[1]))
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is it  TRUE?", "is it true"),
        ("“Fine”, she said – slowly…", '"Fine", she said - slowly...'),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("well-known", "well known"),
        ("costs 1,000 dollars", "costs 1000 dollars"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_texts_that_differ_only_in_what_no_reader_counts_fold_to_the_same(one: str, other: str):
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("6 / 3", "6 * 3"), ("-5", "5"), ("3 + 4", "3 4"), ("😀", "😢"), ("?", "!"), ("2.5", "25"), ("नमस्ते", "नमसत")],
)
def test_texts_that_say_something_else_fold_apart(one: str, other: str):
    assert folded(one) != folded(other)


def test_chinese_and_thai_are_cut_into_characters():
    assert folded("人工 智能") == "人 工 智 能"
    assert folded("ไทย") == "ไ ท ย"


def test_code_is_not_folded_for_exact_duplicates():
    assert plain("x *= 2") != plain("x /= 2")
    check = exact_check()
    assert check(example("x *= 2")).keep
    assert check(example("x /= 2")).keep


def test_a_repeated_example_names_the_kept_one_whatever_the_shape_of_its_id():
    for first in ("00000000000000ab", "row-7", "AB", "00000000000000AB", "ไม่"):
        check = exact_check()
        assert check(example("A  b", named=first)).keep
        assert check(example("a B", "YES")).other == first


def test_options_in_another_order_are_the_same_example_and_other_options_are_not():
    check = exact_check()
    assert check(example("Which?\nchoice: a\nchoice: b", "a", ("a", "b"))).keep
    assert not check(example("Which?\nchoice: b\nchoice: a", "a", ("b", "a"))).keep
    assert check(example("Which?\nchoice: a\nchoice: c", "a", ("a", "c"))).keep


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
def test_near_duplicates_are_those_that_comparing_all_pairs_finds(threshold: float):
    rows = contents(made_up(700))
    wanted = compared_with_all(rows, threshold)
    assert wanted
    assert near_duplicates(rows, threshold) == wanted
    assert in_stream(rows, threshold) == wanted


def test_rows_of_one_template_are_told_apart_as_exactly():
    template = "Say whether the following statement about numbers is true or not:"
    rows = contents(made_up(500, longest=6, template=template))
    wanted = compared_with_all(rows, 0.8)
    assert 50 < len(wanted) < 450
    assert near_duplicates(rows, 0.8) == wanted
    assert in_stream(rows, 0.8) == wanted


def test_a_word_at_the_end_counts_like_one_inside():
    assert near_duplicates(contents(["a b c d e f g", "a b c d e f g g"])) == [Near(1, 0, 13 / 14)]


def test_a_different_short_answer_is_a_contrast_and_no_copy():
    text = "The film was long but the actors played so well that nobody in the audience looked at a watch"
    check = near_check()
    assert check(example(text, "positive")).keep
    assert check(example(f"{text} again", "negative")).keep
    verdict = check(example(f"{text} once", "positive"))
    assert (verdict.keep, verdict.kind) == (False, "duplicate")
    assert verdict.score is not None
    assert 0.8 <= verdict.score < 1


def test_inputs_of_named_parts_are_near_only_where_every_part_is():
    premise = "Premise: " + " ".join(f"p{n}" for n in range(160))
    check = near_check()
    first = example(f"{premise}\nHypothesis: the ship left the harbour in the morning of a cold day")
    other = example(f"{premise}\nHypothesis: nobody on land saw who was standing there at night")
    assert jaccard(content_of(first).text, content_of(other).text) > 0.8
    assert check(first).keep
    assert check(other).keep
    assert (
        check(example(f"{premise}\nHypothesis: the ship left the harbour in the morning of a cold, cold day")).other
        == first.id
    )
    rows = [content_of(row) for row in (first, other, first)]
    assert near_duplicates(rows) == in_stream(rows, 0.8) == [Near(2, 0, 1.0)]


def test_what_the_speakers_of_a_dialogue_say_is_one_text():
    talk = "\n".join(f"{'Ann' if n % 2 else 'Tom'}: turn number {n} is about w{n} and v{n}" for n in range(12))
    check = near_check()
    assert check(example(talk)).keep
    assert not check(example(talk.replace("about w5", "about x"))).keep


def test_a_dropped_example_is_not_remembered():
    words = [f"w{n}" for n in range(30)]
    check = near_check(0.8)
    first = example(" ".join(words))
    assert check(first).keep
    assert check(example(" ".join([*words[:28], "x"]))).other == first.id
    # Near to the dropped one, not near enough to the kept one.
    assert check(example(" ".join([*words[:24], "x"]))).keep


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["one row"],
        ["", ""],
        ["same row"] * 50,
        ["😀 😀", "😀 😢", "👩‍👩‍👧 ok"],
        ["人工智能改变世界", "人工智能改变世间", "مرحبا بالعالم", "שלום עולם"],
        ["x" * 300_000, "y" * 300_000, "short"],
        [" ".join(f"w{n}" for n in range(60_000)), "short"],
        ["\ud800 lone surrogate", "a\x00b", "\n\n"],
    ],
)
def test_odd_sets_are_judged_without_trouble_and_the_same_by_both_forms(texts: list[str]):
    rows = [content_of(example(text)) for text in texts]
    assert near_duplicates(rows) == in_stream(rows, 0.8) == compared_with_all(rows, 0.8)


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold: float):
    with pytest.raises(ConfigError, match="no share"):
        near_check(threshold)
    with pytest.raises(ConfigError, match="no share"):
        near_duplicates([], threshold)


def test_what_is_dropped_does_not_depend_on_the_seed_of_pythons_hashes():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_near import *\n"
        "rows = contents(made_up(300)); print(near_duplicates(rows), in_stream(rows, 0.8))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(said) == 1
    assert "Near(" in said.pop()
