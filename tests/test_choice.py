"""The small students of options and of free text learn what can be learnt without torch, and say it honestly."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest

from upcycle.config import Training
from upcycle.contract import with_options
from upcycle.errors import ConfigError
from upcycle.records import Example, Origin
from upcycle.training.fit import fit
from upcycle.training.saved import load
from upcycle.training.shallow.choice import fit_choices
from upcycle.training.shallow.nearest import fit_nearest


def example(number: int, text: str, options: list[str], output: str) -> Example:
    return Example(f"{number}", with_options(text, options), output, Origin("t"), choices=tuple(options))


def yes_or_no(count: int, seed: int) -> list[Example]:
    """What is right follows from the input alone; the options are always the same two."""
    random = Random(seed)
    found = []
    for number in range(count):
        wet = random.random() < 0.5
        words = random.choices(["today", "street", "people", "umbrella", "walk"], k=5)
        text = f"{' '.join(words)} {random.choice(['rain', 'drizzle'] if wet else ['sun', 'drought'])}"
        options = ["yes", "no"] if random.random() < 0.5 else ["no", "yes"]
        found.append(example(number, f"Is it wet? {text}", options, "yes" if wet else "no"))
    return found


def right(student, examples: list[Example]) -> float:
    said = student.predict([one.input for one in examples])
    return sum(one == wanted.output for (one,), wanted in zip(said, examples, strict=True)) / len(examples)


def test_what_the_input_says_of_a_short_option_is_learnt():
    assert right(fit_choices(yes_or_no(200, 0)), yes_or_no(100, 1)) > 0.95


def test_what_the_input_repeats_is_seen():
    random = Random(0)
    words = [f"word{n}" for n in range(400)]

    def lookup(number: int) -> Example:
        passage = random.sample(words, 12)
        inside, outside = passage[3:9], random.sample(words, 6)
        options = [" ".join(inside), " ".join(outside)]
        wanted = options[0]
        random.shuffle(options)
        return example(number, f"Which is cut from this? {' '.join(passage)}", options, wanted)

    assert right(fit_choices([lookup(n) for n in range(150)]), [lookup(n) for n in range(100)]) > 0.95


def test_scores_are_logarithms_of_shares_and_follow_the_options_not_their_order():
    student = fit_choices(yes_or_no(50, 0))
    text = "Is it wet? street rain today\nchoice: yes\nchoice: no"
    (forward,), (backward,) = student.score([text], [["yes", "no"]]), student.score([text], [["no", "yes"]])
    assert sum(map(math.exp, forward)) == pytest.approx(1)
    assert forward == pytest.approx(backward[::-1])
    assert student.score([text, text], [[], ["yes"]]) == [[], [0.0]]


def test_rows_without_options_are_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="no example has options"):
        fit_choices([Example("1", "text", "label", Origin("t"))])


def test_a_saved_student_says_the_same(tmp_path: Path):
    student = fit_choices(yes_or_no(60, 0))
    student.save(tmp_path / "m")
    inputs = [one.input for one in yes_or_no(20, 3)]
    assert load(tmp_path / "m").predict(inputs) == student.predict(inputs)
    known = fit_nearest([Example("1", "how far is it", "3 km", Origin("t")), Example("2", "who", "Ann", Origin("t"))])
    known.save(tmp_path / "n")
    assert load(tmp_path / "n").predict(["how far"]) == [["3 km"]]


def test_training_tfidf_on_rows_with_options_gives_a_student_that_chooses(tmp_path: Path):
    student = fit(yes_or_no(120, 0), Training(student="tfidf"), folder=tmp_path / "model")
    assert right(student, yes_or_no(60, 1)) > 0.95
    assert right(load(tmp_path / "model"), yes_or_no(60, 1)) == right(student, yes_or_no(60, 1))


def test_the_nearest_input_answers():
    known = [("how many apples are there", "5"), ("what is the capital of France", "Paris"), ("who wrote it", "Ann")]
    student = fit_nearest([Example(str(n), text, output, Origin("t")) for n, (text, output) in enumerate(known)])
    assert student.predict(["the capital of Spain is what"], samples=2) == [["Paris", "Paris"]]
    (scores,) = student.score(["capital"], [["Paris", "5", "never seen"]])
    assert scores[0] > scores[1] > scores[2] == -math.inf


def test_a_looked_up_answer_needs_something_to_look_in():
    with pytest.raises(ConfigError, match="no examples"):
        fit_nearest([])
