"""The process in which SQL that a model wrote is executed; a program of its own that imports nothing of upcycle.

It reads lines of JSON from stdin (a table, or statements to execute on one) and writes one line of JSON to stdout for
each statement, and [] once a table is ready. The decision: the boundary is the engine. A table lies in a database in
memory; an authorizer allows SELECT on it and a list of functions, nothing else; limits on length, depth, memory and
result are the engine's and the system's own; and an alarm ends the whole process where one built-in runs past the
time that the engine, which looks at the clock only between its steps, was given. Each table lies there twice, the
second time with its rows in reverse order, so that an answer which hangs on their order is told from one that follows
from the table; and what a LIMIT cuts off is looked at with ties broken both ways, since groups come in their own order.
"""

from __future__ import annotations

import json
import math
import re
import resource
import signal
import sqlite3
import sys
import time
from collections import OrderedDict
from typing import Any

TABLE = "t"
LONGEST = 8_000
"""Bytes a statement may have."""
FUNCTIONS = frozenset({
    "abs", "avg", "coalesce", "count", "cume_dist", "dense_rank", "first_value", "group_concat", "ifnull", "iif",
    "lag", "last_value", "lead", "length", "like", "lower", "ltrim", "max", "min", "nth_value", "ntile", "nullif",
    "percent_rank", "rank", "round", "row_number", "rtrim", "substr", "substring", "sum", "total", "trim", "typeof",
    "upper",
})  # fmt: skip
"""What a statement may call: no clock, random number or file, nothing that makes large values of small."""

_LENGTHS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 200_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: LONGEST,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 60,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 6,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 50_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
} if hasattr(sqlite3, "SQLITE_LIMIT_LENGTH") else {}  # fmt: skip
_TELL = 0.02  # seconds that outcomes are kept before they are written, where nobody asked to be told of each
_STEPS = 1000  # of the engine between two looks at the clock: well under a millisecond
# Shares of a statement's time after which the engine is told to stop, and after which the alarm ends the process: what
# is left is for the system to notice and clean up.
_EARLY, _LATE = 0.7, 0.85
_TABLES = 8  # kept at once
_COMMENT = re.compile(r"\s+|--[^\n]*\n?|/\*.*?\*/", re.DOTALL)
_QUERY = re.compile(r"(select|with|values)\b", re.IGNORECASE)
_NAMED = re.compile(r"\b(\w+)[\"`\]]?\s*(?:\([^()]*\)\s*)?AS\s+(?:(?:NOT\s+)?MATERIALIZED\s*)?\(", re.IGNORECASE)
_LIMITED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|[()]|\border\s+by\b|\blimit\b",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN_END = re.compile(r"([^'(]*\sORDER BY (?:\"\w+\"|\w+|COUNT\(\*\))(?: ASC| DESC)?)(\s+LIMIT \d+)", re.IGNORECASE)
_SKIPS = re.compile(r"\boffset\b|\blimit\s+\d+\s*,", re.IGNORECASE)
_OFFSET = re.compile(r"\blimit\s+(\d{1,9})\s*(?:\boffset\b|,)\s*(\d{1,9})\s*;?\s*$", re.IGNORECASE)
_TYPES = {"integer": "INTEGER", "real": "REAL"}


class Clock:
    """When the statement at work must stop; asked by the engine between its steps."""

    def __init__(self) -> None:
        self.end = math.inf

    def over(self) -> int:
        return time.monotonic() > self.end


class Database:
    """A table in memory, in a connection of its own, that can only be asked."""

    def __init__(self, columns: list[list[str]], rows: list[list[Any]], clock: Clock, memory: int) -> None:
        self._opened = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        self._names = {name for name, _ in columns}
        self.read: set[str] = set()
        self._with: set[str] = set()
        self._fill(columns, rows)
        self._close_in(clock, memory)

    def ask(self, statement: str, most_rows: int, most_bytes: int) -> tuple[list[str], list[list[Any]]]:
        """Names of the result's columns, and its rows."""
        if "with" in statement.lower():
            self._with = {name.lower() for name in _NAMED.findall(statement)}
        else:
            self._with = set()
        found = self._opened.execute(statement)
        try:
            names = [column[0] for column in found.description or ()]
            rows, size = [], 0
            for row in found:
                size += sum(len(cell.encode()) if isinstance(cell, str) else 8 for cell in row)
                if len(rows) == most_rows:
                    raise TooBig(f"its result has more than {most_rows:,} rows")
                if size > most_bytes:
                    raise TooBig(f"its result has more than {most_bytes:,} bytes")
                rows.append(list(row))
        finally:
            found.close()
        return names, rows

    def _fill(self, columns: list[list[str]], rows: list[list[Any]]) -> None:
        quoted = ", ".join(f'"{name}" {_TYPES.get(kind, "TEXT")}' for name, kind in columns)
        self._opened.execute(f'CREATE TABLE "{TABLE}" ({quoted})')
        marks = ", ".join("?" * len(columns))
        self._opened.executemany(f'INSERT INTO "{TABLE}" VALUES ({marks})', rows)

    def _close_in(self, clock: Clock, memory: int) -> None:
        opened = self._opened
        for pragma in (
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            "query_only = ON",
            f"hard_heap_limit = {memory // 4}",
        ):
            opened.execute(f"PRAGMA {pragma}").fetchall()
        for limit, value in _LENGTHS.items():
            opened.setlimit(limit, value)
        opened.enable_load_extension(False) if hasattr(opened, "enable_load_extension") else None
        opened.set_progress_handler(clock.over, _STEPS)
        opened.set_authorizer(self._allowed)  # last: it allows none of the above

    def _allowed(self, action: int, one: str | None, two: str | None, base: str | None, inner: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and two is not None and two.lower() in FUNCTIONS:
            return sqlite3.SQLITE_OK
        # An empty column is the table as a whole, as in count(*). ROWID is nobody's column.
        if action == sqlite3.SQLITE_READ and one == TABLE and (not two or two in self._names):
            self.read.add(two or "")
            return sqlite3.SQLITE_OK
        # What a WITH of the statement itself names is in no database; what it reads was asked for on its own.
        if action == sqlite3.SQLITE_READ and base is None and not two and one is not None and one.lower() in self._with:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


class TooBig(Exception):  # noqa: N818  a verdict, not an error
    """The result is larger than anything a question is answered with."""


def is_query(statement: str) -> bool:
    """Whether it begins as a query does: a second fence, with clearer words than the first one's "not authorized"."""
    at = 0
    while found := _COMMENT.match(statement, at):
        at = found.end()
    return _QUERY.match(statement, at) is not None


def execute(pair: tuple[Database, Database], statement: str, clock: Clock, limits: dict[str, Any]) -> list[Any]:
    """["ok", names, rows, columns read, whether the order of rows decides] or ["no", kind, reason]."""
    if not is_query(statement):
        return ["no", "refused", "it is not a SELECT"]
    clock.end = time.monotonic() + _EARLY * limits["seconds"]
    try:
        names, rows, read, unsettled = _asked(pair, statement, limits)
    except TooBig as error:
        return ["no", "too-big", str(error)]
    except (sqlite3.Error, sqlite3.Warning) as error:
        return _refusal(error, limits)
    except (ValueError, OverflowError, MemoryError) as error:
        return ["no", "invalid", str(error) or type(error).__name__]
    if not all(map(_holds_values, rows)):
        return ["no", "too-big", "its result holds a value that is neither text nor a finite number"]
    return ["ok", names, rows, read, unsettled]


def _asked(
    pair: tuple[Database, Database], statement: str, limits: dict[str, Any]
) -> tuple[list[str], list[list[Any]], list[str], bool]:
    """Names and rows of the result, columns read, and whether another order of rows or of ties gives other rows."""
    (forth, back), most = pair, (limits["rows"], limits["bytes"])
    ways = ties_broken(statement) if limits["twice"] and "limit" in statement.lower() else None
    forth.read.clear()
    if ways is not None:
        names, rows = forth.ask(ways[0], *most)
        read, other = sorted(forth.read), back.ask(ways[1], *most)[1]
        if rows == other and not _SKIPS.search(statement):
            return names, rows, read, False  # no order of ties makes a difference, and so not its own
        found = forth.ask(statement, *most)[1]
        # Behind an OFFSET a tie can come to the same upwards and downwards: no row up to there may tie.
        settled = rows == other if _OFFSET.search(statement) else _same(rows, other) and _same(rows, found)
        return names, found, read, not settled
    names, rows = forth.ask(statement, *most)
    read, other = sorted(forth.read), back.ask(statement, *most)[1] if limits["twice"] else rows
    return names, rows, read, not _same(rows, other)


def ties_broken(statement: str) -> tuple[str, str] | None:
    """The statement with rows that tie before a LIMIT in the order of its first column, upwards and downwards.

    What an OFFSET at its end skips is not skipped.

    >>> ties_broken("SELECT a FROM t GROUP BY a ORDER BY COUNT(*) LIMIT 1")[1]
    'SELECT a FROM t GROUP BY a ORDER BY COUNT(*), 1 DESC LIMIT 1'
    """
    if plain := _PLAIN_END.fullmatch(statement):  # as nearly all end, and sooner told
        return f"{plain[1]}, 1 ASC{plain[2]}", f"{plain[1]}, 1 DESC{plain[2]}"
    parts: list[str] = []
    ordered, done = [False], 0
    for token in _LIMITED.finditer(statement):
        word = token[0].lower()
        if word == "(":
            ordered.append(False)
        elif word == ")":
            ordered = ordered[:-1] or [False]
        elif word.startswith("order"):
            ordered[-1] = True
        elif word == "limit":
            parts.append(statement[done : token.start()] + (", 1 " if ordered[-1] else "ORDER BY 1 "))
            done = token.start()
    if not parts:
        return None
    rest = _OFFSET.sub(lambda found: f"LIMIT {sum(map(int, found.groups()))}", statement[done:])
    return "ASC ".join([*parts, rest]), "DESC ".join([*parts, rest])


def _refusal(error: Exception, limits: dict[str, Any]) -> list[Any]:
    text = str(error)
    if text == "interrupted":
        return ["no", "out-of-time", f"it ran longer than {limits['seconds']:g} s"]
    if "one statement at a time" in text:
        return ["no", "refused", "it is more than one statement"]
    if "not authorized" in text or "prohibited" in text or "authorization" in text:
        return ["no", "refused", f"it does more than SELECT from {TABLE} ({text})"]
    if "memory" in text or "too big" in text:
        return ["no", "too-big", text]
    return ["no", "invalid", text]


def _holds_values(row: list[Any]) -> bool:
    return not any(isinstance(cell, bytes) or (isinstance(cell, float) and not math.isfinite(cell)) for cell in row)


def _same(rows: list[list[Any]], other: list[list[Any]]) -> bool:
    """Whether two results hold the same rows, in whatever order."""
    return rows == other or sorted(map(_comparable, rows)) == sorted(map(_comparable, other))


def _comparable(row: list[Any]) -> str:
    # Sums of decimals differ in the last digits with the order of rows; nine of them are compared.
    return repr([float(f"{cell:.9g}") if isinstance(cell, float) else cell for cell in row])


def _shut_in(limits: dict[str, Any]) -> None:
    """Limits the system keeps: no file may be written or opened, and memory ends."""
    for what, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_NOFILE, 3),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue  # macOS keeps no limit on addresses
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def main() -> None:
    """Serve until stdin ends."""
    limits = json.loads(sys.stdin.buffer.readline())
    _shut_in(limits)
    clock = Clock()
    tables: OrderedDict[str, tuple[Database, Database]] = OrderedDict()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "columns" in asked:
            columns, rows = asked["columns"], asked["rows"]
            memory = limits["memory"]
            tables[asked["table"]] = (
                Database(columns, rows, clock, memory),
                Database(columns, rows[::-1], clock, memory),
            )
            while len(tables) > _TABLES:
                tables.popitem(last=False)
            _tell([b"[]\n"])
            continue
        pair = tables[asked["table"]]
        said: list[bytes] = []
        told = time.monotonic()
        for statement in asked["statements"]:
            signal.setitimer(signal.ITIMER_REAL, _LATE * limits["seconds"])
            said.append(json.dumps(execute(pair, statement, clock, limits)).encode() + b"\n")
            if asked["careful"] or time.monotonic() - told > _TELL:
                _tell(said)
                told = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0)
        _tell(said)


def _tell(said: list[bytes]) -> None:
    sys.stdout.buffer.write(b"".join(said))
    sys.stdout.buffer.flush()
    said.clear()


if __name__ == "__main__":
    main()
