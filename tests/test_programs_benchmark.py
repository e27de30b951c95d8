"""The benchmark of compiled plans holds on a small hub that a test made, and its statistics on cases known by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
DEMONSTRATIONS = [
    {"input": "A warm and funny film that I will see again.", "output": "positive"},
    {"input": "Two hours of my life that nobody gives back.", "output": "negative"},
    {"input": "The actors are good and the story is better.", "output": "positive"},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A hub of one labelled source and one of no use, and the one task."""
    folder = tmp_path / "data"
    reviews = [
        {"text": f"{'A joy' if n % 2 else 'A bore'} of a film, said critic {n} after {n % 7} minutes.", "label": n % 2}
        for n in range(160)
    ]
    weather = [{"station": f"s{n}", "rain": n} for n in range(20)]
    for name, about, rows in (
        ("rotten_tomatoes", "Movie reviews, positive (1) or negative (0).", reviews),
        ("weather", "Rain by station.", weather),
    ):
        (folder / "hub" / name).mkdir(parents=True)
        card = f"---\nlicense: mit\nlanguage: [en]\n---\n# {name}\n{about}\n"
        (folder / "hub" / name / "README.md").write_text(card)
        (folder / "hub" / name / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"name": "imdb_sentiment", "instruction": "Decide whether a movie review is positive or negative.",
            "language": "en", "demonstrations": DEMONSTRATIONS}  # fmt: skip
    (folder / "tasks" / "imdb_sentiment").mkdir(parents=True)
    (folder / "tasks" / "imdb_sentiment" / "task.json").write_text(json.dumps(task))
    return folder


def test_both_legs_are_counted_by_one_server_and_the_shared_calls_cost_less(data: Path):
    command = [sys.executable, str(BENCHMARKS / "programs.py"), "--data", str(data), "--rows", "80", "--json"]
    command += ["--task", "imdb_sentiment, no label"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    facts = json.loads(done.stdout.splitlines()[-1])
    name = "imdb_sentiment, no label"
    assert facts["kept"] == {name: 80}, done.stderr
    assert facts["tokens_ratio"] == {}, "a column was taken away, and that is told apart"
    together, alone = facts["tokens_per_example"][name], facts["tokens_per_example_alone"][name]
    assert facts["tokens_ratio_taken_away"][name] == pytest.approx(together / alone, abs=0.001)
    assert facts["by_code"][name] == 0.0, "its label was taken away"
    assert 0 < together < alone
    assert done.returncode == (0 if together / alone <= 0.1 else 1)


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [(0.0, 3, 1.0), (3.841, 1, 0.05), (5.991, 2, 0.05), (11.345, 3, 0.01), (9.488, 4, 0.05), (23.209, 10, 0.01)],
)
def test_the_chi_square_tail_is_that_of_printed_tables(
    statistic: float, degrees: int, tail: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from program_speed import chi_square_tail

    assert chi_square_tail(statistic, degrees) == pytest.approx(tail, abs=5e-5)


def test_options_that_always_stand_first_are_found_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from program_speed import position_p

    first = [(f"Which?\nchoice: right {n}\nchoice: wrong {n}", f"right {n}") for n in range(60)]
    even = [(text, output if n % 2 else output.replace("right", "wrong")) for n, (text, output) in enumerate(first)]
    assert position_p(first) < 1e-6
    assert position_p(even) == pytest.approx(1.0)
