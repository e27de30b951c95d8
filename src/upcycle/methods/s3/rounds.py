"""A round: which errors are mined, what is wished for because of them, and whether what came of it is kept.

All of it is deterministic code with a seed; nothing here asks a model or trains one. The decisions: an error is
extrapolated once, and if it is mined again it goes to an audit list, for 435 of the 629 premises mined in the published
second round had been mined in the first (measured on the released files); and a round is judged on rows nobody mined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from typing import NamedTuple

from upcycle.config import S3
from upcycle.evaluation.intervals import Difference, paired_bootstrap
from upcycle.methods.generate.grid import schedule
from upcycle.methods.s3.gold import GoldParts, MineRow, SelectRow, only
from upcycle.methods.s3.shape import Shape
from upcycle.methods.s3.student import Exam, Grade
from upcycle.methods.s3.writing import Wish

_WRONG = 0.5
"""A row that scores less is an error: not the label, not the whole answer."""
_FAR = 0.1
"""F1 below which an answer has nothing to do with the right one."""
_ALL = 0.95
"""Share of errors from which on gold and examples do not mean the same, and more rows would not help."""
_MOST_OF_ONE = 10
"""Rows of one error, where their number follows from the room there is."""
_EVEN_OUT = 4
"""Rows of one error, where a label with few errors is to keep up; beyond that other mined rows stand in."""


class Error(NamedTuple):
    """A mined row, what the student said instead, and how near that is (0 to 1; above 0 for texts only)."""

    row: MineRow
    said: str
    near: float = 0.0


def mined(gold: GoldParts, exam: Exam) -> list[Error]:
    """Everything the student gets wrong on the mine part (the paper's D_mis)."""
    graded = zip(gold.mine, exam.mine, strict=True)
    return [Error(row, grade.said, grade.near) for row, grade in graded if grade.right < _WRONG]


@dataclass(frozen=True)
class Found:
    """The errors of a round, told apart.

    Attributes:
        fresh: errors nothing was written of yet; all of them in the plain method.
        again: errors mined although they had been extrapolated.
        reason: why there is nothing to go on with, "" where there is.
    """

    fresh: tuple[Error, ...]
    again: tuple[Error, ...]
    reason: str = ""


def look_through(errors: Sequence[Error], extrapolated: set[str], gold: GoldParts, *, plain: bool) -> Found:
    """Which errors to go on with."""
    if not errors:
        return Found((), (), f"nothing is left to learn: the student gets all {len(gold.mine)} mined rows right")
    again = tuple(error for error in errors if error.row.id in extrapolated)
    fresh = tuple(errors) if plain else tuple(error for error in errors if error.row.id not in extrapolated)
    if sum(error.near < _FAR for error in errors) >= _ALL * len(gold.mine):
        said = ", ".join(repr(text[:40]) for text, _ in Counter(error.said for error in errors).most_common(3))
        right = ", ".join(repr(text[:40]) for text, _ in Counter(error.row.output for error in errors).most_common(3))
        told = f"the student gets {len(errors)} of {len(gold.mine)} mined rows wrong; it says {said} where {right}"
        return Found((), again, f"{told} is right: look whether gold and examples mean the same by their outputs")
    if not fresh:
        told = f"what is left to mine ({len(again)}) was extrapolated before"
        return Found((), again, f"{told}; it is on the audit list, as hard or mislabelled")
    return Found(fresh, again)


def wishes_of(
    errors: Sequence[Error],
    number: int,
    room: int,
    *,
    settings: S3,
    shape: Shape,
    gold: GoldParts,
    patterns: Mapping[str, str],
    seed: int,
    control: str = "",
) -> list[Wish]:
    """What is written because of these errors: each once or several times, labels in their shares.

    Args:
        room: rows that may be written at most.
        patterns: id of a mined row -> the pattern it belongs to, in words; empty where the rows themselves are shown.
        control: name of the control they are written for.
    """
    random = Random(f"{seed}/s3/round {number}/{control}")
    by_label: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        by_label[error.row.output if shape.labels else ""].append(error)
    for group in by_label.values():
        random.shuffle(group)
    times = settings.per_error or min(_MOST_OF_ONE, max(1, -(-room // max(1, len(errors)))))
    wanted = {label: times * len(group) for label, group in by_label.items()}
    if shape.labels and settings.balance != "off" and not settings.plain:
        wanted = _evened_out(wanted, label_shares(shape, gold, settings.balance))
        if not patterns:  # a row without a pattern would have to be shown
            _fill_in(by_label, wanted, gold, random)
        wanted = {label: count for label, count in wanted.items() if by_label.get(label)}
    rows = {label: list(islice(cycle(group), wanted[label])) for label, group in by_label.items()}
    # Labels by turns, so that what does not fit in leaves their shares as they are.
    order = islice(schedule(wanted, random), sum(wanted.values())) if wanted else iter(())
    chosen = [rows[label].pop(0) for label in order if rows[label]] if wanted else []
    chosen += [error for group in rows.values() for error in group]
    return [_wish(error, number, place, shape, patterns, control) for place, error in enumerate(chosen[:room])]


def _wish(error: Error, number: int, place: int, shape: Shape, patterns: Mapping[str, str], control: str) -> Wish:
    label = error.row.output if shape.kind != "text" else None
    if pattern := patterns.get(error.row.id, ""):
        # Neither the row nor its context: whoever writes sees the pattern and the label only.
        label = label if shape.kind != "span" else None
        return Wish(place, number, label, None, None, (), pattern, control)
    around = shape.cut(error.row.input) if shape.kind in ("pair", "span") else None
    return Wish(place, number, label, around, error.row, (), "", control)


def _evened_out(wanted: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, int]:
    """As many rows of each label as its share of what the label with most errors asks for."""
    scale = max(wanted[label] / shares[label] for label in wanted if shares.get(label, 0) > 0)
    return {label: max(wanted.get(label, 0), round(scale * share)) for label, share in shares.items()}


def _fill_in(by_label: dict[str, list[Error]], wanted: Mapping[str, int], gold: GoldParts, random: Random) -> None:
    """Where a label's errors would be repeated often to keep up, other mined rows of that label stand in for them.

    Without them a round whose errors are all of one label would teach that label alone.
    """
    for label, count in wanted.items():
        have = by_label.setdefault(label, [])
        if count > _EVEN_OUT * len(have):
            known = {error.row.id for error in have}
            others = [Error(row, row.output) for row in gold.mine if row.output == label and row.id not in known]
            have += random.sample(others, min(len(others), count - len(have)))


def label_shares(shape: Shape, gold: GoldParts, balance: str) -> dict[str, float]:
    """Share of each label in what is written: all alike, or as in the mine part of the gold."""
    labels = shape.labels or ()
    if balance == "gold":
        counts = Counter(row.output for row in gold.mine)
        return {label: counts[label] / len(gold.mine) for label in labels if counts[label]}
    return dict.fromkeys(labels, 1 / max(1, len(labels)))


def first_wishes(
    shape: Shape,
    gold: GoldParts,
    reasons: Mapping[str, Sequence[str]],
    *,
    shown: int,
    balance: str,
    seed: int,
    control: str = "",
) -> Iterator[Wish]:
    """The first set, without end: a label drawn uniformly, and some of its reasons or a context (sections 3.1, 3.2)."""
    random = Random(f"{seed}/s3/first/{control}")
    labels = (
        schedule(label_shares(shape, gold, "gold" if balance == "gold" else "even"), random) if shape.labels else None
    )
    contexts: list[MineRow] = []
    number = 0
    while True:
        label = next(labels) if labels else None
        around, why = None, ()
        if shape.kind in ("pair", "span"):
            if not contexts:
                contexts = random.sample(gold.mine, len(gold.mine))
            row = contexts.pop()
            around = shape.cut(row.input)
            label = row.output if shape.kind == "span" else label
        elif label is not None and reasons.get(label):
            why = tuple(random.sample(list(reasons[label]), min(shown, len(reasons[label]))))
        yield Wish(number, 0, label, around, None, why, "", control)
        number += 1


def gold_wishes(shape: Shape, gold: GoldParts, *, seed: int, control: str = "") -> Iterator[Wish]:
    """Extrapolations of any gold row, drawn uniformly, without end: the paper's GoldGen."""
    random = Random(f"{seed}/s3/gold/{control}")
    number, rows = 0, list[MineRow]()
    while True:
        rows = rows or random.sample(gold.mine, len(gold.mine))
        row = rows.pop()
        yield _wish(Error(row, ""), 0, number, shape, {}, control)
        number += 1


def random_errors(gold: GoldParts, count: int, seed: int, number: int) -> list[Error]:
    """As many mined rows drawn at random, right or wrong: the control for choosing errors."""
    random = Random(f"{seed}/s3/random/{number}")
    return [Error(row, "") for row in random.sample(gold.mine, min(count, len(gold.mine)))]


class Gate(NamedTuple):
    """Whether a round is kept, and what that rests on.

    Attributes:
        difference: score on the select rows after the round minus before, with its interval.
        reason: the sentence that says so.
    """

    kept: bool
    difference: Difference
    reason: str


def gate(rows: Sequence[SelectRow], before: Sequence[Grade], after: Sequence[Grade], settings: S3) -> Gate:
    """Judge a round on the select rows.

    "helps" keeps what scores higher, "surely" what does so beyond its 95 % interval, "off" keeps everything.

    Raises:
        TypeError: a row that is no select row.
        ValueError: grades of other rows.
    """
    names = [row.id for row in only(rows, SelectRow)]
    if names != [one.id for one in before] or names != [one.id for one in after]:
        raise ValueError("a round is judged by the grades of the select rows, and these are of others")
    found = paired_bootstrap([one.right for one in after], [one.right for one in before])
    was, now = (100 * sum(one.right for one in grades) / len(grades) for grades in (before, after))
    told = f"{was:.1f} -> {now:.1f} % on {len(after)} select rows ({_signed(found)})"
    rule = "off" if settings.plain else settings.gate
    kept = rule == "off" or (found.low > 0 if rule == "surely" else found.value > 0)
    return Gate(kept, found, told if kept else f"it did not help: {told}")


def _signed(found: Difference) -> str:
    return f"{100 * found.value:+.1f}, 95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}"


def confusion(gold: GoldParts, exam: Exam) -> dict[str, dict[str, int]]:
    """Right output to what the student said, with counts, on the mine rows."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row, grade in zip(gold.mine, exam.mine, strict=True):
        found[row.output][grade.said] += 1
    return {right: dict(said.most_common()) for right, said in sorted(found.items())}
