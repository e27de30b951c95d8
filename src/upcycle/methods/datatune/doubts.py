"""Doubts: what a plan's pilot shows that no single row shows. All of it is known without a model.

Constant outputs, the answer standing in the input, another language than the demonstrations', lengths far from theirs,
copies of them: each is one sentence for whoever revises the plan, and a factor on the pilot's score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from upcycle.contract import Kind, without_options
from upcycle.language import detect
from upcycle.records import Example
from upcycle.task import Task

_FEW = 4  # examples before anything is said of all of them
_MANY = 20
_LETTERS = 200
_SURE = 0.95


class Doubt(NamedTuple):
    """One thing that looks wrong with all examples together.

    Attributes:
        factor: what is left of the pilot's score; 0 where rows like these are of no use.
    """

    told: str
    factor: float


def doubts(task: Task, examples: Sequence[Example]) -> list[Doubt]:
    """What looks wrong with these examples of one plan."""
    if len(examples) < _FEW:
        return []
    found = (_constant(task, examples), _leaked(task, examples), _foreign(task, examples), _length(task, examples))
    return [doubt for doubt in found if doubt is not None]


def _constant(task: Task, examples: Sequence[Example]) -> Doubt | None:
    if len({example.input for example in examples}) == 1:
        return Doubt("every example has the same input", 0.0)
    several = len({demo.output for demo in task.demonstrations}) > 1 or len(task.contract.labels or ()) > 1
    if several and len({example.output for example in examples}) == 1:
        # Of eight rows of a skewed source all may be alike; of twenty hardly.
        factor = 0.0 if len(examples) >= _MANY else 0.25
        return Doubt(f"every example has the same output, {examples[0].output[:40]!r}", factor)
    return None


def _leaked(task: Task, examples: Sequence[Example]) -> Doubt | None:
    if task.contract.kind in (Kind.CHOICE, Kind.SPAN, Kind.NUMBER):
        return None
    pairs = [(without_options(example.input), example.output) for example in examples]
    shown = [(without_options(demo.input), demo.output) for demo in task.demonstrations]
    most = 0.9 if task.contract.kind == Kind.LABEL else 0.6
    if _stands_in(pairs) >= most and (not shown or _stands_in(shown) <= 0.3):
        return Doubt("the output stands in the input, where the demonstrations' outputs do not", 0.0)
    return None


def _stands_in(pairs: Sequence[tuple[str, str]]) -> float:
    hits = sum(1 for text, output in pairs if re.search(rf"(?<!\w){re.escape(output)}(?!\w)", text, re.IGNORECASE))
    return hits / len(pairs)


def _foreign(task: Task, examples: Sequence[Example]) -> Doubt | None:
    # One short row says little about its language; all of them together do.
    wanted = task.contract.language
    if not wanted:
        return None
    for name in ("input", "output"):
        text = "\n".join(getattr(example, name) for example in examples[:50])
        if sum(map(str.isalpha, text)) < _LETTERS:
            continue
        found = detect(text)
        if found.code not in ("und", wanted) and found.confidence >= _SURE and not _also_found(task, name, found.code):
            return Doubt(f"the {name}s are in {found.code}; they must be in {wanted}", 0.0)
    return None


def _also_found(task: Task, name: str, code: str) -> bool:
    # Where the demonstrations themselves are taken for that language (code is, often), it says nothing.
    return detect("\n".join(getattr(demo, name) for demo in task.demonstrations)).code == code


def _length(task: Task, examples: Sequence[Example]) -> Doubt | None:
    if task.contract.kind != Kind.TEXT or not task.demonstrations:
        return None
    shown = [len(demo.output) for demo in task.demonstrations]
    middle = median(len(example.output) for example in examples)
    if middle > 5 * max(shown) or 5 * middle < min(shown):
        told = f"the outputs have about {middle:.0f} characters, the demonstrations' {min(shown)} to {max(shown)}"
        return Doubt(told, 0.5)
    return None
