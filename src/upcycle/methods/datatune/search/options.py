"""Where a source keeps options, and how its key is to be read: proposals for multiple choice.

A key that reads as several things ("1" of four options: from 0 or from 1?) is settled by what the whole sample shows
or the card says; where neither settles it, nothing is proposed, because a guess would be wrong in every row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from upcycle.methods.datatune.plans.steps import OptionsFrom, PickOption, Select, Step, StripOptions
from upcycle.methods.datatune.plans.values import list_of, option_at, strip_options, text_of
from upcycle.methods.datatune.search.columns import Offer, Offered, output_prior

_ENOUGH = 0.97
_PARALLEL = re.compile(
    r"^(?P<stem>.*?)[_. ]?(?P<mark>[1-9]|[0-9]|[a-hA-H])$",
)
_LISTING_WORDS = """
choice choices option options alternative ending answer op sol solution candidate ans
"""
_LISTING = frozenset(_LISTING_WORDS.split())


class Picked(NamedTuple):
    """Steps after which `options` holds the options and `answer` the right one."""

    steps: tuple[Step, ...]
    prior: float
    counts: tuple[int, int]
    key: str

    def reads(self) -> set[str]:
        """Columns it is made from."""
        return {name for step in self.steps for name in step.reads()}


def picked(offer: Offer) -> Iterator[Picked]:
    """Every way the sample allows to read options and a key."""
    yield from _beside_wrong(offer)
    for steps, rows, used, labels in _option_lists(offer):
        stripped = [strip_options(row) if row else None for row in rows]
        counts = [len(row) for row in stripped if row]
        for column in offer.columns.values():
            if column.name in used or (column.is_list and not column.lists()):
                continue
            by = _reading(column, stripped, labels, offer)
            if by is None:
                continue
            pick = PickOption(options="options", key=column.name, by=by, labels=labels if by == "label" else None)
            yield Picked((*steps, pick), output_prior(column), (min(counts), max(counts)), column.name)


_WRONG = frozenset(("distractor", "distractors", "incorrect", "wrong", "negatives"))
_RIGHT = frozenset(("answer", "correct", "right", "gold", "support", "positive"))


def _beside_wrong(offer: Offer) -> Iterator[Picked]:
    """Sources that keep the right answer in one column and the wrong ones in others."""
    wrong = [c for c in offer.columns.values() if c.named & _WRONG or re.match(r"(distractor|incorrect|wrong)", c.name)]
    if not wrong or any(len(column.texts) < 0.9 * len(offer.records) for column in wrong):
        return
    for column in offer.columns.values():
        if column in wrong or column.is_list or not column.named & _RIGHT or not column.texts:
            continue
        names = (column.name, *(other.name for other in wrong))
        sizes = [1 + sum(len(list_of(other.raw[at]) or [""]) for other in wrong) for at in range(len(offer.records))]
        steps = (Select(take={"answer": column.name}), OptionsFrom(fields=names))
        yield Picked(steps, output_prior(column), (min(sizes), max(sizes)), column.name)


def _option_lists(
    offer: Offer,
) -> Iterator[tuple[tuple[Step, ...], list[list[str] | None], set[str], str | None]]:
    for column in offer.columns.values():
        lists = column.lists()
        if not column.is_list or len(lists) < 0.9 * len(column.raw) or not lists:
            continue
        sizes = [len(one) for one in lists]
        if (
            min(sizes) < 2
            or max(sizes) > 12
            or not all(any(len(text) > 1 or text.isdigit() for text in one) for one in lists)
        ):
            continue
        rows = [list_of(value) for value in column.raw]
        steps: list[Step] = [Select(take={"options": column.name})] if column.name != "options" else []
        yield (*steps, StripOptions(field="options")), rows, {column.name}, _labels_of(column, offer)
    for names in _parallel(offer):
        rows = [_row(offer, at, names) for at in range(len(offer.records))]
        yield (OptionsFrom(fields=names), StripOptions(field="options")), rows, set(names), None


def _row(offer: Offer, at: int, names: Sequence[str]) -> list[str] | None:
    texts = [text_of(offer.columns[name].raw[at]).strip() for name in names]
    return texts if all(texts) else None


def _labels_of(column: Offered, offer: Offer) -> str | None:
    """The list column that names this one's options ("A", "B", ...), row by row."""
    for other in offer.columns.values():
        if other.name == column.name or not other.is_list:
            continue
        pairs = [(list_of(a), list_of(b)) for a, b in zip(column.raw, other.raw, strict=True)]
        if all(a and b and len(a) == len(b) and len(set(b)) == len(b) and max(map(len, b)) <= 2 for a, b in pairs):
            return other.name
    return None


def _parallel(offer: Offer) -> Iterator[tuple[str, ...]]:
    """Groups of columns that differ by a letter or a number only: choice1 and choice2; A, B, C and D."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for column in offer.columns.values():
        found = _PARALLEL.match(column.name)
        if found and not column.is_list and column.texts:
            groups[found["stem"].lower() + ("#" if found["mark"].isdigit() else "@")].append(
                (found["mark"], column.name)
            )
    for stem, members in groups.items():
        members.sort(key=lambda pair: pair[0].lower())
        marks = [mark.lower() for mark, _ in members]
        orders = ("abcdefgh", "123456789", "0123456789")
        if len(members) < 2 or not any("".join(marks) == order[: len(marks)] for order in orders):
            continue
        if stem[:-1] in ("", "op") or any(word in stem for word in _LISTING):
            yield tuple(name for _, name in members)


def _reading(key: Offered, rows: Sequence[list[str] | None], labels: str | None, offer: Offer) -> Any:
    """How the key says which option is right: the one reading that fits all rows, or None."""
    pairs = [(row, at) for at, row in enumerate(rows) if row and text_of(key.raw[at]).strip()]
    if len(pairs) < 0.9 * len(rows) or not pairs:
        return None
    fits = [by for by in ("label", "letter", "index", "number", "text") if _fits(by, key, pairs, labels, offer)]
    if "label" in fits:
        return "label"
    if "index" in fits and "number" in fits:
        fits = [by for by in fits if by not in ("index", "number")] + _settled(key)
    for by in ("text", "letter", "index", "number"):
        # A key that is an option's text is that option, whatever else the text could be.
        if by in fits and (by != "text" or not key.shape.shares.get("number") or len(fits) == 1):
            return by
    return None


def _fits(by: str, key: Offered, pairs: list[tuple[list[str], int]], labels: str | None, offer: Offer) -> bool:
    if by == "label" and labels is None:
        return False
    places = []
    for row, at in pairs:
        names = list_of(offer.columns[labels].raw[at]) if labels else None
        places.append(option_at(row, key.raw[at], by, names))
    if by == "text":
        return sum(place is not None for place in places) >= _ENOUGH * len(places)
    if any(place is None for place in places):
        return False
    if by in ("index", "number"):
        # Only values that reach an end show where counting starts.
        return len(set(places)) >= 2 or len(pairs) < 8
    return True


def _settled(key: Offered) -> list[str]:
    said = key.description.lower()
    if re.search(r"\b(0[ -]based|0-indexed|zero[ -]based|from 0|0 (or|to|-) ?\d|0/1)\b", said) or "0" in key.texts:
        return ["index"]
    if re.search(r"\b(1[ -]based|1-indexed|one[ -]based|from 1|1 (or|to|-) ?\d|1/2)\b", said):
        return ["number"]
    return []
