"""Rows of a CSV or TSV file: delimiter, quoting and cell types found from the beginning of the file.

In: an open text stream. Out: one dict per row, or `Damaged` where a row has another number of cells than the header.
The decision: a cell is converted only where converting back gives the very same text (`007`, `26.50`, `true` and
`1e3` stay text), and only in a column all of whose sampled cells can be converted; so nothing is lost by it. A later
cell that does not fit stays text. An empty cell of a converted column is None, of a text column "".
"""

from __future__ import annotations

import ast
import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from upcycle.errors import SourceError

_SAMPLE_ROWS = 1000
_SAMPLE_CHARS = 1 << 18
_UNDECODED = re.compile("[\udc80-\udcff]")
_INT = re.compile(r"-?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9]\d*)\.\d+(e[-+]\d+)?")


class Damaged(NamedTuple):
    """A row that cannot be read, and why; it keeps its place so that the ids of its neighbours do not shift."""

    reason: str


class Dialect(NamedTuple):
    delimiter: str
    quoted: bool


def tabular_rows(stream: TextIO, dialect: Dialect) -> Iterator[dict[str, Any] | Damaged]:
    """Rows as dicts, typed by the first 1,000.

    Raises:
        SourceError: there is no header, or the file stops being CSV (an unclosed quote).
    """
    table = cells(stream, dialect)
    header = column_names(next(table, []))
    if not header:
        raise SourceError("it has no header row")
    sample = list(itertools.islice(table, _SAMPLE_ROWS))
    converters = [_converter([row[n] for row in sample if len(row) == len(header)]) for n in range(len(header))]
    plain = all(converter is None for converter in converters)
    for row in itertools.chain(sample, table):
        if len(row) != len(header):
            yield Damaged(f"it has {len(row)} cells where the header has {len(header)}")
        elif any(_UNDECODED.search(cell) for cell in row if not cell.isascii()):
            yield Damaged("it is not UTF-8 text")
        elif plain:
            yield dict(zip(header, row, strict=True))
        else:
            yield {
                name: cell if convert is None else convert(cell)
                for name, cell, convert in zip(header, row, converters, strict=True)
            }


def cells(stream: TextIO, dialect: Dialect) -> Iterator[list[str]]:
    """Rows as lists of cells, blank lines left out."""
    # The default of 131,072 characters a cell refuses real texts; csv has no other place for this setting.
    csv.field_size_limit(1 << 28)
    quoting = csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    reader = csv.reader(stream, delimiter=dialect.delimiter, quoting=quoting)
    try:
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise SourceError(f"it is not readable as CSV after line {reader.line_num}: {error}") from error


def find_dialect(head: str, delimiter: str) -> Dialect:
    """Delimiter and quoting from the beginning of the file; the extension's delimiter wins wherever it works."""
    head = head[:_SAMPLE_CHARS]
    if "\n" in head and len(head) == _SAMPLE_CHARS:
        head = head[: head.rindex("\n") + 1]
    first = head.split("\n", 1)[0]
    if delimiter not in first:
        delimiter = max((other for other in ";\t,|" if other in first), key=first.count, default=delimiter)
    quoted = Dialect(delimiter, True)
    if '"' not in head or delimiter != "\t":
        return quoted
    # Some TSV files hold bare quotes that mean nothing: read as quotes they swallow whole rows.
    bare = Dialect(delimiter, False)
    return bare if _whole_rows(head, bare) > _whole_rows(head, quoted) else quoted


def _whole_rows(head: str, dialect: Dialect) -> int:
    try:
        table = list(cells(iter(head.splitlines(keepends=True)), dialect))  # type: ignore[arg-type]
    except SourceError:
        return 0
    return sum(len(row) == len(table[0]) for row in table)


def column_names(header: Sequence[str]) -> list[str]:
    """Header cells as distinct names: an empty one becomes `column_3`, a repeated one gets a number."""
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        name = cell.strip().removeprefix("\ufeff") or f"column_{position}"
        number = 2
        unique = name
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


def _converter(sample: Sequence[str]) -> Callable[[str], Any] | None:
    filled = [cell for cell in sample if cell]
    if not filled:
        return None
    for convert in (_number, _boolean, _nested):
        if all(convert(cell) is not None for cell in filled):
            return _Fallback(convert)
    return None


class _Fallback(NamedTuple):
    """Convert where possible, else keep the text: a later cell may not look like the sample."""

    convert: Callable[[str], Any]

    def __call__(self, cell: str) -> Any:
        if not cell:
            return None
        value = self.convert(cell)
        return cell if value is None else value


def _number(cell: str) -> int | float | None:
    if _INT.fullmatch(cell):
        return int(cell) if cell != "-0" else None
    if _FLOAT.fullmatch(cell):
        value = float(cell)
        return value if repr(value) == cell else None
    return None


def _boolean(cell: str) -> bool | None:
    return {"True": True, "False": False}.get(cell)


def _nested(cell: str) -> Any:
    """A list or dict written into a cell, as JSON or as Python prints it."""
    if cell[0] not in "[{":
        return None
    import orjson

    try:
        return orjson.loads(cell)
    except ValueError:
        pass
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # A printed numpy array, ['a' 'b'], parses too, as ['ab']: take only what prints as the same text again.
    return value if repr(value) == cell else None
