"""The grid: what each example is to be like, drawn in code before any model writes it.

An axis is a list of values (topic, style, length, difficulty, or the user's own); a cell takes one of each, and the
target output where the task has a closed set of them. Values follow their shares in shuffled cycles, so that after any
number of cells no count is off by more than one cycle; a model that is told to "choose randomly" does nothing of the
kind (section 9 of the notes on the reference: its worked example always shows one outcome). Everything follows from
the seed: cell number n is the same whatever is asked for, and in whatever order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from upcycle.config import Generate
from upcycle.contract import without_options
from upcycle.errors import RowError
from upcycle.language import looks_like_code
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import ask
from upcycle.methods.generate.form import Form
from upcycle.methods.prompts import cut, fill, show_task
from upcycle.run import Run
from upcycle.task import Task

TOPIC = "topic"
_DIFFICULTIES = ("easy", "of middling difficulty", "hard")
_STYLES = ("plain", "formal", "casual", "terse")
_CYCLE = 20  # cells; label shares are met to a twentieth within each cycle, exactly over many
_LONGEST_VALUE = 80


class Cell(NamedTuple):
    """What one example is to be like.

    Attributes:
        number: its place in the sequence of all cells of a run.
        attributes: axis to value.
        answer: the output it must have, where outputs form a closed set.
        options: how many options it lists; 0 outside multiple choice.
    """

    number: int
    attributes: Mapping[str, str]
    answer: str | None = None
    options: int = 0

    @property
    def topic(self) -> str:
        """What it is about; "" where there is no such axis."""
        return self.attributes.get(TOPIC, "")

    def described(self) -> str:
        """The attributes in one line, as prompts and origins show them."""
        return "; ".join(f"{axis}: {value}" for axis, value in self.attributes.items())


class Draw(NamedTuple):
    """The cells of one call."""

    number: int
    cells: tuple[Cell, ...]


class Grid:
    """The axes of a task, and the endless sequence of cells that its seed draws from them."""

    def __init__(self, axes: Mapping[str, Sequence[str]], form: Form, seed: int) -> None:
        self.axes = {
            name: tuple(" ".join(value.split()) for value in values) for name, values in axes.items() if values
        }
        self.seed = seed
        self._form = form

    def cells(self) -> Iterator[Cell]:
        """All cells, in order; it never ends."""
        drawn = {axis: schedule(dict.fromkeys(values, 1.0), self._random(axis)) for axis, values in self.axes.items()}
        answers = schedule(self._form.answers, self._random("answer")) if self._form.answers else None
        options = self._random("options")
        for number in count():
            attributes = {axis: next(values) for axis, values in drawn.items()}
            low, high = self._form.options or (0, 0)
            yield Cell(number, attributes, next(answers) if answers else None, options.randint(low, high))

    def draws(self, per_call: int) -> Iterator[Draw]:
        """The cells in order, so many a call."""
        cells = self.cells()
        for number in count():
            yield Draw(number, tuple(islice(cells, per_call)))

    def facts(self) -> dict[str, Any]:
        """Axes and target outputs as plain values, for the run's folder."""
        answers = {"answers": dict(self._form.answers)} if self._form.answers else {}
        return {"axes": {axis: list(values) for axis, values in self.axes.items()}, **answers}

    def _random(self, name: str) -> Random:
        return Random(f"{self.seed}/generate/{name}")


def schedule(shares: Mapping[str, float], random: Random) -> Iterator[str]:
    """Values without end, in drawn order; their counts follow their shares, what rounding takes comes back later.

    Args:
        shares: value to weight (above 0).
    """
    total = sum(shares.values())
    given = dict.fromkeys(shares, 0)
    number = 0
    while True:
        cycle = []
        for _ in range(max(len(shares), _CYCLE)):
            number += 1
            value = max(shares, key=lambda one: shares[one] / total * number - given[one])
            given[value] += 1
            cycle.append(value)
        random.shuffle(cycle)
        yield from cycle


async def grid_for(task: Task, settings: Generate, form: Form, *, planner: Model | None, run: Run, seed: int) -> Grid:
    """The grid of a task: axes the user gave, else topics and styles by the planner, else words of the task."""
    topics: Sequence[str] = ()
    styles: Sequence[str] = ()
    if settings.topics and TOPIC not in settings.attributes:
        topics, styles = await name_topics(task, settings.topics, planner, run)
    axes: dict[str, Sequence[str]] = {TOPIC: topics}
    code = any(looks_like_code(without_options(d.input)) for d in task.demonstrations)
    axes["style"] = styles or (() if code else _STYLES)
    axes["length"] = lengths([without_options(d.input) for d in task.demonstrations], code=code)
    axes["difficulty"] = _DIFFICULTIES
    return Grid({**axes, **settings.attributes}, form, seed)


async def name_topics(task: Task, wanted: int, planner: Model | None, run: Run) -> tuple[Sequence[str], Sequence[str]]:
    """Topics and styles: written once by the planner; where it cannot, the task's own words, and no styles."""
    if planner is not None:
        prompt = fill(Path(__file__).parent, "topics", task=show_task(task), count=str(wanted))
        request = Request(
            ({"role": "user", "content": prompt},), stage="topics", max_tokens=200 + 16 * wanted, schema=_TOPICS
        )
        try:
            value = (await ask(planner, request, tries=2)).value
            topics = _distinct(value["topics"])[:wanted]
            if topics:
                return topics, _distinct(value["styles"])[:8]
            why = "it named none"
        except RowError as error:
            why = str(error)
        run.tell("generate", "topics from words", why=why)
    return words_of(task, wanted), ()


def words_of(task: Task, wanted: int) -> list[str]:
    """Longer words of the demonstrations' inputs, else of the instruction, in their order."""
    texts = [without_options(demo.input) for demo in task.demonstrations] or [task.instruction]
    return _distinct(re.findall(r"[^\W\d_]{5,}", " ".join(texts).lower()))[:wanted]


def lengths(inputs: Sequence[str], *, code: bool) -> tuple[str, ...]:
    """Three lengths around those of the demonstrations' inputs, in words, or in lines for code."""
    if not inputs:
        return ("short", "of middling length", "long")
    sizes = [text.count("\n") + 1 if code else len(text.split()) for text in inputs]
    wanted = (0.7 * min(sizes), median(sizes), 1.3 * max(sizes))
    unit = "lines" if code else "words"
    return tuple(dict.fromkeys(f"about {max(2, round(size))} {unit}" for size in wanted))


def _distinct(values: Sequence[str]) -> list[str]:
    shown = (cut(" ".join(value.split()), _LONGEST_VALUE) for value in values)
    return list({value.lower(): value for value in shown if value}.values())


_NAMES = {"type": "array", "items": {"type": "string"}}
_TOPICS = {
    "type": "object",
    "properties": {"topics": _NAMES, "styles": _NAMES},
    "required": ["topics", "styles"],
    "additionalProperties": False,
}
