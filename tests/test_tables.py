"""Tables are read from any file that holds some, and what cannot be asked about is named with a reason."""

from __future__ import annotations

import doctest
import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.errors import SourceError
from upcycle.methods.source2synth import slices
from upcycle.methods.source2synth.slices import side
from upcycle.sources.files import opened
from upcycle.sources.tables import table
from upcycle.sources.tables.folder import TableFolder
from upcycle.sources.tables.table import BadTable, Table, as_shown, cell_text, make_table, safe_names, shown

HEADER = ["City", "People"]
ROWS: list[list[object]] = [["Oslo", "700,000"], ["Rome", "2,800,000"], ["Bern", "134,000"]]


def made(header: list[str] = HEADER, rows: list[list[object]] | None = None) -> Table:
    table = make_table("t", header, rows if rows is not None else ROWS)
    assert isinstance(table, Table), table
    return table


def reason(header: list[str], rows: list[list[object]]) -> str:
    table = make_table("t", header, rows)
    assert isinstance(table, BadTable), table
    return table.reason


def read(*names: Path) -> dict[str, Table | BadTable]:
    return {table.id: table for table in TableFolder(names).tables()}


def only(path: Path) -> Table:
    (table,) = read(path).values()
    assert isinstance(table, Table), table
    return table


def bad(path: Path) -> str:
    (table,) = read(path).values()
    assert isinstance(table, BadTable), table
    return table.reason


# -- cells and columns -------------------------------------------------------------------------------------------------


def test_the_examples_in_the_docstrings_hold():
    assert [doctest.testmod(module).failed for module in (table, opened, slices)] == [0, 0, 0]


def test_numbers_with_commas_are_numbers():
    assert made().values(1) == [700_000, 2_800_000, 134_000]
    assert made().columns[1].kind == "integer"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "-3"], "integer"),
        (["1", "2.5", ""], "real"),
        (["1.5e3", "−2.0", ".5"], "real"),
        (["2024-01-31", "2023-12-01", "-"], "date"),
        (["007", "008", "009"], "text"),
        (["1.2.3", "4.5.6", "7.8.9"], "text"),
        (["1", "two", "3"], "text"),
        (["99999999999999999999", "1", "2"], "text"),
        ([1, 2.5, None], "real"),
        ([date(2024, 1, 31), date(2023, 1, 1), None], "date"),
        ([Decimal("1.50"), Decimal(2), Decimal(3)], "real"),
        ([True, False, None], "text"),
    ],
)
def test_a_column_has_the_kind_that_every_filled_cell_of_it_has(cells: list[object], kind: str):
    table = made(["name", "value"], [[f"row {n}", cell] for n, cell in enumerate(cells)])
    assert table.columns[1].kind == kind


def test_a_column_of_numbers_and_words_is_read_as_text_and_that_is_noted():
    table = made(["name", "value"], [["a", "1"], ["b", "two"]])
    assert table.values(1) == ["1", "two"]
    assert table.notes == ("columns of numbers and words, read as text: 1",)


def test_html_entities_breaks_and_signs_of_nothing_are_resolved():
    table = made(["A&amp;B", "x"], [["AT&amp;T\n&nbsp;Inc", "–"], ["C", "n/a"], ["D", "y"]])
    assert table.columns[0].original == "A&B"
    assert table.rows == (("AT&T Inc", None), ("C", None), ("D", "y"))


def test_rows_of_totals_are_left_out_so_that_no_sum_counts_them_twice():
    table = made(HEADER, [*ROWS, ["Total", "3,634,000"]])
    assert len(table.rows) == 3
    assert table.notes == ("rows of totals left out: 1",)


def test_names_are_safe_and_distinct_and_the_originals_are_kept():
    table = made(["", "Order", "Order", "2001 (won)", "größe"], [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]])
    assert [column.name for column in table.columns] == ["column_1", "order_", "order_2", "c_2001_won", "größe"]
    assert [column.original for column in table.columns] == ["", "Order", "Order", "2001 (won)", "größe"]
    assert table.notes == (
        "columns without a name, now numbered: 1",
        "columns with the name of another, now numbered: 1",
    )


def test_every_word_of_sql_is_a_safe_name_once_it_is_mended():
    words = ["select", "from", "group", "order", "table", "index", "rowid", "values", "to", "t"]
    with closing(sqlite3.connect(":memory:")) as opened:
        for name in safe_names(words):
            opened.execute(f"CREATE TABLE x ({name} TEXT)")
            opened.execute(f"SELECT {name} FROM x WHERE {name} = 'a' ORDER BY {name}")
            opened.execute("DROP TABLE x")


@pytest.mark.parametrize(
    ("header", "rows", "why"),
    [
        (HEADER, [], "it has no rows"),
        (HEADER, [["Oslo", "1"]], "it has one row"),
        (HEADER, [["", None], ["-", "n/a"]], "it has no rows"),
        (["x"], [["a"], ["b"]], "it has one column"),
        (["x", "y"], [["a", ""], ["b", None]], "it has one column"),
        ([f"c{n}" for n in range(3000)], [["1"] * 3000] * 3, "it has more than 100 columns"),
        (["", " "], [["a", "b"], ["c", "d"]], "it has no header"),
        (["a", "b"], [["1"], ["2", "3", "4"], ["5", "6"]], "many of its rows have another number of cells"),
    ],
)
def test_a_table_of_which_nothing_can_be_asked_has_a_reason(header: list[str], rows: list[list[object]], why: str):
    assert reason(header, rows).startswith(why)


def test_a_table_of_more_rows_than_fit_is_not_read_to_its_end():
    def endless():
        while True:
            yield ["a", 1]

    table = make_table("t", HEADER, endless())
    assert isinstance(table, BadTable)
    assert table.reason == "it has more than 100,000 rows"


def test_a_few_rows_with_a_wrong_number_of_cells_are_left_out_and_counted():
    table = made(HEADER, [*ROWS, *ROWS, ["too", "many", "cells"]])
    assert len(table.rows) == 6
    assert table.notes == ("rows left out, their number of cells is not the header's: 1",)


def test_what_does_not_fit_is_counted_where_a_table_is_shown():
    assert shown(made(), chars=45) == "city | people\nOslo | 700000\nRome | 2800000\n(1 more rows of 3 are not shown)"
    assert shown(made()).endswith("Bern | 134000")


def test_a_long_cell_is_cut_where_a_table_is_shown_and_nowhere_else():
    table = made(HEADER, [["x" * 5000, 1], ["y", 2]])
    assert shown(table).splitlines()[1] == "x" * 200 + " […] | 1"
    assert table.rows[0][0] == "x" * 5000


def test_columns_of_one_name_are_called_as_they_are_shown():
    table = made(["a", "a", "A", "b"], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert [column.said for column in table.columns] == ["a", "a 2", "a 3", "b"]
    assert [column.original for column in table.columns] == ["a", "a", "A", "b"]


def test_a_table_of_which_hardly_a_row_can_be_shown_is_none_to_ask_about():
    cut = as_shown(made(), chars=45)
    assert isinstance(cut, Table)
    assert len(cut.rows) == 2
    assert cut.notes == ("rows left out, an example has no room for them: 1",)
    assert as_shown(made(), chars=400) == made()
    none = as_shown(made(), chars=20)
    assert isinstance(none, BadTable)
    assert none.reason == "fewer than two of its rows fit into the 20 characters an example shows"


def test_values_are_written_without_the_noise_of_floats():
    assert [cell_text(value) for value in (0.1 + 0.2, 3.0, 10 / 3, None, 5, "x")] == [
        "0.3", "3", "3.333333333", "", "5", "x",
    ]  # fmt: skip


# -- files -------------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


CSV = "City,People\nOslo,700000\nRome,2800000\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cities.csv", CSV),
        ("cities.tsv", CSV.replace(",", "\t")),
        ("cities.csv", CSV.replace(",", ";")),
        ("cities.jsonl", '{"City": "Oslo", "People": 700000}\n{"City": "Rome", "People": 2800000}\n'),
        ("cities.json", '[{"City": "Oslo", "People": 700000}, {"City": "Rome", "People": 2800000}]'),
    ],
)
def test_a_text_file_is_a_table_under_its_name(tmp_path: Path, name: str, text: str):
    table = only(write(tmp_path / name, text))
    assert table.rows == (("Oslo", 700_000), ("Rome", 2_800_000))
    assert (table.id, table.source, table.title) == (name, name, "cities")


def test_a_parquet_file_may_have_two_columns_of_one_name(tmp_path: Path):
    columns = [pa.array(["Oslo", "Rome"]), pa.array([1, 2]), pa.array([1.5, None])]
    pq.write_table(pa.Table.from_arrays(columns, names=["a", "b", "b"]), tmp_path / "x.parquet")
    table = only(tmp_path / "x.parquet")
    assert [column.name for column in table.columns] == ["a", "b", "b_2"]
    assert table.rows == (("Oslo", 1, 1.5), ("Rome", 2, None))


def test_a_sqlite_file_gives_each_of_its_tables_and_is_not_changed(tmp_path: Path):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.execute('CREATE TABLE "the order" (id INTEGER, item TEXT, photo BLOB)')
        opened.executemany('INSERT INTO "the order" VALUES (?, ?, ?)', [(1, "ink", b"x"), (2, "pen", b"y")])
        opened.execute("CREATE TABLE empty (a, b)")
        opened.execute('CREATE VIEW v AS SELECT * FROM "the order"')
        opened.commit()
    before = path.read_bytes()
    found = read(path)
    assert list(found) == ["shop.db#empty", "shop.db#the order"]
    orders = found["shop.db#the order"]
    assert isinstance(orders, Table)
    assert orders.rows == ((1, "ink"), (2, "pen"))
    assert found["shop.db#empty"] == BadTable("shop.db#empty", "shop.db", "it has no rows")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]


def test_a_folder_like_wikisql_gives_its_tables_and_not_its_questions(tmp_path: Path):
    lines = [
        {"id": f"1-{n}", "page_title": "cities", "header": HEADER, "rows": [*ROWS, [f"X{n}", n]]} for n in range(3)
    ]
    write(tmp_path / "train.tables.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write(tmp_path / "train.jsonl", '{"table_id": "1-0", "question": "Which?"}\n')
    write(tmp_path / "README.md", "---\nlicense: cc-by-sa-4.0\n---\n")
    found = read(tmp_path)
    assert list(found) == [f"train.tables.jsonl#1-{n}" for n in range(3)]
    first = found["train.tables.jsonl#1-0"]
    assert isinstance(first, Table)
    assert (first.title, first.source, first.licences) == ("cities", tmp_path.name, ("cc-by-sa-4.0",))


def test_a_broken_line_among_tables_costs_one_table(tmp_path: Path):
    good = json.dumps({"id": "1", "header": HEADER, "rows": ROWS})
    write(tmp_path / "x.tables.jsonl", f'{good}\n{{"id": "2", "header\n["no"]\n{{"id": "4", "rows": 5}}\n')
    found = read(tmp_path)
    kinds = Counter(table.reason if isinstance(table, BadTable) else "read" for table in found.values())
    assert kinds == {"read": 1, "its line is not JSON": 1, "its line has no header and rows": 2}


def test_a_folder_like_wikitablequestions_gives_each_table_once(tmp_path: Path):
    text = '"Year","Title"\n"1969","The \\"Renaissance\\""\n"1971","Illusion, again"\n'
    write(tmp_path / "csv" / "200-csv" / "0.csv", text)
    write(tmp_path / "csv" / "200-csv" / "0.tsv", "Year\tTitle\n")
    write(tmp_path / "csv" / "200-csv" / "0.html", "<table></table>")
    write(tmp_path / "data" / "training.tsv", "id\tutterance\tcontext\ttargetValue\n1\tq\tc\ta\n2\tq\tc\tb\n")
    (table,) = read(tmp_path).values()
    assert isinstance(table, Table)
    assert table.rows == ((1969, 'The "Renaissance"'), (1971, "Illusion, again"))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.csv", b"", "it is empty"),
        ("header.csv", b"a,b\n", "it has no rows"),
        (
            "data.csv",
            b"Smith,34,Boston\nJones,41,Rome\nMiller,29,Oslo\n",
            "it has no header: its first line holds data",
        ),
        ("years.csv", b"2008,x\n2009,y\n2010,z\n", "it has no header: its first line holds data"),
        ("one.csv", b"a,b\n1,2\n", "it has one row"),
        ("words.db", b"this is no database", "it is not a SQLite file"),
        ("cut.db", b"SQLite format 3\0" + b"x" * 200, "it is not a readable SQLite file"),
        ("empty.sqlite", b"", "it is empty"),
        ("cut.parquet", b"PAR1xxxxPAR1", "it is not a readable"),
        ("binary.csv", b"a,b\0\n1,2\n", "it is a binary file"),
        ("broken.json", b"[{", "it is not valid JSON"),
        ("deep.json", b"[" * 100_000, "it is nested too deeply"),
        ("deeper.json", b'{"a":' * 100_000, "it is nested too deeply"),
        ("late.csv", b"a,b\n" + b"x,1\n" * 20_000 + b"caf\xe9,2\n" * 10_000, "many of its rows are not UTF-8 text"),
        ("latin.csv", "a,b\nå,1\nø,2\n".encode("latin-1"), "it is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_bad_table_with_a_reason(tmp_path: Path, name: str, content: bytes, why: str):
    (tmp_path / name).write_bytes(content)
    assert bad(tmp_path / name).startswith(why)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pa.array([10**7, 2], pa.int32()).cast(pa.date32()), "it is not a readable Parquet file (date value out of"),
        (pa.array([2**62, 2], pa.int64()).cast(pa.timestamp("ms")), "it is not a readable Parquet file ("),
        (pa.array([b"caf\xe9", b"x"], pa.binary()).view(pa.string()), "a text of it is not UTF-8"),
    ],
)
def test_values_that_python_cannot_hold_cost_their_parquet_file_and_no_other(
    tmp_path: Path, column: pa.Array, why: str
):
    write(tmp_path / "good.csv", CSV)
    pq.write_table(pa.table({"a": column, "b": [1, 2]}), tmp_path / "bad.parquet")
    found = read(tmp_path)
    assert isinstance(found["good.csv"], Table)
    odd = found["bad.parquet"]
    assert isinstance(odd, BadTable)
    assert odd.reason.startswith(why)


def test_rows_that_are_not_utf_8_far_down_a_file_are_left_out_and_counted(tmp_path: Path):
    (tmp_path / "late.csv").write_bytes(b"City,People\n" + b"Oslo,12\n" * 10_000 + b"caf\xe9,3\nRome,4\n")
    table = only(tmp_path / "late.csv")
    assert table.notes == ("rows left out, they are not UTF-8 text: 1",)
    assert len(table.rows) == 10_001
    assert not any("?" in str(cell) for row in table.rows for cell in row)


def test_damaged_lines_of_a_table_are_left_out_and_counted(tmp_path: Path):
    table = only(write(tmp_path / "x.jsonl", '{"a": "x", "b": 1}\n{oops\n[2]\n{"a": "y", "b": 2}\n'))
    assert table.notes == ("rows left out, they cannot be read: 2",)
    assert table.rows == (("x", 1), ("y", 2))


def test_a_cell_nested_deeper_than_json_is_written_holds_nothing(tmp_path: Path):
    deep = '{"a": "x", "b": 1, "c": ' + "[" * 500 + "]" * 500 + "}\n"
    table = only(write(tmp_path / "x.jsonl", deep + '{"a": "y", "b": 2, "c": "z"}\n'))
    assert table.rows == (("x", 1, None), ("y", 2, "z"))


def test_a_file_whose_name_is_not_utf_8_is_read_under_a_name_that_can_be_stored(tmp_path: Path):
    for name in (b"caf\xe9.csv", b"caf\xe8.csv"):
        write(tmp_path / os.fsdecode(name), CSV + name.hex() + ",1\n")
    found = read(tmp_path)
    assert sorted(found) == ["caf\\xe8.csv", "caf\\xe9.csv"]
    for name, one in found.items():
        assert isinstance(one, Table)
        assert one.title == name.removesuffix(".csv")
        assert side(one.id, 0) in (0, 1)


@pytest.mark.parametrize("name", ["lost.csv", "lost.tables.jsonl"])
def test_a_link_to_nothing_among_tables_is_a_bad_table(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert bad(tmp_path).startswith("it cannot be read (No such file")


def test_a_file_of_tables_that_vanishes_after_it_was_listed_costs_its_tables(tmp_path: Path):
    file = write(tmp_path / "x.tables.jsonl", json.dumps({"id": "1", "header": HEADER, "rows": ROWS}))
    folder = TableFolder([tmp_path])
    file.unlink()
    (table,) = folder.tables()
    assert isinstance(table, BadTable)
    assert table.reason.startswith("it cannot be read (No such file")


def test_a_pipe_named_like_a_table_is_never_waited_on(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.tables.jsonl")
    write(tmp_path / "good.csv", CSV)
    assert list(read(tmp_path)) == ["good.csv"]
    with pytest.raises(SourceError, match="no table was found"):
        TableFolder([tmp_path / "pipe.csv"])


def test_years_over_a_column_of_amounts_are_a_header(tmp_path: Path):
    table = only(write(tmp_path / "x.csv", "Country,2001,2002\nNorway,5,6\nItaly,7,8\n"))
    assert [column.name for column in table.columns] == ["country", "c_2001", "c_2002"]


def test_the_same_table_under_two_names_is_taken_once(tmp_path: Path):
    write(tmp_path / "a.csv", CSV)
    write(tmp_path / "b.csv", CSV)
    write(tmp_path / "c.csv", CSV + "Bern,134000\n")
    found = read(tmp_path)
    assert [isinstance(table, Table) for table in found.values()] == [True, False, True]
    assert found["b.csv"].reason == "it repeats another table"  # type: ignore[union-attr]


def test_the_order_hangs_on_the_seed_alone(tmp_path: Path):
    for number in range(20):
        write(tmp_path / f"{number}.csv", CSV + f"X{number},{number}\n")

    def order(seed: int | None) -> list[str]:
        return [table.id for table in TableFolder([tmp_path]).tables(seed)]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == order(None)


def test_two_folders_of_one_name_stay_apart(tmp_path: Path):
    write(tmp_path / "one" / "x" / "a.csv", CSV)
    write(tmp_path / "two" / "x" / "a.csv", CSV + "Bern,134000\n")
    found = read(tmp_path / "one" / "x", tmp_path / "two" / "x")
    assert list(found) == ["x/a.csv", "two/x/a.csv"]


@pytest.mark.parametrize("make", [lambda path: path / "nowhere", lambda path: path])
def test_a_name_with_no_table_is_refused_in_a_sentence(tmp_path: Path, make):
    write(tmp_path / "notes.txt", "nothing here")
    with pytest.raises(SourceError, match=r"there is no file or folder|no table was found in"):
        TableFolder([make(tmp_path)])


@pytest.mark.data
def test_the_tables_of_wikisql_and_wikitablequestions_are_read(shared_data: Path):
    for name, most in (("wikisql_join", 1800), ("wikitablequestions", 700)):
        found = list(TableFolder([shared_data / "tables" / name]).tables(0))
        assert len(found) == most
        assert sum(isinstance(table, Table) for table in found) > 0.99 * most
