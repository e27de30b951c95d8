"""Gold is read as it is published; a row that cannot be scored is counted by its reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.errors import ConfigError, UpcycleError
from upcycle.evaluation.evaluate import evaluate
from upcycle.evaluation.gold import GoldItem, GoldSet, PromptForm
from upcycle.evaluation.gold_files import read_gold_set


class Perfect:
    """Says the gold; the same question asked again gets the next one's answer."""

    def __init__(self, gold: GoldSet) -> None:
        self.answers: dict[str, list[GoldItem]] = {}
        for item in reversed(gold.items):
            self.answers.setdefault(gold.prompt.shown(item.input), []).append(item)

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        return [[self.answers[text].pop().output] * samples for text in inputs]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        found = []
        for text, options in zip(inputs, choices, strict=True):
            item = self.answers[text].pop()
            worth = dict(zip(item.choices or (), item.worths(), strict=True))
            found.append([worth[option] - 1 for option in options])
        return found

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def score_of_gold_itself(gold: GoldSet) -> float:
    """The least of all metrics that are told."""
    found = evaluate(Perfect(gold), gold.items, gold.metric, form=gold.prompt).estimates
    lengths = ("per_character", "normalized_aggregate_score")
    return min(one.value for name, one in found.items() if name not in lengths)


def bigbench(**more: Any) -> dict[str, Any]:
    return {
        "name": "colours",
        "description": "Name the colour.",
        "preferred_score": "multiple_choice_grade",
        "metrics": ["multiple_choice_grade"],
        "examples": [
            {"input": "the sky", "target_scores": {"blue": 1, "red": 0}},
            {"input": "blood", "target_scores": {"red": 1, "blue": 0, "green": 0}},
            {"input": "grey things", "target_scores": {"a": 0.5, "b": 1.0}},
        ],
        **more,
    }


def written(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_bigbench_is_asked_with_the_prompt_the_benchmark_makes(tmp_path: Path):
    prefixes = {"task_prefix": "Name it.", "example_input_prefix": "\nthing: ", "choice_prefix": "\n- "}
    task = bigbench(**prefixes, example_output_prefix="\ncolour: ")
    gold = read_gold_set(written(tmp_path / "task.json", task))
    asked = gold.prompt.asked(gold.items[0].input, [("snow", "white")])
    assert asked in (
        "Name it.\nthing: snow\ncolour: white\n\nthing: the sky\n- blue\n- red\ncolour: ",
        "Name it.\nthing: snow\ncolour: white\n\nthing: the sky\n- red\n- blue\ncolour: ",
    )
    assert gold.metric == "multiple_choice_grade"
    assert gold.items[0].answers == ("blue",)
    assert score_of_gold_itself(gold) == 1


def test_bigbench_uses_its_own_defaults_and_lists_no_choices_where_the_task_says_so(tmp_path: Path):
    usual = read_gold_set(written(tmp_path / "a" / "task.json", bigbench()))
    assert usual.prompt.asked(usual.items[0].input).startswith("\nQ: the sky\n  choice: ")
    assert usual.prompt.asked(usual.items[0].input).endswith("\nA: ")
    bare = read_gold_set(written(tmp_path / "b" / "task.json", bigbench(append_choices_to_input=False)))
    assert bare.items[0].input == "the sky"
    assert set(bare.items[0].choices or ()) == {"blue", "red"}


def test_bigbench_options_are_shuffled_by_seed_and_not_left_with_the_right_one_first(tmp_path: Path):
    examples = [{"input": f"{n}", "target_scores": {f"right {n}": 1, f"wrong {n}": 0}} for n in range(60)]
    file = written(tmp_path / "task.json", bigbench(examples=examples))
    first = [item.choices and item.choices[0].startswith("right") for item in read_gold_set(file).items]
    assert 15 < sum(map(bool, first)) < 45
    assert read_gold_set(file).items == read_gold_set(file).items
    assert read_gold_set(file).items != read_gold_set(file, seed=1).items


def test_bigbench_chance_is_worked_out_item_by_item_and_the_aggregate_is_zero_at_chance(tmp_path: Path):
    gold = read_gold_set(written(tmp_path / "task.json", bigbench()))
    assert [item.chance() for item in gold.items] == pytest.approx([1 / 2, 1 / 3, 3 / 4])

    class Blind(Perfect):
        def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
            return [[-1.0] * len(options) for options in choices]

    blind = evaluate(Blind(gold), gold.items, gold.metric, form=gold.prompt)
    best = evaluate(Perfect(gold), gold.items, gold.metric, form=gold.prompt)
    assert blind.beside["chance"] == pytest.approx((1 / 2 + 1 / 3 + 3 / 4) / 3)
    assert blind.estimates["normalized_aggregate_score"].value == pytest.approx(0)
    assert best.estimates["normalized_aggregate_score"].value == pytest.approx(100)


def test_bigbench_is_read_gzipped_and_by_its_subtasks(tmp_path: Path):
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(json.dumps(bigbench()).encode()))
    assert len(read_gold_set(tmp_path / "x.json.gz")) == 3
    folder = tmp_path / "parent"
    written(folder / "task.json", {"name": "parent", "description": "two", "keywords": []})
    written(folder / "task.one.json", bigbench())
    written(folder / "two" / "task.json", bigbench())
    assert len(read_gold_set(f"{folder}:one")) == len(read_gold_set(f"{folder}:two")) == 3
    with pytest.raises(ConfigError, match=r"has subtasks; name one of them, like .*parent:one \(there are one, two\)"):
        read_gold_set(folder)
    with pytest.raises(ConfigError, match="has no subtask 'three'"):
        read_gold_set(f"{folder}:three")


def test_bigbench_for_a_student_of_ours_lists_options_as_our_datasets_do(tmp_path: Path):
    gold = read_gold_set(written(tmp_path / "task.json", bigbench(task_prefix="Name it.")), published=False)
    assert gold.items[0].input.startswith("the sky\nchoice: ")
    assert gold.prompt == PromptForm()


def test_bigbench_targets_are_all_right_answers_and_another_preferred_score_is_said(tmp_path: Path):
    task = bigbench(preferred_score="rouge", examples=[{"input": "2 + 2", "target": ["4", "four"]}])
    gold = read_gold_set(written(tmp_path / "task.json", task))
    assert gold.items[0].answers == ("4", "four")
    assert gold.metric == "exact_match"
    assert "prefers rouge" in gold.notes[0]


def test_rows_that_cannot_be_scored_are_counted_by_their_reason(tmp_path: Path):
    rows = [
        {"input": "a", "output": "x", "choices": ["x", "y"]},
        {"input": "b", "output": "z", "choices": ["x", "y"]},
        {"input": "c", "output": "", "choices": ["x", "y"]},
    ]
    file = tmp_path / "gold.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    gold = read_gold_set(file)
    assert [item.output for item in gold.items] == ["x"]
    assert gold.left_out["have an answer that is not among their choices"] == 1
    assert sum(gold.left_out.values()) == 2


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_rows_of_input_and_output_are_read_from_any_file(tmp_path: Path, kind: str):
    rows = [{"input": f"text {n}", "output": "yes" if n % 2 else "no"} for n in range(20)]
    file = tmp_path / f"gold.{kind}"
    if kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        file.write_text("input,output\n" + "".join(f"{row['input']},{row['output']}\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    gold = read_gold_set(file)
    assert len(gold) == 20
    assert gold.metric == "accuracy"
    assert score_of_gold_itself(gold) == 1


def test_squad_is_read_from_its_own_json_and_from_rows(tmp_path: Path):
    asked = {"id": "q1", "question": "Where?", "answers": [{"text": "in Oslo", "answer_start": 3}, {"text": "Oslo"}]}
    never = {"id": "q2", "question": "When?", "answers": [], "is_impossible": True}
    whole = {"version": "2", "data": [{"paragraphs": [{"context": "It in Oslo.", "qas": [asked, never]}]}]}
    gold = read_gold_set(written(tmp_path / "dev.json", whole))
    assert gold.items[0].input == "Context: It in Oslo.\nQuestion: Where?"
    assert gold.items[0].answers == ("in Oslo", "Oslo")
    assert gold.left_out == {"have no answer in their context (SQuAD 2.0)": 1}
    row = {"id": "q1", "context": "It in Oslo.", "question": "Where?",
           "answers": {"text": ["in Oslo", "Oslo"], "answer_start": [3, 6]}}  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    rows = read_gold_set(file)
    assert rows.items == gold.items
    assert rows.metric == gold.metric == "squad"
    assert score_of_gold_itself(rows) == 1


def test_hotpotqa_is_read_in_both_its_shapes(tmp_path: Path):
    lists = {"_id": "h", "question": "Who?", "answer": "Ada", "context": [["Ada", ["She ", "wrote."]], ["Bo", ["No."]]]}
    nested = {"id": "h", "question": "Who?", "answer": "Ada",
              "context": {"title": ["Ada", "Bo"], "sentences": [["She ", "wrote."], ["No."]]}}  # fmt: skip
    sets = []
    for number, row in enumerate((lists, nested)):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(json.dumps(row) + "\n")
        sets.append(read_gold_set(file))
    assert sets[0].items[0].input == "Context: Ada: She wrote.\nBo: No.\nQuestion: Who?"
    assert sets[0].items == sets[1].items
    assert sets[0].metric == "soft_exact_match"
    assert score_of_gold_itself(sets[0]) == 1


def test_questions_over_tables_show_the_table_and_take_answers_in_any_order(tmp_path: Path):
    table = {"id": "t1", "header": ["city", "rain"], "rows": [["Oslo", 3], ["Rome", 1]], "page_title": "Weather"}
    (tmp_path / "dev.tables.jsonl").write_text(json.dumps(table) + "\n")
    questions = [
        {"table_id": "t1", "question": "Which cities?", "answer": ["Oslo", "Rome"]},
        {"table_id": "t1", "question": "How much rain in Oslo?", "answer": [3.0]},
        {"table_id": "t9", "question": "Lost?", "answer": [1]},
    ]
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    gold = read_gold_set(tmp_path / "dev.jsonl")
    first, second = gold.items
    assert first.input == "Table: Weather\ncity | rain\nOslo | 3\nRome | 1\nQuestion: Which cities?"
    assert first.listed == ("Oslo", "Rome")
    assert second.answers == ("3",)
    assert gold.left_out == {"ask of a table that is not there": 1}
    assert score_of_gold_itself(gold) == 1
    (tmp_path / "dev.tables.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"there is no file of tables beside it; put dev\.tables\.jsonl there"):
        read_gold_set(tmp_path / "dev.jsonl")


def test_a_table_inside_the_row_is_read_too(tmp_path: Path):
    row = {"question": "How many?", "table": {"header": ["n", "m"], "rows": [["4", "x"], ["5", "y"]]}, "answer": "2"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    assert read_gold_set(tmp_path / "x.jsonl").items[0].input == "n | m\n4 | x\n5 | y\nQuestion: How many?"


def test_a_task_file_gives_its_gold_metric_instruction_and_demonstrations(tmp_path: Path):
    (tmp_path / "gold.jsonl").write_text('{"input": "2 + 2", "output": "4"}\n')
    (tmp_path / "task.yaml").write_text(
        "instruction: Add the numbers.\nmetric: exact_match\ngold: gold.jsonl\n"
        "demonstrations: [{input: 1 + 1, output: '2'}, {input: 1 + 2, output: '3'}]\n"
    )
    gold = read_gold_set(tmp_path / "task.yaml")
    assert (gold.metric, gold.instruction) == ("exact_match", "Add the numbers.")
    assert gold.shown == (("1 + 1", "2"), ("1 + 2", "3"))


def test_a_dataset_of_several_splits_is_scored_on_its_test_split(tmp_path: Path):
    for split, word in (("train", "seen"), ("test", "unseen")):
        pq.write_table(pa.table({"input": [f"{word} {n}" for n in range(3)], "output": ["a", "b", "a"]}),
                       tmp_path / f"{split}.parquet")  # fmt: skip
    assert {item.input for item in read_gold_set(tmp_path).items} == {"unseen 0", "unseen 1", "unseen 2"}
    assert {item.input for item in read_gold_set(f"{tmp_path}:train").items} == {"seen 0", "seen 1", "seen 2"}


def test_items_with_one_id_get_ids_of_their_own(tmp_path: Path):
    rows = [{"id": "q", "question": f"Which {n}?", "answers": [str(n)]} for n in range(3)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [item.id for item in read_gold_set(tmp_path / "x.jsonl").items] == ["q", "q#2", "q#3"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("none.jsonl", None, "there is no gold"),
        ("empty.jsonl", "", "it is empty"),
        ("text.jsonl", "hello\n", "JSON"),
        ("other.jsonl", '{"a": 1, "b": 2}\n', "not clear which column"),
        (
            "lost.jsonl",
            '{"input": "a", "output": "z", "choices": ["x", "y"]}\n',
            r"no gold item .*not among their choices",
        ),
        ("broken.json", '{"examples": [', "broken.json"),
    ],
)
def test_gold_that_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, name: str, content: str | None, why: str):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UpcycleError, match=why) as caught:
        read_gold_set(tmp_path / name)
    assert "\n" not in str(caught.value)


# -- as published --------------------------------------------------------------------------------------------------

PUBLISHED = [
    ("bigbench/cause_and_effect:two_sentences", 51, "multiple_choice_grade"),
    ("bigbench/code_line_description", 60, "multiple_choice_grade"),
    ("bigbench/implicatures", 492, "multiple_choice_grade"),
    ("bigbench/elementary_math_qa/task.question_only.json.gz", 7688, "multiple_choice_grade"),
    ("tasks/rte/task.json", 274, "accuracy"),
    ("documents/hotpotqa", 500, "soft_exact_match"),
    ("tables/wikisql_join/dev.jsonl", 1588, "exact_match"),
    pytest.param("tables/wikitablequestions/train.jsonl", 5883, "exact_match", marks=pytest.mark.slow),
    ("s3/adqa", 3000, "squad"),
    ("s3/imdb:test_gold", 2000, "accuracy"),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "items", "metric"), PUBLISHED)
def test_published_gold_is_read_whole_and_scores_one_against_itself(
    shared_data: Path, name: str, items: int, metric: str
):
    gold = read_gold_set(shared_data / name)
    assert (len(gold), gold.metric, dict(gold.left_out)) == (items, metric, {})
    assert score_of_gold_itself(gold) == 1


@pytest.mark.data
@pytest.mark.parametrize("task", ["code_line_description", "implicatures"])
def test_chance_of_bigbench_tasks_is_the_published_one(shared_data: Path, task: str):
    known = json.loads((shared_data / "bigbench" / "_baselines" / "baselines.json").read_text())[task]
    gold = read_gold_set(shared_data / "bigbench" / task)
    chance = sum(item.chance() or 0 for item in gold.items) / len(gold)
    assert 100 * chance == pytest.approx(known["random_baseline_multiple_choice_grade"])
