"""The avoid-list: of the inputs written before on a cell's topic, those that the model repeats most.

An input's rank is how much it shares with its nearest neighbour on the same topic: where two inputs already resemble
each other is where the next one would fall. Of two near-copies only one is shown, and the whole list is bounded in
characters, so that a prompt never grows with the run.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

from upcycle.contract import without_options
from upcycle.methods.generate.grid import Cell
from upcycle.methods.prompts import cut

_REMEMBERED = 300  # inputs a topic
_SHOWN = 160  # characters of one input
_ALIKE = 0.6  # of the marks of two inputs together, the share they have in common


@dataclass(slots=True)
class _Earlier:
    text: str
    marks: frozenset[str]
    nearest: float = 0.0


class Avoid:
    """What was written so far, by topic."""

    def __init__(self, characters: int) -> None:
        self._room = characters
        self._topics: dict[str, deque[_Earlier]] = {}

    def add(self, cell: Cell, text: str) -> None:
        """Remember an input that was written for a cell."""
        if not self._room:
            return
        text = " ".join(without_options(text).split())
        new = _Earlier(text, marks(text))
        earlier = self._topics.setdefault(cell.topic, deque(maxlen=_REMEMBERED))
        for one in earlier:
            shared = overlap(one.marks, new.marks)
            one.nearest, new.nearest = max(one.nearest, shared), max(new.nearest, shared)
        earlier.append(new)

    def shown(self, cells: Iterable[Cell]) -> list[str]:
        """Earlier inputs to show beside these cells: each topic's most repeated first, as many as there is room for."""
        topics = dict.fromkeys(cell.topic for cell in cells)
        ranked = [sorted(self._topics.get(topic, ()), key=lambda one: -one.nearest) for topic in topics]
        chosen: list[_Earlier] = []
        room = self._room
        for one in (one for turn in zip_longest(*ranked) for one in turn if one is not None):
            text = cut(one.text, _SHOWN)
            if len(text) > room:
                break
            if all(overlap(one.marks, other.marks) < _ALIKE for other in chosen):
                chosen.append(one)
                room -= len(text)
        return [cut(one.text, _SHOWN) for one in chosen]


def marks(text: str) -> frozenset[str]:
    """What texts are compared by: words, or pairs of characters where the script puts no spaces between words."""
    words = re.findall(r"\w+", text.lower())
    if len(words) * 12 >= len(text):
        return frozenset(words)
    joined = "".join(words)
    return frozenset(joined[i : i + 2] for i in range(len(joined) - 1)) or frozenset(words)


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity, 0 to 1."""
    return len(one & other) / len(one | other) if one and other else 0.0
