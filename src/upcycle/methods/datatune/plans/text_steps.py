"""Typed steps that turn one text or list into another."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from upcycle.methods.datatune.plans.step import OneField, PlanStep


class FormatNumber(OneField):
    """Write a number plainly: "39.0" is 39, "1,000" is 1000, "$5" is 5; what is no number skips the record."""

    do: Literal["format-number"] = "format-number"


class After(OneField):
    """Take the text after the last occurrence of a delimiter."""

    do: Literal["after"] = "after"
    delimiter: str = Field(min_length=1)


class Before(OneField):
    """Take the text before the first of some delimiters; all of it where there is none."""

    do: Literal["before"] = "before"
    delimiters: tuple[str, ...] = Field(min_length=1)


class Item(OneField):
    """Take one item of a list."""

    do: Literal["item"] = "item"
    index: int = 0


class PickSentence(OneField):
    """Take one sentence of a text: 0 is the first, -1 the last."""

    do: Literal["pick-sentence"] = "pick-sentence"
    index: int = 0


class StripOpening(OneField):
    """Take a frequent opening phrase off; a text that has none of them skips the record."""

    do: Literal["strip-opening"] = "strip-opening"
    openings: tuple[str, ...] = Field(min_length=1)


class DocstringSplit(PlanStep):
    """Split Python text into code without its docstring, and the docstring."""

    do: Literal["docstring-split"] = "docstring-split"
    field: str
    code: str = "code"
    docstring: str = "docstring"

    def writes(self) -> tuple[str, ...]:
        return (self.code, self.docstring)


class Join(PlanStep):
    """Put fields together, as they are, into one text."""

    do: Literal["join"] = "join"
    fields: tuple[str, ...] = Field(min_length=1)
    separator: str = ""
    into: str

    def reads(self) -> tuple[str, ...]:
        return self.fields


class Clause(OneField):
    """Make a sentence fit to stand inside another: no final stop, and no capital unless the word is a name."""

    do: Literal["clause"] = "clause"
    first: Literal["keep", "lower", "upper"] = Field("keep", description="What becomes of the first letter.")
    stop: Literal["keep", "drop", "add"] = Field("drop", description="What becomes of the final full stop.")
