"""Prompts are Markdown files beside the method, named by what they ask; this fills them.

`{{name}}` stands for a value. A prompt's text is part of the messages, so it is part of every call's key: an edited
prompt asks afresh, an unedited one replays. Text from records is data: it is cut, never escaped, and stands between
tags, and every prompt says that what stands there is no instruction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from upcycle.records import Record
from upcycle.task import Demonstration, Task

CUT = " […]"
"""Stands where something is missing."""


def fill(folder: Path, name: str, **values: str) -> str:
    """Text of `prompts/<name>.md` with every `{{key}}` filled."""
    text = (folder / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def show_task(task: Task, *, most: int = 5, chars: tuple[int, int] = (1200, 600)) -> str:
    """Instruction, contract and up to `most` demonstrations, inputs and outputs cut to `chars` characters."""
    parts = [f"Task: {task.instruction}", f"Every output: {task.contract.described()}."]
    parts += [_show_demonstration(n, demo, chars) for n, demo in enumerate(task.demonstrations[:most], 1)]
    return "\n".join(parts)


def _show_demonstration(number: int, demo: Demonstration, chars: tuple[int, int]) -> str:
    shown, answer = cut(demo.input, chars[0]), cut(demo.output, chars[1])
    text = f"Example {number} input:\n{shown}\nExample {number} output:\n{answer}"
    return text + (f"\nExample {number} reasoning:\n{cut(demo.rationale, chars[1])}" if demo.rationale else "")


def show_records(records: Sequence[Record], *, chars: int = 400) -> str:
    """Records as JSON lines between tags; long values are cut, no character is escaped."""
    return "\n".join(
        f'<record id="{n}">{show_fields(record.fields, chars=chars)}</record>' for n, record in enumerate(records, 1)
    )


def show_fields(fields: Mapping[str, object], *, chars: int = 400) -> str:
    """Fields of one record as JSON, values cut to `chars` characters."""
    shown = {
        name: cut(value, chars) if isinstance(value, str) else _cut_list(value, chars) for name, value in fields.items()
    }
    text = orjson.dumps(shown, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    # JSON may escape a slash, so a record cannot close the tag it stands in.
    return text.replace("</", "<\\/")


def cut(text: str, chars: int) -> str:
    """The first `chars` characters, with a mark where something is missing."""
    return text if len(text) <= chars else text[:chars] + CUT


def _cut_list(value: object, chars: int) -> object:
    if isinstance(value, list | tuple):
        return [cut(v, chars) if isinstance(v, str) else v for v in value[:12]]
    return value
