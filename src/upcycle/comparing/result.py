"""What a comparison found: one line a leg with its interval and its difference from the baseline, and what it cost.

Built of finished students only, so it can be drawn again from the journal at any time. Marks are honest by
construction: a leg differs where its p-value, adjusted for all legs, is below 0.05, and otherwise the sentence says
"not significant at 95 %".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from upcycle.comparing import significance
from upcycle.comparing.finished import Finished
from upcycle.comparing.legs import LeftOut, Leg

SURE = 0.05
TOO_FEW = 30
"""Test items below which no leg is marked as different, however it looks."""


@dataclass(frozen=True, slots=True)
class Point:
    """A leg's score at one number of rows."""

    rows: int
    value: float
    low: float
    high: float
    spread: float | None
    usd: float


@dataclass(frozen=True, slots=True)
class Held:
    """A leg against the baseline on the same items.

    Attributes:
        value: mean score minus the baseline's, with `low` and `high` at 95 %.
        p: two-sided, of the bootstrap over items and seeds.
        p_adjusted: the same, adjusted for the number of legs (Holm).
        only_this: items that most of this leg's students have right and the baseline's do not.
        only_baseline: the other way round.
        p_mcnemar: McNemar's exact test of those two counts.
    """

    value: float
    low: float
    high: float
    p: float
    p_adjusted: float
    only_this: int
    only_baseline: int
    p_mcnemar: float
    items: int

    @property
    def significant(self) -> bool:
        """Whether it is at 95 %, however many legs were asked about."""
        return self.p_adjusted < SURE and self.items >= TOO_FEW

    def facts(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "significant": self.significant}

    def told(self, name: str, other: str) -> str:
        """The finding as a sentence."""
        if not self.value and not self.low and not self.high:
            return f"{name} scores what {other} scores, item for item"
        way = "above" if self.value >= 0 else "below"
        sure = "significant at 95 %" if self.significant else "not significant at 95 %"
        if self.items < TOO_FEW:
            sure = "too few items to tell"
        elif not self.significant and self.p < SURE:
            sure += ", as several legs are asked about"
        return (
            f"{name} is {100 * abs(self.value):.1f} points {way} {other}"
            f" ({100 * self.low:+.1f} to {100 * self.high:+.1f}): {sure}"
        )


@dataclass(frozen=True, slots=True)
class Question:
    """One leg against another that is not the baseline."""

    leg: str
    other: str
    held: Held


@dataclass(frozen=True, slots=True)
class Line:
    """One leg of the table.

    Attributes:
        rows: it was trained on; 0 where nothing was.
        value: mean score over seeds and items, 0 to 1, with its 95 % interval.
        spread: standard deviation over seeds.
        versus: against the baseline; None for the baseline itself.
        usd: what its rows cost.
        usd_per_point: dollars for each point above always saying the same; None where it is not above.
        points: its scores at all its sizes, by rows.
        money: the same at as many rows as `ComparedLegs.usd` buys; None where that is not known.
    """

    name: str
    about: str
    kind: str
    student: str
    rows: int
    seeds: int
    value: float
    low: float
    high: float
    spread: float | None
    versus: Held | None
    usd: float
    tokens: int
    usd_per_point: float | None
    seconds: float
    points: Sequence[Point] = ()
    money: Point | None = None


@dataclass(frozen=True)
class ComparedLegs:
    """The outcome of `upcycle compare`.

    Attributes:
        metric: what every student is scored by, on `items` test items.
        chance: what always saying the same scores.
        rows: asked of each leg.
        usd: what the dearest made leg cost; the same money is the second view.
        baseline: the leg that the others are held against.
        notes: what whoever reads the numbers must know.
        trained: students trained by this call, and `found` those that an earlier one left.
    """

    path: Path
    task: str
    metric: str
    items: int
    chance: float
    student: str
    rows: int
    seeds: int
    usd: float
    label_usd: float
    baseline: str
    lines: Sequence[Line]
    questions: Sequence[Question]
    left_out: Sequence[LeftOut]
    notes: Sequence[str]
    trained: int = 0
    found: int = 0
    seconds: float = 0.0
    datasets: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Everything as plain values: `compare.json`, and what `--json` prints."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("lines", "questions")}
        legs = [{**asdict(line), "versus": line.versus.facts() if line.versus else None} for line in self.lines]
        asked = [{"leg": one.leg, "other": one.other, **one.held.facts()} for one in self.questions]
        return {**own, "path": str(self.path), "datasets": dict(self.datasets), "legs": legs, "questions": asked,
                "left_out": [one._asdict() for one in self.left_out], "said": self.said()}  # fmt: skip

    def said(self) -> list[str]:
        """The findings in sentences, as careful as the numbers."""
        found = [small_test(self.items)] if self.items < 200 else []
        found += [
            line.versus.told(line.name, self.baseline)
            for line in self.lines
            if line.versus is not None and line.kind != "constant"
        ]
        return found + [one.held.told(one.leg, one.other) for one in self.questions]

    def __repr__(self) -> str:
        width = max(len(line.name) for line in self.lines)
        rows = [
            f"  {line.name:{width}}  {line.rows:>6,} rows  {100 * line.value:5.1f}"
            f" ({100 * line.low:.1f} to {100 * line.high:.1f})"
            for line in self.lines
        ]
        return "\n".join([f"{self.task}: {self.metric} on {self.items} test items, {self.seeds} seeds", *rows])


def small_test(items: int) -> str:
    """What so few items can tell."""
    told = f"{items} test item{'s' if items > 1 else ''}: one item is {100 / items:.1f} points"
    return f"{told}, too few for any conclusion" if items < TOO_FEW else told


def line_of(
    leg: Leg | None,
    name: str,
    runs: Mapping[int, Sequence[Finished]],
    rows: int,
    *,
    baseline: Sequence[Finished] | None,
    floor: float,
    budget: int | None = None,
    seed: int = 0,
    about: str = "",
    kind: str = "data",
) -> Line:
    """The line of one leg.

    Args:
        leg: None for one that trains on nothing.
        runs: rows to the students trained on so many.
        rows: the size that is compared.
        baseline: the baseline's students; None where this is the baseline.
        floor: what always saying the same scores.
        budget: rows that the second view's money buys, where that is known.
    """
    points = {size: _point(leg, size, some, seed) for size, some in sorted(runs.items())}
    main, some = points[rows], runs[rows]
    above = 100 * (main.value - floor)
    return Line(
        name=name,
        about=leg.about if leg else about,
        kind=leg.kind if leg else kind,
        student=some[0].student,
        rows=rows,
        seeds=len(some),
        value=main.value,
        low=main.low,
        high=main.high,
        spread=main.spread,
        versus=None if baseline is None else held(some, baseline, seed),
        usd=main.usd,
        tokens=leg.tokens_of(rows) if leg else 0,
        usd_per_point=main.usd / above if above > 0 else None,
        seconds=sum(one.seconds for one in some),
        points=list(points.values()) if leg else [],
        money=points.get(budget) if budget is not None else None,
    )


def _point(leg: Leg | None, rows: int, runs: Sequence[Finished], seed: int) -> Point:
    mean = significance.mean_of([one.right for one in runs], seed=seed)
    return Point(rows, mean.value, mean.low, mean.high, mean.spread, leg.usd_of(rows) if leg else 0.0)


def held(runs: Sequence[Finished], baseline: Sequence[Finished], seed: int) -> Held:
    """Students against the baseline's; the p-value is not adjusted yet."""
    these, others = [one.right for one in runs], [one.right for one in baseline]
    gap = significance.difference(these, others, seed=seed)
    only_this, only_other, p = significance.disagreement(these, others)
    return Held(gap.value, gap.low, gap.high, gap.p, gap.p, only_this, only_other, p, len(these[0]))


def adjusted(lines: Sequence[Line]) -> list[Line]:
    """The lines with their p-values adjusted for there being several."""
    corrected = significance.holm({line.name: line.versus.p for line in lines if line.versus is not None})
    return [
        replace(line, versus=replace(line.versus, p_adjusted=corrected[line.name])) if line.versus else line
        for line in lines
    ]


def adjusted_questions(questions: Sequence[Question]) -> list[Question]:
    """The same for what was asked beside the baseline."""
    corrected = significance.holm({str(number): one.held.p for number, one in enumerate(questions)})
    return [
        replace(one, held=replace(one.held, p_adjusted=corrected[str(number)])) for number, one in enumerate(questions)
    ]
