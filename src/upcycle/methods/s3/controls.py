"""Controls: what the same number of rows is worth when they were not written from errors.

In: the finished set and the student. Out: lines of a table, each with its score on the test rows and how far the set
is ahead of it, with a 95 % interval. The decision: three comparisons cost no call and are always drawn (the first set
against as many rows of the whole set, the mined gold alone, the set with the mined gold), and those that must be
written and paid for (more of the first set, rows from random gold, rows from any gold) only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from upcycle.evaluation.intervals import Difference, mean_interval, paired_bootstrap
from upcycle.methods.s3.gold import GoldParts, MineRow, balanced_sample
from upcycle.methods.s3.student import Exam, Grade, Student
from upcycle.records import Example, Origin

_SIZES = (50, 100, 250, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Line:
    """One training set and what it came to on the test rows.

    Attributes:
        score, low, high: mean score, 0 to 1, and its 95 % interval.
        ahead: the S3 set of the same table minus this one, on the same test rows; None for the set itself.
    """

    name: str
    rows: int
    score: float
    low: float
    high: float
    ahead: Difference | None = None

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        ahead = None if self.ahead is None else list(self.ahead[:3])
        return {"name": self.name, "rows": self.rows, "score": self.score, "ci": [self.low, self.high], "ahead": ahead}

    def words(self) -> str:
        """What the comparison says, in words."""
        if self.ahead is None:
            return ""
        value, low, high, _ = self.ahead
        told = f"{100 * value:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
        return f"{told}: {'excludes' if self.ahead.significant else 'does not exclude'} zero"


def line(name: str, rows: int, grades: Sequence[Grade], against: Sequence[Grade] | None = None) -> Line:
    """A line of the table; `against` are the grades of the S3 set it is compared with."""
    values = [one.right for one in grades]
    ahead = paired_bootstrap([one.right for one in against], values) if against else None
    return Line(name, rows, sum(values) / len(values), *mean_interval(values), ahead)


async def same_size(student: Student, first: Sequence[Example], whole: Sequence[Example], seed: int) -> Exam:
    """The student of as many rows of the whole set as the first set has, drawn evenly from all of it."""
    drawn = Random(f"{seed}/s3/same size").sample(range(len(whole)), len(first))
    return await student.exam([whole[place] for place in sorted(drawn)], keep=False)


def as_examples(rows: Sequence[MineRow]) -> list[Example]:
    """Mined gold rows as a training set; they are no part of any dataset."""
    return [Example(row.id, row.input, row.output, Origin("gold"), None, row.choices) for row in rows]


def with_gold(
    first: Sequence[Example], whole: Sequence[Example], gold: GoldParts, seed: int
) -> list[tuple[str, list[Example]]]:
    """Sets that hold mined gold, which was labelled already: they are trained on for comparison and cost no call."""
    mine = as_examples(gold.mine)
    if len({row.output for row in mine}) < 2:
        return []
    sets = [("the mined gold alone", mine), ("the whole set and the mined gold", [*whole, *mine])]
    if added := len(whole) - len(first):
        more = as_examples(list(balanced_sample(gold.mine, added, seed)))
        sets.insert(0, (f"the first set and {len(more)} gold rows", [*first, *more]))
    return sets


class Point(NamedTuple):
    """One size of the learning curve: gold alone, and gold with the set, on the test rows (0 to 1)."""

    gold: int
    alone: float
    with_set: float


async def curve(student: Student, gold: GoldParts, made: Sequence[Example], seed: int) -> list[Point]:
    """What the set adds to 50, 100, ... rows of the mined gold; nested draws, labels even. No call is made."""
    sizes = [*(size for size in _SIZES if size < len(gold.mine)), len(gold.mine)]
    points = []
    for size in sizes:
        some = as_examples(list(balanced_sample(gold.mine, size, seed)))
        alone = await student.exam(some, keep=False)
        both = await student.exam([*some, *made], keep=False)
        points.append(Point(size, _mean(student.open_test(alone)), _mean(student.open_test(both))))
    return points


def _mean(grades: Sequence[Grade]) -> float:
    return sum(one.right for one in grades) / len(grades)
