"""Tables in files and folders: CSV, TSV, Parquet, Arrow, JSON, SQLite, WikiSQL and WikiTableQuestions.

`TableFolder(names).tables(seed)` gives every table, or why it cannot be used, in an order that hangs on the seed alone.
The decision: opening lists where tables lie (a file, a table of a database, a line of a file of tables), some hundred
bytes each, and a table is read when its turn comes; so a folder of any size is shuffled in flat memory.
"""

from __future__ import annotations

import csv
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import SourceError
from upcycle.sources.card import read_front_matter
from upcycle.sources.files.opened import kind_of, printable, said
from upcycle.sources.files.readers import grid, rows
from upcycle.sources.files.tabular import Damaged
from upcycle.sources.tables.table import MAX_ROWS, BadTable, Table, looks_headless, make_table

_SQLITE = frozenset({".db", ".sqlite", ".sqlite3", ".db3"})
_SQLITE_HEAD = b"SQLite format 3\0"
_TABLE_LINES = ".tables.jsonl"
_HEAD_ROWS = 20
READABLE_TABLES = "CSV, TSV, Parquet, Arrow, JSON, JSONL or SQLite, or a folder of WikiSQL or WikiTableQuestions"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one table lies; `read` opens it. `part` is a table's name or the byte at which its line begins."""

    id: str
    source: str
    path: Path
    kind: str
    part: str | int = ""


class TableFolder:
    """The tables of some files and folders.

    Args:
        names: files and folders; a folder is searched through, hidden files left out.

    Raises:
        SourceError: a name does not exist, or there is nothing in them that could hold a table.
    """

    def __init__(self, names: Sequence[str | Path]) -> None:
        if not names:
            raise SourceError("no tables were named; give a file or a folder of tables")
        self._places: list[Place] = []
        self._bad: list[BadTable] = []
        self._licences: dict[Path, tuple[str, ...]] = {}
        for name in dict.fromkeys(map(str, names)):
            path = Path(name).expanduser()
            if not path.exists():
                raise SourceError(f"there is no file or folder {name!r}; give one that holds tables")
            source = _distinct(path.resolve(), {place.source for place in self._places})
            for file in _files(path):
                inside = printable(file.relative_to(path).as_posix()) if path.is_dir() else ""
                self._look(file, source, (f"{source}/{inside}" if len(names) > 1 else inside) if inside else source)
        if not self._places and not self._bad:
            raise SourceError(f"no table was found in {', '.join(map(str, names))}; it takes {READABLE_TABLES}")

    def __len__(self) -> int:
        return len(self._places) + len(self._bad)

    def tables(self, seed: int | None = None) -> Iterator[Table | BadTable]:
        """Every table, or why it cannot be used; shuffled by `seed`, else in the order of the files.

        A table whose cells another one had already is bad: the same table under two names would lie on both sides of
        every split.
        """
        order: list[Place | BadTable] = [*self._bad, *self._places]
        if seed is not None:
            random.Random(seed).shuffle(order)
        seen: set[str] = set()
        for place in order:
            if isinstance(place, BadTable):
                yield place
                continue
            table = self.read(place)
            if table.revision in seen and isinstance(table, Table):
                yield BadTable(table.id, table.source, "it repeats another table", licences=table.licences)
                continue
            seen.add(table.revision)
            yield table

    @property
    def places(self) -> Sequence[Place]:
        return tuple(self._places)

    def read(self, place: Place) -> Table | BadTable:
        """The table that lies there; what cannot be read is a bad table with the reason."""
        licences = self._licence_of(place.path.parent)
        try:
            return _READERS[place.kind](place, licences)
        except SourceError as error:
            return BadTable(place.id, place.source, str(error), licences=licences)

    def _look(self, file: Path, source: str, name: str) -> None:
        """Note where the tables of a file lie."""
        try:
            if file.name.endswith(_TABLE_LINES) or (file.suffix == ".jsonl" and _holds_tables(file)):
                for at, part in _lines(file):
                    self._places.append(Place(f"{name}#{part}", source, file, "line", at))
            elif file.suffix.lower() in _SQLITE:
                for part in _table_names(file):
                    self._places.append(Place(f"{name}#{part}", source, file, "sqlite", part))
            elif _is_wikitable(file):
                self._places.append(Place(name, source, file, "wikitable"))
            elif (kind := kind_of(file)) is not None:
                reader = {"csv": "grid", "tsv": "grid", "parquet": "parquet"}.get(kind, "records")
                self._places.append(Place(name, source, file, reader))
        except SourceError as error:
            self._bad.append(BadTable(name, source, str(error), licences=self._licence_of(file.parent)))

    def _licence_of(self, folder: Path) -> tuple[str, ...]:
        """The licence that the README beside a file states."""
        if folder not in self._licences:
            self._licences[folder] = ()
            readme = folder / "README.md"
            if readme.is_file():
                try:
                    licence = read_front_matter(readme.read_text(encoding="utf-8", errors="replace")).licence
                except (SourceError, OSError):
                    licence = None
                self._licences[folder] = (licence,) if licence else ()
        return self._licences[folder]


def _distinct(path: Path, taken: set[str]) -> str:
    name, number = printable(path.name), 2
    if name in taken:
        name = printable(f"{path.parent.name}/{path.name}")
    unique = name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique


def _files(path: Path) -> Iterator[Path]:
    """Files that may hold tables, in the order of their names; beside files of tables, questions are left out."""
    if not path.is_dir():
        if path.is_file():
            yield path
        return
    try:
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith(".") and _can_be_read(entry))
    except OSError as error:
        raise SourceError(f"the folder {path} cannot be read ({error.strerror})") from error
    lines = [entry for entry in entries if entry.name.endswith(_TABLE_LINES) and not entry.is_dir()]
    if lines:  # WikiSQL: train.jsonl holds the questions, train.db the same tables again
        yield from lines
        return
    if (path / "csv").is_dir() and (path / "data").is_dir() and any((path / "csv").glob("*-csv")):
        yield from _files(path / "csv")  # WikiTableQuestions: data/ holds the questions
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry) if not entry.is_symlink() else ()
        elif not _is_wikitable_copy(entry):
            yield entry


def _can_be_read(entry: Path) -> bool:
    """Not a pipe or a socket, which would be waited on for good; a link to nothing stays, to be said."""
    return entry.is_dir() or entry.is_file() or not entry.exists()


def _is_wikitable(file: Path) -> bool:
    return file.suffix == ".csv" and file.parent.name.endswith("-csv") and file.stem.isdigit()


def _is_wikitable_copy(file: Path) -> bool:
    """WikiTableQuestions has each table a second time as TSV."""
    return file.suffix != ".csv" and file.parent.name.endswith("-csv") and file.stem.isdigit()


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """(offset, id) of every line of a file of tables."""
    at = 0
    with said(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                # The id comes first in the files there are; parsing every line twice would double the time to open.
                head = line[:200].partition(b'"id"')[2].partition(b'"')[2].partition(b'"')[0]
                yield at, head.decode("utf-8", "replace") or str(number)
            at += len(line)


def _holds_tables(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            first = orjson.loads(stream.readline(64 << 20))
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(first, dict) and isinstance(first.get("header"), list) and isinstance(first.get("rows"), list)


def _read_line(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    assert isinstance(place.part, int)
    with said(place.path), place.path.open("rb") as stream:
        stream.seek(place.part)
        line = stream.readline()
    try:
        whole = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SourceError("its line is not JSON") from error
    header, body = (whole.get("header"), whole.get("rows")) if isinstance(whole, dict) else (None, None)
    if not isinstance(header, list) or not isinstance(body, list) or not all(isinstance(row, list) for row in body):
        raise SourceError("its line has no header and rows")
    title = next((str(whole[key]) for key in ("page_title", "caption", "section_title") if whole.get(key)), "")
    return make_table(place.id, header, body, title=title, source=place.source, licences=licences)


def _read_grid(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    lines = grid(place.path)
    head = list(itertools.islice(lines, _HEAD_ROWS))
    return _of_grid(place, head, lines, licences)


def _read_wikitable(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    # Written with \" inside of quotes, which no dialect finder guesses.
    try:
        with place.path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream, doublequote=False, escapechar="\\"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"it cannot be read ({error})") from error
    if not lines:
        raise SourceError("it is empty")
    return make_table(place.id, lines[0], lines[1:], source=place.source, licences=licences)


def _of_grid(
    place: Place, head: list[list[str]], more: Iterator[list[str]], licences: tuple[str, ...]
) -> Table | BadTable:
    if not head:
        raise SourceError("it is empty")
    if looks_headless(head):
        raise SourceError("it has no header: its first line holds data")
    title = printable(place.path.name).removesuffix(".gz").rpartition(".")[0].replace("_", " ").replace("-", " ")
    body = itertools.chain(head[1:], more)
    return make_table(place.id, head[0], body, title=title, source=place.source, licences=licences)


def _read_records(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    """A file of JSON objects: their keys are the header."""
    found = list(itertools.islice(rows(place.path), MAX_ROWS + 1))
    records = [row for row in found if not isinstance(row, Damaged)]
    damaged = len(found) - len(records)
    notes = [f"rows left out, they cannot be read: {damaged}"] if damaged else []
    header = list(dict.fromkeys(key for row in records for key in row))
    body = ([row.get(key) for key in header] for row in records)
    return make_table(place.id, header, body, title=_title(place), source=place.source, licences=licences, notes=notes)


def _title(place: Place) -> str:
    return printable(place.path.stem).replace("_", " ")


def _read_parquet(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(place.path) as file:
            header = file.schema_arrow.names
            # Column by column, not to_pylist(): two columns may have one name.
            body = (
                row
                for batch in file.iter_batches(batch_size=1024)
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            )
            return make_table(place.id, header, body, title=_title(place), source=place.source, licences=licences)
    except UnicodeDecodeError as error:
        raise SourceError("a text of it is not UTF-8") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        # Beside Arrow's own errors: a date or a duration that no Python value can hold.
        raise SourceError(
            f"it is not a readable Parquet file ({(str(error).splitlines() or [''])[0][:200]})"
        ) from error


def _database(file: Path) -> sqlite3.Connection:
    """A SQLite file opened so that nothing in it or beside it can be changed, and nothing in its schema runs."""
    try:
        with file.open("rb") as stream:
            head = stream.read(len(_SQLITE_HEAD))
    except OSError as error:
        raise SourceError(f"it cannot be read ({error.strerror})") from error
    if head != _SQLITE_HEAD:
        raise SourceError("it is not a SQLite file" if head else "it is empty")
    opened = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    opened.execute("PRAGMA trusted_schema = OFF")
    opened.execute("PRAGMA query_only = ON")
    opened.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return opened


def _table_names(file: Path) -> list[str]:
    ordinary = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return _queried(file, lambda opened: [row[0] for row in opened.execute(f"{ordinary} AND rootpage > 0 ORDER BY 1")])


def _read_sqlite(place: Place, licences: tuple[str, ...]) -> Table | BadTable:
    def read(opened: sqlite3.Connection) -> Table | BadTable:
        quoted = '"' + str(place.part).replace('"', '""') + '"'
        found = opened.execute(f"SELECT * FROM {quoted}")
        header = [column[0] for column in found.description]
        title = str(place.part).replace("_", " ")
        return make_table(place.id, header, found, title=title, source=place.source, licences=licences)

    return _queried(place.path, read)


def _queried(file: Path, ask: Callable[[sqlite3.Connection], Any]) -> Any:
    try:
        with closing(_database(file)) as opened:
            return ask(opened)
    except sqlite3.Error as error:
        raise SourceError(f"it is not a readable SQLite file ({error})") from error


_READERS: dict[str, Callable[[Place, tuple[str, ...]], Table | BadTable]] = {
    "line": _read_line,
    "grid": _read_grid,
    "wikitable": _read_wikitable,
    "records": _read_records,
    "parquet": _read_parquet,
    "sqlite": _read_sqlite,
}
