"""Select fields: which columns of a source are material, label, context or of no use for the task (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upcycle.errors import RowError
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import ask
from upcycle.methods.prompts import cut, fill, show_records, show_task
from upcycle.records import Record
from upcycle.sources.card import Card
from upcycle.task import Task

_DEMONSTRATION_CHARS = (300, 150)
ROLES = ("material", "label", "context", "unusable")


async def select_fields(task: Task, card: Card, records: Sequence[Record], model: Model) -> dict[str, str]:
    """Role of every column. Names are exact: what the model invents is refused, and asked again with the reason.

    A model that cannot answer selects nothing away: every column is "context".
    """
    columns = list(dict.fromkeys(name for record in records for name in record.fields))
    prompt = fill(
        Path(__file__).parent,
        "fields",
        task=show_task(task, most=3, chars=_DEMONSTRATION_CHARS),
        source=card.name,
        card=cut(" ".join(card.text.split()), 800),
        columns=", ".join(columns),
        records=show_records(records[:2]),
    )
    request = Request(
        ({"role": "user", "content": prompt},),
        stage="fields",
        max_tokens=60 + 24 * len(columns),
        schema=_schema(columns),
    )
    try:
        return dict((await ask(model, request, tries=2)).value["roles"])
    except RowError:
        return dict.fromkeys(columns, "context")


def _schema(columns: Sequence[str]) -> dict[str, Any]:
    role = {"type": "string", "enum": list(ROLES)}
    roles = {"type": "object", "properties": dict.fromkeys(columns, role), "required": list(columns)}
    return {
        "type": "object",
        "properties": {"roles": {**roles, "additionalProperties": False}},
        "required": ["roles"],
        "additionalProperties": False,
    }
