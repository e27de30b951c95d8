"""The typed steps a plan is made of: what each is told, what it reads and what it writes.

Frozen values only; `program.py` runs them. A step names its inputs and outputs, so that a plan can be checked,
reordered around a model's answer, and read by a person. Code stands in `python` steps only and runs in the sandbox;
what neither types nor code can say is one `llm` step, so free text is the worst case and not a separate path.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upcycle.methods.datatune.plans.option_steps import (
    LimitOptions,
    OptionsFrom,
    PickOption,
    SampleOption,
    ShuffleOptions,
    StripOptions,
)
from upcycle.methods.datatune.plans.row_steps import (
    Check,
    CheckSolution,
    DrawLabel,
    Filter,
    Llm,
    MapLabel,
    OrderByDirection,
    Python,
    Select,
    Split,
    Template,
)
from upcycle.methods.datatune.plans.step import PLACE, key_text, places
from upcycle.methods.datatune.plans.text_steps import (
    After,
    Before,
    Clause,
    DocstringSplit,
    FormatNumber,
    Item,
    Join,
    PickSentence,
    StripOpening,
)

__all__ = [
    "PLACE", "After", "Before", "Check", "CheckSolution", "Clause", "DocstringSplit", "DrawLabel", "Filter",
    "FormatNumber", "Item", "Join", "LimitOptions", "Llm", "MapLabel", "OptionsFrom", "OrderByDirection", "PickOption",
    "PickSentence", "Python", "SampleOption", "Select", "ShuffleOptions", "Split", "Step", "StripOpening",
    "StripOptions", "Template", "key_text", "places",
]  # fmt: skip

Step = Annotated[
    Select
    | Template
    | MapLabel
    | Filter
    | Check
    | Split
    | DrawLabel
    | Python
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
