"""The typed steps a plan is made of: what each is told, what it reads and what it writes.

Frozen values only; `program.py` runs them. A step names its inputs and outputs, so that a plan can be checked,
reordered around a model's answer, and read by a person. There is no step that holds code: what the types cannot say
is one `llm` step, so free text is the worst case and not a separate path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from upcycle.contract import Contract

PLACE = re.compile(r"\{([^{}]+)\}")
"""Where a template takes a field: `{name}`."""

_MAX_PATTERN = 400


def places(text: str) -> tuple[str, ...]:
    """Names of the fields a template takes, in order."""
    return tuple(PLACE.findall(text))


def key_text(value: Any) -> str:
    """How a label is compared: as text, without spaces around it; true, false and null as YAML writes them."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    def reads(self) -> tuple[str, ...]:
        """Fields this step needs."""
        return (getattr(self, "field", ""),)

    def writes(self) -> tuple[str, ...]:
        """Fields this step sets."""
        into = getattr(self, "into", None) or getattr(self, "field", None)
        return (into,) if into else ()


class _OneField(_Step):
    field: str
    into: str | None = Field(None, description="Field to write; the same field where left out.")


class Select(_Step):
    """Take columns, under new names where wanted."""

    do: Literal["select"] = "select"
    take: dict[str, str] = Field(description="New name: column.")

    def reads(self) -> tuple[str, ...]:
        return tuple(self.take.values())

    def writes(self) -> tuple[str, ...]:
        return tuple(self.take)


class Template(_Step):
    """Fill a text with fields; an empty field skips the record."""

    do: Literal["template"] = "template"
    text: str
    into: str

    def reads(self) -> tuple[str, ...]:
        return places(self.text)


class MapLabel(_OneField):
    """Turn a source's label into the task's; a label that is not in the mapping skips the record."""

    do: Literal["map-label"] = "map-label"
    mapping: dict[str, str]

    @field_validator("mapping", mode="before")
    @classmethod
    def _keys_are_text(cls, value: Any) -> Any:
        # YAML reads `0:` as a number and `yes:` as a truth value; labels are compared as text.
        return {key_text(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


class Filter(_Step):
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
        if value is None:
            return None
        if len(value) > _MAX_PATTERN:
            raise ValueError(f"a pattern may hold {_MAX_PATTERN} characters, this one has {len(value)}")
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression ({error})") from None
        return value

    def reads(self) -> tuple[str, ...]:
        return (self.field, self.not_in) if self.not_in else (self.field,)

    def writes(self) -> tuple[str, ...]:
        return ()


class PickOption(_Step):
    """Find the right option by its key."""

    do: Literal["pick-option"] = "pick-option"
    options: str = Field(description="List field with the options.")
    key: str = Field(description="Field that says which one is right.")
    by: Literal["letter", "index", "number", "text", "label"] = Field(
        description="letter: A, B, ...; index: from 0; number: from 1; text: the option itself; label: see `labels`."
    )
    labels: str | None = Field(None, description="List field with the options' own labels, for `by: label`.")
    into: str = "answer"

    @model_validator(mode="after")
    def _labels_named(self) -> PickOption:
        if (self.by == "label") != (self.labels is not None):
            raise ValueError("`labels` is needed for `by: label`, and only there")
        return self

    def reads(self) -> tuple[str, ...]:
        return (self.options, self.key, *([self.labels] if self.labels else []))


class StripOptions(_OneField):
    """Take prefixes such as "A)", "(b) " and "C." off a list of options, when they stand in order."""

    do: Literal["strip-options"] = "strip-options"


class OptionsFrom(_Step):
    """Make one list of options out of several columns (of texts or of lists), or out of fixed texts."""

    do: Literal["options-from"] = "options-from"
    fields: tuple[str, ...] = ()
    texts: tuple[str, ...] = Field((), description="Options that are the same in every example.")
    into: str = "options"

    def reads(self) -> tuple[str, ...]:
        return self.fields


class SampleOption(_Step):
    """List the answer among wrong answers drawn from the same field of other records of the source."""

    do: Literal["sample-option"] = "sample-option"
    field: str = Field(description="The right answer; the same field of other records gives the wrong ones.")
    count: int = Field(ge=1, le=20, description="How many wrong ones.")
    into: str = "options"


class LimitOptions(_Step):
    """Keep the answer and at most `most` options, dropping wrong ones by a seeded draw."""

    do: Literal["limit-options"] = "limit-options"
    options: str
    answer: str
    most: int = Field(ge=2)

    def reads(self) -> tuple[str, ...]:
        return (self.options, self.answer)

    def writes(self) -> tuple[str, ...]:
        return (self.options,)


class ShuffleOptions(_Step):
    """Put options in an order drawn with the run's seed and the record, so that no position is favoured."""

    do: Literal["shuffle-options"] = "shuffle-options"
    field: str = "options"


class FormatNumber(_OneField):
    """Write a number plainly: "39.0" is 39, "1,000" is 1000, "$5" is 5; what is no number skips the record."""

    do: Literal["format-number"] = "format-number"


class After(_OneField):
    """Take the text after the last occurrence of a delimiter."""

    do: Literal["after"] = "after"
    delimiter: str = Field(min_length=1)


class Before(_OneField):
    """Take the text before the first of some delimiters; all of it where there is none."""

    do: Literal["before"] = "before"
    delimiters: tuple[str, ...] = Field(min_length=1)


class Item(_OneField):
    """Take one item of a list."""

    do: Literal["item"] = "item"
    index: int = 0


class PickSentence(_OneField):
    """Take one sentence of a text: 0 is the first, -1 the last."""

    do: Literal["pick-sentence"] = "pick-sentence"
    index: int = 0


class StripOpening(_OneField):
    """Take a frequent opening phrase off; a text that has none of them skips the record."""

    do: Literal["strip-opening"] = "strip-opening"
    openings: tuple[str, ...] = Field(min_length=1)


class DocstringSplit(_Step):
    """Split Python text into code without its docstring, and the docstring."""

    do: Literal["docstring-split"] = "docstring-split"
    field: str
    code: str = "code"
    docstring: str = "docstring"

    def writes(self) -> tuple[str, ...]:
        return (self.code, self.docstring)


class Join(_Step):
    """Put fields together, as they are, into one text."""

    do: Literal["join"] = "join"
    fields: tuple[str, ...] = Field(min_length=1)
    separator: str = ""
    into: str

    def reads(self) -> tuple[str, ...]:
        return self.fields


class Clause(_OneField):
    """Make a sentence fit to stand inside another: no final stop, and no capital unless the word is a name."""

    do: Literal["clause"] = "clause"
    first: Literal["keep", "lower", "upper"] = Field("keep", description="What becomes of the first letter.")
    stop: Literal["keep", "drop", "add"] = Field("drop", description="What becomes of the final full stop.")


class CheckSolution(_Step):
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


class OrderByDirection(_Step):
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


class Llm(_Step):
    """Have a model write one named field out of named fields. The only step that costs anything."""

    do: Literal["llm"] = "llm"
    into: str
    fields: tuple[str, ...] = Field(min_length=1, description="Fields the model is shown.")
    ask: str = Field(min_length=3, description="What to write, in a sentence or two.")
    contract: Contract = Contract()

    def reads(self) -> tuple[str, ...]:
        return self.fields


Step = Annotated[
    Select
    | Template
    | MapLabel
    | Filter
    | PickOption
    | StripOptions
    | OptionsFrom
    | SampleOption
    | LimitOptions
    | ShuffleOptions
    | FormatNumber
    | After
    | Before
    | Item
    | PickSentence
    | StripOpening
    | DocstringSplit
    | Join
    | CheckSolution
    | Clause
    | OrderByDirection
    | Llm,
    Field(discriminator="do"),
]
"""Any step; `do` says which."""
