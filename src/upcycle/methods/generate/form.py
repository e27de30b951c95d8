"""The form: which parts of an example the model writes, and which are drawn in code.

A label is supplied and only its input written; of a multiple-choice item the right and the wrong options are written
apart and put in an order that code draws; anything else is written as input and output. `Form.read` turns one written
row into an example's parts, or says what is wrong with it, so that rows are validated one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.config import Generate
from upcycle.contract import Contract, Kind, listed_options, with_options, without_options
from upcycle.errors import ConfigError
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.methods.generate.grid import Cell

_OPTIONS = (4, 4)


class Parts(NamedTuple):
    """An example's parts, before it has an origin."""

    input: str
    output: str
    rationale: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Form:
    """How examples of one task are put together.

    Attributes:
        asked: what the model writes of each row -> what that is, in words for the prompt.
        answers: outputs drawn in code with their shares; empty where the model writes the output.
        options: fewest and most options an input lists; None outside multiple choice.
        shared: the options where every input lists the same ones.
        worded: whether every demonstration's input holds words.
    """

    contract: Contract
    asked: Mapping[str, str]
    answers: Mapping[str, float] = field(default_factory=dict)
    options: tuple[int, int] | None = None
    shared: tuple[str, ...] = ()
    worded: bool = False

    def item_schema(self) -> dict[str, Any]:
        """JSON Schema of one written row."""
        text: dict[str, Any] = {"type": "string"}
        kinds: dict[str, Any] = {"wrong": {"type": "array", "items": text}}
        if self.contract.kind == Kind.NUMBER:
            kinds["output"] = {"type": ["string", "number"]}
        properties = {name: kinds.get(name, text) for name in self.asked}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def wish(self, cell: Cell) -> str:
        """What the prompt says of a cell."""
        wish = [cell.described()] if cell.attributes else []
        if cell.answer is not None:
            wish.append(f"the right output is {cell.answer!r}")
        elif cell.options:
            wish.append(f"{cell.options - 1} wrong options")
        return "; ".join(wish) or "as you like"

    def read(self, cell: Cell, item: Mapping[str, Any], seed: int) -> Parts | str:
        """The parts of an example out of a written row, or what is wrong with the row."""
        values = {name: _text(item.get(name)) for name in self.asked if name != "wrong"}
        if missing := [name for name, value in values.items() if not value]:
            return f"{missing[0]!r} is missing"
        text, rationale = without_options(values["input"]).strip(), values.get("reasoning")
        if wrong := self._unlike_an_input(cell, text):
            return wrong
        output = cell.answer if cell.answer is not None else values.get("output") or values.get("correct") or ""
        choices: tuple[str, ...] | None = None
        if self.options:
            options = self._options(cell, output, item.get("wrong"))
            if isinstance(options, str):
                return options
            output = options[0]
            choices = tuple(_shuffled(options, f"{seed}/generate/{cell.number}/order"))
            text = with_options(text, choices)
        wrong = self.contract.violation(text, output, choices)
        return wrong if wrong is not None else Parts(text, output, rationale, choices)

    def _unlike_an_input(self, cell: Cell, text: str) -> str | None:
        """What small models hand in instead of an input: the wish itself, or a bare number."""
        if sum(f"{axis}: " in text for axis in cell.attributes) >= 2:
            return "the input repeats what it was to be like"
        if self.worded and not any(map(str.isalpha, text)):
            return "the input holds no word"
        return None

    def _options(self, cell: Cell, output: str, wrong: Any) -> list[str] | str:
        """The options, the right one first; or what is wrong with them."""
        if self.shared:
            return [output, *(option for option in self.shared if option != output)]
        others = [_text(option) for option in wrong] if isinstance(wrong, list) else []
        others = [option for option in others if option]
        if len(others) < cell.options - 1:
            return f"{len(others)} wrong options, not {cell.options - 1}"
        options = [" ".join(option.split()) for option in (output, *others[: cell.options - 1])]
        return options if len({o.casefold() for o in options}) == len(options) else "two options are the same"


def form_of(task: Task, settings: Generate) -> Form:
    """The form of a task's examples.

    Raises:
        ConfigError: `settings.labels` names something that is not a possible output.
    """
    contract = task.contract
    shared = shared_options(task) if contract.kind == Kind.CHOICE else ()
    possible = shared or (contract.labels or () if contract.kind == Kind.LABEL else ())
    options = None
    if contract.kind == Kind.CHOICE:
        options = (len(shared), len(shared)) if shared else contract.options or _OPTIONS
    return Form(
        contract,
        _asked(task, drawn=bool(possible)),
        answers=_shares(settings, possible),
        options=options,
        shared=shared,
        worded=all(any(map(str.isalpha, demo.input)) for demo in task.demonstrations),
    )


def _asked(task: Task, *, drawn: bool) -> dict[str, str]:
    """What the model writes of each row, in words; without the output where that is drawn."""
    contract = task.contract
    reasoned = bool(task.demonstrations) and all(demo.rationale for demo in task.demonstrations)
    why = {"reasoning": "the reasoning that leads from the input to the output"} if reasoned else {}
    if drawn:
        only = "the input to which the output given with the row is the right one; that output is not written in it"
        return {"input": only, **why}
    if contract.kind == Kind.CHOICE:
        wrong = "a list of wrong but plausible options, like the right one in form and length, no two the same"
        asked = {"input": "the question or text, without any options"}
        return {**asked, **why, "correct": "the option that is right", "wrong": wrong}
    copied = ", copied from the input word by word" if contract.kind == Kind.SPAN else ""
    return {"input": "the input", **why, "output": f"its right output ({contract.described()}){copied}"}


def shared_options(task: Task) -> tuple[str, ...]:
    """The options that every demonstration lists, where all (two at least) list the same ones in whatever order."""
    listed = [[" ".join(one.split()) for one in listed_options(demo.input)] for demo in task.demonstrations]
    if len(listed) < 2 or any(set(options) != set(listed[0]) for options in listed):
        return ()
    return tuple(sorted(set(listed[0])))


def _shares(settings: Generate, possible: tuple[str, ...]) -> dict[str, float]:
    unknown = sorted(set(settings.labels) - set(possible))
    if unknown and possible:
        raise ConfigError(
            f"methods.generate.labels names {unknown[0]!r}, which is no possible output; one of {', '.join(possible)}"
        )
    if unknown:
        raise ConfigError("methods.generate.labels needs a closed set of outputs; give the labels, or leave it out")
    return dict(settings.labels) or dict.fromkeys(possible, 1.0)


def _shuffled(options: list[str], seed: str) -> list[str]:
    return Random(seed).sample(options, len(options))


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()
