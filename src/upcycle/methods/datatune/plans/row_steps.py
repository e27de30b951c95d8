"""Typed steps about the whole row: columns taken, labels mapped, rows kept, split, computed, or asked of a model."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from upcycle.contract import Contract
from upcycle.methods.datatune.plans.patterns import compiled_pattern
from upcycle.methods.datatune.plans.step import OneField, PlanStep, key_text, places
from upcycle.sandbox.dialect import refusal


class Select(PlanStep):
    """Take columns, under new names where wanted."""

    do: Literal["select"] = "select"
    take: dict[str, str] = Field(description="New name: column.")

    def reads(self) -> tuple[str, ...]:
        return tuple(self.take.values())

    def writes(self) -> tuple[str, ...]:
        return tuple(self.take)


class Template(PlanStep):
    """Fill a text with fields; an empty field skips the record."""

    do: Literal["template"] = "template"
    text: str
    into: str

    def reads(self) -> tuple[str, ...]:
        return places(self.text)


class MapLabel(OneField):
    """Turn a source's label into the task's; a label that is not in the mapping skips the record."""

    do: Literal["map-label"] = "map-label"
    mapping: dict[str, str]

    @field_validator("mapping", mode="before")
    @classmethod
    def _keys_are_text(cls, value: Any) -> Any:
        # YAML reads `0:` as a number and `yes:` as a truth value; labels are compared as text.
        return {key_text(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


class Filter(PlanStep):
    """Keep the record only when every condition given holds."""

    do: Literal["filter"] = "filter"
    field: str
    min_chars: int | None = None
    max_chars: int | None = None
    min_words: int | None = None
    max_words: int | None = None
    equals: str | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = Field(None, description="Regular expression searched in the first 4,000 characters.")
    not_matches: str | None = None
    not_in: str | None = Field(None, description="Another field that must not contain this one's text.")
    parses: Literal["python"] | None = None
    says: Literal["action"] | None = Field(None, description="action: the text opens with what something does.")

    @field_validator("matches", "not_matches")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None:
            compiled_pattern(value)
        return value

    def reads(self) -> tuple[str, ...]:
        return (self.field, self.not_in) if self.not_in else (self.field,)

    def writes(self) -> tuple[str, ...]:
        return ()


class Check(Filter):
    """Doubt the program's own work: a row that breaks a condition goes to the model, or fails where there is none."""

    do: Literal["check"] = "check"  # type: ignore[assignment]


class CheckSolution(PlanStep):
    """Keep the record only when its worked solution can be followed and contradicts neither its answer nor itself."""

    do: Literal["check-solution"] = "check-solution"
    question: str
    answer: str
    solution: str
    key: str | None = Field(None, description="Field with the letter of the right option.")

    def reads(self) -> tuple[str, ...]:
        return (self.question, self.answer, self.solution, *([self.key] if self.key else []))

    def writes(self) -> tuple[str, ...]:
        return ()


class OrderByDirection(PlanStep):
    """Give two fields their roles: `into` is (cause, effect), or (earlier, later).

    `first` has the first role where `direction` says one of `keep_when`, the second where it says one of `swap_when`.
    """

    do: Literal["order-by-direction"] = "order-by-direction"
    first: str
    second: str
    direction: str
    keep_when: tuple[str, ...]
    swap_when: tuple[str, ...]
    into: tuple[str, str] = ("cause", "effect")

    def reads(self) -> tuple[str, ...]:
        return (self.first, self.second, self.direction)

    def writes(self) -> tuple[str, ...]:
        return self.into


class Split(PlanStep):
    """Make one example of each item of a list; lists named together walk together."""

    do: Literal["split"] = "split"
    take: dict[str, str] = Field(min_length=1, description="New name: list field.")

    def reads(self) -> tuple[str, ...]:
        return tuple(self.take.values())

    def writes(self) -> tuple[str, ...]:
        return tuple(self.take)


class DrawLabel(PlanStep):
    """Draw a label by a seeded draw, so that how often each occurs is decided in code and not by a model."""

    do: Literal["draw-label"] = "draw-label"
    labels: tuple[str, ...] = Field(min_length=2)
    shares: tuple[float, ...] | None = Field(None, description="How often each, in proportion; equally where left out.")
    into: str = "label"

    @model_validator(mode="after")
    def _a_share_each(self) -> DrawLabel:
        if self.shares is not None and (len(self.shares) != len(self.labels) or min(self.shares) < 0):
            raise ValueError("`shares` names one number of 0 or more for each label")
        return self

    def reads(self) -> tuple[str, ...]:
        return ()


class Python(PlanStep):
    """Compute fields from fields by Python, which runs in a sandbox: no files, no network, bounded time and memory.

    The code is an expression over `r`, a dict of the fields named, or a whole `def f(r): ...`. It gives the value of
    `into`, or a dict with all of them where `into` is a list; None skips the record.
    """

    do: Literal["python"] = "python"
    fields: tuple[str, ...] = Field(min_length=1, description="Fields the code sees, as r['name'].")
    code: str = Field(min_length=1, max_length=8_000)
    into: str | tuple[str, ...]
    draws: int = Field(0, ge=0, le=64, description="Seeded numbers in [0, 1) the code sees as r['_draws'].")

    @field_validator("code")
    @classmethod
    def _can_run(cls, value: str) -> str:
        if not _FUNCTION.search(value) and not _is_expression(value):
            raise ValueError("the code is neither one expression over r nor a function `def f(r): ...`")
        if (wrong := refusal(_program(value), "f")) is not None:
            raise ValueError(f"this Python cannot run in the sandbox: {wrong}")
        return value

    @property
    def program(self) -> str:
        """The code as a function `f(r)`."""
        return _program(self.code)

    def reads(self) -> tuple[str, ...]:
        return self.fields

    def writes(self) -> tuple[str, ...]:
        return (self.into,) if isinstance(self.into, str) else self.into


_FUNCTION = re.compile(r"^def f\(", re.MULTILINE)


def _is_expression(code: str) -> bool:
    try:
        ast.parse(f"(\n{code.strip()}\n)", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _program(code: str) -> str:
    if _FUNCTION.search(code):
        return code
    lines = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return f"def f(r):\n    return (\n{lines}\n    )\n"


class Llm(PlanStep):
    """Have a model write one named field out of named fields. The only step that costs anything."""

    do: Literal["llm"] = "llm"
    into: str
    fields: tuple[str, ...] = Field(min_length=1, description="Fields the model is shown.")
    ask: str = Field(min_length=3, description="What to write, in a sentence or two.")
    contract: Contract = Contract()

    def reads(self) -> tuple[str, ...]:
        return self.fields
