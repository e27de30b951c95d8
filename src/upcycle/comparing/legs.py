"""What is held against what: pools of rows a task could get, and the legs that draw from them.

A pool knows where its rows came from and what all of them cost. A leg draws `rows` of them with a seed: the first rows
of one shuffled order, so that a leg of 250 rows is part of the same seed's leg of 500 and a curve shows growth alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import NamedTuple

from upcycle.records import Example


class LeftOut(NamedTuple):
    """A leg that was not trained, and why."""

    leg: str
    why: str


@dataclass(frozen=True)
class Pool:
    """Rows a leg can draw.

    Attributes:
        usd: what all of them cost together, dropped rows and planning included.
        tokens: what a model read and wrote for all of them.
        removed: rows that were taken out because they repeat gold.
        notes: what whoever reads the numbers should know, a sentence each.
        path: the dataset they lie in, where they lie in one.
    """

    name: str
    about: str
    examples: Sequence[Example]
    usd: float = 0.0
    tokens: int = 0
    removed: int = 0
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def usd_of(self, rows: int) -> float:
        """What so many of its rows cost."""
        return self.usd * rows / len(self) if len(self) else 0.0

    @cached_property
    def _in_order(self) -> list[Example]:
        # By identifier, so that what a seed draws does not depend on the order in which rows were made or read.
        return sorted(self.examples, key=lambda one: one.id)

    def drawn(self, rows: int, seed: int) -> list[Example]:
        """The first `rows` of its examples in the seed's order."""
        order = list(self._in_order)
        Random(f"{seed} {self.name}").shuffle(order)
        return order[:rows]


@dataclass(frozen=True)
class Leg:
    """One student's training set, at any size.

    Attributes:
        name: as it stands in the table.
        about: one line that says what its rows are.
        pools: what it draws from, evenly; a pool that has too few gives what it has.
        kind: `data`, or `gold` where its rows are labelled by people, or `control`.
        student: trained in place of the comparison's own; "" for that one.
        rows: the only size it is trained at; None for all sizes.
    """

    name: str
    about: str
    pools: Sequence[Pool]
    kind: str = "data"
    student: str = ""
    rows: int | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """The most rows it has."""
        return sum(map(len, self.pools))

    def shares(self, rows: int) -> list[int]:
        """How many rows each pool gives of so many."""
        left, given = min(rows, len(self)), [0] * len(self.pools)
        open_pools = sorted(range(len(self.pools)), key=lambda number: len(self.pools[number]))
        for place, number in enumerate(open_pools):
            given[number] = min(len(self.pools[number]), left // (len(open_pools) - place))
            left -= given[number]
        return given

    def drawn(self, rows: int, seed: int) -> list[Example]:
        """So many rows, in an order of the seed's."""
        found = [
            example
            for pool, count in zip(self.pools, self.shares(rows), strict=True)
            for example in pool.drawn(count, seed)
        ]
        if len(self.pools) > 1:
            Random(f"{seed} {self.name}").shuffle(found)
        return found

    def usd_of(self, rows: int) -> float:
        """What so many of its rows cost."""
        return sum(pool.usd_of(count) for pool, count in zip(self.pools, self.shares(rows), strict=True))

    def tokens_of(self, rows: int) -> int:
        """What a model read and wrote for so many of its rows."""
        counts = zip(self.pools, self.shares(rows), strict=True)
        return round(sum(pool.tokens * count / len(pool) for pool, count in counts if len(pool)))

    def rows_for(self, usd: float) -> int:
        """The most rows so much money buys; all where they cost nothing."""
        if self.usd_of(len(self)) <= usd:
            return len(self)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.usd_of(middle) <= usd + 1e-9 else (low, middle - 1)
        return low
