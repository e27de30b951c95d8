"""Conflicts: the same input with another output, which two sources can bring and only one of which can be right.

Only where an input has one right output (a label, an option, a number): a sentence can be put in many ways. The
decision: over a whole set all sides of a conflict go, unless most of them agree, because one of two kept by chance
teaches what is wrong as often as what is right (`benchmarks/against_random.py`). While rows are made the first side is
kept already, so the later ones go, and the reason names it for a person to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from upcycle.contract import Contract, Kind, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.duplicates.exact import digest, options_of, plain
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
        other, output = seen.setdefault(_key(example), (example.id, example.output))
        return KEEP if plain(output) == plain(example.output) else _drop(other, output)

    return check


def conflicts(examples: Sequence[Example]) -> dict[str, Verdict]:
    """The verdicts, by id, of examples of a whole set that stand against each other.

    Of one input, the output of more than half of its examples stays; where there is none, nothing does.
    """
    groups: dict[int, list[Example]] = {}
    for example in examples:
        groups.setdefault(_key(example), []).append(example)
    verdicts: dict[str, Verdict] = {}
    for group in groups.values():
        counts = Counter(plain(one.output) for one in group)
        if len(counts) == 1:
            continue
        first, most = counts.most_common(1)[0]
        for one in group:
            if not (2 * most > len(group) and plain(one.output) == first):
                other = next(two for two in group if plain(two.output) != plain(one.output))
                verdicts[one.id] = _drop(other.id, other.output)
    return verdicts


def _key(example: Example) -> int:
    return digest(plain(without_options(example.input)), *sorted(map(plain, options_of(example))))


def _drop(other: str, output: str) -> Verdict:
    shown = output if len(output) <= _SHOWN else f"{output[:_SHOWN]} […]"
    reason = f"conflict: the same input comes with the output {shown!r}, too, and only one can be right"
    return Verdict(keep=False, kind=RowKind.CONFLICT, reason=reason, score=1.0, other=other)
