"""ShareGPT's shape: conversations of `from` and `value`, in one JSON array."""

from __future__ import annotations

from typing import Any

from upcycle.records import Example
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.template import Template

_FROM = {"system": "system", "user": "human", "assistant": "gpt"}


def conversation(example: Example, template: Template) -> dict[str, Any]:
    """{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}."""
    turns = [{"from": _FROM[turn["role"]], "value": turn["content"]} for turn in template.turns(example)]
    return {"id": example.id, "conversations": turns}


def _use(beside: Beside) -> str:
    files = ", ".join(f"`{file}`" for file in beside.data.values())
    return f"Give {files} to any trainer that reads ShareGPT conversations."


SHAREGPT = Format("sharegpt", "ShareGPT conversations", conversation, _use, kind="json")
