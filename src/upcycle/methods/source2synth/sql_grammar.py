"""Statements and their questions without a model: a grammar over the columns and values of a table.

`sketches(table, rng)` draws (kind, statement, question) for ever; the answer is what execution brings, so it is true by
construction, and free. The decision: statement and question are drawn together from one rule, and a rule gives nothing
where the table lacks what it asks about, so a question never says more or less than its statement does. Ours; the paper
has a model write every statement.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from upcycle.methods.source2synth.sql import TABLE
from upcycle.sources.tables.table import Cell, Table, cell_text

_LONGEST = 60  # characters of a value that a question can name
_NAMES = re.compile(r"\b(id|no|number|num|nr|code|zip|phone|week|round|series|episode|day|month)\b|#")
# A rank of 1 is called the highest, and is the lowest number: no superlative is safe.
_RANKS = re.compile(r"\b(rank|ranking|ranks|position|pos|place|placing|finish|seed|standing|grid|order)\b")


class Sketch(NamedTuple):
    """A statement and the question it answers."""

    kind: str
    sql: str
    question: str


class Part(NamedTuple):
    """Part of a statement, and how it is said."""

    sql: str
    said: str


def sketches(
    table: Table, rng: random.Random, *, kinds: Mapping[str, float] | None = None, idle: int = 200
) -> Iterator[Sketch]:
    """Drawn without end, unless `idle` draws in a row brought nothing: then the table has nothing to ask about.

    Args:
        kinds: weights of the kinds in `KINDS`; `WEIGHTS` where not given.
    """
    weights = dict(kinds or WEIGHTS)
    names, shares = list(weights), list(weights.values())
    view = View(table, rng)
    missed = 0
    while missed < idle:
        kind = rng.choices(names, shares)[0]
        drawn = KINDS[kind](view)
        if drawn is None:
            missed += 1
            continue
        missed = 0
        yield Sketch(kind, *drawn)


class View:
    """What of a table can be asked about, and the drawing of it."""

    def __init__(self, table: Table, rng: random.Random) -> None:
        self.table, self.rng = table, rng
        named = [at for at, column in enumerate(table.columns) if re.search(r"[^\W\d_]", column.said)]
        cells = {at: table.values(at) for at in named}
        columns = table.columns
        self.counts = {at: Counter(cells[at]) for at in named}
        short = [at for at in named if all(len(str(cell)) <= _LONGEST for cell in cells[at])]
        self.texts = [at for at in short if columns[at].kind == "text" and len(self.counts[at]) > 1]
        self.numbers = [at for at in named if columns[at].numeric and len(self.counts[at]) > 1]
        ranked = [at for at in self.numbers if _RANKS.search(columns[at].said.lower())]
        years = [at for at in self.numbers if _are_years(cells[at])]
        called = [at for at in self.numbers if _NAMES.search(columns[at].said.lower())]
        self.scales = [at for at in self.numbers if at not in ranked + years]
        self.amounts = [at for at in self.scales if at not in called]
        self.dates = [at for at in named if columns[at].kind == "date" and len(self.counts[at]) > 1]
        self.times = self.dates + years
        self.groups = [at for at in self.texts if len(self.counts[at]) < len(cells[at])]
        self.keys = [at for at in self.texts if len(self.counts[at]) == len(cells[at])]
        self.asked = self.texts + self.numbers + self.dates
        self.orderly = self.scales + self.times

    def draw(self, among: Sequence[int], *, but: Sequence[int] = ()) -> int | None:
        left = [at for at in among if at not in but]
        return self.rng.choice(left) if left else None

    def one_of(self, *wordings: str) -> str:
        return self.rng.choice(wordings)

    def name(self, at: int) -> str:
        return f'"{self.table.columns[at].name}"'

    def said(self, at: int) -> str:
        return self.table.columns[at].said

    def far(self, at: int, down: bool) -> str:
        """How the extreme of a column is called."""
        if at in self.times:
            return "latest" if down else "earliest"
        return "highest" if down else "lowest"

    def equals(
        self, *, but: Sequence[int] = (), among: Sequence[int] | None = None, several: bool = False
    ) -> Part | None:
        """A column has a value of its own, in `several` rows where that is wanted."""
        whole = [at for at in self.numbers if self.table.columns[at].kind == "integer"]
        places = self.texts + whole + self.dates if among is None else among
        least = 2 if several else 1
        at = self.draw([at for at in places if max(self.counts[at].values()) >= least], but=but)
        if at is None:
            return None
        value = self.rng.choice(sorted((cell for cell, count in self.counts[at].items() if count >= least), key=str))
        return Part(f"{self.name(at)} = {literal(value)}", f"{self.said(at)} is {cell_text(value)}")

    def compares(self, *, but: Sequence[int] = ()) -> Part | None:
        """A number lies above, below or between values of its column."""
        at = self.draw(self.numbers, but=but)
        if at is None:
            return None
        low, high = sorted(self.rng.sample(sorted(self.counts[at], key=_size), 2), key=_size)
        name, said = self.name(at), self.said(at)
        sign, words, value = self.rng.choice(
            [(">", "more than", low), ("<", "less than", high), (">=", "at least", high), ("<=", "at most", low)]
        )
        if len(self.counts[at]) > 3 and self.rng.random() < 0.25:
            between = f"{name} BETWEEN {literal(low)} AND {literal(high)}"
            return Part(between, f"{said} is between {cell_text(low)} and {cell_text(high)}")
        return Part(f"{name} {sign} {literal(value)}", f"{said} is {words} {cell_text(value)}")

    def condition(self, *, but: Sequence[int] = ()) -> Part | None:
        """One condition that several rows may meet, or two joined by AND."""
        first = self.equals(but=but, several=True) if self.rng.random() < 0.6 else self.compares(but=but)
        if first is None or self.rng.random() < 0.7:
            return first
        used = [at for at in range(len(self.table.columns)) if first.sql.startswith(self.name(at))]
        second = self.compares(but=[*but, *used]) if self.rng.random() < 0.5 else self.equals(but=[*but, *used])
        if second is None:
            return first
        return Part(f"{first.sql} AND {second.sql}", f"{first.said} and {second.said}")

    def reckoned(self, among: Sequence[int], *, but: Sequence[int] = ()) -> Part | None:
        """An aggregate of a column of numbers."""
        at = self.draw(among, but=but)
        if at is None:
            return None
        name, said = self.name(at), self.said(at)
        if at in self.times:
            return Part(*self.rng.choice([(f"MAX({name})", f"latest {said}"), (f"MIN({name})", f"earliest {said}")]))
        choices = [("MAX({})", "highest {}"), ("MIN({})", "lowest {}")]
        if at in self.amounts:
            choices += [("SUM({})", "total {}"), ("ROUND(AVG({}), 2)", "average {}, rounded to two decimals")]
        sql, words = self.rng.choice(choices)
        return Part(sql.format(name), words.format(said))


def literal(value: Cell) -> str:
    """A value as SQL writes it."""
    if isinstance(value, int | float):
        return cell_text(value)
    return "'" + str(value).replace("'", "''") + "'"


def _size(cell: Cell) -> float:
    return float(cell or 0)


def _are_years(cells: Sequence[Cell]) -> bool:
    return all(isinstance(cell, int) and 1500 <= cell <= 2100 for cell in cells)


Drawn = tuple[str, str] | None


def _lookup(view: View) -> Drawn:
    at = view.draw(view.asked)
    where = view.equals(but=[at] if at is not None else [])
    if at is None or where is None:
        return None
    said = view.said(at)
    question = view.one_of(
        f"What is the {said} where the {where.said}?",
        f"Which {said} is listed where the {where.said}?",
        f"If the {where.said}, what is the {said}?",
    )
    return f"SELECT DISTINCT {view.name(at)} FROM {TABLE} WHERE {where.sql}", question


def _listing(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.scales)
    where = view.condition(but=[one for one in (at, by) if one is not None])
    if at is None or by is None or where is None:
        return None
    down = view.rng.random() < 0.5
    order = "highest first" if down else "lowest first"
    sql = f"SELECT {view.name(at)} FROM {TABLE} WHERE {where.sql} ORDER BY {view.name(by)} {'DESC' if down else 'ASC'}"
    question = view.one_of(
        f"List every {view.said(at)} where the {where.said}, ordered by {view.said(by)}, {order}.",
        f"For which {view.said(at)} is it true that the {where.said}? Give them by {view.said(by)}, {order}.",
    )
    return sql, question


def _count(view: View) -> Drawn:
    where = view.condition()
    if where is None:
        return None
    question = view.one_of(
        f"How many rows are there where the {where.said}?",
        f"In how many cases is it true that the {where.said}?",
        f"How often does it happen that the {where.said}?",
    )
    return f"SELECT COUNT(*) FROM {TABLE} WHERE {where.sql}", question


def _distinct(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    question = view.one_of(
        f"How many different values of {view.said(at)} are there?",
        f"How many distinct entries of {view.said(at)} occur?",
    )
    return f"SELECT COUNT(DISTINCT {view.name(at)}) FROM {TABLE}", question


def _aggregate(view: View) -> Drawn:
    what = view.reckoned(view.orderly)
    if what is None:
        return None
    question = view.one_of(f"What is the {what.said}?", f"What is the {what.said}, over all rows?")
    return f"SELECT {what.sql} FROM {TABLE}", question


def _aggregate_where(view: View) -> Drawn:
    at = view.draw(view.orderly)
    what = view.reckoned([at]) if at is not None else None
    where = view.condition(but=[at]) if at is not None else None
    if what is None or where is None:
        return None
    question = view.one_of(
        f"What is the {what.said}, where the {where.said}?",
        f"Of the rows where the {where.said}, what is the {what.said}?",
    )
    return f"SELECT {what.sql} FROM {TABLE} WHERE {where.sql}", question


def _superlative(view: View) -> Drawn:
    by = view.draw(view.orderly)
    at = view.draw(view.texts, but=[by] if by is not None else [])
    if at is None or by is None:
        return None
    down = view.rng.random() < 0.5
    nth, words = view.rng.choice([(0, ""), (0, ""), (0, ""), (1, "second "), (2, "third ")])
    far = view.far(by, down)
    offset = f" OFFSET {nth}" if nth else ""
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(by)} IS NOT NULL"
        f" ORDER BY {view.name(by)} {'DESC' if down else 'ASC'} LIMIT 1{offset}"
    )
    question = view.one_of(
        f"Which {view.said(at)} has the {words}{far} {view.said(by)}?",
        f"What is the {view.said(at)} with the {words}{far} {view.said(by)}?",
    )
    return sql, question


def _most_often(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    down = view.rng.random() < 0.75
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL GROUP BY {view.name(at)}"
        f" ORDER BY COUNT(*) {'DESC' if down else 'ASC'} LIMIT 1"
    )
    often = "most often" if down else "least often"
    question = view.one_of(
        f"Which {view.said(at)} occurs {often}?", f"What is the {view.said(at)} that is listed {often}?"
    )
    return sql, question


def _group(view: View) -> Drawn:
    at, by = view.draw(view.groups), view.draw(view.amounts)
    if at is None or by is None:
        return None
    down = view.rng.random() < 0.7
    function, word = view.rng.choice([("SUM", "total"), ("AVG", "average"), ("MAX", "single")])
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL GROUP BY {view.name(at)}"
        f" HAVING COUNT({view.name(by)}) > 0 ORDER BY {function}({view.name(by)}) {'DESC' if down else 'ASC'} LIMIT 1"
    )
    if function == "MAX":
        # The largest of a group, and the group whose largest is smallest: the latter cannot be said well.
        sql = sql.replace(" ASC ", " DESC ")
        return sql, f"Which {view.said(at)} has the highest single {view.said(by)}?"
    far = "highest" if down else "lowest"
    question = view.one_of(
        f"Which {view.said(at)} has the {far} {word} {view.said(by)}?",
        f"Grouped by {view.said(at)}, where is the {word} {view.said(by)} {far}?",
    )
    return sql, question


def _groups_with(view: View) -> Drawn:
    at = view.draw(view.groups)
    if at is None:
        return None
    counts = sorted(view.counts[at].values())
    reached = [times for times in sorted(set(counts)) if times > 1 and sum(count >= times for count in counts) > 1]
    if not reached:
        return None
    times = view.rng.choice(reached)
    sql = (
        f"SELECT COUNT(*) FROM (SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IS NOT NULL"
        f" GROUP BY {view.name(at)} HAVING COUNT(*) >= {times})"
    )
    question = view.one_of(
        f"How many different values of {view.said(at)} occur at least {times} times?",
        f"How many values of {view.said(at)} are listed {times} times or more?",
    )
    return sql, question


def _comparison(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.scales)
    if at is None or by is None or len(view.counts[at]) < 2:
        return None
    one, two = sorted(view.rng.sample(sorted(view.counts[at], key=str), 2), key=str)
    down = view.rng.random() < 0.5
    far = "higher" if down else "lower"
    sql = (
        f"SELECT {view.name(at)} FROM {TABLE} WHERE {view.name(at)} IN ({literal(one)}, {literal(two)})"
        f" AND {view.name(by)} IS NOT NULL ORDER BY {view.name(by)} {'DESC' if down else 'ASC'} LIMIT 1"
    )
    question = view.one_of(
        f"Which {view.said(at)} has the {far} {view.said(by)}, {one} or {two}?",
        f"Is the {view.said(by)} {far} for {one} or for {two}?",
    )
    return sql, question


def _difference(view: View) -> Drawn:
    at, by = view.draw(view.keys), view.draw(view.amounts)
    if at is None or by is None or len(view.counts[at]) < 2:
        return None
    one, two = sorted(view.rng.sample(sorted(view.counts[at], key=str), 2), key=str)
    picked = [f"(SELECT {view.name(by)} FROM {TABLE} WHERE {view.name(at)} = {literal(each)})" for each in (one, two)]
    question = view.one_of(
        f"What is the difference in {view.said(by)} between {one} and {two}?",
        f"By how much does the {view.said(by)} of {one} differ from that of {two}?",
    )
    return f"SELECT ABS({picked[0]} - {picked[1]})", question


def _above_average(view: View) -> Drawn:
    by = view.draw(view.amounts)
    if by is None:
        return None
    above = view.rng.random() < 0.5
    sign, word = (">", "above") if above else ("<", "below")
    inner = f"(SELECT AVG({view.name(by)}) FROM {TABLE})"
    question = view.one_of(
        f"How many rows have a {view.said(by)} {word} the average {view.said(by)}?",
        f"In how many rows is the {view.said(by)} {word} its average over the whole table?",
    )
    return f"SELECT COUNT(*) FROM {TABLE} WHERE {view.name(by)} {sign} {inner}", question


def _of_extreme(view: View) -> Drawn:
    """Nested: what the row has that is extreme among those that meet a condition."""
    by, group = view.draw(view.orderly), view.draw(view.groups)
    used = [one for one in (by, group) if one is not None]
    at = view.draw(view.asked, but=used)
    where = view.equals(among=[group]) if group is not None else None
    if at is None or by is None or where is None:
        return None
    down = view.rng.random() < 0.5
    far = view.far(by, down)
    inner = f"(SELECT {'MAX' if down else 'MIN'}({view.name(by)}) FROM {TABLE} WHERE {where.sql})"
    sql = f"SELECT {view.name(at)} FROM {TABLE} WHERE {where.sql} AND {view.name(by)} = {inner}"
    said, most = view.said(at), f"{far} {view.said(by)}"
    question = view.one_of(
        f"Among the rows where the {where.said}, what is the {said} of the one with the {most}?",
        f"Where the {where.said}, which {said} goes with the {most}?",
    )
    return sql, question


KINDS: dict[str, Callable[[View], Drawn]] = {
    "lookup": _lookup,
    "list": _listing,
    "count": _count,
    "distinct": _distinct,
    "aggregate": _aggregate,
    "aggregate_where": _aggregate_where,
    "superlative": _superlative,
    "most_often": _most_often,
    "group": _group,
    "having": _groups_with,
    "comparison": _comparison,
    "difference": _difference,
    "above_average": _above_average,
    "nested": _of_extreme,
}
"""What can be asked, and the rule that draws it."""

WEIGHTS = {**dict.fromkeys(KINDS, 1.0), "having": 0.3, "distinct": 0.3, "most_often": 0.5, "count": 0.7, "lookup": 0.8}
"""Less of what almost every table has something for, so that a dataset holds all kinds in like numbers."""
