"""What is to be asked of a model, worked out before it is: which items, by which metric, with which demonstrations.

Demonstrations are never items that are scored: they are given, or drawn with a seed from gold that is then left out.
What makes the numbers mean less than they seem (few items, answers that cannot be chosen) is counted here and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple, Protocol

from upcycle.contract import is_number
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem
from upcycle.training.seen import question

METRICS = ("accuracy", "exact_match", "soft_exact_match", "multiple_choice_grade", "squad")
_FEW = 100
_TOO_FEW = 20
_MOST_LABELS = 100


class Shown(Protocol):
    """Anything that can be a demonstration: a gold item, an example, a task's demonstration."""

    @property
    def input(self) -> str: ...

    @property
    def output(self) -> str: ...


class Asked(NamedTuple):
    """What is to be asked, worked out before anything is.

    Attributes:
        items: what is scored; demonstrations and what cannot be right are not among them.
        shown: (input, output) of the demonstrations.
        warnings: what is known already.
    """

    items: list[GoldItem]
    metric: str
    shown: list[tuple[str, str]]
    warnings: list[str]


def asked_of(
    gold: Sequence[GoldItem],
    metric: str = "auto",
    *,
    shots: int = 0,
    demonstrations: Sequence[Shown] = (),
    seed: int = 0,
) -> Asked:
    """What is scored, how, and what is shown before it.

    Raises:
        ConfigError: as `evaluate`.
    """
    metric = metric_of(gold, metric)
    items, warnings = _answerable(gold, metric)
    shown, items = demonstrations_of(items, shots, demonstrations, seed)
    if not items:
        raise ConfigError("there is no gold item to score; give at least one beside the demonstrations")
    return Asked(items, metric, [(one.input, one.output) for one in shown], [*warnings, *_doubts(items, metric)])


def metric_of(gold: Sequence[GoldItem], metric: str = "auto") -> str:
    """The metric that is meant.

    Raises:
        ConfigError: there is none of this name, or it needs options and there are none.
    """
    if metric == "auto":
        if gold and all(item.choices for item in gold):
            return "multiple_choice_grade"
        return "accuracy" if _are_labels([item.output for item in gold]) else "exact_match"
    if metric not in METRICS:
        raise ConfigError(f"{metric!r} is not a metric; one of {', '.join(METRICS)}")
    if metric == "multiple_choice_grade" and (without := sum(not item.choices for item in gold)):
        raise ConfigError(
            f"{without} of {len(gold)} gold items have no choices, so multiple_choice_grade cannot be read;"
            " give them `choices`, or another metric"
        )
    return metric


def _are_labels(outputs: Sequence[str]) -> bool:
    """Few, short and repeating: what a classifier says."""
    kinds = set(outputs)
    if len(kinds) > 100 or len(outputs) < 5 * len(kinds) or (len(kinds) > 10 and all(map(is_number, kinds))):
        return False
    return all(len(one) <= 60 and len(one.split()) <= 6 for one in kinds)


def demonstrations_of(
    gold: Sequence[GoldItem], shots: int, given: Sequence[Shown], seed: int
) -> tuple[list[Shown], list[GoldItem]]:
    """What is shown before each item, and the items that are scored beside it.

    Raises:
        ConfigError: fewer than `shots` there, or one of those given is itself an item.
    """
    if shots <= 0:
        return [], list(gold)
    if given:
        if len(given) < shots:
            raise ConfigError(f"{shots} demonstrations are to be shown and {len(given)} are given; give more of them")
        chosen = list(given[:shots])
        items = {_question(item) for item in gold}
        for number, one in enumerate(chosen, 1):
            if _question(one) in items:
                raise ConfigError(
                    f"demonstration {number} is itself a gold item, and what is shown cannot be scored; give others"
                )
        return chosen, list(gold)
    if len(gold) <= shots:
        raise ConfigError(
            f"{shots} demonstrations cannot be drawn from {len(gold)} gold items with any left to score; give"
            " demonstrations of their own"
        )
    drawn = Random(f"{seed} demonstrations").sample(range(len(gold)), shots)
    questions = {_question(gold[number]) for number in drawn}
    left = [item for item in gold if _question(item) not in questions]
    if not left:
        raise ConfigError("all gold items ask the same as the demonstrations drawn; give demonstrations of their own")
    return [gold[number] for number in drawn], left


def _question(one: Shown) -> bytes:
    """What an item asks, however its options are ordered."""
    return question(one.input, getattr(one, "choices", None))


def _answerable(gold: Sequence[GoldItem], metric: str) -> tuple[list[GoldItem], list[str]]:
    """The items that can be right at all, and how many cannot."""
    if not gold:
        raise ConfigError("there is no gold item to score; give at least one")
    if metric != "multiple_choice_grade":
        return list(gold), []
    good = [item for item in gold if any(item.worths())]
    if not good:
        raise ConfigError("no gold item has its answer among its choices; check the columns of the gold")
    lost = len(gold) - len(good)
    return good, [f"{counted(lost)} left out: the answer is not among the choices"] if lost else []


def labels_of(asked: Asked) -> list[str]:
    """The closed set of labels that is chosen from; empty where answers are free."""
    found = dict.fromkeys(item.output for item in asked.items) if asked.metric == "accuracy" else {}
    return sorted(found) if 1 < len(found) <= _MOST_LABELS else []


def _doubts(gold: Sequence[GoldItem], metric: str) -> list[str]:
    """What makes the numbers mean less than they seem, before any was read."""
    found: list[str] = []
    if len(gold) < _FEW:
        least = "too few for any conclusion" if len(gold) < _TOO_FEW else "only large differences can be told"
        found.append(f"{counted(len(gold))}: one is {100 / len(gold):.1f} points, {least}")
    sizes = Counter(len(item.choices) for item in gold if item.choices)
    if metric == "multiple_choice_grade" and len(sizes) > 1:
        found.append(f"items have {min(sizes)} to {max(sizes)} choices: chance is worked out item by item")
    return found


def counted(number: int) -> str:
    return f"{number:,} item" if number == 1 else f"{number:,} items"
