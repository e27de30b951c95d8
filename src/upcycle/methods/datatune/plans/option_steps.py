"""Typed steps about the options of a multiple choice: found, drawn, limited and ordered in code, never by a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upcycle.methods.datatune.plans.step import OneField, PlanStep


class PickOption(PlanStep):
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


class StripOptions(OneField):
    """Take prefixes such as "A)", "(b) " and "C." off a list of options, when they stand in order."""

    do: Literal["strip-options"] = "strip-options"


class OptionsFrom(PlanStep):
    """Make one list of options out of several columns (of texts or of lists), or out of fixed texts."""

    do: Literal["options-from"] = "options-from"
    fields: tuple[str, ...] = ()
    texts: tuple[str, ...] = Field((), description="Options that are the same in every example.")
    into: str = "options"

    def reads(self) -> tuple[str, ...]:
        return self.fields


class SampleOption(PlanStep):
    """List the answer among wrong answers drawn from the same field of other records of the source."""

    do: Literal["sample-option"] = "sample-option"
    field: str = Field(description="The right answer; the same field of other records gives the wrong ones.")
    count: int = Field(ge=1, le=20, description="How many wrong ones.")
    into: str = "options"


class LimitOptions(PlanStep):
    """Keep the answer and at most `most` options, dropping wrong ones by a seeded draw."""

    do: Literal["limit-options"] = "limit-options"
    options: str
    answer: str
    most: int = Field(ge=2)

    def reads(self) -> tuple[str, ...]:
        return (self.options, self.answer)

    def writes(self) -> tuple[str, ...]:
        return (self.options,)


class ShuffleOptions(PlanStep):
    """Put options in an order drawn with the run's seed and the record, so that no position is favoured."""

    do: Literal["shuffle-options"] = "shuffle-options"
    field: str = "options"
