"""Judging: a written row becomes an example or a drop with its reason, and a batch of them knows what it came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from upcycle.curation.check import Check
from upcycle.errors import UpcycleError
from upcycle.methods.generate.writing import Failure
from upcycle.methods.s3.writing import Wish, Written
from upcycle.records import Dropped, Example, Origin, example_id

METHOD = "s3"


@dataclass
class Batch:
    """Rows of the first set, a round or a control, as they were written and judged.

    Attributes:
        cost_micro, tokens: of all its rows, kept or not.
        reason: why writing ended before its wishes did: too little of it was usable.
        stopped: what ended the run in the middle; raised when what was written is judged.
    """

    kept: list[Example] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    cost_micro: int = 0
    tokens: int = 0
    reason: str = ""
    stopped: UpcycleError | None = None

    def add(self, result: Example | Dropped) -> None:
        self.cost_micro += result.origin.cost_micro_usd
        self.tokens += result.origin.tokens
        if isinstance(result, Example):
            self.kept.append(result)
        else:
            self.dropped.append(result)

    def lost(self) -> dict[str, int]:
        """How many rows ended in each kind of drop."""
        return dict(Counter(one.kind.value for one in self.dropped))


def judged(written: Written, *, model: str, copies: Check, check: Check, seed: int) -> Example | Dropped:
    """A written row as an example, or why it is none.

    Args:
        copies: finds copies of mined rows.
        check: everything else; not asked of a control's rows, since it remembers what it kept.
    """
    wish, made = written.wish, written.made
    name = example_id(METHOD, "", str(seed), f"{wish.control}/{wish.round}/{wish.number}")
    origin = Origin(
        method=METHOD,
        record=_record_of(wish),
        calls=written.calls,
        model=model,
        round=wish.round,
        parents=(wish.parent.id,) if wish.parent is not None else (),
        cost_micro_usd=written.cost_micro,
        tokens=written.tokens,
    )
    if isinstance(made, Failure):
        return Dropped(name, origin, METHOD, made.kind, made.reason)
    example = Example(name, made.input, made.output, origin, made.rationale, made.choices)
    verdict = copies(example)
    if verdict.keep and not wish.control:
        verdict = check(example)
    if verdict.keep:
        return example
    return Dropped(name, origin, "curation", verdict.kind, verdict.reason, input=made.input, output=made.output,
                   score=verdict.score, other=verdict.other)  # fmt: skip


def _record_of(wish: Wish) -> str:
    """What a row was written from, in a few words."""
    if wish.pattern:
        return f"pattern: {wish.pattern}"
    if wish.parent is not None:
        return wish.parent.id
    return "; ".join(wish.reasons) or "first set"
