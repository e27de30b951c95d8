"""`upcycle train`: from any dataset to a student beside it, whatever the user gets wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import upcycle
from test_train import REVIEWS
from upcycle.cli import main
from upcycle.errors import ConfigError
from upcycle.run import Event
from upcycle.training.saved import facts_of, load


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(examples) -> list[dict]:
    return [{"input": one.input, "output": one.output} for one in examples]


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "reviews.jsonl", rows_of(REVIEWS))


async def test_a_file_of_labelled_rows_becomes_a_student(reviews: Path):
    report = await upcycle.train(reviews)
    assert (report.student, report.kind, report.examples, report.trained) == ("tfidf", "label", 40, True)
    assert report.path == Path("runs/reviews-model")
    assert load(report.path).predict(["a superb film"]) == [["positive"]]
    again = await upcycle.train(reviews)
    assert not again.trained
    assert "was trained on these examples already" in str(again)


async def test_the_test_split_is_never_read_and_the_validation_split_never_learned(tmp_path: Path):
    folder = tmp_path / "set"
    write(folder / "train.jsonl", rows_of(REVIEWS))
    write(folder / "validation.jsonl", [{"input": "a strange film", "output": "odd"}] * 3)
    write(folder / "test.jsonl", [{"input": "a secret film", "output": "hidden"}] * 3)
    events: list[Event] = []
    report = await upcycle.train(folder, out=tmp_path / "model", listener=events.append)
    assert report.examples == 40
    assert load(tmp_path / "model").labels == ("negative", "positive")  # type: ignore[attr-defined]
    assert next(one.data["count"] for one in events if one.kind == "read") == 40


async def test_a_set_that_has_only_test_rows_says_how_to_name_them(tmp_path: Path):
    file = write(tmp_path / "set" / "test.jsonl", rows_of(REVIEWS))
    with pytest.raises(ConfigError, match=r"has no training split \(it has test\); name the rows to train on, like"):
        await upcycle.train(file.parent, out=tmp_path / "model")
    report = await upcycle.train(f"{file.parent}:test", out=tmp_path / "model")
    assert report.examples == 40


async def test_examples_that_repeat_gold_are_left_out_and_counted(reviews: Path, tmp_path: Path):
    gold = write(tmp_path / "gold.jsonl", rows_of(REVIEWS[:5]))
    report = await upcycle.train(reviews, gold=gold)
    assert (report.removed, report.examples) == (5, 35)
    assert "5 examples repeat gold; they are left out" in report.notes
    assert facts_of(report.path)["removed"] == 5


async def test_a_dataset_that_is_its_own_gold_is_refused(reviews: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="every example of reviews repeats"):
        await upcycle.train(reviews, gold=reviews)
    assert not (tmp_path / "runs").exists()


async def test_one_label_only_is_said(tmp_path: Path):
    file = write(tmp_path / "one.jsonl", [{"input": f"film {n}", "output": "good"} for n in range(20)])
    report = await upcycle.train(file, out=tmp_path / "model")
    assert report.notes == ("every output is 'good', so the student can only say that",)


async def test_weights_of_rows_and_of_the_dimp_loss_change_tfidf(reviews: Path, tmp_path: Path):
    turned = {"positive": "negative", "negative": "positive"}
    noisy = [*rows_of(REVIEWS), *({"input": one.input, "output": turned[one.output]} for one in REVIEWS)]
    noise = write(tmp_path / "noisy.jsonl", noisy)
    asked, wanted = ["a superb film", "a boring film"], [["positive"], ["negative"]]
    plain = load((await upcycle.train(noise, out=tmp_path / "plain")).path).score(asked, wanted)
    dimp = load((await upcycle.train(noise, out=tmp_path / "dimp", weights="dimp", real=reviews)).path)
    assert dimp.predict(asked) == wanted
    assert min(row[0] for row in dimp.score(asked, wanted)) > max(row[0] for row in plain)
    with pytest.raises(ConfigError, match="give some with --real"):
        await upcycle.train(noise, out=tmp_path / "none", weights="dimp")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["nothing.jsonl"], "there is no dataset 'nothing.jsonl'"),
        (["empty.jsonl"], "empty"),
        (["reviews.jsonl", "--epochs", "0"], "epochs: Input should be greater than 0"),
        (["reviews.jsonl", "--rate", "7"], "learning_rates.0: Input should be less than 1"),
        (
            ["reviews.jsonl", "-o", "m", "--kind", "text", "--student", "tfidf"],
            "tfidf learns labels, and these outputs are texts",
        ),
        (["reviews.jsonl", "-o", "m", "--layers", "2"], "layers is for encoders, and tfidf is none"),
        (["reviews.jsonl", "-o", "reviews.jsonl"], "reviews.jsonl cannot be made a folder"),
        (["reviews.jsonl", "-o", "."], ". holds other files; give a folder of its own for the student"),
        (["reviews.jsonl", "--gold", "no-gold.jsonl"], "no-gold.jsonl"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_begins(
    reviews: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
):
    Path("empty.jsonl").write_text("", encoding="utf-8")
    before = sorted(Path.cwd().iterdir())
    assert main(["train", *flags]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("upcycle: ")
    assert said in err[-1]
    assert "Traceback" not in "".join(err)
    assert sorted(Path.cwd().iterdir()) == before


def test_an_attempt_that_came_to_nothing_does_not_occupy_the_folder(reviews: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", str(reviews), "--student", "no-such-model", "-o", "model"]) == 2
    assert main(["train", str(reviews), "-o", "model"]) == 0
    out = capsys.readouterr().out
    assert "tfidf trained on 40 examples" in out


def test_other_settings_on_the_same_folder_are_refused(reviews: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", str(reviews)]) == 0
    assert main(["train", str(reviews), "--seed", "1"]) == 2
    assert "holds a student of other examples or settings; nothing was overwritten" in capsys.readouterr().err


def test_json_is_one_object_and_events_are_lines(reviews: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", str(reviews), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["examples"] == 40
    assert [json.loads(line)["kind"] for line in said.err.splitlines()] == ["read"]


WITHOUT = """
import importlib.util, sys
TRAIN = ("torch", "transformers", "peft", "trl", "accelerate")
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in TRAIN:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in TRAIN else real(name, package)
from upcycle.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_tfidf_works_and_the_others_name_it(reviews: Path):
    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT, "train", str(reviews), *flags], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )  # fmt: skip

    assert run("-o", "plain").returncode == 0
    refused = run("-o", "torch", "--student", "minilm")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "upcycle: this student needs torch, transformers, peft, trl, accelerate;"
        " run `pip install torch 'upcycle[train]'`"
        " (student tfidf needs nothing more)"
    )


def test_a_student_that_was_tampered_with_is_refused_in_a_sentence(reviews: Path):
    assert main(["train", str(reviews), "-o", "model"]) == 0
    Path("model/tfidf.npz").write_bytes(b"not arrays")
    with pytest.raises(ConfigError, match="holds a broken TF-IDF model"):
        load(Path("model"))
    Path("model/upcycle-model.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path("model"))


def test_two_processes_do_not_train_into_one_folder(reviews: Path, capsys: pytest.CaptureFixture[str]):
    import fcntl

    Path("model").mkdir()
    with Path("model/.training").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["train", str(reviews), "-o", "model"]) == 2
    assert "another process is training into model" in capsys.readouterr().err
