"""`fit` and `load`: a student is trained, saved and opened again, the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.records import Example, Origin
from upcycle.training.fit import fit
from upcycle.training.kinds import kind_of
from upcycle.training.predictor import Predictor
from upcycle.training.saved import load


def example(text: str, output: str, number: int = 0, **more) -> Example:
    return Example(f"{number:016x}", text, output, Origin("existing"), **more)


REVIEWS = [
    example(f"a {word} film, number {number}", label, number)
    for number, (word, label) in enumerate(
        [("wonderful", "positive"), ("dreadful", "negative"), ("superb", "positive"), ("boring", "negative")] * 10
    )
]


def test_a_tfidf_student_says_the_same_after_it_was_saved_and_loaded(tmp_path: Path):
    student = fit(REVIEWS, Training(student="tfidf"), folder=tmp_path / "model")
    again = load(tmp_path / "model")
    texts = ["a superb film", "boring", "never seen words", ""]
    asked = [["positive", "negative", "neutral"]] * 4
    assert isinstance(student, Predictor)
    assert again.predict(texts) == student.predict(texts)
    assert again.predict(texts)[:2] == [["positive"], ["negative"]]
    assert again.score(texts, asked) == student.score(texts, asked)


def test_the_kind_of_student_comes_from_the_examples():
    spans = [
        example(f"Context: It rained in town {n}.\nQuestion: Where did it rain?", f"town {n}", n) for n in range(9)
    ]
    texts = [example(f"say {n}", f"the number is {n}", n) for n in range(9)]
    assert kind_of(REVIEWS) == "label"
    assert kind_of(spans) == "span"
    assert kind_of(texts) == "text"


def test_no_examples_is_said_in_a_sentence():
    with pytest.raises(ConfigError, match="no examples to train on"):
        fit([])


def test_tfidf_refuses_to_learn_texts():
    with pytest.raises(ConfigError, match="tfidf learns labels"):
        fit([example("say 1", "one two three", 1)], Training(student="tfidf"))


def test_a_folder_that_is_not_there_is_said_in_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no folder"):
        load(tmp_path / "nothing")
