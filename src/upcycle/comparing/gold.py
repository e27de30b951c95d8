"""The two parts of a task's gold: rows a leg may be trained on, and items that are only ever scored.

An item's part follows from a hash of its question, never from its place in the file, so it stays the same when the file
is sorted, cut or added to. What asks the same question lies in the same part, and what repeats a demonstration in none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from upcycle.contract import listed_options
from upcycle.errors import ConfigError
from upcycle.evaluation.gold import GoldItem
from upcycle.records import Example, Origin
from upcycle.task import Task
from upcycle.training.seen import question

ENOUGH = 100
"""Gold items below which none is spent on training: the rest would say too little."""
GOLD = "gold"


class GoldParts(NamedTuple):
    """A task's gold, parted.

    Attributes:
        train: rows the gold legs learn from; empty where there is too little gold.
        test: items every leg is scored on.
        shown: items left out because a demonstration asks the same.
        repeated: test items left out because an earlier one asks the same.
        unanswerable: items left out because their answer is not among their choices.
    """

    train: Sequence[Example]
    test: Sequence[GoldItem]
    shown: int = 0
    repeated: int = 0
    unanswerable: int = 0

    def told(self) -> list[str]:
        """What was left out, in sentences."""
        found: list[str] = []
        if self.shown:
            found.append(f"{_items(self.shown)} left out: a demonstration asks the same")
        if self.repeated:
            found.append(f"{_items(self.repeated)} left out: another one asks the same")
        if self.unanswerable:
            found.append(f"{_items(self.unanswerable)} left out: the answer is not among the choices")
        return found


def part_gold(task: Task, share: float) -> GoldParts:
    """The gold of `task`, parted.

    Args:
        share: of the gold that may be trained on, 0 to 1; where there are fewer than `ENOUGH` items, none is.

    Raises:
        ConfigError: no gold, or nothing of it can be scored.
    """
    if not task.gold:
        raise ConfigError("nothing can be compared without gold; name a file of input and output with gold: or --gold")
    known = {question(one.input) for one in task.demonstrations}
    if len(task.gold) < ENOUGH:
        share = 0.0
    lost: Counter[str] = Counter()
    train: list[Example] = []
    test: list[GoldItem] = []
    seen: set[bytes] = set()
    for number, item in enumerate(task.gold, 1):
        choices = tuple(item.choices or listed_options(item.input)) or None
        asked = question(item.input, choices)
        if asked in known:
            lost["shown"] += 1
        elif choices and item.output not in choices:
            lost["unanswerable"] += 1
        elif asked in seen:
            lost["repeated"] += 1
        elif _share_of(asked) < share:
            seen.add(asked)
            train.append(Example(f"{GOLD}-{number}", item.input, item.output, Origin(GOLD), choices=choices))
        else:
            seen.add(asked)
            test.append(GoldItem(f"{GOLD}-{number}", item.input, (item.output,), choices))
    if not test:
        raise ConfigError(f"none of the {len(task.gold)} gold items can be scored; check their outputs and choices")
    return GoldParts(train, test, lost["shown"], lost["repeated"], lost["unanswerable"])


def _share_of(asked: bytes) -> float:
    """A number from 0 to 1 that only depends on the question."""
    return int.from_bytes(asked) / 256 ** len(asked)


def _items(count: int) -> str:
    return f"{count} gold item{'' if count == 1 else 's'}"
