"""Agreement: several programs of one source, and the model that executes the plan itself, vote on each other.

One generated program is far less accurate than a vote of several (Evaporate-Code+, VLDB 2023, section 3.2). A voter's
weight is its agreement with the weighted others, so one that is wrong, constant or silent loses its say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from upcycle.contract import Kind, without_options
from upcycle.methods.datatune.plans.program import Made

_ROUNDS = 5
_OUTPUT = 0.7  # how much the output counts beside the input


def agreements(voters: Sequence[Mapping[str, Made]], kind: Kind) -> list[float]:
    """How far each voter agrees with the others, 0 to 1; 1 where there is no other.

    Args:
        voters: what each made of which record; a record it made nothing of is missing.
        kind: of the task's outputs: labels, numbers and choices agree or do not, texts agree by their words.
    """
    count = len(voters)
    if count < 2:
        return [1.0] * count
    pairs = [[_agree(one, other, kind) for other in voters] for one in voters]
    weights = [1.0] * count
    for _ in range(_ROUNDS):
        total = sum(weights)
        weights = [
            sum(weights[j] * pairs[i][j] for j in range(count) if j != i) / max(1e-9, total - weights[i])
            for i in range(count)
        ]
    return [round(weight, 4) for weight in weights]


def _agree(one: Mapping[str, Made], other: Mapping[str, Made], kind: Kind) -> float:
    refs = set(one) | set(other)
    if not refs:
        return 0.0
    return sum(_alike(one[ref], other[ref], kind) for ref in refs if ref in one and ref in other) / len(refs)


def _alike(one: Made, other: Made, kind: Kind) -> float:
    whole = kind in (Kind.LABEL, Kind.CHOICE, Kind.NUMBER, Kind.SPAN)
    outputs = float(_folded(one.output) == _folded(other.output)) if whole else _shared(one.output, other.output)
    return _OUTPUT * outputs + (1 - _OUTPUT) * _shared(without_options(one.input), without_options(other.input))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _shared(one: str, other: str) -> float:
    """F1 of the words of two texts."""
    if _folded(one) == _folded(other):
        return 1.0
    words, more = (Counter(_folded(text).split()) for text in (one, other))
    both = sum((words & more).values())
    return 2 * both / max(1, words.total() + more.total())
