"""What of a table can be asked about: its columns by what they are good for, and conditions drawn over its values."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from upcycle.sources.tables.table import Cell, Table, cell_text

_LONGEST = 60  # characters of a value that a question can name
_NAMES = re.compile(r"\b(id|no|number|num|nr|code|zip|phone|week|round|series|episode|day|month)\b|#")
# A rank of 1 is called the highest, and is the lowest number: no superlative is safe.
_RANKS = re.compile(r"\b(rank|ranking|ranks|position|pos|place|placing|finish|seed|standing|grid|order)\b")


class Part(NamedTuple):
    """Part of a statement, and how it is said."""

    sql: str
    said: str


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
