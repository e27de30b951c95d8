"""The removal report: what was found to repeat gold, side by side with what it repeats.

`contamination_report(...)` gives values that are JSON as they are; `in_markdown(...)` sets them as a page people read.
A dropped row tells itself what it repeats; of an example, or a row dropped for another reason, it is looked up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

from upcycle.curation.decontamination.tiers import TIERS, GoldIndex, Item, Match, tier_of
from upcycle.errors import RowKind
from upcycle.records import Dropped, Example

_SHOWN = 600


class Pair(TypedDict):
    """An example and the gold item it repeats."""

    tier: str
    score: float
    reason: str
    id: str
    example: str
    item: int
    gold: str


def contamination_report(
    examples: Iterable[Example | Dropped], items: Sequence[Item], *, index: GoldIndex | None = None
) -> list[Pair]:
    """Every example, or dropped row, that repeats a gold item, with the item; in their order.

    Args:
        items: inputs of the gold, with their options; `Pair["item"]` counts them from 1.
        index: the index to look in, where there is one already; else all tiers are.
    """
    index = index or GoldIndex(items)
    pairs: list[Pair] = []
    for example in examples:
        match = _told(example) or index.match(example.input or "", getattr(example, "choices", None))
        if match is not None and match.item < len(items):
            pairs.append(
                Pair(
                    tier=match.tier,
                    score=round(match.score, 3),
                    reason=match.reason,
                    id=example.id,
                    example=example.input or "",
                    item=match.item + 1,
                    gold=items[match.item][0],
                )
            )
    return pairs


def _told(row: Example | Dropped) -> Match | None:
    """What a row was dropped for, where that was contamination."""
    if not isinstance(row, Dropped) or row.kind != RowKind.CONTAMINATED:
        return None
    number = (row.other or "").removeprefix("gold ")
    return Match(tier_of(row.reason), int(number) - 1, row.score or 0.0, row.reason) if number.isdecimal() else None


def in_markdown(pairs: Sequence[Pair], *, most: int = 200) -> str:
    """The report as a page: counts by tier, then each pair, one text above the other.

    Args:
        most: pairs shown; how many more there are is said.
    """
    counts = Counter(pair["tier"] for pair in pairs)
    lines = ["# What repeats gold", "", "| tier | rows |", "|---|---|"]
    lines += [f"| {tier} | {counts[tier]} |" for tier in TIERS]
    for number, pair in enumerate(pairs[:most], 1):
        lines += ["", f"## {number}. {pair['id']} {pair['reason']} ({pair['tier']}, {pair['score']})", ""]
        lines += ["The row:", "", *_quoted(pair["example"]), "", f"Gold item {pair['item']}:", ""]
        lines += _quoted(pair["gold"])
    if len(pairs) > most:
        lines += ["", f"{len(pairs) - most} more pairs are not shown."]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> list[str]:
    # Indented text is shown as it is, whatever marks it holds.
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} […]"
    return [f"    {line}" for line in shown.splitlines()] or ["    (empty)"]
