"""A table as questions are asked of it: typed columns under names that SQL takes, cells cleaned once.

In: a header and rows as some file holds them. Out: a `Table`, or `BadTable` with the reason why nothing can be asked of
it. The decision: everything doubtful is settled here, at the edge, and noted: what a question is executed on is exactly
what is shown, and no later stage looks at raw cells. Nothing is guessed inside a cell: a column is a column of numbers
only where every filled cell of it is a number.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import orjson

Cell = str | int | float | None
Kind = Literal["integer", "real", "date", "text"]
"""What a column holds; a date is a text like 2024-01-31, which sorts as it should."""

MAX_COLUMNS = 100
MAX_ROWS = 100_000
_LONGEST_NAME = 60
_SHOWN = 200  # characters of a cell that are shown
_SKEWED = 0.25  # share of rows with a wrong number of cells above which the table is not read right

_NULLS = frozenset({"", "-", "–", "—", "--", "n/a", "n / a", "null", "nan", "?", "#n/a"})
_TOTALS = frozenset({"total", "totals", "sum", "average", "mean", "grand total", "subtotal", "overall", "total:"})
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d*|[1-9]\d{0,2}(,\d{3})+)")
_REAL = re.compile(r"[-+]?(0|[1-9]\d*|[1-9]\d{0,2}(,\d{3})+)?\.\d+(e[-+]?\d+)?|[-+]?\d(\.\d+)?e[-+]?\d+", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])( \d{2}:\d{2}(:\d{2})?)?")
_LARGEST = 2**63 - 1
_UNDECODED = re.compile("[\ud800-\udfff]")  # what a reader leaves of bytes that are not UTF-8
# Names a query cannot use bare, and those SQLite gives to every table.
_RESERVED = frozenset({
    "_rowid_", "abort", "action", "add", "all", "alter", "analyze", "and", "as", "asc", "attach", "autoincrement",
    "before", "begin", "between", "by", "cascade", "case", "cast", "check", "collate", "column", "commit", "conflict",
    "constraint", "create", "cross", "current", "database", "default", "deferrable", "deferred", "delete", "desc",
    "detach", "distinct", "do", "drop", "each", "else", "end", "escape", "except", "exclude", "exclusive", "exists",
    "explain", "fail", "filter", "first", "following", "for", "foreign", "from", "full", "generated", "glob", "group",
    "groups", "having", "if", "ignore", "immediate", "in", "index", "indexed", "initially", "inner", "insert",
    "instead", "intersect", "into", "is", "isnull", "join", "key", "last", "left", "like", "limit", "match",
    "materialized", "natural", "no", "not", "nothing", "notnull", "null", "nulls", "of", "offset", "oid", "on", "or",
    "order", "others", "outer", "over", "partition", "plan", "pragma", "preceding", "primary", "query", "raise",
    "range", "recursive", "references", "regexp", "reindex", "release", "rename", "replace", "restrict", "returning",
    "right", "rollback", "row", "rowid", "rows", "savepoint", "select", "set", "t", "table", "temp", "temporary",
    "then", "ties", "to", "transaction", "trigger", "unbounded", "union", "unique", "update", "using", "vacuum",
    "values", "view", "virtual", "when", "where", "window", "with", "without",
})  # fmt: skip


class Column(NamedTuple):
    """A column: `name` is safe in SQL and unique, `original` the header as found ("" where there was none).

    Attributes:
        repeated: whether another column before it is called the same.
    """

    name: str
    original: str
    kind: Kind
    repeated: bool = False

    @property
    def numeric(self) -> bool:
        return self.kind in ("integer", "real")

    @property
    def said(self) -> str:
        """The column as a question calls it."""
        found = "" if self.repeated else " ".join(self.original.replace("_", " ").split())
        return found or self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that questions can be asked of.

    Attributes:
        id: stable and unique among the tables opened together: the path, and "#name" where a file holds several.
        title: what it is a table of, "" where nothing says it.
        source: id of the file or folder that was named.
        revision: digest of columns and cells.
        notes: what was mended on reading it, one sentence each.
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    source: str
    revision: str
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def values(self, column: int) -> list[Cell]:
        """The cells of a column that are filled."""
        return [row[column] for row in self.rows if row[column] is not None]


class BadTable(NamedTuple):
    """A table of which nothing can be asked, and why; equal reasons are counted together."""

    id: str
    source: str
    reason: str
    revision: str = ""
    licences: tuple[str, ...] = ()


def make_table(
    id: str,  # noqa: A002  the name it has everywhere
    header: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    source: str = "",
    licences: tuple[str, ...] = (),
    notes: Sequence[str] = (),
) -> Table | BadTable:
    """Clean a header and rows into a table.

    Cells may be text, numbers, dates, booleans or None. Empty columns and rows, rows of totals, rows that are not UTF-8
    and rows with a wrong number of cells are left out with a note; numbers may have commas; HTML entities are resolved.

    Args:
        notes: what was mended before.
    """
    bad = _bad(id, source, licences)
    if len(header) > MAX_COLUMNS:
        return bad(f"it has more than {MAX_COLUMNS} columns")
    if _undecoded(header):
        return bad("its header is not UTF-8 text")
    told = list(notes)
    cleaned, skewed, undecoded, number = [], 0, 0, 0
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            return bad(f"it has more than {MAX_ROWS:,} rows")
        if len(row) != len(header):
            skewed += 1
        elif _undecoded(row):
            undecoded += 1
        else:
            cleaned.append([_clean(cell) for cell in row])
    if skewed > _SKEWED * number:
        return bad("many of its rows have another number of cells than the header")
    if undecoded > _SKEWED * number:
        return bad("many of its rows are not UTF-8 text")
    if skewed:
        told.append(f"rows left out, their number of cells is not the header's: {skewed}")
    if undecoded:
        told.append(f"rows left out, they are not UTF-8 text: {undecoded}")
    filled = [row for row in cleaned if any(cell is not None for cell in row)]
    kept = [row for row in filled if not _is_total(row)]
    if len(kept) < len(filled):
        told.append(f"rows of totals left out: {len(filled) - len(kept)}")
    return _typed(id, header, kept, title, source, licences, told)


def _typed(
    name: str,
    header: Sequence[Any],
    rows: list[list[Any]],
    title: str,
    source: str,
    licences: tuple[str, ...],
    notes: list[str],
) -> Table | BadTable:
    bad = _bad(name, source, licences)
    if not rows:
        return bad("it has no rows")
    if len(rows) == 1:
        return bad("it has one row; a question needs several to choose among")
    used = [at for at in range(len(header)) if any(row[at] is not None for row in rows)]
    if len(used) < len(header):
        notes.append(f"empty columns left out: {len(header) - len(used)}")
    if len(used) < 2:
        return bad("it has one column; a question needs one to ask by and one to answer with")
    originals = [_text(header[at]) or "" for at in used]
    if not any(originals):
        return bad("it has no header: none of its columns has a name")
    if missing := originals.count(""):
        notes.append(f"columns without a name, now numbered: {missing}")
    if repeated := len(originals) - len(set(originals)) - max(0, missing - 1):
        notes.append(f"columns with the name of another, now numbered: {repeated}")
    columns, values, both = [], [], 0
    said: set[str] = set()
    for at, safe, original in zip(used, safe_names(originals), originals, strict=True):
        kind, cells, mixed = _column([row[at] for row in rows])
        both += mixed
        column = Column(safe, original, kind)
        columns.append(column._replace(repeated=column.said.casefold() in said))
        said.add(column.said.casefold())
        values.append(cells)
    if both:
        notes.append(f"columns of numbers and words, read as text: {both}")
    body = tuple(zip(*values, strict=True))
    revision = hashlib.sha256(orjson.dumps([[column[:3] for column in columns], body])).hexdigest()[:16]
    title = _text(title) or ""
    return Table(name, title, tuple(columns), body, source, revision, licences, tuple(notes))


def _bad(name: str, source: str, licences: tuple[str, ...]) -> Any:
    return lambda reason: BadTable(name, source, reason, licences=licences)


def safe_names(headers: Sequence[str]) -> list[str]:
    r"""Headers as distinct names that SQL takes without quotes.

    >>> safe_names(["Chart-Positions\nUK", "2001", "", "order", "Order!"])
    ['chart_positions_uk', 'c_2001', 'column_3', 'order_', 'order_2']
    """
    names: list[str] = []
    for position, header in enumerate(headers, 1):
        plain = unicodedata.normalize("NFKC", header).lower()
        name = re.sub(r"\W+", "_", plain).strip("_")[:_LONGEST_NAME].strip("_") or f"column_{position}"
        if not (name[0].isalpha() or name[0] == "_"):
            name = f"c_{name}"
        if name in _RESERVED:
            name += "_"
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name.rstrip('_')}_{number}", number + 1
        names.append(unique)
    return names


def shown(table: Table, *, chars: int = 4000) -> str:
    """The table as text, one row a line, cells parted by " | " and cut; rows that do not fit are counted, not shown.

    The first line names the table where it has a title; the header holds the names that SQL takes.
    """
    head, lines = _head(table), _that_fit(table, chars)
    if (missing := len(table.rows) - len(lines)) > 0:
        lines.append(f"({missing} more rows of {len(table.rows)} are not shown)")
    return "\n".join(head + lines)


def as_shown(table: Table, *, chars: int) -> Table | BadTable:
    """The part of a table that `shown` shows, for questions that must be answered from it."""
    rows = len(_that_fit(table, chars))
    if rows < 2:
        reason = f"fewer than two of its rows fit into the {chars:,} characters an example shows"
        return BadTable(table.id, table.source, reason, table.revision, table.licences)
    if not (hidden := len(table.rows) - rows):
        return table
    note = f"rows left out, an example has no room for them: {hidden}"
    return replace(table, rows=table.rows[:rows], notes=(*table.notes, note))


def _head(table: Table) -> list[str]:
    names = " | ".join(column.name for column in table.columns)
    return [f"Table: {table.title}", names] if table.title else [names]


def _that_fit(table: Table, chars: int) -> list[str]:
    """The first rows as lines, as many as fit under the head, one at least."""
    lines: list[str] = []
    chars -= sum(map(len, _head(table)))
    for row in table.rows:
        line = " | ".join(_cut(cell_text(cell)) for cell in row)
        chars -= len(line) + 1
        if chars < 0 and lines:
            break
        lines.append(line)
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} […]"


def cell_text(value: Cell) -> str:
    """A value as answers and tables show it: 12, 0.5, 3.333333333 (ten digits at most), "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(round(value)) if value == round(value) and abs(value) < 1e15 else f"{value:.10g}"
    return str(value)


def looks_headless(grid: Sequence[Sequence[str]]) -> bool:
    """Whether the first line of a file holds data and no names: a number stands over numbers (a year, over years).

    Args:
        grid: the first lines, the one in question included.
    """
    if len(grid) < 2:
        return False
    for at, cell in enumerate(grid[0]):
        head = _cell_number(cell)
        filled = [row[at] for row in grid[1:] if at < len(row) and _clean(row[at]) is not None]
        below = list(map(_cell_number, filled))
        if head is None or not below or None in below:
            continue
        if not _is_year(head) or all(map(_is_year, below)):
            return True
    return False


def _cell_number(cell: str) -> int | float | None:
    cleaned = _clean(cell)
    return _number(cleaned) if isinstance(cleaned, str) else None


def _is_year(number: float | None) -> bool:
    return isinstance(number, int) and 1000 <= number <= 2200


def _clean(cell: Any) -> Any:
    """A cell as None, a finite number, or text in one line."""
    if cell is None or isinstance(cell, bool):
        return None if cell is None else str(cell).lower()
    if isinstance(cell, Decimal):
        cell = int(cell) if cell == cell.to_integral_value() else float(cell)
    if isinstance(cell, int):
        return cell if abs(cell) <= _LARGEST else str(cell)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return _text(cell)


def _text(cell: Any) -> str | None:
    if isinstance(cell, datetime):
        cell = cell.isoformat(" ", "seconds").removesuffix(" 00:00:00")
    elif isinstance(cell, date | time):
        cell = cell.isoformat()
    elif isinstance(cell, bytes | bytearray):
        return None  # no question can be asked by it
    elif not isinstance(cell, str):
        try:
            cell = orjson.dumps(cell, default=str).decode() if isinstance(cell, dict | list) else str(cell)
        except TypeError:
            return None  # nested deeper than anybody asks
    if "&" in cell:
        cell = html.unescape(cell)
    text = " ".join(cell.replace("\u200b", "").replace("\ufeff", "").split())
    return None if text.lower() in _NULLS else text


def _undecoded(cells: Sequence[Any]) -> bool:
    return any(isinstance(cell, str) and not cell.isascii() and _UNDECODED.search(cell) for cell in cells)


def _is_total(row: Sequence[Any]) -> bool:
    first = next((cell for cell in row if cell is not None), None)
    return isinstance(first, str) and first.lower() in _TOTALS


def _column(cells: list[Any]) -> tuple[Kind, list[Cell], bool]:
    """Kind and cells of a column, and whether numbers and words are mixed in it."""
    filled = [cell for cell in cells if cell is not None]
    numbers = [cell if isinstance(cell, int | float) else _number(cell) for cell in filled]
    if all(number is not None for number in numbers):
        kind: Kind = "integer" if all(isinstance(number, int) for number in numbers) else "real"
        parsed = iter(numbers)
        return kind, [None if cell is None else _as(kind, next(parsed)) for cell in cells], False
    texts: list[Cell] = [cell_text(cell) if cell is not None else None for cell in cells]
    if all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in filled):
        return "date", texts, False
    mixed = any(number is not None for number in numbers)
    return "text", texts, mixed


def _as(kind: Kind, number: Any) -> Cell:
    return float(number) if kind == "real" else number


def _number(cell: str) -> int | float | None:
    """The number a cell is, None where it is something else: 007 and 1.234.567 are names."""
    cell = cell.replace("−", "-")
    if _INTEGER.fullmatch(cell):
        value = int(cell.replace(",", ""))
        return value if abs(value) <= _LARGEST else None
    if _REAL.fullmatch(cell):
        number = float(cell.replace(",", ""))
        return number if math.isfinite(number) else None
    return None
