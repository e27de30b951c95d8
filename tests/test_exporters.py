"""Each export is read as its consumer reads it; the consumers themselves where they are installed."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import upcycle
from upcycle.cli import main
from upcycle.cli.export import FORMATS as LISTED
from upcycle.errors import ConfigError, DiskError, RowKind, SourceError, StaleRunError
from upcycle.records import Example, Origin
from upcycle.report.dataset import STAGE, write
from upcycle.report.exporters import FORMATS, export
from upcycle.run import Run, write_text
from upcycle.task import make_task
from upcycle.yamlfile import dump_yaml

INSTRUCTION = "Say which animal is larger."
DEMONSTRATION = {"input": "Cat or cow?\nchoice: cat\nchoice: cow", "output": "cow"}


def example(number: int, *, rationale: str | None = None) -> Example:
    origin = Origin("datatune", source="zoo", revision="r", record=str(number), plan="p", licences=("cc-by-4.0",))
    text = f"Animal {number}: ant or elephant? “{number}”\nchoice: ant\nchoice: elephant {number}"
    return Example(f"{number:016x}", text, f"elephant {number}", origin, rationale, ("ant", f"elephant {number}"))


def make_run(path: Path, examples: list[Example], *, split: dict[str, float] | None = None, **task: Any) -> Path:
    """A finished run's folder, with the rows as they are given."""
    made = make_task(INSTRUCTION, **task)
    with Run(path) as run:
        for one in examples:
            run.journal.row(STAGE, one.id, state="kept", kind=RowKind.OK, value=one)
        run.journal.commit()
        write(run, split=split or {"train": 1.0}, seed=0)
        write_text(path / "task.yaml", dump_yaml(made.model_dump(mode="json", exclude={"gold"}, exclude_none=True)))
    return path


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A run of 20 rows: 16 to train on, 4 to test."""
    return make_run(tmp_path / "zoo", [example(n) for n in range(20)], split={"train": 0.8, "test": 0.2})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def outputs(rows: list[Example]) -> set[str]:
    return {row.output for row in rows}


ALL = {f"elephant {n}" for n in range(20)}


def test_the_command_line_lists_exactly_the_formats_there_are():
    assert tuple(FORMATS) == LISTED


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_each_split_once_and_says_how_it_is_used(zoo: Path, tmp_path: Path, name: str):
    done = export(zoo, name, tmp_path / "out")
    assert done.rows == {"train": 16, "test": 4}
    assert sorted(done.files) == sorted(path.name for path in (tmp_path / "out").iterdir())
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "cc-by-4.0: 20 rows" in readme
    assert any(file in readme for file in done.files)


@pytest.mark.parametrize("name", FORMATS)
def test_exporting_twice_gives_the_same_bytes(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        export(zoo, name, "out")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder / "out").iterdir()} for folder in ("a", "b")
    )
    if name == "lm-eval":  # names its data by full paths, which differ here
        first["zoo.yaml"] = first["zoo.yaml"].replace(b"/a/out", b"/b/out")
    assert first == second


def test_trl_learns_the_output_after_the_input_and_a_newline(zoo: Path, tmp_path: Path):
    export(zoo, "trl", tmp_path / "out")
    rows = lines(tmp_path / "out" / "train.jsonl") + lines(tmp_path / "out" / "test.jsonl")
    assert {row["completion"] for row in rows} == ALL
    assert all(set(row) == {"prompt", "completion"} for row in rows)
    assert all(row["prompt"].endswith(f"choice: {row['completion']}\n") for row in rows)


@pytest.mark.parametrize("name", ["trl-messages", "openai", "axolotl", "llama-factory"])
def test_messages_take_turns_and_end_with_the_answer(zoo: Path, tmp_path: Path, name: str):
    export(zoo, name, tmp_path / "out", instruction=True)
    for row in lines(tmp_path / "out" / "train.jsonl"):
        assert set(row) == {"messages"}
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
        assert row["messages"][0]["content"] == INSTRUCTION
        assert row["messages"][1]["content"].endswith(row["messages"][2]["content"])


def test_openai_is_warned_of_too_few_examples_before_it_refuses_them(zoo: Path, tmp_path: Path):
    assert export(zoo, "openai", tmp_path / "many").warnings == ()
    few = make_run(tmp_path / "few", [example(n) for n in range(9)])
    (warning,) = export(few, "openai", tmp_path / "out").warnings
    assert "fewer than 10 examples; this one has 9" in warning


def test_alpaca_is_one_array_whose_instruction_is_the_task_where_it_is_wanted(zoo: Path, tmp_path: Path):
    export(zoo, "alpaca", tmp_path / "plain")
    export(zoo, "alpaca", tmp_path / "with", instruction="Pick the larger one.")
    plain = json.loads((tmp_path / "plain" / "train.json").read_bytes())
    told = json.loads((tmp_path / "with" / "train.json").read_bytes())
    assert {tuple(row) for row in plain} == {("instruction", "input", "output")}
    assert [row["instruction"] for row in plain] == [row["input"] for row in told]
    assert {row["input"] for row in plain} == {""}
    assert {row["instruction"] for row in told} == {"Pick the larger one."}


def test_sharegpt_is_one_array_of_a_human_and_a_model(zoo: Path, tmp_path: Path):
    export(zoo, "sharegpt", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "train.json").read_bytes())
    assert len({row["id"] for row in rows}) == 16
    for row in rows:
        assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
        assert all(turn["value"] for turn in row["conversations"])


def test_axolotl_finds_its_data_beside_its_configuration(zoo: Path, tmp_path: Path):
    split = make_run(tmp_path / "v", [example(n) for n in range(20)], split={"train": 0.5, "validation": 0.5})
    export(split, "axolotl", tmp_path / "out", base_model="some/model")
    config = yaml.safe_load((tmp_path / "out" / "axolotl.yaml").read_text())
    assert config["base_model"] == "some/model"
    (trained,), (held_out,) = config["datasets"], config["test_datasets"]
    assert len(lines(tmp_path / "out" / trained["path"])) == 10
    assert held_out["path"] == "validation.jsonl"
    assert set(lines(tmp_path / "out" / trained["path"])[0]) == {trained["field_messages"]}
    assert isinstance(config["learning_rate"], float)
    assert (config["adapter"], config["lora_r"], config["num_epochs"]) == ("lora", 8, 3)


def test_llama_factory_finds_the_data_its_configuration_names(zoo: Path, tmp_path: Path):
    export(zoo, "llama-factory", tmp_path / "out")
    config = yaml.safe_load((tmp_path / "out" / "llama_factory.yaml").read_text())
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_bytes())[config["dataset"]]
    rows = lines(tmp_path / "out" / config["dataset_dir"] / info["file_name"])
    column, tags = info["columns"]["messages"], info["tags"]
    turns = [turn for row in rows for turn in row[column]]
    assert {turn[tags["role_tag"]] for turn in turns} == {tags["user_tag"], tags["assistant_tag"]}
    assert all(turn[tags["content_tag"]] for turn in turns)
    assert info["formatting"] == "sharegpt"


def test_unsloth_finds_the_data_its_configuration_names(zoo: Path, tmp_path: Path):
    export(zoo, "unsloth", tmp_path / "out")
    config = yaml.safe_load((tmp_path / "out" / "unsloth.yaml").read_text())
    assert set(config) == {"model", "data", "training", "lora"}
    (file,) = config["data"]["local_dataset"]
    assert config["data"]["format_type"] == "sharegpt"
    assert len(lines(tmp_path / "out" / file)) == 16


def test_plain_rows_keep_every_column(zoo: Path, tmp_path: Path):
    export(zoo, "jsonl", tmp_path / "j")
    export(zoo, "csv", tmp_path / "c")
    rows = lines(tmp_path / "j" / "train.jsonl")
    with (tmp_path / "c" / "train.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["input"] for row in table] == [row["input"] for row in rows]
    assert [json.loads(row["choices"]) for row in table] == [row["choices"] for row in rows]
    assert list(rows[0]) == ["id", "input", "output", "rationale", "choices", "method", "source", "weight"]


def task_of(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*.yaml")
    return yaml.safe_load(file.read_text())


def test_lm_eval_chooses_by_likelihood_where_every_row_has_options(zoo: Path, tmp_path: Path):
    done = export(zoo, "lm-eval", tmp_path / "out")
    task = task_of(tmp_path / "out")
    assert done.warnings == ()
    assert (task["output_type"], task["dataset_path"]) == ("multiple_choice", "json")
    assert (task["test_split"], task["fewshot_split"]) == ("test", "train")
    rows = lines(Path(task["dataset_kwargs"]["data_files"]["test"]))
    assert all(row["choices"].index(row["output"]) == 1 for row in rows)
    assert task["doc_to_target"] == "{{choices.index(output)}}"


def test_lm_eval_shows_the_tasks_demonstrations_where_no_other_split_can(tmp_path: Path):
    run = make_run(
        tmp_path / "zoo", [example(n) for n in range(8)],
        demonstrations=[upcycle.Demonstration.model_validate(DEMONSTRATION)],
    )  # fmt: skip
    done = export(run, "lm-eval", tmp_path / "out")
    shown = task_of(tmp_path / "out")["fewshot_config"]["samples"]
    assert shown == [{**DEMONSTRATION, "choices": ["cat", "cow"]}]
    assert done.warnings == ("there is no test or validation split, so the task scores the training rows",)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lm_eval_takes_a_closed_set_of_outputs_as_choices(tmp_path: Path):
    rows = [{"text": f"Film {n} was {'fine' if n % 2 else 'bad'}", "label": ["neg", "pos"][n % 2]} for n in range(40)]
    done = export(write_rows(tmp_path / "films.jsonl", rows), "lm-eval", tmp_path / "out")
    task = task_of(tmp_path / "out")
    assert (task["doc_to_choice"], task["doc_to_target"]) == (["neg", "pos"], "output")
    assert len(done.warnings) == 2


def test_lm_eval_does_not_take_sums_for_labels(tmp_path: Path):
    rows = [{"input": f"What is {n % 20} and {n % 20}?", "output": str(2 * (n % 20))} for n in range(400)]
    export(write_rows(tmp_path / "sums.jsonl", rows), "lm-eval", tmp_path / "out")
    assert task_of(tmp_path / "out")["output_type"] == "generate_until"


def test_lm_eval_writes_and_compares_where_outputs_are_free(tmp_path: Path):
    rows = [{"input": f"Say {n}", "output": f"It is {n}."} for n in range(40)]
    export(write_rows(tmp_path / "free.jsonl", rows), "lm-eval", tmp_path / "out")
    task = task_of(tmp_path / "out")
    assert task["output_type"] == "generate_until"
    assert task["generation_kwargs"]["until"] == ["\n"]
    assert [metric["metric"] for metric in task["metric_list"]] == ["exact_match"]


@pytest.mark.slow
@pytest.mark.parametrize("shots", ["0", "2"])
def test_lm_eval_runs_the_task(zoo: Path, tmp_path: Path, shots: str):
    pytest.importorskip("lm_eval")
    export(zoo, "lm-eval", tmp_path / "out")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lm_eval", "--model", "dummy", "--include_path", ".", "--tasks", "zoo"),
            *("--num_fewshot", shots, "--output_path", str(tmp_path / "scores")),
        ],
        cwd=tmp_path / "out", env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "scores").rglob("results*.json")
    result = json.loads(file.read_bytes())
    assert "acc,none" in result["results"]["zoo"]
    assert result["n-samples"]["zoo"]["original"] == 4


def test_rows_load_as_datasets_loads_json(zoo: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    for name in ("trl", "trl-messages", "alpaca", "sharegpt", "jsonl", "lm-eval"):
        done = export(zoo, name, tmp_path / name)
        files = {file.split(".")[0]: str(tmp_path / name / file) for file in done.files if file.startswith("t")}
        loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in loaded.items()} == {"train": 16, "test": 4}


def test_the_reasoning_stands_before_the_output_where_it_is_wanted(tmp_path: Path):
    rows = [example(0, rationale="An elephant weighs tonnes."), example(1)]
    run = make_run(tmp_path / "zoo", rows)
    assert outputs(rows) == {row["completion"] for row in lines_of(run, tmp_path / "plain")}
    told = {row["completion"] for row in lines_of(run, tmp_path / "with", rationale=True)}
    assert told == {"An elephant weighs tonnes.\n\nelephant 0", "elephant 1"}
    (warning,) = export(run, "trl", tmp_path / "third", rationale=True).warnings
    assert "1 of 2 rows have no rationale" in warning


def lines_of(run: Path, out: Path, **settings: Any) -> list[dict[str, Any]]:
    export(run, "trl", out, **settings)
    return lines(out / "train.jsonl")


def test_one_split_is_written_where_one_is_named(zoo: Path, tmp_path: Path):
    assert export(zoo, "trl", tmp_path / "out", split="test").rows == {"test": 4}
    assert export(f"{zoo}:test", "lm-eval", tmp_path / "named").rows == {"test": 4}
    with pytest.raises(SourceError, match="no split 'validation'; it has train, test"):
        export(zoo, "trl", tmp_path / "other", split="validation")


def test_rows_that_cannot_be_read_are_counted_and_the_first_is_named(tmp_path: Path):
    file = tmp_path / "some.jsonl"
    file.write_text('{"input": "a", "output": "b"}\n{"input": "c"}\nbroken\n')
    done = export(file, "jsonl", tmp_path / "out")
    assert (done.rows, done.skipped) == ({"train": 1}, 2)
    assert "2 rows could not be read" in done.warnings[0]
    assert "default/train/1" in done.warnings[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rows.jsonl", "pdf"), "format 'pdf' is not there; known formats: trl, trl-messages, openai"),
        (("away", "trl"), "there is no dataset 'away'"),
        (("note.txt", "trl"), "not a kind of file that can be read"),
        (("empty.jsonl", "trl"), "empty.jsonl: it is empty"),
        (("rows.jsonl", "trl", "full"), "full exists and is not empty; nothing was overwritten"),
        (("rows.jsonl", "trl", "note.txt"), "note.txt is a file; give a folder with -o"),
        (("rows.jsonl", "trl", "note.txt/x"), "note.txt/x cannot be made a folder"),
        (("bare.jsonl", "trl"), "bare.jsonl holds no examples (the first: default/train/0: it has no output"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", [{"input": "a", "output": "b"}])
    write_rows(tmp_path / "bare.jsonl", [{"input": "a", "output": None}])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep me")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ConfigError, SourceError)) as caught:
        export(*arguments)
    assert sentence in str(caught.value)
    left = set(tmp_path.rglob("*")) - set(before)
    assert not any(path.is_file() for path in left)
    assert not any(path.name.endswith(".part") for path in left)


def test_a_run_that_is_being_written_is_left_alone(zoo: Path, tmp_path: Path):
    with (zoo / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in (zoo, f"{zoo}:train"):
            with pytest.raises(StaleRunError, match="still being written; export it when the build is done"):
                export(path, "trl", tmp_path / "out")
    assert export(zoo, "trl", tmp_path / "out").rows["train"] == 16


def test_a_run_that_kept_nothing_has_nothing_to_export(tmp_path: Path):
    run = make_run(tmp_path / "none", [])
    with pytest.raises(ConfigError, match="holds no examples"):
        export(run, "trl", tmp_path / "out")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path):
    run = make_run(tmp_path / "zoo", [example(n) for n in range(400)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(DiskError, match="free some space and run again"):
            export(run, "trl", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo"]
    assert export(run, "trl", tmp_path / "out").rows == {"train": 400}


def test_what_a_killed_export_left_is_replaced(zoo: Path, tmp_path: Path):
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "stale.jsonl").write_text("x")
    export(zoo, "trl", tmp_path / "out")
    assert not (tmp_path / "out" / "stale.jsonl").exists()
    assert not (tmp_path / ".out.part").exists()


def test_other_tongues_and_marks_come_through_as_they_are(tmp_path: Path):
    texts = ["שלום עולם", "日本語のテキスト", "👩‍👩‍👧 emoji", 'a "quoted", comma\nand\ttab', "\u2028 line separator"]
    rows = [{"input": text, "output": text[::-1]} for text in texts]
    file = write_rows(tmp_path / "all.jsonl", rows)
    for name in ("jsonl", "csv", "alpaca"):
        export(file, name, tmp_path / name)
    assert [row["input"] for row in lines_by_newline(tmp_path / "jsonl" / "train.jsonl")] == texts
    assert [row["instruction"] for row in json.loads((tmp_path / "alpaca" / "train.json").read_bytes())] == texts
    with (tmp_path / "csv" / "train.csv").open(encoding="utf-8", newline="") as out:
        assert [row["input"] for row in csv.DictReader(out)] == texts


def lines_by_newline(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


async def test_in_python_it_is_one_function(zoo: Path, tmp_path: Path):
    done = await upcycle.export(zoo, "trl", tmp_path / "out", split="train")
    assert done.rows == {"train": 16}
    assert str(done).startswith(f"{tmp_path / 'out'}: trl, train 16")
    assert json.loads(json.dumps(done.facts()))["format"] == "trl"


def test_on_the_command_line_it_goes_where_it_says(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "zoo", "--to", "trl", "--instruction", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == "exports/zoo/trl"
    assert lines(tmp_path / told["path"] / "test.jsonl")[0]["prompt"].startswith(INSTRUCTION)
    assert main(["export", "zoo", "--to", "trl"]) == 2
    assert "not empty" in capsys.readouterr().err
    write_rows(tmp_path / "odd.jsonl", [{"a": "one", "b": "two"}])
    assert main(["export", "odd.jsonl", "--to", "trl"]) == 2
    assert "--columns input=NAME,output=NAME" in capsys.readouterr().err
    assert main(["export", "odd.jsonl", "--to", "trl", "--columns", "input=a,output=b"]) == 0
