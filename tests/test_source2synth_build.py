"""`upcycle build --method source2synth` as a process: over real tables, killed and resumed, and what it says."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upcycle.evaluation.evaluate import evaluate
from upcycle.evaluation.gold import GoldItem
from upcycle.llm.model import Request
from upcycle.methods.source2synth.comparison import Pooled, against_random
from upcycle.records import Example, Origin
from upcycle.testing import FakeServer
from upcycle.training.predictor import Predictor
from whole_runs import UPCYCLE, run, start, wait_for_kept

ANIMALS = ("bear", "heron", "lynx", "otter")
TASK = """\
instruction: Answer the question about the table.
methods:
  source2synth: {application: tables, teach: answer, per_unit: 10, slice: 100}
training: {student: tfidf, kind: label}
sources: [zoo]
rows: 12
"""


def write_zoo(folder: Path, tables: int = 30) -> None:
    """A folder of tables whose counts are few, so that even a bag of words answers some of them."""
    draw = random.Random(4)
    (folder / "zoo").mkdir()
    for number in range(tables):
        rows = [f"{draw.choice(ANIMALS)},{draw.choice('NSEW')},{draw.randint(1, 4)}" for _ in range(8)]
        (folder / "zoo" / f"house-{number:02}.csv").write_text("Animal,Side,Fed\n" + "\n".join(rows) + "\n")
    (folder / "task.yaml").write_text(TASK)


def command(folder: Path, *more: str) -> list[str]:
    return [UPCYCLE, "build", str(folder / "task.yaml"), "--model", "none", "-o", str(folder / "run"), *more]


def rows_of(folder: Path, part: str = "data") -> list[dict[str, Any]]:
    return pq.read_table(folder / part).to_pylist()


def test_a_build_over_tables_needs_no_model_and_says_what_the_filter_kept(tmp_path: Path):
    write_zoo(tmp_path)
    for number in (3, 4):
        with (tmp_path / "zoo" / f"house-0{number}.csv").open("a") as file:
            file.write("Total,,3\n")
    done = run(command(tmp_path, "-n", "5", "--json"))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["methods"] == {"source2synth": 5}
    assert facts["cost_usd"] == facts["calls"] == 0
    assert facts["notes"][0].startswith("filter kept ")
    assert "the paper removed 13 %" in facts["notes"][0]
    assert "source2synth, rows of totals left out: 2 (in 2 of its units)" in facts["notes"]
    rows = rows_of(tmp_path / "run")
    assert all(row["input"].startswith("Context: ") and "\nQuestion: " in row["input"] for row in rows)
    assert all(row["rationale"].startswith("SELECT") and row["method"] == "source2synth" for row in rows)
    origins = rows_of(tmp_path / "run", "provenance")
    assert {row["split"] for row in origins} == {"slice 1"}
    assert all(row["record"].endswith(".csv") or "house-" in row["record"] for row in origins)


@pytest.mark.slow
def test_after_kill_9_the_same_command_gives_the_rows_of_an_unbroken_run(tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        write_zoo(folder)
    assert run(command(whole)).returncode == 0
    with start(command(broken)) as process:
        wait_for_kept(process, 1)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    students = sorted(path.name for path in (broken / "run" / "source2synth").iterdir())
    done = run(command(broken))
    assert done.returncode == 0, done.stderr
    ids = [{row["id"] for row in rows_of(folder / "run")} for folder in (whole, broken)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 12
    assert sorted(path.name for path in (broken / "run" / "source2synth").iterdir()) == students
    assert len(students) == 1


def scribe(request: Request) -> str:
    """Writes topics, statements and questions over the zoo, and answers them."""
    prompt = request.messages[-1]["content"]
    draw = random.Random(prompt)
    if "<input>" in prompt:
        animal, least = re.findall(r"How many (\w+)s are fed (\d)", prompt)[0]
        fed = [int(times) for times in re.findall(rf"{animal} \| \w \| (\d)", prompt)]
        return f"I count.\nAnswer: {sum(times >= int(least) for times in fed)}"
    if "generate an SQL statement" in prompt:
        return f"SELECT COUNT(*) FROM t WHERE animal = '{draw.choice(ANIMALS)}' AND fed >= {draw.randint(1, 3)}"
    if "SQL statement into a question" in prompt:
        animal, least = re.findall(r"animal = '(\w+)' AND fed >= (\d)", prompt)[0]
        return f"How many {animal}s are fed {least} times or more?"
    return f"Some animals are fed {draw.random()} times."


@pytest.mark.slow
def test_a_killed_build_with_a_served_model_pays_nothing_twice(tmp_path: Path):
    write_zoo(tmp_path, tables=12)
    served = TASK.replace("per_unit: 10, slice: 100}", "per_unit: 2, slice: 10, intermediate: served, tries: 2}")
    (tmp_path / "task.yaml").write_text(served.replace("rows: 12", "rows: 3"))
    with FakeServer(scribe, latency=0.02) as server:
        asked = [
            UPCYCLE, "build", str(tmp_path / "task.yaml"), "--model", "openai/fake", "--base-url", server.url,
            "--concurrency", "4", "-o", str(tmp_path / "run"),
        ]  # fmt: skip
        with start(asked) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if json.loads(line)["stage"] == "source2synth":
                    break
            process.kill()
        killed = server.stats()["paid"]
        done = run(asked)
        assert done.returncode == 0, done.stderr
        assert 0 < killed < server.stats()["paid"]
        assert server.stats()["paid_twice"] <= 4
        paid = server.stats()["paid"]
        assert run(asked).returncode == 0
        assert server.stats()["paid"] == paid
    assert len(rows_of(tmp_path / "run")) == 3
    assert "openai/fake, served, with 5 examples of slice 0 in its prompt" in done.stdout


@pytest.mark.slow
def test_ctrl_c_is_exit_code_130_and_the_run_goes_on(tmp_path: Path):
    write_zoo(tmp_path)
    with start(command(tmp_path)) as process:
        wait_for_kept(process, 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130)  # it may just have ended
    assert "Traceback" not in said
    assert run(command(tmp_path)).returncode == 0


@pytest.mark.slow
def test_other_settings_of_the_filter_are_another_run(tmp_path: Path):
    write_zoo(tmp_path)
    assert run(command(tmp_path, "-n", "2")).returncode == 0
    (tmp_path / "task.yaml").write_text(TASK.replace("slice: 100", "slice: 100, tries: 5"))
    refused = run(command(tmp_path, "-n", "2"))
    assert refused.returncode == 2
    assert "methods.source2synth.tries" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--method", "source2synth"], "name tables or documents with --source"),
        (["--method", "source2synth", "--source", "nowhere"], "there is no file or folder 'nowhere'"),
        (["--method", "source2synth", "--application", "table", "--source", "."], "knows no application 'table'"),
        (["--application", "tables"], "--application is a setting of source2synth"),
        (["--intermediate", "none"], "--intermediate is a setting of source2synth"),
        (["--method", "source2synth", "--source", ".", "--intermediate", "nobody"], "invalid choice: 'nobody'"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(tmp_path: Path, flags: list[str], said: str):
    asked = [UPCYCLE, "build", "Answer the question.", "--model", "none", "-o", str(tmp_path / "run"), *flags]
    refused = run(asked)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_flags_of_a_method_go_to_the_method_that_the_file_names(tmp_path: Path):
    write_zoo(tmp_path)
    done = run(command(tmp_path, "--intermediate", "none", "-n", "5", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["methods"] == {"source2synth": 5}
    assert not list((tmp_path / "run").glob("source2synth/intermediate-*"))
    (tmp_path / "task.yaml").write_text("instruction: Answer the question.\nmethods: [datatune]\n")
    refused = run(command(tmp_path, "--application", "tables"))
    assert "--application is a setting of source2synth; give --method source2synth too" in refused.stderr


def test_a_student_that_is_not_there_is_said_before_a_model_is_asked(tmp_path: Path):
    write_zoo(tmp_path)
    (tmp_path / "task.yaml").write_text(TASK.replace("slice: 100}", "slice: 10, student: nosuch}"))
    with FakeServer() as server:
        at = ["--model", "openai/fake", "--base-url", server.url, "--yes"]
        refused = run([UPCYCLE, "build", str(tmp_path / "task.yaml"), *at, "-o", str(tmp_path / "run")])
        assert server.stats()["paid"] == 0
    assert refused.returncode == 2
    assert "student 'nosuch' is not there" in refused.stderr


def test_a_source_with_too_little_to_train_on_ends_with_what_to_do(tmp_path: Path):
    write_zoo(tmp_path, tables=1)
    (tmp_path / "task.yaml").write_text(TASK.replace("per_unit: 10", "per_unit: 3"))
    refused = run(command(tmp_path))
    assert refused.returncode == 2, refused.stdout
    assert "too few to train on (at least 8); give more tables or documents" in refused.stderr


def test_a_source_of_one_table_cannot_be_split_and_says_so(tmp_path: Path):
    write_zoo(tmp_path, tables=1)
    done = run(command(tmp_path))
    assert done.returncode == 1
    assert "no table or document of the source falls into slice 1, give more of them" in done.stdout


@pytest.mark.slow
def test_compare_says_what_as_many_at_random_are_worth(tmp_path: Path):
    write_zoo(tmp_path)
    text = TASK.replace("slice: 100}", "slice: 100, compare: true}") + "gold: gold.jsonl\nmetric: exact_match\n"
    (tmp_path / "task.yaml").write_text(text)
    gold = [{"input": f"Question: how many of kind {number} are there?", "output": "2"} for number in range(12)]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    done = run(command(tmp_path, "-n", "1000", "--json"))
    assert done.returncode == 1, done.stderr
    [line] = [note for note in json.loads(done.stdout)["notes"] if note.startswith("trained on ")]
    assert "filter " in line
    assert "random " in line
    assert "filter minus random" in line


# -- the comparison itself -------------------------------------------------------------------------------------------


def pooled(count: int) -> list[Pooled]:
    """Examples of which three in four are wrong, and were dropped for it."""
    origin = Origin("source2synth")
    return [
        Pooled(
            Example(f"{n:04}", f"animal {n // 4 % 4} eats", ANIMALS[(n // 4 + n % 4) % 4], origin), n % 4 == 0,
            n % 4 == 0,
        )
        for n in range(count)
    ]  # fmt: skip


class Remembers:
    """Says what most of its examples said to an input."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def predict(self, inputs: Any, *, samples: int = 1) -> list[list[str]]:
        said = []
        for text in inputs:
            found = [one.output for one in self.examples if one.input == text]
            said.append([max(sorted(set(found)), key=found.count) if found else ""] * samples)
        return said

    def score(self, inputs: Any, choices: Any) -> list[list[float]]:
        return [[0.0 for _ in one] for one in choices]

    def save(self, folder: Path) -> None:
        folder.mkdir()


def test_both_arms_have_as_many_rows_and_the_better_one_is_seen(tmp_path: Path):
    rows: list[int] = []

    def fit(examples: Any, folder: Path) -> Predictor:
        rows.append(len(examples))
        assert folder.parent == tmp_path
        return Remembers(list(examples))

    gold = [GoldItem(str(n), f"animal {n % 4} eats", (ANIMALS[n % 4],)) for n in range(40)]
    found = against_random(
        pooled(200), gold, fit=fit, evaluate=lambda one, items: evaluate(one, items, "exact_match"), folder=tmp_path,
        arms=("filter", "random", "weighted"),
    )  # fmt: skip
    assert rows == [50, 50, 50]
    assert found.scores["filter"].estimates["exact_match"].value == 1
    assert found.difference[0] > 0
    assert found.facts()["rows"] == 50
    assert "filter minus random +" in found.line()
