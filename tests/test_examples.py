"""Datasets of every kind are read as examples, and nothing that cannot be read is left out silently."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.errors import SourceError
from upcycle.records import Dropped, Example, Origin
from upcycle.report.dataset import write_examples
from upcycle.sources.examples import iter_examples, read_examples


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def pairs(path: Path, **how: Any) -> list[tuple[str, str]]:
    return [(example.input, example.output) for example in read_examples(path, **how).examples]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"input": "a", "output": "b"}, ("a", "b")),
        ({"text": "a", "label": "b"}, ("a", "b")),
        ({"question": "a", "answer": "b"}, ("a", "b")),
        ({"prompt": "a", "completion": "b"}, ("a", "b")),
        ({"X": "a", "Y": "b"}, ("a", "b")),
        ({"id": 1, "review": "a", "sentiment": "b"}, ("a", "b")),
        ({"feedback": "a", "label": "b"}, ("a", "b")),
        ({"premise": "a", "hypothesis": "c", "label": 1}, ("Premise: a\nHypothesis: c", "1")),
        ({"context": "a", "question": "c", "answers": {"text": ["b", "d"]}}, ("Context: a\nQuestion: c", "b")),
        ({"instruction": "Add.", "input": "1 1", "output": "2"}, ("Add.\n\n1 1", "2")),
        ({"instruction": "Say hi.", "input": "", "output": "hi"}, ("Say hi.", "hi")),
        ({"passage": "p", "question": "q", "answer": True}, ("Passage: p\nQuestion: q", "true")),
    ],
)
def test_columns_are_recognised_by_their_usual_names(tmp_path: Path, row: dict[str, Any], wanted: tuple[str, str]):
    assert pairs(write_jsonl(tmp_path / "rows.jsonl", [row])) == [wanted]


@pytest.mark.parametrize(
    ("row", "output"),
    [
        ({"question": "q", "choices": ["x y", "z"], "answer": "z"}, "z"),
        ({"question": "q", "options": ["A)x y", "B)z"], "correct": "B"}, "z"),
        ({"question": "q", "choices": {"text": ["x y", "z"], "label": ["1", "2"]}, "answerKey": "2"}, "z"),
        ({"question": "q", "choice1": "x y", "choice2": "z", "label": 0}, "x y"),
    ],
)
def test_an_answer_by_letter_number_or_key_becomes_its_option(tmp_path: Path, row: dict[str, Any], output: str):
    example = read_examples(write_jsonl(tmp_path / "rows.jsonl", [row])).examples[0]
    assert (example.input, example.output) == ("q\nchoice: x y\nchoice: z", output)
    assert example.choices == ("x y", "z")


def test_numbered_answers_begin_with_one_where_the_rows_show_it(tmp_path: Path):
    rows = [{"question": f"q{n}", "options": ["x", "y"], "answer": 1 + n % 2} for n in range(6)]
    found = read_examples(write_jsonl(tmp_path / "rows.jsonl", rows))
    assert [example.output for example in found.examples] == ["x", "y"] * 3


def test_conversations_are_read_up_to_the_last_answer(tmp_path: Path):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    shared = [
        {"from": "system", "value": "Be brief."},
        *({"from": r, "value": t} for r, t in [("human", "hi"), ("gpt", "ho")]),
    ]
    assert pairs(write_jsonl(tmp_path / "a.jsonl", [{"messages": messages}])) == [("hi", "hello")]
    assert pairs(write_jsonl(tmp_path / "b.jsonl", [{"conversations": shared}])) == [("Be brief.\n\nhi", "ho")]


def test_columns_nobody_knows_are_asked_for_in_one_sentence(tmp_path: Path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"foo": "a", "bar": "b", "baz": "c"}])
    with pytest.raises(SourceError, match="not clear which column is the input and which the output among foo, bar"):
        read_examples(path)
    assert pairs(path, columns={"input": "foo+bar", "output": "baz"}) == [("Foo: a\nBar: b", "c")]
    with pytest.raises(SourceError, match="there is no column 'nope'; there are foo, bar, baz"):
        read_examples(path, columns={"input": "nope", "output": "baz"})


def test_every_row_that_cannot_be_read_is_named_with_its_reason(tmp_path: Path):
    rows = [
        {"input": "kept", "output": 0},
        {"input": "x"},
        {"input": "x", "output": "  "},
        {"input": None, "output": "y"},
        {"input": "x", "output": {"deep": 1}},
        "text",
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    path.write_text(path.read_text() + "{broken\n")
    found = read_examples(path)
    assert [(example.input, example.output) for example in found.examples] == [("kept", "0")]
    assert [skipped.where.rpartition("/")[2] for skipped in found.skipped] == ["1", "2", "3", "4", "5", "6"]
    assert all(skipped.why for skipped in found.skipped)
    assert len(found) + len(found.skipped) == 7


@pytest.mark.parametrize("text", ["", "\n\n", "{}"])
def test_a_file_without_examples_is_refused_or_empty_never_a_traceback(tmp_path: Path, text: str):
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(SourceError):
        read_examples(tmp_path / "rows.jsonl")


def test_a_folder_of_several_datasets_asks_which_one(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_jsonl(tmp_path / name / "train.jsonl", [{"input": "x", "output": "y"}])
    with pytest.raises(SourceError, match="holds 2 datasets"):
        read_examples(tmp_path)


def test_one_split_is_read_where_the_path_names_it(tmp_path: Path):
    for name in ("train", "test"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"input": f"{name} {n}", "output": "y"} for n in range(3)])
    both = read_examples(tmp_path)
    assert dict(both.splits) == {"train": 3, "test": 3}
    assert list(both.split_of()) == ["train"] * 3 + ["test"] * 3
    one = read_examples(f"{tmp_path}:test")
    assert one.name.endswith(":test")
    assert [example.input for example in one.examples] == ["test 0", "test 1", "test 2"]
    with pytest.raises(SourceError, match="has no split 'dev'; it has train, test"):
        read_examples(tmp_path, split="dev")


def test_a_limit_is_told(tmp_path: Path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"input": str(n), "output": "y"} for n in range(10)])
    assert not read_examples(path, limit=9).complete
    assert read_examples(path, limit=10).complete
    assert len(read_examples(path, limit=0)) == 0


def test_the_same_rows_have_the_same_ids_and_no_two_share_one(tmp_path: Path):
    rows = [{"input": "same", "output": "y"}] * 5
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    first = [example.id for example in read_examples(path).examples]
    assert first == [example.id for example in iter_examples(path)]
    assert len(set(first)) == 5


def test_a_card_gives_licence_and_label_names(tmp_path: Path):
    head = "---\nlicense: mit\nlanguage: en\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n"
    names = "  - name: label\n    dtype:\n      class_label:\n        names: {'0': bad, '1': good}\n---\n"
    (tmp_path / "README.md").write_text(head + names)
    write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": 0}])
    found = read_examples(tmp_path)
    assert [example.output for example in found.examples] == ["good", "bad"]
    assert found.licence == "mit"
    assert found.examples[0].origin.licences == ("mit",)


def task_json() -> dict[str, Any]:
    return {
        "name": "tiny",
        "description": "about it",
        "task_prefix": "Which makes more sense?",
        "examples": [
            {
                "input": "",
                "target_scores": {"It rained because  it was wet.": 0.0, "It was wet because it rained.": 1.0},
            },
            {"input": "2 + 2", "target": ["4", "four"]},
            {"input": "nothing", "target": ""},
        ],
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_a_big_bench_task_is_read_with_its_options(tmp_path: Path, zipped: bool):
    data = json.dumps(task_json()).encode()
    path = tmp_path / ("task.json.gz" if zipped else "task.json")
    path.write_bytes(gzip.compress(data) if zipped else data)
    found = read_examples(path)
    first, second = found.examples
    assert first.choices == ("It rained because it was wet.", "It was wet because it rained.")
    assert first.output == "It was wet because it rained."
    assert first.input.startswith("choice: It rained")
    assert (second.input, second.output, second.choices) == ("2 + 2", "4", None)
    assert [skipped.why for skipped in found.skipped] == ["it has no output (neither target nor target_scores)"]
    assert found.instruction == "Which makes more sense?"


def test_a_task_file_is_not_taken_for_a_dataset(tmp_path: Path):
    task = {"instruction": "Do it.", "demonstrations": [{"input": "a", "output": "b"}]}
    (tmp_path / "task.json").write_text(json.dumps(task))
    with pytest.raises(SourceError, match="is a task file, not a dataset"):
        read_examples(tmp_path / "task.json")


def made(number: int, **more: Any) -> Example:
    origin = Origin(
        "datatune", "src", "rev", "default", "train", str(number), licences=("mit", "cc0-1.0"), calls=("c",)
    )
    return Example(f"{number:016x}", f"input {number}", f"output {number}", origin, **more)


def test_a_run_is_read_back_as_it_was_written_with_its_origins(tmp_path: Path):
    train = [made(n, rationale="since", choices=("output 1", "z")) for n in range(3)]
    test = [made(n, weight=0.5) for n in range(3, 5)]
    write_examples(tmp_path, {"train": train, "test": test}, [])
    found = read_examples(tmp_path)
    assert list(found.examples) == [*train, *test]
    assert dict(found.splits) == {"train": 3, "test": 2}


def test_a_run_whose_data_were_edited_keeps_the_origins_of_the_rows_that_are_left(tmp_path: Path):
    write_examples(tmp_path, {"train": [made(n) for n in range(4)]}, [])
    file = next((tmp_path / "data").glob("*.parquet"))
    table = pq.read_table(file)
    pq.write_table(table.take(pa.array([3, 1, 1])), file)
    found = read_examples(tmp_path)
    assert [example.origin.record for example in found.examples] == ["3", "1", "1"]
    assert len({example.id for example in found.examples}) == 3


def test_a_dataset_written_again_loses_the_splits_that_are_gone(tmp_path: Path):
    write_examples(tmp_path, {"train": [made(1)], "test": [made(2)]}, [Dropped("x", Origin("m"), "s", "ok", "why")])  # type: ignore[arg-type]
    write_examples(tmp_path, {"train": [made(3)]}, [])
    assert [example.id for example in read_examples(tmp_path).examples] == [made(3).id]
    assert not list((tmp_path / "dropped").glob("*.parquet"))


def test_text_of_every_script_comes_through_as_it_is(tmp_path: Path):
    texts = ["😀👩‍👩‍👧", "مرحبا كيف حالك", "今天天气怎么样", "שלום עולם", "a\u2028b", "e\u0301"]
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([text, "x"] for text in texts)])
    assert [text for text, _ in pairs(tmp_path / "rows.csv")] == texts


@pytest.mark.data
def test_every_labelled_dataset_of_the_shared_folder_is_read_or_asks_for_its_columns(shared_data: Path):
    asked = []
    for folder in sorted((shared_data / "hub").iterdir()):
        try:
            found = read_examples(folder, limit=200)
        except SourceError as error:
            assert "--columns" in str(error)  # noqa: PT017
            asked.append(folder.name)
        else:
            assert len(found) + len(found.skipped) >= 56
    assert asked == ["ecare_explanation", "restaurant8k", "rumedner"]
