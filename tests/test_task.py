from pathlib import Path

import pytest

from upcycle.api import resolve
from upcycle.config import Source2Synth, make_config
from upcycle.errors import ConfigError
from upcycle.task import make_task, read_demonstrations
from upcycle.taskfile import json_schema, load_task_file


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task_file_gives_task_and_settings(tmp_path: Path):
    write(tmp_path / "demos.jsonl", '{"input": "a", "output": "1"}\n{"input": "b", "output": 2}\n')
    file = write(
        tmp_path / "task.yaml",
        "instruction: Count the letters.\ndemonstrations: demos.jsonl\nrows: 70\nsources: [./data, stdlib]\n"
        "model: openai/some\nbudget: 5usd\ncontract: {max_chars: 9}\nlanguage: no\nmetric: exact_match\n",
    )
    task, settings = load_task_file(file)
    assert [d.output for d in task.demonstrations] == ["1", "2"]
    assert task.contract.max_chars == 9
    assert task.language == "no", "YAML 1.1 would have read false"
    assert settings["sources"] == (str(tmp_path / "data"), "stdlib")
    assert settings["budget"].usd == 5
    _, config = resolve(file, rows=9)
    assert config.rows == 9, "a flag wins over the file"
    assert config.model.executor == "openai/some"


def test_a_source_in_a_task_file_is_looked_for_beside_it(tmp_path: Path):
    (tmp_path / "school").mkdir()
    text = "instruction: Do it.\nsources: [school, ./away, elsewhere, stdlib, 'python:rich']\n"
    _, settings = load_task_file(write(tmp_path / "task.yaml", text))
    beside = (str(tmp_path / "school"), str(tmp_path / "away"))
    assert settings["sources"] == (*beside, "elsewhere", "stdlib", "python:rich")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("instruction: Do it.\nrows: 5\nrowz: 6\n", r"task.yaml:3: unknown key 'rowz'; known keys: .*rows"),
        ("instruction: Do it.\n\nrows: many\n", r"task.yaml:3: rows: .*integer"),
        ("instruction: Do it.\ndemonstrations:\n  - {input: a, output: b}\n  - {input: c}\n", r"task.yaml:4: .*output"),
        ("rows: 5\n", r"task.yaml:1: instruction: Field required"),
        ("instruction: [", r"task.yaml:1: not valid YAML"),
        ("- a\n- b\n", r"expected keys and values, found list"),
        ("instruction: Do it.\ncontract:\n  maxchars: 4\n", r"task.yaml:3: unknown key 'contract.maxchars'"),
        ("instruction: Do it.\ncontract:\n  max_chars: many\n", r"task.yaml:3: contract.max_chars: .*integer"),
        (
            "instruction: Do it.\nmethods:\n  datatune:\n    votes: many\n",
            r"task.yaml:4: methods.datatune.votes: .*integer",
        ),
        ("instruction: Do it.\nsplit: {test: 1}\n", r"task.yaml:2: split: split names train"),
        ("instruction: Do it.\nlicence: gpl\n", r"task.yaml:2: licence: .*'permissive' or 'any'"),
        ("instruction: Do it.\nconcurrency: 0\n", r"task.yaml:2: concurrency: .*greater than or equal to 1"),
        ("instruction: ' '\n", r"task.yaml"),
        ("instruction: Do it.\nmethods: [magic]\n", r"method 'magic' is not there; known methods: datatune"),
        ("instruction: Do it.\nmethods:\n  source2synth: {slice: 0}\n", r"task.yaml:3: .*slice: [^()]*equal to 1$"),
        (
            "instruction: Do it.\nmethods:\n  source2synth: {slice: 0, hops: 1}\n",
            r"methods.source2synth.hops: .* \(and 1 more\)$",
        ),
        ("instruction: Do it.\nmethods: {}\nrows: 0\n", r"task.yaml:3: rows: [^()]*$"),
        ("instruction: Do it.\nsources: ['']\n", r"task.yaml:2: sources.*: a source is an empty text; name a folder"),
        (
            "instruction: Do it.\nmethods:\n  source2synth: {source: ''}\n",
            r"methods.source2synth.source: a source is an empty text; name a folder",
        ),
        ("instruction: Do it.\nmetric: vibes\n", r"'vibes' is not a metric"),
        ("instruction: Do it.\nbudget: lots\n", r"task.yaml:2: budget: .*'lots' is not understood"),
        ("instruction: Do it.\ngold: gold.jsonl\n", r"gold: .*gold.jsonl does not exist"),
        ("instruction: Do it.\nmodel: {planer: openai/x}\n", r"task.yaml:2: unknown key 'model.planer'"),
    ],
)
def test_what_is_wrong_in_a_task_file_is_one_sentence_with_its_line(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_task_file(write(tmp_path / "task.yaml", text))
    assert "\n" not in str(caught.value)


def test_a_method_with_nothing_behind_it_has_its_defaults(tmp_path: Path):
    _, settings = load_task_file(write(tmp_path / "task.yaml", "instruction: Do it.\nmethods:\n  source2synth:\n"))
    assert make_config(settings).methods.named() == {"source2synth": Source2Synth()}


def test_a_source_without_a_name_is_refused_wherever_it_is_given():
    for settings in ({"sources": ("",)}, {"methods": {"source2synth": {"source": " "}}}):
        with pytest.raises(ConfigError, match="a source is an empty text; name a folder or a file"):
            make_config(settings)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("d.jsonl", '{"input": "a", "output": "b"}\n{"input": "c"}\n', "line 2 has no 'output'"),
        ("d.jsonl", '{"input": "a", "output": "b"}\n{oops\n', "line 2 is not JSON"),
        ("d.jsonl", "", "is empty"),
        ("d.csv", "input,label\na,b\n", "line 2 has no 'output'"),
        ("d.json", '{"input": "a"}', "must hold a list of rows"),
    ],
)
def test_demonstrations_that_miss_something_are_refused_with_their_line(tmp_path: Path, name, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_demonstrations(write(tmp_path / name, text))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary\x81", None])
def test_demonstrations_that_cannot_be_read_are_refused(tmp_path: Path, content: bytes | None):
    path = tmp_path / "d.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="does not exist" if content is None else "cannot be read as UTF-8"):
        read_demonstrations(path)


def test_a_line_separator_inside_a_string_is_not_a_new_row(tmp_path: Path):
    path = write(tmp_path / "d.jsonl", '{"input": "a\u2028b", "output": "c"}\n')
    assert len(read_demonstrations(path)) == 1


def test_csv_demonstrations_may_hold_line_breaks(tmp_path: Path):
    path = write(tmp_path / "d.csv", 'input,output\n"a\nb",c\n')
    assert read_demonstrations(path)[0].input == "a\nb"


def test_a_contract_that_rejects_the_users_own_demonstrations_is_a_setting_to_mend():
    with pytest.raises(ConfigError, match="demonstration 1 breaks the contract"):
        make_task("Do it.", demonstrations=resolve_demos(), contract={"max_chars": 1})


def resolve_demos():
    return resolve("Do it.", examples=[("a", "long enough"), ("b", "also long")])[0].demonstrations


def test_demonstrations_may_be_given_inline_as_pairs_or_dicts():
    task, _ = resolve("Do it.", examples=[("a", "1"), {"input": "b", "output": "2"}])
    assert task.pairs() == [("a", "1"), ("b", "2")]
    with pytest.raises(ConfigError, match="no 'output'"):
        resolve("Do it.", examples=[{"input": "b"}])


def test_given_labels_close_the_set_without_repeats():
    task, _ = resolve("Sort it.", contract={"labels": ["x", "y"]})
    assert task.contract.kind == "label"


def test_the_schema_of_the_task_file_is_exported():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert {"instruction", "demonstrations", "contract", "rows"} <= set(schema["properties"])


@pytest.mark.data
def test_the_shared_tasks_load_as_they_are(shared_data: Path):
    kinds = {}
    for file in sorted((shared_data / "tasks").glob("*/task.json")):
        task, _ = load_task_file(file)
        kinds[task.name] = task.contract.kind.value
    assert kinds == {
        "cause_and_effect": "choice",
        "code_line_description": "choice",
        "describe_python": "text",
        "elementary_math_qa": "choice",
        "imdb_sentiment": "label",
        "implicatures": "choice",
        "math_word_problems": "number",
        "multi_hop_qa": "text",
        "rte": "label",
    }
