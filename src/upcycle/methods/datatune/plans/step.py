"""The base of every typed step, and how steps name fields and compare labels."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PLACE = re.compile(r"\{([^{}]+)\}")
"""Where a template takes a field: `{name}`."""


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


class PlanStep(BaseModel):
    """One line of a plan: frozen, and every key it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    def reads(self) -> tuple[str, ...]:
        """Fields this step needs."""
        return (getattr(self, "field", ""),)

    def writes(self) -> tuple[str, ...]:
        """Fields this step sets."""
        into = getattr(self, "into", None) or getattr(self, "field", None)
        return (into,) if into else ()


class OneField(PlanStep):
    """A step from one field into one field."""

    field: str
    into: str | None = Field(None, description="Field to write; the same field where left out.")
