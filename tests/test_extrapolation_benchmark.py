"""The benchmark of S3: its table compares as it says, its writer writes sound reviews once each, and it runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest

from upcycle.llm.model import Request

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

imdb = pytest.importorskip("imdb")
extrapolation = pytest.importorskip("extrapolation")
data = pytest.mark.skipif(not imdb.DATA.is_dir(), reason="needs s3/imdb of the shared data (UPCYCLE_DATA)")


def made(*right: float):
    return extrapolation.Made(100, [float(one) for one in right], 10)


def test_a_set_is_compared_with_s3_on_the_same_test_rows_and_in_words():
    ours, theirs = [1] * 60 + [0] * 40, [1] * 30 + [0] * 70
    lines = extrapolation.lines_of({"S3": [made(*ours)], "other": [made(*theirs)], "same": [made(*ours)]})
    assert [line.accuracy for line in lines] == [60, 30, 60]
    assert lines[0].words() == ""
    assert lines[1].ahead[0] == 30
    assert lines[1].words().endswith("which excludes zero")
    assert lines[2].words() == "S3 ahead by +0.0 (+0.0 to +0.0), which does not exclude zero"


def test_seeds_are_averaged_over_test_rows_and_their_spread_is_told():
    (line,) = extrapolation.lines_of({"S3": [made(1, 1, 0, 0), made(1, 1, 1, 0)]})
    assert line.accuracy == 62.5
    assert line.sd == pytest.approx(17.68, abs=0.01)


@pytest.mark.data
@pytest.mark.slow
@data
def test_the_writer_answers_with_a_review_of_the_label_and_never_with_the_same_one_twice():
    writer = extrapolation.Writer(0)
    known = extrapolation.reviews("additional_1", "additional_2")
    label_of = dict(zip(known.texts, known.labels, strict=True))
    said = []
    for _ in range(20):
        prompt = 'Write a review for which the right output is "negative". It is about a slow war film.'
        said.append(writer(Request(({"role": "user", "content": prompt},), "s3")))
    assert len(set(said)) == 20
    assert {label_of[text] for text in said} == {"negative"}


@pytest.mark.data
@pytest.mark.slow
@data
def test_without_gold_the_first_additions_alone_are_better_than_with_the_second():
    first, both = (mean(imdb.right(0, name, draw=0)) for name in ("gold + add_1", "gold + add_1 + add_2"))
    assert first > both


@pytest.mark.data
@pytest.mark.slow
@data
def test_a_small_run_times_a_round():
    asked = [
        sys.executable,
        str(BENCHMARKS / "extrapolation.py"),
        "--rows",
        "60",
        "--gold",
        "60",
        "--round-only",
        "--json",
    ]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert 0 < facts["round_s"] < 30
    assert re.search(r"one round, 60 gold \+ 60 made rows, TF-IDF", done.stdout)
