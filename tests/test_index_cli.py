"""`upcycle index` and `upcycle search --source hub`: a dump of cards becomes an index, and what is wrong is said."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.cli import main
from upcycle.indexing import import_index, show_index
from upcycle.sources.index.known import Entry, Known
from upcycle.sources.index.listing import Listing
from upcycle.testing import FakeServer

CARD = "---\nlicense: mit\nlanguage: [en]\n---\n# Reviews\nFilm reviews with a rating.\n"
ROWS = [
    {"datasetId": "a/reviews", "card": CARD, "downloads": 5000, "tags": ["film"], "last_modified": "2024-05-01"},
    {"datasetId": "b/weather", "card": "Hourly temperatures of 300 stations.", "tags": ["license:cc-by-nc-4.0"]},
    {"datasetId": "c/gated", "card": "Film scripts.", "gated": "auto"},
    {"id": "d/plain", "description": "Questions about chemistry.", "language": ["de"]},
]  # fmt: skip


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of this test alone."""
    monkeypatch.setenv("UPCYCLE_INDEX", str(tmp_path / "index"))
    return tmp_path / "index"


def dump(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def found(capsys: pytest.CaptureFixture[str], *asked: str) -> list[dict]:
    capsys.readouterr()
    assert main(["search", *asked, "--source", "hub", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["hits"]


def test_a_dump_of_cards_becomes_an_index_that_search_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["index", "import", str(dump(tmp_path / "cards.jsonl", ROWS)), "--encoder", "none"]) == 0
    assert capsys.readouterr().out == f"4 datasets in {tmp_path / 'index'}, searched by words alone\n"
    first = found(capsys, "rate film reviews")[0]
    assert (first["source"], first["licence"], first["languages"]) == ("a/reviews", "mit", ["en"])
    assert "film, reviews" in first["why"]
    assert first["popularity"] == 5000


def test_a_parquet_dump_is_read_like_a_jsonl_one(tmp_path: Path, index: Path):
    pq.write_table(pa.Table.from_pylist(ROWS[:2]), tmp_path / "cards.parquet")
    assert import_index(tmp_path / "cards.parquet", encoder="none").listings == 2
    with Known(index) as known:
        assert [one.id for one in known.listings()] == ["a/reviews", "b/weather"]
        assert [one.licence for one in known.listings()] == ["mit", "cc-by-nc-4.0"]


def test_a_gated_dataset_is_found_with_the_reason_why_it_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    main(["index", "import", str(dump(tmp_path / "cards.jsonl", ROWS)), "--encoder", "none"])
    gated = next(one for one in found(capsys, "film scripts") if one["source"] == "c/gated")
    assert gated["why"].endswith("; gated")


def test_licence_and_language_filter_what_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["index", "import", str(dump(tmp_path / "cards.jsonl", ROWS)), "--encoder", "none"])
    assert [one["source"] for one in found(capsys, "film weather chemistry", "--licence", "permissive")] == [
        "a/reviews"
    ]
    assert "a/reviews" not in [one["source"] for one in found(capsys, "film reviews", "--only-language", "de")]


def test_a_second_dump_is_added_and_fresh_forgets_the_first(tmp_path: Path):
    first, second = dump(tmp_path / "1.jsonl", ROWS[:2]), dump(tmp_path / "2.jsonl", ROWS[2:])
    assert import_index(first, encoder="none").listings == 2
    assert import_index(second, encoder="none").listings == 4
    assert import_index(second, encoder="none", fresh=True).listings == 2


def test_rows_that_name_no_dataset_are_left_out_and_counted(tmp_path: Path):
    file = dump(tmp_path / "cards.jsonl", ROWS[:1])
    file.write_text(file.read_text() + '{"card": "nameless"}\n{"broken\n', encoding="utf-8")
    report = import_index(file, encoder="none")
    assert report.notes == ("2 rows of cards.jsonl were left out (row 2: it names no dataset)",)
    assert report.listings == 1


def test_a_dump_that_breaks_off_keeps_what_was_read_before(tmp_path: Path):
    file = tmp_path / "cards.json"
    file.write_text('[{"id": "a/b", "text": "Riddles for children."}, {"id": "a/c"', encoding="utf-8")
    report = import_index(file, encoder="none")
    assert report.listings == 1
    assert "rows before that were read" in report.notes[0]


CARELESS = [
    (["import"], "say which dump to import: upcycle index import FILE"),
    (["import", "nowhere.jsonl"], "there is no file nowhere.jsonl"),
    (["import", "."], "there is no file .; give a dump of cards"),
    (["import", "{empty}"], "has no row with a dataset's id"),
    (["import", "{picture}"], "is not a kind of file"),
    (["show"], "there is no index in"),
]


@pytest.mark.parametrize(("asked", "said"), CARELESS, ids=[" ".join(asked) for asked, _ in CARELESS])
def test_what_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str], said: str
):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    asked = [one.format(empty=tmp_path / "empty.jsonl", picture=tmp_path / "picture.png") for one in asked]
    assert main(["index", *asked]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_a_search_without_an_index_says_how_to_make_one(capsys: pytest.CaptureFixture[str]):
    assert main(["search", "rate film reviews", "--source", "hub"]) == 2
    assert "make one with: upcycle index build" in capsys.readouterr().err


def test_what_is_known_of_an_older_version_is_refused_and_stays(tmp_path: Path, index: Path, capsys):
    import_index(dump(tmp_path / "cards.jsonl", ROWS), encoder="none")
    db = sqlite3.connect(index / "known.db")
    db.execute("UPDATE meta SET value='0' WHERE key='version'")
    db.commit()
    db.close()
    assert main(["index", "import", str(tmp_path / "cards.jsonl")]) == 2
    assert "is of version 0 and this upcycle reads version 1" in capsys.readouterr().err
    assert show_index().listings == 4


def test_what_is_known_may_be_no_database(tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]):
    index.mkdir()
    (index / "known.db").write_bytes(b"not a database at all, but long enough to look like one" * 20)
    assert main(["index", "import", str(dump(tmp_path / "cards.jsonl", ROWS))]) == 2
    assert "delete it" in capsys.readouterr().err


def test_two_at_once_do_not_write_the_same_index(tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]):
    with Known(index) as known:
        known.put([Entry(Listing("a/b"))])
        assert main(["index", "import", str(dump(tmp_path / "cards.jsonl", ROWS))]) == 2
    assert "another process writes the index" in capsys.readouterr().err


def test_a_newer_state_of_a_dataset_is_kept(index: Path):
    with Known(index) as known:
        known.put([Entry(Listing("a/b", text="new", modified="2024-02-01"))])
        known.put([Entry(Listing("a/b", text="old", modified="2023-01-01"))])
        assert known.get(["a/b"])["a/b"].listing.text == "new"


def test_a_model_is_asked_once_for_phrasings_of_the_query(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{"id": "a/x", "text": "Sentiment of cinema audiences."}, {"id": "a/y", "text": "Rainfall."}]
    main(["index", "import", str(dump(tmp_path / "cards.jsonl", rows)), "--encoder", "none"])
    said = {"keyphrases": "cinema sentiment", "description": "Opinions of cinema audiences."}
    with FakeServer(lambda _: json.dumps(said)) as server:
        hits = found(capsys, "rate film reviews", "--model", "openai/fake", "--base-url", server.url)
        assert server.stats()["requests"] == 1
    assert hits[0]["source"] == "a/x"
    assert "cinema" in hits[0]["why"]
