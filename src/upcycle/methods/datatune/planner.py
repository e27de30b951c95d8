"""Plan: the model writes typed steps for one source; what it writes is validated here and mended with its own errors.

A plan the types refuse goes back with the reason. When no valid plan comes, the free-text method of the paper
(section 3.3: a model executes the whole plan on every record) is the worst case: `free_text_plan`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from upcycle.contract import Contract, Kind, listed_options
from upcycle.errors import ConfigError, RowError
from upcycle.llm.model import Model, Request, in_process
from upcycle.llm.replies import ask
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import Llm, OptionsFrom, ShuffleOptions, Step
from upcycle.methods.prompts import cut, fill, show_records, show_task
from upcycle.records import Record
from upcycle.sources.card import Card
from upcycle.task import Task

_DEMONSTRATION_CHARS = (600, 300)
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prose": {"type": "string"},
        "steps": {"type": "array", "items": {"type": "object"}},
        "input": {"type": "string"},
        "output": {"type": "string"},
        "choices": {"type": ["string", "null"]},
    },
    "required": ["steps", "input", "output"],
}


async def plan(
    task: Task,
    expanded: str,
    card: Card,
    records: Sequence[Record],
    roles: Mapping[str, str],
    model: Model,
    *,
    draft: int = 0,
    feedback: str = "",
) -> Plan | None:
    """A valid plan for one source, or None when the model cannot write one.

    Args:
        records: a few records of the source, shown to the model.
        draft: which of several; all but the first are drawn at a temperature.
        roles: role of every column (`select_fields`).
        feedback: what the pilot found wrong with the last plan, with rows; "" the first time.
    """
    columns = list(dict.fromkeys(name for record in records for name in record.fields))
    prompt = fill(
        Path(__file__).parent,
        "plan",
        task=show_task(task, chars=_DEMONSTRATION_CHARS),
        expanded=expanded,
        source=card.name,
        card=cut(" ".join(card.text.split()), 800),
        columns=", ".join(f"{name} ({roles.get(name, 'context')})" for name in columns),
        records=show_records(records[:5]),
        feedback=feedback and f"{feedback}\n\n",
    )

    def check(value: Any) -> str | None:
        try:
            _read(value, card.id).require(columns)
        except (ConfigError, ValidationError) as error:
            return _reason(error)
        return None

    request = Request(
        ({"role": "user", "content": prompt},),
        stage="plan",
        max_tokens=1500,
        temperature=0.7 if draft else 0.0,
        schema=_SCHEMA,
        sample=draft,
    )
    tries = 1 if in_process(model) else 3  # a small one fails as it failed before, and each try takes it minutes
    try:
        return _read((await ask(model, request, check=check, tries=tries)).value, card.id)
    except RowError:
        return None


def free_text_plan(task: Task, card: Card, columns: Sequence[str], roles: Mapping[str, str]) -> Plan:
    """The paper's way, as a plan: the model writes input and output from the whole record."""
    useful = tuple(name for name in columns if roles.get(name) in ("material", "label")) or tuple(columns)
    steps: list[Step] = [
        Llm(into="made_input", fields=useful, ask="The input of an example for this task, made from the row."),
        Llm(
            into="made_output",
            fields=("made_input", *useful),
            ask="The right output for the field made_input.",
            contract=_output_contract(task),
        ),
    ]
    if task.contract.kind == Kind.CHOICE:
        steps += _options(task)
    return Plan(
        source=card.id,
        prose="A model writes the input and the output of each example from the row.",
        steps=tuple(steps),
        input="{made_input}",
        output="{made_output}",
        choices="options" if task.contract.kind == Kind.CHOICE else None,
    )


def _output_contract(task: Task) -> Contract:
    if task.contract.kind != Kind.CHOICE:
        return task.contract
    if fixed := _fixed_options(task):
        return Contract(kind=Kind.LABEL, labels=fixed)
    return Contract(kind=Kind.TEXT, max_chars=300)


def _options(task: Task) -> list[Step]:
    if fixed := _fixed_options(task):
        return [OptionsFrom(texts=fixed, into="options"), ShuffleOptions(field="options")]
    wrong = [f"wrong_{n}" for n in range(1, (task.contract.options or (4, 4))[1])]
    steps: list[Step] = [
        Llm(
            into=name,
            fields=("made_input", "made_output", *wrong[:n]),
            ask="A wrong but plausible answer to made_input, unlike made_output and the other wrong answers.",
            contract=Contract(kind=Kind.TEXT, max_chars=300),
        )
        for n, name in enumerate(wrong)
    ]
    return [*steps, OptionsFrom(fields=("made_output", *wrong), into="options"), ShuffleOptions(field="options")]


def _fixed_options(task: Task) -> tuple[str, ...]:
    sets = {tuple(sorted(listed_options(demo.input))) for demo in task.demonstrations}
    return next(iter(sets)) if len(sets) == 1 else ()


def _read(value: Any, source: str) -> Plan:
    known = {key: value[key] for key in ("prose", "steps", "input", "output", "choices") if value.get(key) is not None}
    return Plan.model_validate({**known, "source": source})


def _reason(error: ConfigError | ValidationError) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
