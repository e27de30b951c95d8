"""What the columns of a source offer a plan: which can be an input, an output, options, a key, or context.

In: a card and a sample of records. Out: `Offer`, the columns with their sampled values and what their names and
descriptions say. Names are a prior, never proof: what a column is used for is decided by its values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from upcycle.methods.datatune.plans.values import list_of, text_of
from upcycle.methods.datatune.search.shapes import Shape, shape
from upcycle.records import Record
from upcycle.sources.words import words

_INPUT_WORDS = """
question text sentence review code source problem query prompt input context passage premise hypothesis
statement claim story article document utterance content body snippet comment post tweet title dialogue program
"""
_INPUT = frozenset(_INPUT_WORDS.split())
_OUTPUT_WORDS = """
answer answers label labels target output summary docstring description correct class response completion gold
key answerkey sentiment category intent code final result caption translation highlights decision verdict
polarity rating headline text
"""
_OUTPUT = frozenset(_OUTPUT_WORDS.split())
_ASIDE_WORDS = """
rationale explanation reasoning solution equation formula analysis evidence hint chain cot steps working proof
plausible test tests assert asserts setup
"""
_ASIDE = frozenset(_ASIDE_WORDS.split())
_META_WORDS = """
id idx index uid uuid guid pubid number no num year date split fold level version page pages url start end
offset source_id entry point concept subject topic type module name
"""
_META = frozenset(_META_WORDS.split())
_CONTEXT_WORDS = """
context contexts passage passages paragraph paragraphs dialogue dialog conversation article document story table
turns abstract evidence schema premise background history
"""
_CONTEXT = frozenset(_CONTEXT_WORDS.split())
_SIBLING = re.compile(r"^(.*?)_?([12ab])$", re.IGNORECASE)


class Offered(NamedTuple):
    """A column with what the sample shows of it.

    Attributes:
        raw: the sampled values as they are; texts: the same as text, empty ones left out.
        said: words of its name and description.
    """

    name: str
    raw: tuple[Any, ...]
    texts: tuple[str, ...]
    said: frozenset[str]
    named: frozenset[str]
    description: str
    labels: tuple[str, ...] | None
    shape: Shape

    @property
    def distinct(self) -> int:
        return len(set(self.texts))

    @property
    def is_list(self) -> bool:
        return bool(self.raw) and all(isinstance(value, (list, tuple)) for value in self.raw if value is not None)

    @property
    def is_text(self) -> bool:
        return not self.is_list and any(isinstance(value, str) for value in self.raw)

    @property
    def is_meta(self) -> bool:
        """Whether the name says that it identifies or sorts records."""
        return bool(self.named & _META) and not self.named & _OUTPUT

    def lists(self) -> list[list[str]]:
        return [found for value in self.raw if (found := list_of(value))]


class Offer(NamedTuple):
    """The columns of a source, by name and in order."""

    columns: dict[str, Offered]
    records: tuple[Record, ...]

    def inputs(self) -> list[Offered]:
        """Columns that hold a text of its own in most records."""
        return [
            column
            for column in self.columns.values()
            if column.is_text
            and not column.is_meta
            and column.shape.words >= 2
            and column.distinct >= 0.3 * len(column.texts)
        ]

    def contexts(self) -> list[Offered]:
        """Columns that another column's text is about."""
        return [
            column
            for column in self.columns.values()
            if column.said & _CONTEXT and column.shape.words >= 4 and not column.named & _ASIDE and not column.is_meta
        ]

    def siblings(self, name: str) -> list[str]:
        """Columns that differ from this one by a final 1, 2, a or b only: "sentence1" of "sentence2"."""
        found = _SIBLING.match(name)
        if not found:
            return []
        return [other for other in self.columns if other != name and (m := _SIBLING.match(other)) and m[1] == found[1]]


def offer_of(card: Any, records: Sequence[Record]) -> Offer:
    """What a source offers, from its card and sampled records."""
    said = {column.name: column for column in card.columns}
    names = list(dict.fromkeys(name for record in records for name in record.fields))
    columns = {}
    for name in names:
        raw = tuple(record.fields.get(name) for record in records)
        texts = tuple(text for value in raw if (text := text_of(value).strip()))
        column = said.get(name)
        named = frozenset(words(name))
        description = getattr(column, "description", "") or ""
        labels = tuple(column.labels) if column is not None and column.labels else None
        columns[name] = Offered(
            name, raw, texts, named | frozenset(words(description)), named, description, labels, shape(texts)
        )
    return Offer(columns, tuple(records))


def input_prior(column: Offered) -> float:
    """How far its name speaks for an input, 0 to 1."""
    if column.named & _INPUT:
        return 1.0
    if column.is_meta or column.named & _ASIDE:
        return 0.3
    return 0.85 if column.said & _INPUT else 0.7


def output_prior(column: Offered) -> float:
    """How far its name speaks for an output, 0 to 1."""
    if column.named & _ASIDE:
        return 0.3
    if column.named & _OUTPUT:
        return 1.0
    if column.is_meta:
        return 0.1
    return 0.85 if column.said & _OUTPUT else 0.6
