"""One reader per kind of file: JSONL, JSON, CSV, TSV, Parquet, Arrow; text kinds also as `.gz`.

In: a path. Out: `rows(path)`, an iterator of dicts and `Damaged` in the order of the file, in flat memory; `probe`
and `count` look at a file without reading it all. The decision: a damaged row is a value that keeps its
place, a damaged file is a `SourceError` whose text says what is wrong with it; the caller names the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from upcycle.errors import SourceError
from upcycle.sources.files.columnar import arrow_rows, parquet_rows
from upcycle.sources.files.json_rows import json_rows, jsonl_rows, starts_an_array
from upcycle.sources.files.opened import File, Rows, checked_kind, for_arrow, open_bytes, open_text, said, size_of
from upcycle.sources.files.tabular import Damaged, Dialect, cells, find_dialect, tabular_rows

_COUNTABLE = 50 << 20


def rows(path: File) -> Rows:
    """Rows of the file as its kind gives them, nested fields as they are.

    Raises:
        SourceError: the file cannot be read (from here on); rows before that were given.
    """
    with said(path):
        match checked_kind(path):
            case "parquet":
                yield from parquet_rows(path)
            case "arrow":
                yield from arrow_rows(path)
            case "jsonl":
                yield from jsonl_rows(path)
            case "json":
                yield from json_rows(path)
            case kind:
                with open_text(path) as stream:
                    yield from tabular_rows(stream, _dialect(path, kind))


def grid(path: File) -> Iterator[list[str]]:
    """Cells of a CSV or TSV file as they stand, its first line included: for who reads headers himself.

    Raises:
        SourceError: the file cannot be read (from here on).
    """
    with said(path), open_text(path) as stream:
        yield from cells(stream, _dialect(path, checked_kind(path)))


def probe(path: File) -> str | None:
    """Why the file cannot be read, or None: it gives at least one row."""
    why = "it holds no rows"
    try:
        for number, row in enumerate(rows(path)):
            if not isinstance(row, Damaged):
                return None
            why = f"no row of it can be read ({row.reason})"
            if number >= 100:
                break
    except SourceError as error:
        return str(error)
    return why


def count(path: File) -> int | None:
    """Number of rows where finding it is cheap (Parquet metadata, text under 50 MB), else None.

    Raises:
        SourceError: the file cannot be read.
    """
    with said(path):
        kind = checked_kind(path)
        if kind == "parquet":
            import pyarrow.parquet as pq

            return pq.read_metadata(for_arrow(path)).num_rows
        limit = _COUNTABLE // 10 if path.suffix.lower() == ".gz" or kind == "json" else _COUNTABLE
        if size_of(path) > limit:
            return None
        if kind == "jsonl" and not starts_an_array(path):
            with open_bytes(path) as stream:
                return sum(1 for line in stream if not line.isspace())
        if kind in ("csv", "tsv"):
            with open_text(path) as stream:
                return max(0, sum(1 for _ in cells(stream, _dialect(path, kind))) - 1)
        return sum(1 for _ in rows(path))


def _dialect(path: File, kind: str) -> Dialect:
    with open_text(path) as stream:
        return find_dialect(stream.read(1 << 18), "\t" if kind == "tsv" else ",")
