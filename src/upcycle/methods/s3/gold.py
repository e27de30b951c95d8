"""The gold in three parts that cannot be mistaken for each other: rows to mine, rows to select by, rows to test on.

In: labelled items and shares. Out: `GoldParts`. The decision: each part has a type of its own, and whoever selects or
tests takes that type only, so that a row whose text was in a prompt can never choose a model or be reported. Rows that
share a context are in one part, for the same reason. The paper (arXiv 2310.13671, section 3.2) mines and selects on
the same rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from upcycle.curation.duplicates.exact import folded
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem
from upcycle.task import Gold


@dataclass(frozen=True)
class _GoldRow:
    """One labelled row.

    Attributes:
        id: "gold 17": its place in the gold as given, from 1.
        output: the right answer.
    """

    id: str
    input: str
    output: str
    choices: tuple[str, ...] | None = None

    def item(self) -> GoldItem:
        """The same as evaluation takes it."""
        return GoldItem(self.id, self.input, (self.output,), self.choices)


class MineRow(_GoldRow):
    """A row whose error may be shown to the model that writes."""


class SelectRow(_GoldRow):
    """A row that decides whether a round is kept; it never enters a prompt."""


class TestRow(_GoldRow):
    """A row that is looked at once, when everything is decided."""


class SetAside(NamedTuple):
    """A gold row that is in no part, and why."""

    id: str
    input: str
    output: str
    reason: str


_Row = TypeVar("_Row", MineRow, SelectRow, TestRow)


@dataclass(frozen=True)
class GoldParts:
    """The gold of one task.

    Raises:
        TypeError: a row in a part it is not of.
        ValueError: two parts that share an input.
    """

    mine: tuple[MineRow, ...]
    select: tuple[SelectRow, ...]
    test: tuple[TestRow, ...] = ()
    set_aside: tuple[SetAside, ...] = ()

    def __post_init__(self) -> None:
        only(self.mine, MineRow)
        only(self.select, SelectRow)
        only(self.test, TestRow)
        seen: dict[str, type] = {}
        for row in (*self.mine, *self.select, *self.test):
            if seen.setdefault(folded(row.input), type(row)) is not type(row):
                raise ValueError(f"{row.id} stands in two parts of the gold; give each row to one of them")

    def held_out(self) -> tuple[Gold, ...]:
        """What no example may repeat: every row that decides or reports."""
        return tuple(
            Gold(input=row.input, output=row.output, choices=row.choices) for row in (*self.select, *self.test)
        )

    def mined(self) -> list[tuple[str, tuple[str, ...] | None]]:
        """Input and options of every mine row: what other methods may not repeat either."""
        return [(row.input, row.choices) for row in self.mine]

    def facts(self) -> dict[str, int]:
        """How many rows each part has."""
        return {name: len(getattr(self, name)) for name in ("mine", "select", "test", "set_aside")}


def only(rows: Sequence[object], kind: type[_Row]) -> tuple[_Row, ...]:
    """The rows, all of one kind.

    Raises:
        TypeError: one of them is of another kind: a mined row must not select, a selecting one not be mined.
    """
    for row in rows:
        if type(row) is not kind:
            raise TypeError(f"a {type(row).__name__} cannot stand where a {kind.__name__} decides")
    return tuple(rows)  # type: ignore[arg-type]


def split_gold(
    gold: Sequence[Gold],
    shares: Mapping[str, float],
    *,
    context_of: Callable[[str], str] = lambda text: text,
    labels: Sequence[str] | None = None,
    spans: bool = False,
    seed: int = 0,
) -> GoldParts:
    """Three parts by a hash of each row's context, with the same mix of labels in each.

    Args:
        shares: weight of "mine", "select" and "test".
        context_of: what of an input no two parts may share; all of it where a text stands for itself.
        labels: the closed set of outputs, where there is one.
        spans: whether outputs must stand in their inputs.

    Raises:
        ConfigError: no gold, one label only, a label that no row has or that is not in the set, fewer rows than
            labels or parts, no row left that can be used.
    """
    if not gold:
        raise ConfigError(
            "s3 learns from what a small model gets wrong on gold, and there is none; give labelled rows with --gold"
        )
    if labels is not None:
        _check_labels(gold, labels)
    rows, aside = _usable(gold, context_of, spans=spans)
    if not rows:
        raise ConfigError(f"none of the {len(gold)} gold rows can be used: {aside[0].reason} ({aside[0].id})")
    least = max(len(labels or ()), sum(share > 0 for share in shares.values()))
    if len(rows) < least:
        wanted = f"{len(labels)} labels and " if labels else ""
        raise ConfigError(
            f"{len(rows)} usable gold rows are too few for {wanted}the parts mine, select and test; give at least"
            f" {least}, better 50"
        )
    parts = _dealt(rows, shares, context_of, by_label=labels is not None, seed=seed)
    found = GoldParts(
        tuple(MineRow(*row) for row in parts["mine"]),
        tuple(SelectRow(*row) for row in parts["select"]),
        tuple(TestRow(*row) for row in parts["test"]),
        tuple(aside),
    )
    for name in ("mine", "select"):
        if not getattr(found, name):
            raise ConfigError(f"the {name} part of {len(rows)} gold rows is empty; give more gold, or another share")
    return found


def _check_labels(gold: Sequence[Gold], labels: Sequence[str]) -> None:
    counts = Counter(row.output for row in gold)
    if unknown := sorted(set(counts) - set(labels)):
        raise ConfigError(
            f"{counts[unknown[0]]} gold rows say {unknown[0][:60]!r}, which is no label of the task"
            f" ({', '.join(labels)}); mend the gold, or name the label"
        )
    if len(set(labels)) < 2 or len(counts) < 2:
        raise ConfigError(
            f"all gold rows say {next(iter(counts))!r}, so there is nothing to tell apart; give gold of two labels"
        )
    if missing := [label for label in labels if label not in counts]:
        raise ConfigError(
            f"no gold row says {missing[0]!r}, so nobody can see whether it is got wrong; add some, or leave the label"
            " out of the labels"
        )


_Usable = tuple[str, str, str, tuple[str, ...] | None]


def _usable(
    gold: Sequence[Gold], context_of: Callable[[str], str], *, spans: bool
) -> tuple[list[_Usable], list[SetAside]]:
    """Rows once each, without those that contradict each other or cannot be answered."""
    said: dict[str, set[str]] = defaultdict(set)
    for row in gold:
        said[folded(row.input)].add(row.output)
    rows: list[_Usable] = []
    aside: list[SetAside] = []
    seen: set[str] = set()
    for number, row in enumerate(gold, 1):
        key, name = folded(row.input), f"gold {number}"
        reason = ""
        # Several questions' worth of answers to one question are no contradiction where answers are spans.
        if len(said[key]) > 1 and not spans:
            reason = f"the same input has other labels too ({', '.join(sorted(said[key]))})"[:200]
        elif spans and row.output not in context_of(row.input):
            reason = "its answer does not stand in its context"
        elif row.choices and row.output not in row.choices:
            reason = "its answer is not among its choices"
        elif key in seen:
            reason = "it repeats an earlier row"
        if reason:
            aside.append(SetAside(name, row.input, row.output, reason))
        else:
            seen.add(key)
            rows.append((name, row.input, row.output, row.choices))
    return rows, aside


def _dealt(
    rows: Sequence[_Usable],
    shares: Mapping[str, float],
    context_of: Callable[[str], str],
    *,
    by_label: bool,
    seed: int,
) -> dict[str, list[_Usable]]:
    """Each group of one context to the part that lacks its labels most; the order of groups is that of a hash."""
    groups: dict[str, list[_Usable]] = defaultdict(list)
    for row in rows:
        groups[folded(context_of(row[1]))].append(row)
    total = sum(shares.values())
    weights = {name: shares.get(name, 0.0) / total for name in ("mine", "select", "test")}
    dealt: dict[str, list[_Usable]] = {name: [] for name in weights}
    have: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    for key in sorted(groups, key=lambda one: hashlib.sha256(f"{seed}/{one}".encode()).digest()):
        group = groups[key]
        labels = [row[2] if by_label else "" for row in group]
        seen.update(labels)
        part = max(
            (name for name in weights if weights[name] > 0),
            key=lambda name: sum(weights[name] * seen[label] - have[name, label] for label in labels),
        )
        dealt[part].extend(group)
        have.update((part, label) for label in labels)
    return dealt


def balanced_sample(rows: Sequence[MineRow], count: int, seed: int) -> Iterator[MineRow]:
    """The first `count` mined rows in the order of a hash, labels by turns: nested samples for a learning curve."""
    by_label: dict[str, list[MineRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: hashlib.sha256(f"{seed}/{one.id}".encode()).digest()):
        by_label[row.output].append(row)
    turn = 0
    while count > 0 and any(by_label.values()):
        for label in sorted(by_label):
            if count > 0 and turn < len(by_label[label]):
                yield by_label[label][turn]
                count -= 1
        turn += 1
        if all(turn >= len(one) for one in by_label.values()):
            return
