"""A comparison of language models: prompted and trained, killed in the middle of one and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import tiny_models
from test_compare import UPCYCLE, command, write_task
from upcycle.comparing import students
from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem
from upcycle.training.predictor import Progress

for library in ("torch", "transformers", "trl", "peft", "accelerate"):
    pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)

ROWS = 16
FLAGS = ["-n", str(ROWS), "--seeds", "1", "--epochs", "1", "--gold-share", "0.5"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, int]]:
    """A comparison killed while its fourth student was at work: its folder, what it said, what was finished."""
    folder = tmp_path_factory.mktemp("models")
    write_task(folder, gold=110, source=60)
    student = tiny_models.causal(folder / "student", chat=True)
    flags = [*FLAGS, "--student", str(student)]
    process = subprocess.Popen(
        [UPCYCLE, "compare", str(folder / "task.yaml"), "-o", str(folder / "cmp"), "--json", *flags],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    legs = 0
    said = []
    for line in process.stderr:
        said.append(line)
        event = json.loads(line)
        legs += event["stage"] == "compare" and event["kind"] == "leg"
        if legs == 3 and event["stage"] == "train" and event["kind"] == "progress":
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    return folder, said, _written(folder)


def _written(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (folder / "cmp" / "legs").glob("*.json")}


@pytest.mark.slow
def test_killed_while_a_language_model_learns_it_goes_on_and_holds_every_leg(killed):
    folder, said, finished = killed
    events = [json.loads(line) for line in said]
    steps = [one for one in events if one["stage"] == "train" and one["kind"] == "progress"]
    assert steps, "how the student at work gets on is told"
    assert all(one["seconds_left"] >= 0 for one in steps)
    assert any(one["stage"] == "evaluate" and one["kind"] == "progress" for one in events)
    assert any(one["kind"] == "leg" and one["seconds_left"] is not None for one in events)
    done = command(folder, "--json", *FLAGS, "--student", str(folder / "student"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(finished) >= 4, "three students, and the model that was only prompted"
    assert finished.items() <= _written(folder).items(), "no finished one is trained again"
    assert found["found"] >= len(finished)
    assert not list((folder / "cmp" / "legs").glob("*.training")), "what training left is cleared away"
    legs = {leg["name"]: leg for leg in found["legs"]}
    assert {"few-shot prompting", "existing", "transformed", "gold", "random rows"} <= set(legs)
    for name in ("existing", "transformed", "gold"):
        assert legs[f"{name}, TF-IDF"]["student"] == "tfidf"
        assert legs[f"{name}, TF-IDF"]["rows"] == legs[name]["rows"] == ROWS
        assert legs[name]["student"].endswith("student")
    assert legs["few-shot prompting"]["kind"] == "prompt"
    assert all(leg["low"] <= leg["value"] <= leg["high"] for leg in legs.values())


class Poisoner:
    """Watches a student and spoils its weights after five steps."""

    def trains(self, now: Progress) -> None:
        from test_train_torch import poison

        if now.step == 5 and not now.text:
            poison()

    def scores(self, done: int, of: int) -> None:
        pass


@pytest.mark.filterwarnings("ignore::FutureWarning:(torch|transformers|trl|peft|accelerate)")
def test_what_went_wrong_while_a_student_learned_stands_beside_its_score(tmp_path: Path):
    from test_train_torch import SAYINGS, quick

    settings = quick(tiny_models.causal(tmp_path / "base", chat=True), epochs=2, kind="text")
    test = students.Test([GoldItem("1", "say one", ("one , one",))], "exact_match")
    one = students.trained("leg", SAYINGS, settings, test, seed=0, folder=tmp_path / "work", watcher=Poisoner())
    assert any(said.startswith("the loss is not a number at step 6, so training stopped") for said in one.warnings)
    assert len(one.right) == 1


def test_layers_of_the_named_encoder_are_asked_of_no_other_student_of_a_leg():
    named = Training(student="minilm", layers=3)
    assert students.settings_for(named, "minilm", "label").layers == 3
    assert students.settings_for(named, "tfidf", "label").layers is None


def test_any_encoder_is_a_student_that_chooses_labels_and_any_language_model_one_that_is_prompted(tmp_path: Path):
    encoder, causal = str(tiny_models.encoder(tmp_path / "encoder")), str(tiny_models.causal(tmp_path / "causal"))
    assert not students.can_be_prompted(encoder)
    assert students.settings_for(Training(), encoder, "label").kind == "label"
    assert students.can_be_prompted(causal)
    assert students.settings_for(Training(), causal, "label").kind == "text"
    students.check(encoder, "label")
    with pytest.raises(ConfigError, match="only tells labels, and the gold's answers are options to choose among"):
        students.check(encoder, "choice")
