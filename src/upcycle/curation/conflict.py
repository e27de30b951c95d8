"""Conflicts: the same input with another output, which two sources can bring and only one of which can be right.

In: one example at a time. Out: a drop that names the example kept before and its output. The decision: the first one
stays, since nothing here knows which is right; both sides are in the verdict, so that a person can. Only where an input
has one right output (a label, an option, a number): a sentence can be put in many ways.
"""

from __future__ import annotations

from collections.abc import Sequence

from upcycle.contract import Contract, Kind, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.exact import digest, options_of, plain
from upcycle.errors import RowKind
from upcycle.parts import label_counts
from upcycle.records import Example, Verdict

_ONE_RIGHT = (Kind.LABEL, Kind.CHOICE, Kind.NUMBER)
_SHOWN = 60


def one_is_right(contract: Contract | None, examples: Sequence[Example] = ()) -> bool:
    """Whether an input has one right output: by the contract, else because the outputs are labels or options."""
    if contract is not None:
        return contract.kind in _ONE_RIGHT
    return label_counts(examples) is not None or (bool(examples) and all(options_of(one) for one in examples))


def conflict_check() -> Check:
    """Drops an example whose input and options were kept with another output; `Verdict.other` names that example."""
    seen: dict[int, tuple[str, str]] = {}

    def check(example: Example) -> Verdict:
        options = sorted(map(plain, options_of(example)))
        key = digest(plain(without_options(example.input)), *options)
        other, output = seen.setdefault(key, (example.id, example.output))
        if plain(output) == plain(example.output):
            return KEEP
        shown = output if len(output) <= _SHOWN else f"{output[:_SHOWN]} […]"
        reason = f"conflict: the same input is kept with the output {shown!r}, and only one can be right"
        return Verdict(keep=False, kind=RowKind.CONFLICT, reason=reason, score=1.0, other=other)

    return check
