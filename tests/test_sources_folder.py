"""Folders as people have them: with and without cards, whole and broken, and the records that come out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.errors import SourceError
from upcycle.records import Record
from upcycle.sources.files.folder import FolderSource
from upcycle.sources.source import Source, open_sources


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def card(yaml: str, body: str = "# A dataset\n") -> str:
    return f"---\n{dedent(yaml).strip()}\n---\n{body}"


def only(path: Path) -> Source:
    sources, left_out = open_sources([str(path)])
    assert left_out == []
    (source,) = sources
    return source


def where(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    return [(record.config, record.split, record.id) for record in records]


ROW = '{"q": "a"}\n'


def test_a_folder_of_split_files_is_one_dataset_named_after_the_folder(tmp_path: Path) -> None:
    folder = put(tmp_path / "mine", {"train.jsonl": ROW * 2, "dev.jsonl": ROW, "test.csv": "q\nb\n"})
    source = only(folder)
    assert source.card.id == "mine"
    assert where(list(source.records())) == [
        ("default", "train", "0"),
        ("default", "train", "1"),
        ("default", "validation", "0"),
        ("default", "test", "0"),
    ]
    assert (source.card.rows, source.card.bytes) == (4, 37)


def test_a_folder_of_datasets_holds_one_for_each_folder_and_each_group_of_files(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "one/train.jsonl": ROW,
        "two/data/train-00000-of-00002.jsonl": ROW,
        "two/data/train-00001-of-00002.jsonl": ROW,
        "three/train/a.jsonl": ROW,
        "three/test/a.jsonl": ROW,
        "org/four/rows.csv": "q\n1\n",
        "sst-2.csv": "q\n1\n",
        "sst-5_train.csv": "q\n1\n",
        "sst-5_test.csv": "q\n1\n",
        ".hidden/train.jsonl": ROW,
        "notes.txt": "not data",
    }
    sources, left_out = open_sources([str(put(tmp_path, files))])
    assert left_out == []
    assert {source.card.id: source.card.rows for source in sources} == {
        "one": 1,
        "two": 2,
        "three": 2,
        "org/four": 1,
        "sst-2": 1,
        "sst-5": 2,
    }


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    put(tmp_path, {"reviews.csv": "text,label\nfine,1\n"})
    source = only(tmp_path / "reviews.csv")
    assert (source.card.id, source.card.rows, source.card.path) == ("reviews", 1, str(tmp_path / "reviews.csv"))
    assert [record.fields for record in source.records()] == [{"text": "fine", "label": 1}]


CONFIGS = {
    "a list of split and path": """
        configs:
        - config_name: default
          data_files:
          - split: train
            path: a/*.jsonl
          - split: test
            path: [b.jsonl]
        """,
    "a dict of splits": """
        configs:
        - config_name: default
          data_files: {train: a/*.jsonl, test: b.jsonl}
        """,
    "top level data files": """
        data_files:
          train: a/**
          test: b.jsonl
        """,
}


@pytest.mark.parametrize("yaml", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_card_says_which_file_is_which_split(tmp_path: Path, yaml: str) -> None:
    folder = put(tmp_path / "d", {"README.md": card(yaml), "a/x.jsonl": ROW, "a/y.jsonl": ROW, "b.jsonl": ROW})
    put(folder, {"extra.jsonl": ROW})
    source = only(folder)
    assert where(list(source.records())) == [
        ("default", "train", "0"),
        ("default", "train", "1"),
        ("default", "test", "0"),
    ]


@pytest.mark.parametrize("files", ["x.jsonl", "[x.jsonl]", "'*.jsonl'"])
def test_data_files_without_a_split_are_the_training_split(tmp_path: Path, files: str) -> None:
    yaml = f"configs:\n- config_name: small\n  data_files: {files}"
    source = only(put(tmp_path / "d", {"README.md": card(yaml), "x.jsonl": ROW}))
    assert where(list(source.records())) == [("small", "train", "0")]


def test_several_configurations_are_read_one_by_one_or_together(tmp_path: Path) -> None:
    yaml = """
        configs:
        - config_name: en
          data_dir: english
        - config_name: ru
          data_files: [{split: test, path: russian.jsonl}]
        """
    files: dict[str, str | bytes] = {
        "README.md": card(yaml),
        "english/train.jsonl": ROW,
        "english/test.jsonl": ROW * 2,
        "russian.jsonl": ROW,
    }
    source = only(put(tmp_path / "d", files))
    assert len(list(source.records())) == 4
    assert where(list(source.records(config="ru"))) == [("ru", "test", "0")]
    assert len(list(source.records(split="test"))) == 3
    assert [(c.name, [(s.name, s.rows) for s in c.splits]) for c in source.card.configs] == [
        ("en", [("train", 1), ("test", 2)]),
        ("ru", [("test", 1)]),
    ]
    with pytest.raises(SourceError, match="no configuration 'de'; it has en, ru"):
        source.records(config="de")
    with pytest.raises(SourceError, match="no split 'dev'; it has train, test"):
        source.records(split="dev")


def test_a_card_cannot_name_data_outside_its_folder(tmp_path: Path) -> None:
    put(tmp_path, {"secret.jsonl": ROW, "d/README.md": card("configs: [{data_files: [../secret.jsonl, x.jsonl]}]")})
    put(tmp_path, {"d/x.jsonl": ROW})
    sources, left_out = open_sources([str(tmp_path / "d")])
    assert len(list(sources[0].records())) == 1
    assert ["outside its own folder" in why for _, why in left_out] == [True]


def test_the_card_is_read_with_licence_languages_columns_and_text(tmp_path: Path) -> None:
    yaml = """
        pretty_name: Yes or no
        license: cc-by-4.0
        language: [en, no]
        task_categories: [text-classification]
        tags: [weather]
        """
    body = "# Yes\n\nAsked on the street.\n\n## Columns\n\n- `q`: what was asked\n- **n** (int): how often\n"
    source = only(put(tmp_path / "d", {"README.md": card(yaml, body), "train.jsonl": '{"q": "a", "n": 1}\n'}))
    found = source.card
    assert (found.name, found.licence, found.languages) == ("Yes or no", "cc-by-4.0", ("en", "no"))
    assert (found.categories, found.tags) == (("text-classification",), ("weather",))
    assert found.text.startswith("# Yes")
    assert [(c.name, c.dtype, c.description) for c in found.columns] == [
        ("q", "string", "what was asked"),
        ("n", "int", "how often"),
    ]


NAMES = {
    "a mapping": "{class_label: {names: {'0': bad, '1': good}}}",
    "a list": "{class_label: {names: [bad, good]}}",
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("info", ["{features: [F]}", "[{config_name: default, features: [F]}]"], ids=["dict", "list"])
def test_label_integers_become_the_names_that_the_card_declares(tmp_path: Path, names: str, info: str) -> None:
    yaml = f"dataset_info: {info}".replace("F", f"{{name: label, dtype: {names}}}")
    content = "text,label\na,0\nb,1\nc,-1\nd,7\n"
    source = only(put(tmp_path / "d", {"README.md": card(yaml), "train.csv": content}))
    assert [record.fields["label"] for record in source.records()] == ["bad", "good", None, 7]
    (_, label) = source.card.columns
    assert (label.dtype, label.labels) == ("label", ("bad", "good"))


def test_labels_inside_lists_and_from_parquet_metadata_are_decoded(tmp_path: Path) -> None:
    features = {"tags": {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = pa.table({"tags": [[0, 1, 0]]})
    table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    pq.write_table(table, tmp_path / "train.parquet")
    assert [record.fields for record in only(tmp_path).records()] == [{"tags": ["O", "B", "O"]}]


def test_nested_columns_are_the_same_in_every_record(tmp_path: Path) -> None:
    rows = [{"a": []}, {"a": [{"text": "x", "at": 1}]}, {"a": None}]
    source = only(put(tmp_path / "d", {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}))
    assert [set(record.fields) for record in source.records()] == [{"a.text", "a.at"}] * 3
    assert [(c.name, c.dtype) for c in source.card.columns] == [("a.text", "list[string]"), ("a.at", "list[int]")]


def test_an_unreadable_file_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "good/train.jsonl": ROW,
        "good/test.jsonl": "",
        "corrupt/train.parquet": b"PAR1 nothing PAR1",
        "binary.csv": b"\x7fELF\x00\x00",
        "latin.csv": "q\ncaf\xe9\n".encode("latin-1"),
    }
    sources, left_out = open_sources([str(put(tmp_path, files))])
    assert [source.card.id for source in sources] == ["good"]
    assert {Path(name).relative_to(tmp_path).as_posix() for name, _ in left_out} == {
        "good/test.jsonl",
        "corrupt/train.parquet",
        "binary.csv",
        "latin.csv",
    }
    assert all(why and "\n" not in why for _, why in left_out)


def test_a_damaged_record_is_reported_and_keeps_its_number(tmp_path: Path) -> None:
    source = only(put(tmp_path / "d", {"train.jsonl": '{"q": 1}\n{oops\n{"q": 3}\n'}))
    told: list[tuple[str, str]] = []
    records = list(source.records(skip=lambda ref, why: told.append((ref, why))))
    assert [record.ref for record in records] == ["default/train/0", "default/train/2"]
    assert [ref for ref, _ in told] == ["default/train/1"]
    assert "not JSON" in told[0][1]


def test_a_file_that_breaks_in_the_middle_is_reported_and_the_next_one_is_read(tmp_path: Path) -> None:
    put(tmp_path / "d", {"train-00000-of-00002.json": '[{"q": 1}, {"q": 2', "train-00001-of-00002.json": '[{"q": 3}]'})
    told: list[tuple[str, str]] = []
    records = list(only(tmp_path / "d").records(skip=lambda ref, why: told.append((ref, why))))
    assert [record.fields["q"] for record in records] == [1, 3]
    assert told[0][0].endswith("train-00000-of-00002.json")
    assert "after number 0" in told[0][1]


def test_front_matter_that_is_not_yaml_is_named_and_the_data_are_read_without_it(tmp_path: Path) -> None:
    put(tmp_path / "d", {"README.md": "---\nlicense: [mit\n---\n# Body\n", "train.jsonl": ROW})
    sources, left_out = open_sources([str(tmp_path / "d")])
    assert sources[0].card.licence is None
    assert sources[0].card.text.endswith("# Body\n")
    assert left_out[0][0].endswith("README.md")
    assert "not valid YAML (line" in left_out[0][1]


def test_a_name_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no source"):
        open_sources([str(tmp_path / "nowhere"), "stdlib"])


def test_no_readable_source_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl": "", "b.txt": "text"})
    with pytest.raises(SourceError, match=r"no source can be read: .*a\.jsonl: it is empty"):
        open_sources([str(tmp_path)])
    with pytest.raises(SourceError, match="not a kind of file that can be read"):
        open_sources([str(tmp_path / "b.txt")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no data file was found"):
        open_sources([str(tmp_path / "empty")])


def test_two_datasets_of_one_name_get_two_ids_and_the_same_one_given_twice_is_one(tmp_path: Path) -> None:
    put(tmp_path, {"x/mine/train.jsonl": ROW, "y/mine/train.jsonl": ROW * 2})
    names = [str(tmp_path / "x" / "mine"), str(tmp_path / "y" / "mine"), str(tmp_path / "x" / ".." / "x" / "mine")]
    sources, _ = open_sources(names)
    assert [source.card.id for source in sources] == ["mine", "y/mine"]
    assert [record.source for source in sources for record in source.records()] == ["mine", "y/mine", "y/mine"]


def test_the_revision_is_that_of_the_data_and_changes_with_them(tmp_path: Path) -> None:
    one = only(put(tmp_path / "one", {"train.jsonl": ROW})).card.revision
    same = only(put(tmp_path / "two", {"train.jsonl": ROW})).card.revision
    other = only(put(tmp_path / "three", {"train.jsonl": ROW.replace("a", "b")})).card.revision
    assert one == same
    assert one != other
    assert [record.revision for record in only(tmp_path / "one").records()] == [one]


def test_a_record_of_a_million_characters_is_read(tmp_path: Path) -> None:
    source = only(put(tmp_path / "d", {"train.jsonl": json.dumps({"q": "x" * 1_000_000}) + "\n" + ROW}))
    assert [len(record.fields["q"]) for record in source.records()] == [1_000_000, 1]


def test_records_are_read_as_they_are_taken(tmp_path: Path) -> None:
    source = only(put(tmp_path / "d", {"train.jsonl": ROW * 50_000}))
    assert len(list(islice(source.records(), 3))) == 3
    assert source.card.rows == 50_000


@pytest.mark.data
def test_all_fifty_datasets_of_the_shared_hub_read_with_every_row(shared_data: Path) -> None:
    sources, left_out = open_sources([str(shared_data / "hub")])
    assert left_out == []
    assert len(sources) == 50
    for source in sources:
        assert isinstance(source, FolderSource)
        stated = {name: int(rows) for name, rows in re.findall(r"- `([^`]+)`: (\d+) rows", source.card.text)}
        assert stated, source.card.id
        told: list[tuple[str, str]] = []
        read: dict[str, int] = {}
        names = {split.name: split.files[0] for config in source.card.configs for split in config.splits}
        for record in source.records(skip=lambda ref, why, told=told: told.append((ref, why))):
            read[names[record.split]] = read.get(names[record.split], 0) + 1
        assert (read, told) == (stated, []), source.card.id
        assert source.card.rows == sum(stated.values())


@pytest.mark.data
def test_the_labels_of_the_shared_hub_are_names_wherever_the_card_names_them(shared_data: Path) -> None:
    for name, expected in {"sst2": {"negative", "positive"}, "subj": {"subjective", "objective"}}.items():
        assert {record.fields["label"] for record in only(shared_data / "hub" / name).records()} == expected
