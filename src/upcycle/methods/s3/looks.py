"""Looks: what is measured of a round's rows before anybody trains on them, and what refuses them.

All through the checks of `curation` and the measurements of `analysis`: copies of gold, near-copies of the error they
were written from, artefacts that give the label away, variety against the first set, balance of labels. The decision:
variety has a floor, since the published second rounds are less varied than the first (73 -> 61 unique bigrams a row on
IMDb, gold 135), and the rest warns, since a warning with numbers is worth more than a threshold nobody chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from upcycle.analysis.tokens import words_and_marks
from upcycle.analysis.variety import FIRST, bigrams_per_text, opening
from upcycle.curation.artefacts import artefacts
from upcycle.curation.balance import balance
from upcycle.curation.check import KEEP, Check
from upcycle.curation.decontamination.tiers import GoldIndex
from upcycle.curation.duplicates.exact import folded
from upcycle.curation.duplicates.near import jaccard
from upcycle.errors import RowKind
from upcycle.methods.s3.gold import GoldParts
from upcycle.methods.s3.shape import Shape
from upcycle.records import Example, Verdict

FLOOR = 0.6
"""Unique bigrams a row, as a share of the first set's at equal number and length, below which a round is refused."""
_NEAR = 0.8
_ENOUGH = 20  # rows below which variety says nothing


def copy_check(gold: GoldParts, shape: Shape) -> Check:
    """Drops what repeats a mined row, or nearly: in full, or in the part that was written where the rest is inherited.

    The rows that select and test are looked for by the contamination check of every build; here it is those whose
    context an example may share by right.
    """
    index = GoldIndex(gold.mined(), tiers=("exact", "overlap")) if shape.kind in ("single", "text") else None
    written: dict[str, list[tuple[str, str]]] = {}
    for row in gold.mine:
        cut = shape.cut(row.input)
        written.setdefault(folded(cut.context), []).append((row.id, folded(cut.written)))

    def check(example: Example) -> Verdict:
        if index is not None:
            return index.contaminated_example(example)
        cut = shape.cut(example.input)
        text = folded(cut.written)
        for name, other in written.get(folded(cut.context), ()):
            score = 1.0 if text == other else jaccard(text, other)
            if score >= _NEAR:
                return Verdict(
                    keep=False,
                    kind=RowKind.CONTAMINATED,
                    reason=f"copies {name}, a mined row of the same context ({score:.0%} of its wording)",
                    score=round(score, 3),
                    other=name,
                )
        return KEEP

    return check


@dataclass(frozen=True)
class Look:
    """What was seen of a set of rows.

    Attributes:
        bigrams: unique bigrams a row, of the written parts' first 100 tokens.
        share: the same as a share of the first set's, equal numbers of rows; None for the first set, and for few rows.
        warnings: what a student could learn from the rows instead of the task, a sentence each.
        refused: why the rows are refused; "" where they are not.
    """

    rows: int
    bigrams: float
    share: float | None
    opening: str
    opening_share: float
    labels: Mapping[str, int] | None
    entropy: float | None
    warnings: tuple[str, ...] = field(default_factory=tuple)
    refused: str = ""

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def look(
    rows: Sequence[Example], shape: Shape, *, first: Sequence[Example] = (), floor: float = FLOOR, seed: int = 0
) -> Look:
    """Measure rows, against the first set where one is given."""
    tokens = [words_and_marks(shape.cut(row.input).written) for row in rows]
    share = None
    if first and min(len(rows), len(first)) >= _ENOUGH:
        even = min(len(rows), len(first))
        mine = Random(f"{seed}/look").sample(tokens, even)
        theirs = [
            words_and_marks(shape.cut(row.input).written) for row in Random(f"{seed}/look").sample(list(first), even)
        ]
        share = bigrams_per_text(mine, FIRST) / max(1e-9, bigrams_per_text(theirs, FIRST))
    spread, begun = balance(rows), opening(tokens)
    refused = ""
    if share is not None and share < floor:
        refused = f"its rows are too much alike: {share:.0%} of the first set's variety, {floor:.0%} is the least"
    return Look(
        len(rows), round(bigrams_per_text(tokens, FIRST), 2), None if share is None else round(share, 3), begun.text,
        round(begun.share, 4), spread.labels, spread.entropy, tuple(artefacts(rows, seed=seed).warnings()), refused,
    )  # fmt: skip
