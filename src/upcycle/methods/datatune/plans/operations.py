"""What each typed step does to the fields of one record: a function per step, made once when a plan is compiled.

Steps about texts and about options have files of their own; `python`, `split` and `llm` work on several rows at once
and are `program.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from upcycle.contract import parses
from upcycle.methods.datatune.plans import option_operations, text_operations, values
from upcycle.methods.datatune.plans.actions import says_action
from upcycle.methods.datatune.plans.operation import Apply, Draw, Pool, filler
from upcycle.methods.datatune.plans.patterns import SEARCHED, compiled_pattern
from upcycle.methods.datatune.plans.row_steps import (
    Check,
    CheckSolution,
    DrawLabel,
    Filter,
    MapLabel,
    OrderByDirection,
    Select,
    Template,
)
from upcycle.methods.datatune.plans.solutions import contradiction
from upcycle.methods.datatune.plans.step import key_text
from upcycle.methods.datatune.plans.steps import Step


def compiled(step: Step, number: int) -> Apply:
    """The function of one step; `number` is its place in the plan, which its draws depend on."""
    return _BUILDERS[type(step)](step, number)


def _select(step: Select, _: int) -> Apply:
    taken = list(step.take.items())

    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        found = [(name, fields.get(column)) for name, column in taken]
        for name, value in found:
            if value is None or value == "":
                return f"{name!r} is empty"
        fields.update(found)
        return None

    return apply


def _template(step: Template, _: int) -> Apply:
    fill = filler(step.text)

    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        text = fill(fields)
        fields[step.into] = text
        return None if text else f"a field of {step.into!r} is empty"

    return apply


def _map_label(step: MapLabel, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        key = key_text(fields.get(step.field))
        label = step.mapping.get(key)
        if label is None:
            return f"label {key[:40]!r} is not in the mapping"
        fields[step.into or step.field] = label
        return None

    return apply


def _filter(step: Filter, _: int) -> Apply:
    tests = _conditions(step)

    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        text = values.text_of(fields.get(step.field)).strip()
        if not text:
            return f"{step.field!r} is empty"
        for test in tests:
            if (reason := test(text, fields)) is not None:
                return f"{step.field!r} {reason}"
        return None

    return apply


Condition = Callable[[str, dict[str, Any]], "str | None"]


def _conditions(step: Filter) -> list[Condition]:
    tests: list[Condition] = []
    low, high = step.min_chars or 0, step.max_chars or 10**9
    if step.min_chars is not None or step.max_chars is not None:
        tests.append(lambda t, f: None if low <= len(t) <= high else f"has {len(t)} characters")
    few, many = step.min_words or 0, step.max_words or 10**9
    if step.min_words is not None or step.max_words is not None:
        tests.append(lambda t, f: None if few <= len(t.split()) <= many else f"has {len(t.split())} words")
    if (allowed := step.one_of or ((step.equals,) if step.equals is not None else None)) is not None:
        keys = {key_text(value) for value in allowed}
        tests.append(lambda t, f: None if t in keys else f"is {t[:40]!r}")
    if step.matches is not None:
        wanted = compiled_pattern(step.matches)
        tests.append(lambda t, f: None if wanted.search(t[:SEARCHED]) else "does not match")
    if step.not_matches is not None:
        unwanted = compiled_pattern(step.not_matches)
        tests.append(lambda t, f: f"holds {m[0][:40]!r}" if (m := unwanted.search(t[:SEARCHED])) else None)
    if (other := step.not_in) is not None:
        tests.append(lambda t, f: f"stands in {other!r}" if _contained(t, values.text_of(f.get(other))) else None)
    if step.parses == "python":
        tests.append(lambda t, f: None if parses(t) else "is not Python")
    if step.says == "action":
        tests.append(lambda t, f: None if says_action(t) else "does not open with what is done")
    return tests


def _draw_label(step: DrawLabel, number: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        fields[step.into] = draw.at(number).choices(step.labels, step.shares)[0]
        return None

    return apply


def _contained(text: str, whole: str) -> bool:
    return values.same(text) in " ".join(whole.casefold().split())


def _check_solution(step: CheckSolution, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        question, answer, solution = (
            values.text_of(fields.get(name)) for name in (step.question, step.answer, step.solution)
        )
        return contradiction(question, answer, solution, values.text_of(fields.get(step.key)) if step.key else "")

    return apply


def _order_by_direction(step: OrderByDirection, _: int) -> Apply:
    keep, swap = ({key_text(value).casefold() for value in words} for words in (step.keep_when, step.swap_when))

    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        said = key_text(fields.get(step.direction)).casefold()
        if said not in keep and said not in swap:
            return f"direction {said[:40]!r} is unknown"
        pair = (fields.get(step.first), fields.get(step.second))
        fields[step.into[0]], fields[step.into[1]] = pair if said in keep else pair[::-1]
        return None

    return apply


_BUILDERS: Mapping[type, Callable[[Any, int], Apply]] = {
    Select: _select,
    Template: _template,
    MapLabel: _map_label,
    Filter: _filter,
    Check: _filter,
    DrawLabel: _draw_label,
    CheckSolution: _check_solution,
    OrderByDirection: _order_by_direction,
    **text_operations.BUILDERS,
    **option_operations.BUILDERS,
}
