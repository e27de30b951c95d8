"""How a model is asked about examples: the task, its contract and demonstrations, then several examples in one call.

Prompts are Markdown files beside this module, named by what they ask. Texts of examples are data: cut, never escaped,
and between tags that they cannot close.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from upcycle.llm.model import Model, Request
from upcycle.llm.together import Answer, ask_together
from upcycle.records import Example
from upcycle.run.rows import run_rows
from upcycle.task import Task

BATCH = 8
"""Examples in one call."""

_INPUT_CHARS = 4_000
_OUTPUT_CHARS = 2_000
_DEMONSTRATIONS = 5


def task_text(task: Task, expanded: str = "") -> str:
    """The task as a judge is shown it.

    Args:
        expanded: what a model wrote about the task, where one did.
    """
    parts = [f"Task: {task.instruction}"]
    if expanded and expanded != task.instruction:
        parts.append(f"About the task: {expanded}")
    parts.append(f"Every output: {task.contract.described()}.")
    for number, shown in enumerate(task.demonstrations[:_DEMONSTRATIONS], 1):
        parts.append(f"Example {number} input:\n{cut(shown.input, 1_200)}\nExample {number} output:\n{shown.output}")
    return "\n".join(parts)


def prompt(name: str, *, task: str, examples: Sequence[tuple[str, Example]], outputs: bool) -> str:
    """The prompt `name` for some examples with their ids; with their outputs, or without."""
    shown = []
    for key, example in examples:
        text = f"Input:\n{cut(example.input, _INPUT_CHARS)}"
        text += f"\nOutput:\n{cut(example.output, _OUTPUT_CHARS)}" if outputs else ""
        shown.append(f'<example id="{key}">\n{text.replace("</example", "< /example")}\n</example>')
    text = (Path(__file__).parent / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()
    values = {"task": task, "examples": "\n".join(shown)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def cut(text: str, chars: int) -> str:
    """The first `chars` characters, with a mark where something is missing."""
    return text if len(text) <= chars else text[:chars] + " […]"


async def asked_together(
    examples: Sequence[Example],
    model: Model,
    request: Callable[[Sequence[tuple[str, Example]]], Request],
    *,
    batch: int = BATCH,
    at_once: int = 16,
) -> AsyncGenerator[tuple[Example, Answer], None]:
    """Ask about examples, several in a call; gives each with its answer, or with why there is none.

    Raises:
        ProviderError, BudgetExceededError: what is in flight then gets to finish first.
    """

    async def work(group: Sequence[Example]) -> list[Answer]:
        return await ask_together(model, group, request)

    groups = [examples[start : start + batch] for start in range(0, len(examples), batch)]
    async for group, answers in run_rows(groups, work, at_once=at_once, needed=lambda: len(groups)):
        assert isinstance(answers, list), "a row's failure is in its answer"
        for example, answer in zip(group, answers, strict=True):
            yield example, answer
