"""Expand: the model explains the task once; planner and executor then know what is general about it (section 3.2)."""

from __future__ import annotations

from pathlib import Path

from upcycle.errors import RowError
from upcycle.llm.model import Model, Request
from upcycle.methods.prompts import fill, show_task
from upcycle.task import Task

_DEMONSTRATION_CHARS = (600, 300)


async def expand(task: Task, model: Model) -> str:
    """The task in at most about 150 words; the instruction itself when the model cannot say more."""
    prompt = fill(Path(__file__).parent, "expand", task=show_task(task, chars=_DEMONSTRATION_CHARS))
    request = Request(({"role": "user", "content": prompt},), stage="expand", max_tokens=300)
    try:
        text = (await model.complete(request)).text.strip()
    except RowError:
        text = ""
    return text or task.instruction
