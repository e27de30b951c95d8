"""What the steps that turn one text into another do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.operation import Apply, Draw, Pool
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


def _on_text(step: Any, change: Callable[[str, Pool], str | None], failed: str) -> Apply:
    """A step that turns one text into another, or skips the record."""
    into = step.into or step.field

    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        text = values.text_of(fields.get(step.field))
        if not text.strip():
            return f"{step.field!r} is empty"
        found = change(text, pool)
        if not found:
            return f"{text.strip()[:40]!r} {failed}"
        fields[into] = found
        return None

    return apply


def _format_number(step: FormatNumber, _: int) -> Apply:
    return _on_text(step, lambda text, pool: values.format_number(text), "is no number")


def _after(step: After, _: int) -> Apply:
    return _on_text(step, lambda text, pool: values.after(text, step.delimiter), f"has no {step.delimiter!r}")


def _before(step: Before, _: int) -> Apply:
    return _on_text(step, lambda text, pool: values.before(text.strip(), step.delimiters), "opens with a delimiter")


def _item(step: Item, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        found = fields.get(step.field)
        if not isinstance(found, (list, tuple)) or not -len(found) <= step.index < len(found):
            return f"{step.field!r} has no item {step.index}"
        fields[step.into or step.field] = found[step.index]
        return None

    return apply


def _pick_sentence(step: PickSentence, _: int) -> Apply:
    def change(text: str, pool: Pool) -> str | None:
        found = values.sentences(text)
        return found[step.index] if -len(found) <= step.index < len(found) else None

    return _on_text(step, change, "has no such sentence")


def _strip_opening(step: StripOpening, _: int) -> Apply:
    return _on_text(step, lambda text, pool: values.strip_opening(text.strip(), step.openings), "opens otherwise")


def _docstring_split(step: DocstringSplit, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        split = values.docstring_split(values.text_of(fields.get(step.field)))
        if split is None:
            return f"{step.field!r} has no docstring to take out"
        fields[step.code], fields[step.docstring] = split
        return None

    return apply


def _join(step: Join, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        found = [values.text_of(fields.get(name)) for name in step.fields]
        if not all(text.strip() for text in found):
            return "a piece is empty"
        fields[step.into] = step.separator.join(found)
        return None

    return apply


def _clause(step: Clause, _: int) -> Apply:
    def change(text: str, pool: Pool) -> str | None:
        text = text.strip()
        if step.stop == "drop":
            text = text.rstrip(". ")
        elif step.stop == "add" and text[-1] not in ".!?":
            text += "."
        if step.first == "lower":
            return values.lower_first(text, pool.words.__contains__, pool.names.__contains__)
        return values.upper_first(text) if step.first == "upper" else text

    return _on_text(step, change, "opens with a word that may be a name")


BUILDERS = {
    FormatNumber: _format_number,
    After: _after,
    Before: _before,
    Item: _item,
    PickSentence: _pick_sentence,
    StripOpening: _strip_opening,
    DocstringSplit: _docstring_split,
    Join: _join,
    Clause: _clause,
}
