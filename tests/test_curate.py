"""`upcycle curate`: any dataset in, what passes and what does not out, the input untouched."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.curation.curate import CHECKS, Checks, curate, unique_ids
from upcycle.errors import ConfigError, ProviderError, UpcycleError
from upcycle.llm.model import Completion, Request
from upcycle.records import Example, Origin
from upcycle.sources.examples import read_examples
from upcycle.task import make_task
from upcycle.testing import ScriptedModel
from whole_runs import UPCYCLE, run

ENGLISH = "The {} walked over the old bridge and met the {} who had been waiting there since the morning of that day."
NAMES = ("baker", "pilot", "nurse", "farmer", "singer", "driver", "teacher", "sailor", "painter", "doctor")
GERMAN = "Der alte Mann ging am Morgen über die Brücke und traf dort die Frau, die seit dem Abend auf ihn wartete."


def sentences() -> list[str]:
    return [ENGLISH.format(one, other) for one in NAMES for other in NAMES if one != other]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def dirty(path: Path) -> Path:
    """Ninety sentences, a German one, a repeated one, one with its punctuation changed, one without a label."""
    rows = [{"text": text, "label": str(n)} for n, text in enumerate(sentences())]
    first = rows[0]["text"]
    rows += [
        {"text": GERMAN, "label": "g"},
        {"text": first.upper(), "label": "0"},
        {"text": first.replace("old", "very old"), "label": "0"},
        {"text": "no label", "label": None},
    ]
    return write_rows(path, rows)


def listed(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def dropped(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "dropped").to_pylist()


async def test_each_check_drops_what_it_is_for_and_names_why(tmp_path: Path):
    data = dirty(tmp_path / "rows.jsonl")
    before = data.read_bytes()
    report = await upcycle.curate(data, out=tmp_path / "out", near=0.9)
    assert data.read_bytes() == before
    assert (report.read, report.unread, report.kept) == (93, 1, 90)
    assert {one.check: one.dropped for one in report.passes} == {"contract": 0, "language": 1, "exact": 1, "near": 1}
    rows = {row["reason"]: row for row in dropped(tmp_path / "out")}
    assert set(rows) == {
        "the input is in de, not en",
        "repeats an example already kept",
        "shares most of its wording with an example already kept",
        "it has no output (column 'label')",
    }
    kept = read_examples(tmp_path / "out")
    near = rows["shares most of its wording with an example already kept"]
    assert near["other"] == kept.examples[0].id
    assert 0.9 <= near["score"] < 1
    assert len(kept) + len(dropped(tmp_path / "out")) == 94


async def test_a_curated_dataset_describes_itself_to_machines(tmp_path: Path):
    (tmp_path / "set").mkdir()
    write_rows(tmp_path / "set" / "test_gold.jsonl", [{"input": text, "output": "x"} for text in sentences()[:20]])
    report = await upcycle.curate(tmp_path / "set" / "test_gold.jsonl", out=tmp_path / "out")
    document = json.loads((tmp_path / "out" / "croissant.json").read_bytes())
    files = {one["contentUrl"]: one["sha256"] for one in document["distribution"]}
    assert files
    assert all(hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
                         for name, digest in files.items())  # fmt: skip
    described = [one["@id"] for one in document["recordSet"]]
    assert [name for name in described if not name.startswith("dropped/")] == [
        f"{config}/{split}" for config in ("default", "provenance") for split in report.splits
    ]
    assert document["prov:wasDerivedFrom"][0]["prov:label"] == report.dataset
    assert any(done.startswith("exact: ") for done in document["rai:dataPreprocessingProtocol"])


async def test_mlcroissant_takes_what_curate_wrote(tmp_path: Path):
    mlcroissant = pytest.importorskip("mlcroissant")
    await upcycle.curate(dirty(tmp_path / "rows.jsonl"), out=tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlcroissant.Dataset(str(tmp_path / "out" / "croissant.json"))
        rows = list(dataset.records(f"default/{dataset.metadata.record_sets[0].name.partition('/')[2]}"))
    assert len(rows) == 90


async def test_two_labels_of_one_input_are_a_conflict_that_is_said(tmp_path: Path):
    rows = [{"text": text, "label": "good" if n % 2 else "bad"} for n, text in enumerate(sentences())]
    other = {"text": rows[0]["text"].upper(), "label": "good"}
    data = write_rows(tmp_path / "rows.jsonl", [*rows, other])
    report = await upcycle.curate(data, out=tmp_path / "out", check="conflict,exact")
    assert dict(report.dropped) == {"conflict": 2}
    one, two = dropped(tmp_path / "out")
    assert (one["other"], two["other"]) == (two["id"], one["id"])
    assert "comes with the output 'good'" in one["reason"]
    texts = write_rows(tmp_path / "texts.jsonl", [{"input": "Tell me.", "output": text} for text in sentences()[:30]])
    assert (await upcycle.curate(texts, out=tmp_path / "free", check="conflict")).kept == 30  # many things may be told


STOLEN = "The doctor found at night that somebody had stolen his car."


async def test_a_model_that_is_named_has_the_word_on_paraphrases_of_gold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    pytest.importorskip("wordllama")
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path))
    texts = ("The doctor found in the night that his car was stolen", "Banks raised the interest", STOLEN.upper())
    rows = [Example(f"{n:016x}", text, "x", Origin("m")) for n, text in enumerate(texts)]
    model = ScriptedModel(lambda request: {
        key: {"same": "his car was stolen" in text}
        for key, text in re.findall(r'<pair id="(\w+)">\nText:\n(.*)\n', request.messages[-1]["content"])
    })  # fmt: skip
    checks = Checks(names=("contamination",))
    done = await curate(rows, checks=checks, gold=[(STOLEN, None)], model=model)
    assert {one.id: one.reason for one in done.dropped} == {
        rows[0].id: "says in other words what gold item 1 says", rows[2].id: "has the same words as gold item 1",
    }  # fmt: skip
    assert done.passes[0].note.endswith(f"possible pairs put to {model.name}")
    assert len(model.requests) == 1

    class Broken(ScriptedModel):
        async def complete(self, request: Request) -> Completion:
            raise ProviderError("nobody answers")

    alone = await curate(rows, checks=checks, gold=[(STOLEN, None)], model=Broken(lambda r: {}))
    assert rows[2].id in {one.id for one in alone.dropped}  # words need no model
    assert "the model confirmed none: nobody answers" in alone.passes[0].note
    assert alone.stopped is None


async def test_what_was_curated_is_a_dataset_that_can_be_curated_again(tmp_path: Path):
    data = dirty(tmp_path / "rows.jsonl")
    first = await upcycle.curate(data, out=tmp_path / "one")
    second = await upcycle.curate(tmp_path / "one", out=tmp_path / "two")
    assert (second.read, second.kept, second.unread) == (first.kept, first.kept, 0)
    one, two = read_examples(tmp_path / "one"), read_examples(tmp_path / "two")
    assert list(one.examples) == list(two.examples)
    assert one.examples[0].origin.source == "rows"


async def test_splits_stay_what_they_were(tmp_path: Path):
    for name in ("train", "test_gold"):
        rows = [{"input": f"{name} {text}", "output": "x"} for text in sentences()[:20]]
        write_rows(tmp_path / "set" / f"{name}.jsonl", rows)
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: train.jsonl}\n"
        "  - {split: test_gold, path: test_gold.jsonl}\n---\n"
    )
    report = await upcycle.curate(tmp_path / "set", out=tmp_path / "out", check="exact")
    assert dict(report.splits) == {"train": 20, "test_gold": 20}
    assert dict(read_examples(tmp_path / "out").splits) == {"train": 20, "test_gold": 20}


async def test_the_result_loads_with_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    await upcycle.curate(dirty(tmp_path / "rows.jsonl"), out=tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == 90
    gone = datasets.load_dataset(str(tmp_path / "out"), "dropped", cache_dir=str(tmp_path / "cache"))
    assert gone["train"].num_rows == 4


async def test_gold_demonstrations_and_licences_are_kept_out(tmp_path: Path):
    texts = [f"{name} number {n} of the {NAMES[-n]}s" for n, name in enumerate(NAMES, 1)]
    data = write_rows(tmp_path / "set" / "train.jsonl", [{"input": text, "output": "x"} for text in texts])
    (data.parent / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    gold = write_rows(tmp_path / "gold.jsonl", [{"question": texts[7], "answer": "y"}])
    shown = [(texts[3], "x")]
    names = "contamination,demonstrations"
    report = await upcycle.curate(data.parent, out=tmp_path / "a", gold=gold, examples=shown, check=names)
    assert dict(report.dropped) == {"contaminated": 1, "duplicate": 1}
    refused = await upcycle.curate(data.parent, out=tmp_path / "b", licence="permissive")
    assert (refused.kept, dict(refused.dropped)) == (0, {"licence": len(texts)})
    assert dropped(tmp_path / "b")[0]["reason"] == "its source has the licence 'cc-by-nc-4.0', not a permissive one"


SETS = ([], [("one", "x")], [("same words", "x")] * 300, [("word " * 200_000, "x"), ("y", "z")])
FREE = Checks(names=tuple(name for name in CHECKS if name not in ("judge", "answerable")))


@pytest.mark.parametrize("rows", SETS, ids=["none", "one", "the same", "a giant"])
async def test_any_set_is_curated_and_every_row_accounted_for(rows: list[tuple[str, str]]):
    examples = unique_ids(Example(f"{n:016x}", text, out, Origin("m")) for n, (text, out) in enumerate(rows))
    done = await curate(examples, checks=FREE)
    assert len(done.kept) + len(done.dropped) == len(rows)


async def test_repeated_ids_are_told_apart():
    twice = [Example("0" * 16, "a b c", "x", Origin("m"))] * 2
    assert [one.id for one in unique_ids(twice)] == ["0" * 16, "0" * 16 + "-2"]
    done = await curate(unique_ids(twice))
    assert (len(done.kept), done.dropped[0].other) == (1, "0" * 16)


async def test_checks_run_cheapest_first_and_the_judge_reads_only_what_is_left():
    examples = [Example(f"{n:016x}", f"question {n % 3}", "x", Origin("m")) for n in range(9)]
    model = ScriptedModel(lambda r: {str(n): {"right": True, "fault": "none", "why": ""} for n in range(1, 10)})
    done = await curate(examples, checks=Checks(names=("judge", "exact")), task=make_task("Do it."), model=model)
    assert [(one.check, one.read) for one in done.passes] == [("exact", 9), ("judge", 3)]
    assert done.facts["judge"]["accuracy"] == 1.0  # type: ignore[index]


async def test_a_check_that_asks_needs_a_model_and_a_task():
    with pytest.raises(ConfigError, match="give both a model and a task"):
        await curate([], checks=Checks(names=("judge",)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"check": "nope"}, "check 'nope' is not there"),
        ({"near": 0.0}, "threshold"),
        ({"even": 0.5}, "even is 0.5; give 1 or more"),
        ({"judge": 2.0}, "judge is 2.0; give from 0 to 1"),
        ({"tries": 0}, "tries is 0"),
        ({"licence": "free"}, "licence"),
        ({"speling": 1}, "unknown setting 'speling'"),
        ({"check": "judge", "task": "Do it.", "model": "none"}, "name one with --model"),
        ({"check": "judge"}, "must know the task"),
        ({"out": "rows.jsonl"}, "is the dataset"),
        ({"out": "."}, "one of them holds the other"),
        ({"out": "other"}, "was not written by `upcycle curate`"),
        ({"gold": "nowhere"}, "there is no dataset 'nowhere'"),
    ],
)
async def test_what_cannot_be_done_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], said: str
):
    monkeypatch.chdir(tmp_path)
    dirty(tmp_path / "rows.jsonl")
    write_rows(tmp_path / "other" / "mine.txt", [{"a": "b"}])
    before = listed(tmp_path)
    with pytest.raises(UpcycleError, match=said):
        await upcycle.curate("rows.jsonl", **settings)
    assert listed(tmp_path) == before


async def test_a_folder_holds_the_curation_of_one_dataset_only(tmp_path: Path):
    one, two = dirty(tmp_path / "one.jsonl"), dirty(tmp_path / "two.jsonl")
    await upcycle.curate(one, out=tmp_path / "out", check="exact")
    again = await upcycle.curate(one, out=tmp_path / "out", check="near")
    assert [one.check for one in again.passes] == ["near"]
    with pytest.raises(ConfigError, match=r"holds the curation of .*one.jsonl"):
        await upcycle.curate(two, out=tmp_path / "out")
    assert len(read_examples(tmp_path / "out")) == again.kept


def test_the_command_line_says_what_each_check_did(tmp_path: Path):
    dirty(tmp_path / "rows.jsonl")
    done = run([UPCYCLE, "curate", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "--check", "+balance"])
    assert done.returncode == 0
    assert "  language        dropped 1 of 93 (language en)\n" in done.stdout
    assert "  unread          1 rows; each with its reason in" in done.stdout
    told = run([UPCYCLE, "curate", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "--json"])
    facts = json.loads(told.stdout)
    assert [one["check"] for one in facts["checks"]] == ["contract", "language", "exact", "near"]
    assert all(json.loads(line)["stage"] == "curation" for line in told.stderr.splitlines())
    missing = run([UPCYCLE, "curate", str(tmp_path / "rows.jsonl"), "--columns", "input=foo,output=label"])
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.endswith("there is no column 'foo'; there are text, label\n")


def test_a_judge_is_paid_once_and_a_budget_stops_it(tmp_path: Path):
    write_rows(tmp_path / "rows.jsonl", [{"input": f"question {n} of all", "output": "x"} for n in range(20)])
    server = subprocess.Popen(
        [Path(UPCYCLE).with_name("python"), "-m", "upcycle.testing", "serve"], stdout=subprocess.PIPE, text=True,
        env=dict(os.environ),
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        asked = [UPCYCLE, "curate", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "--check", "judge"]
        asked += ["--task", "Answer the question.", "--model", "openai/fake", "--base-url", url, "--json"]
        short = run([*asked, "--budget", "1calls"])
        assert short.returncode == 1
        stopped = json.loads(short.stdout)
        assert stopped["stopped"].startswith("judge: the budget of 1 calls does not cover the next call")
        assert stopped["kept"] == 20
        first = json.loads(run(asked).stdout)
        again = json.loads(run(asked).stdout)
        assert first["measured"]["judge"]["read"] == 20
        assert {**again, "measured": None} == {**first, "measured": None}
        held = json.loads(run([*asked, "--budget", f"{first['measured']['judge']['calls']}calls"]).stdout)
        assert held["stopped"] is None  # everything was in the journal, so nothing was asked
        items = [{"input": f"item {n}", "output": "yes" if n % 2 else "no"} for n in (1, 2)]
        write_rows(tmp_path / "gold.jsonl", items)
        told = json.loads(run([*asked, "--gold", str(tmp_path / "gold.jsonl")]).stdout)
        assert told["checks"][-1]["note"].endswith("of 2 known")
        assert told["measured"]["trust"]["read"] == 2
    finally:
        server.terminate()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def test_a_build_keeps_to_the_checks_its_task_file_names(tmp_path: Path):
    rows = [{"text": text, "label": "yes" if n % 4 else "no"} for n, text in enumerate(sentences())]
    write_rows(tmp_path / "data" / "train.jsonl", [*rows, {"text": rows[0]["text"] + "!", "label": rows[0]["label"]}])
    task = {
        "instruction": "Say yes or no.",
        "demonstrations": [{"input": f"Is the {n} here?", "output": n} for n in ("yes", "no", "yes")],
        "curation": {"duplicates": "exact", "label_share": 0.5, "language": False},
        "rows": 40,
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    (tmp_path / "plan.yaml").write_text('source: data\ninput: "{text}"\noutput: "{label}"\n')
    flags = ["--source", str(tmp_path / "data"), "--plan", str(tmp_path / "plan.yaml"), "--model", "none"]
    done = run([UPCYCLE, "build", str(tmp_path / "task.json"), *flags, "-o", str(tmp_path / "run")])
    assert "balance" in done.stdout, done.stderr
    found = read_examples(tmp_path / "run")
    assert sum(example.output == "yes" for example in found.examples) == 20
    (tmp_path / "task.json").write_text(json.dumps({**task, "curation": {"nope": 1}}))
    wrong = run([UPCYCLE, "build", str(tmp_path / "task.json"), *flags, "-o", str(tmp_path / "other")])
    assert wrong.returncode == 2
    assert "nope" in wrong.stderr
