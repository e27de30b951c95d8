"""Files of every kind, whole and broken, made here and read back."""

from __future__ import annotations

import base64
import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from upcycle.errors import SourceError
from upcycle.sources.files.columnar import class_names
from upcycle.sources.files.flatten import flatten, learn_shape
from upcycle.sources.files.opened import kind_of
from upcycle.sources.files.readers import count, probe, rows
from upcycle.sources.files.tabular import Damaged

ROWS = [{"q": "one", "n": 1}, {"q": "двa", "n": 2}, {"q": "三", "n": 3}]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(values: list[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def written(folder: Path, name: str) -> Path:
    path = folder / name
    table = pa.Table.from_pylist(ROWS)
    header = "q,n\n"
    match name:
        case "a.jsonl" | "a.ndjson":
            write(path, lines(ROWS))
        case "a.jsonl.gz":
            write(path, gzip.compress(lines(ROWS).encode()))
        case "a.json":
            write(path, json.dumps(ROWS, indent=2))
        case "a.csv":
            write(path, header + "one,1\nдвa,2\n三,3\n")
        case "a.csv.gz":
            write(path, gzip.compress((header + "one,1\nдвa,2\n三,3\n").encode()))
        case "a.tsv":
            write(path, "q\tn\none\t1\nдвa\t2\n三\t3\n")
        case "a.parquet":
            pq.write_table(table, path)
        case "a.feather":
            feather.write_feather(table, path)
        case "a.arrow":
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
        case "a.ipc":
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as stream:
                stream.write_table(table)
    return path


KINDS = ("jsonl", "ndjson", "jsonl.gz", "json", "csv", "csv.gz", "tsv", "parquet", "feather", "arrow", "ipc")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, f"a.{kind}")
    assert list(rows(path)) == ROWS
    assert count(path) == 3
    assert probe(path) is None


@pytest.mark.parametrize("name", ["a.txt", "a.parquet.gz", "a.py", "README.md", "a.gz"])
def test_other_kinds_of_files_are_not_taken(name: str) -> None:
    assert kind_of(Path(name)) is None


def test_a_line_separator_inside_a_string_does_not_end_a_jsonl_row(tmp_path: Path) -> None:
    text = "a\u2028b\x0cc\x85d"
    assert list(rows(write(tmp_path / "a.jsonl", lines([{"t": text}])))) == [{"t": text}]


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert list(rows(write(tmp_path / "a.jsonl", mark + b'{"q": 1}\n'))) == [{"q": 1}]
    assert list(rows(write(tmp_path / "a.json", mark + b'[{"q": 1}]'))) == [{"q": 1}]
    assert list(rows(write(tmp_path / "a.csv", mark + b"q\n1\n"))) == [{"q": 1}]


def test_a_damaged_jsonl_line_costs_one_row_and_says_why(tmp_path: Path) -> None:
    content = b'{"q": 1}\n{"q": \n\n[1, 2]\n"text"\n{"q": "\xff"}\n{"q": "\\ud800"}\n{"q": NaN}\n{"q": 2}'
    read = list(rows(write(tmp_path / "a.jsonl", content)))
    assert [row for row in read if isinstance(row, dict)] == [{"q": 1}, {"q": None}, {"q": 2}]
    reasons = [row.reason for row in read if isinstance(row, Damaged)]
    assert len(reasons) == 5
    assert "it is not JSON" in reasons[0]
    assert "list" in reasons[1]
    assert "UTF-8" in reasons[3]
    assert "Unicode" in reasons[4]


def test_deeply_nested_json_costs_one_row(tmp_path: Path) -> None:
    deep = '{"a": ' * 5000 + "1" + "}" * 5000
    read = list(rows(write(tmp_path / "a.jsonl", f'{deep}\n{{"a": 1}}\n')))
    assert isinstance(read[0], Damaged)
    assert read[1] == {"a": 1}


def test_a_json_array_is_read_element_by_element_however_long_one_is(tmp_path: Path) -> None:
    values = [{"t": "x" * size, "n": size} for size in (1, 70_000, 1_000_000, 5, 200_000)]
    assert list(rows(write(tmp_path / "a.json", json.dumps(values)))) == values


def test_a_json_array_that_is_cut_short_gives_what_it_holds_and_then_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"n": 1}, {"n": 2}, {"n":')
    reader = rows(path)
    assert [next(reader), next(reader)] == [{"n": 1}, {"n": 2}]
    with pytest.raises(SourceError, match="cut short"):
        next(reader)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"version": 1, "data": [{"n": 1}, {"n": 2}]}, [{"n": 1}, {"n": 2}]),
        ({"a": {"n": 1}, "b": {"n": 2}}, [{"key": "a", "n": 1}, {"key": "b", "n": 2}]),
        ({"n": [1, 2], "m": [3, 4]}, [{"n": 1, "m": 3}, {"n": 2, "m": 4}]),
        ({"n": 1, "m": "x"}, [{"n": 1, "m": "x"}]),
    ],
)
def test_one_json_object_is_read_as_the_table_it_holds(tmp_path: Path, value: Any, expected: Any) -> None:
    assert list(rows(write(tmp_path / "a.json", json.dumps(value, indent=1)))) == expected


def test_json_lines_in_a_json_file_and_an_array_in_a_jsonl_file_are_read(tmp_path: Path) -> None:
    assert list(rows(write(tmp_path / "a.json", lines(ROWS)))) == ROWS
    assert list(rows(write(tmp_path / "a.jsonl", json.dumps(ROWS)))) == ROWS


def test_csv_cells_are_converted_only_where_nothing_is_lost(tmp_path: Path) -> None:
    header = "whole,fraction,mixed,zeros,price,flag,word,empty,big"
    first = "1,39.0,1,007,26.50,True,true,,123456789012345678901"
    second = "-2,0.5,x,42,1.25,False,false,,1"
    (one, two) = list(rows(write(tmp_path / "a.csv", f"{header}\n{first}\n{second}\n")))
    assert one == {
        "whole": 1,
        "fraction": 39.0,
        "mixed": "1",
        "zeros": "007",
        "price": "26.50",
        "flag": True,
        "word": "true",
        "empty": "",
        "big": "123456789012345678901",
    }
    assert isinstance(two, dict)
    assert (two["whole"], two["flag"], two["zeros"]) == (-2, False, "42")


def test_an_empty_cell_of_a_number_column_is_missing_and_a_late_word_stays_a_word(tmp_path: Path) -> None:
    body = "1\n" * 1000 + '""\nmany\n'
    read = list(rows(write(tmp_path / "a.csv", "n,m\n" + body.replace("\n", ",0\n"))))
    assert [row["n"] for row in read[-2:] if isinstance(row, dict)] == [None, "many"]


def test_lists_and_dicts_written_into_csv_cells_are_read(tmp_path: Path) -> None:
    content = """a,b,c\n"[1, 2]","{'x': 'its'}","['a' 'b']"\n"""
    assert list(rows(write(tmp_path / "a.csv", content))) == [{"a": [1, 2], "b": {"x": "its"}, "c": "['a' 'b']"}]


def test_quoted_line_ends_commas_and_a_million_characters_stay_in_their_cell(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    content = f'q,n\n"a, ""b""\nc",1\n{long},2\n'
    assert list(rows(write(tmp_path / "a.csv", content))) == [{"q": 'a, "b"\nc', "n": 1}, {"q": long, "n": 2}]
    assert count(tmp_path / "a.csv") == 2


def test_bare_quotes_in_a_tsv_do_not_swallow_rows(tmp_path: Path) -> None:
    content = 'text\tlabel\n"unclosed\t1\nfine\t0\nsays "no"\t1\n'
    read = list(rows(write(tmp_path / "a.tsv", content)))
    assert [row["text"] for row in read if isinstance(row, dict)] == ['"unclosed', "fine", 'says "no"']


def test_a_csv_with_semicolons_is_read_as_such(tmp_path: Path) -> None:
    assert list(rows(write(tmp_path / "a.csv", "q;n\none;1\n"))) == [{"q": "one", "n": 1}]


def test_a_csv_row_with_too_many_cells_costs_one_row(tmp_path: Path) -> None:
    read = list(rows(write(tmp_path / "a.csv", "q,n\na,1\nb,2,3\nc,3\n")))
    assert read[1] == Damaged("it has 3 cells where the header has 2")
    assert count(tmp_path / "a.csv") == 3


def test_repeated_and_empty_header_cells_get_names_of_their_own(tmp_path: Path) -> None:
    assert list(rows(write(tmp_path / "a.csv", ",q,q\n0,a,b\n"))) == [{"column_1": 0, "q": "a", "q_2": "b"}]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.jsonl", b"", "empty"),
        ("a.csv", b" \n\n", "empty"),
        ("a.csv", b"q,n\n", "no rows"),
        ("a.json", b"[]", "no rows"),
        ("a.csv", b"PK\x03\x04\x00\x00\x00", "binary"),
        ("a.csv", "q\ncaf\xe9\n".encode("latin-1"), "not UTF-8"),
        ("a.jsonl", '{"q": "é"}\n'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", b"hello\nworld\n", "no row of it can be read"),
        ("a.json", b'{"a": ', "not JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.jsonl", b"[" * 100_000, "nested too deeply"),
        ("a.parquet", b"PAR1 this is not parquet PAR1", "not a readable parquet"),
        ("a.parquet", b"x", "not a readable parquet"),
        ("a.arrow", b"not arrow at all", "not a readable arrow"),
        ("a.csv.gz", b"q,n\n1,2\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"q,n\n" + b"1,2\n" * 9000, mtime=0)[:40], "gzip"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_is_wrong_with_it(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    said = probe(write(tmp_path / name, content))
    assert said is not None
    assert why in said
    assert "\n" not in said


def test_a_latin_1_row_far_down_a_utf_8_csv_costs_one_row(tmp_path: Path) -> None:
    content = b"q,n\n" + b"fine,1\n" * 20_000 + b"caf\xe9,2\nfine,3\n"
    path = write(tmp_path / "a.csv", content)
    assert probe(path) is None
    read = list(rows(path))
    assert len(read) == 20_002
    assert [row for row in read if isinstance(row, Damaged)] == [Damaged("it is not UTF-8 text")]


def test_an_arrow_file_with_a_date_that_python_cannot_hold_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    table = pa.table({"day": pa.array([10**7], pa.int32()).cast(pa.date32())})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    assert probe(tmp_path / "a.arrow") == "it is not a readable arrow file (date value out of range)"


def test_a_parquet_file_cut_in_the_middle_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    path = written(tmp_path, "a.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\0" * 40 + content[48:])
    assert probe(path) is not None


def test_nested_fields_become_names_with_dots_and_parallel_lists() -> None:
    row = {"answers": [{"text": "a", "at": 1}, {"text": "b"}], "meta": {"x": {"y": 1}}, "plain": [1, 2]}
    assert flatten(row, {}) == {
        "answers.text": ["a", "b"],
        "answers.at": [1, None],
        "meta.x.y": 1,
        "plain": [1, 2],
    }


def test_options_as_a_dict_of_lists_and_as_a_list_of_dicts_look_the_same() -> None:
    one = flatten({"choices": {"text": ["x", "y"], "label": ["A", "B"]}}, {})
    other = flatten({"choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]}, {})
    assert one == other == {"choices.text": ["x", "y"], "choices.label": ["A", "B"]}


def test_an_empty_or_missing_nested_value_keeps_its_columns() -> None:
    shape = learn_shape([{"a": []}, {"a": [{"t": 1, "u": 2}]}, {"b": {"c": 1}}])
    assert flatten({"a": [], "b": None}, shape) == {"a.t": [], "a.u": [], "b.c": None}


def test_images_bytes_dates_and_decimals_become_text(tmp_path: Path) -> None:
    picture = base64.b64decode("iVBORw0KGgo=")
    table = pa.Table.from_pylist(
        [
            {
                "image": {"bytes": picture, "path": "a.png"},
                "raw": b"\x00\x01",
                "day": datetime.date(2024, 2, 29),
                "price": decimal.Decimal("1.50"),
                "parts": [b"\x00"],
            }
        ]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = rows(tmp_path / "a.parquet")
    assert isinstance(row, dict)
    assert flatten(row, {}) == {
        "image": "<png: 8 bytes>",
        "raw": "<bytes: 2 bytes>",
        "day": "2024-02-29",
        "price": "1.50",
        "parts": ["<bytes: 1 bytes>"],
    }


def test_class_names_are_found_in_the_metadata_that_datasets_writes(tmp_path: Path) -> None:
    features = {
        "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "List"},
        "meta": {"kind": {"names": ["x"], "_type": "ClassLabel"}},
        "text": {"dtype": "string", "_type": "Value"},
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"label": [1], "text": ["a"]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, tmp_path / "a.arrow")
    expected = {"label": ("no", "yes"), "tags": ("O", "B"), "meta.kind": ("x",)}
    assert class_names(tmp_path / "a.parquet") == expected
    assert class_names(tmp_path / "a.arrow") == expected
