"""What one compiled step is: a function that changes the fields of one record, or says why the record ends here.

It reads nothing but the fields, a draw (seeded by record and step) and the pool (what is known of the source's other
records).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.step import PLACE


@dataclass(frozen=True, slots=True)
class Pool:
    """What a program knows of the source's other records: values to draw wrong answers from, and plain words."""

    drawn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


EMPTY = Pool()

Apply = Callable[[dict[str, Any], "Draw", Pool], "str | None"]
"""One compiled step: changes the fields in place; a text says why the record is skipped."""


class Draw(NamedTuple):
    """Where a record's randomness comes from: the same text, the same draws."""

    key: str

    def at(self, step: int) -> Random:
        return Random(f"{self.key}/{step}")


def filler(text: str) -> Callable[[dict[str, Any]], str]:
    """A compiled template; "" where a field is missing or empty."""
    pieces = PLACE.split(text)
    names = pieces[1::2]
    if len(names) == 1 and text == "{" + names[0] + "}":
        name = names[0]

        def one(fields: dict[str, Any]) -> str:
            value = fields.get(name)
            return value.strip("\n") if isinstance(value, str) else values.text_of(value)

        return one

    def fill(fields: dict[str, Any]) -> str:
        out = pieces[0]
        for name, literal in zip(names, pieces[2::2], strict=True):
            value = values.text_of(fields.get(name)).strip()
            if not value:
                return ""
            out += value + literal
        return out

    return fill
