"""Ways in which columns become an input or an output, and the plans they make together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import Step
from upcycle.methods.datatune.search.columns import Offer, input_prior
from upcycle.methods.datatune.search.wanted import Wanted

_FEW = 6


class Way(NamedTuple):
    """One way to make an input or an output: steps, and the template that uses what they wrote."""

    steps: tuple[Step, ...]
    template: str


def joined(card: Any, inputs: Iterable[Way], out: Way, choices: str | None = None) -> Iterator[Plan]:
    """Plans of each input with this output; an output that is already in the input is none."""
    for way in inputs:
        if not set(_read(way)) & set(_read(out)) or choices:
            yield plan_of(card, (*way.steps, *out.steps), way.template, out.template, choices)


def plan_of(card: Any, steps: Sequence[Step], input: str, output: str, choices: str | None = None) -> Plan:  # noqa: A002
    """A plan of a source, with what it does in words."""
    listed = f", options from {choices}" if choices else ""
    done = " then ".join(dict.fromkeys(step.do for step in steps)) or "nothing to change"
    prose = f"Input {input!r}, output {output!r}{listed}: {done}."
    return Plan(source=card.id, prose=prose, steps=tuple(steps), input=input, output=output, choices=choices)


def _read(way: Way) -> list[str]:
    plan = Plan(source="", steps=way.steps, input=way.template, output=way.template)
    return sorted(plan.columns())


def inputs_of(wanted: Wanted, offer: Offer) -> Iterator[Way]:
    """Ways to make the input, likeliest first."""
    if wanted.fixed_stem is not None:
        if "{" not in wanted.fixed_stem:
            yield Way((), wanted.fixed_stem)
        return
    frame = wanted.frame
    if frame is not None and len(frame.slots) > 1:
        names = _assigned(frame.slots, offer)
        if names is not None:
            yield Way((), frame.filled(names))
        return
    contexts = offer.contexts()
    for column in sorted(offer.inputs(), key=input_prior, reverse=True)[:_FEW]:
        yield Way((), frame.filled([column.name]) if frame else "{" + column.name + "}")
        for context in contexts[:2]:
            if context.name != column.name and frame is None:
                yield Way((), "{" + context.name + "}\n{" + column.name + "}")


_KIN = (
    frozenset(["premise", "sentence1", "text1", "context", "passage", "text", "background"]),
    frozenset(["hypothesis", "sentence2", "claim", "statement", "text2"]),
    frozenset(["question", "query", "problem"]),
    frozenset(["passage", "context", "paragraph", "article", "document", "text", "story"]),
)


def _assigned(slots: Sequence[str], offer: Offer) -> list[str] | None:
    """A column for each labelled part of the inputs, by name; None where a part has none."""
    taken: list[str] = []
    for slot in slots:
        slot_words = set(slot.split())
        kin = set().union(*(group for group in _KIN if slot_words & group)) - slot_words
        ranked = [
            (
                3 * (slot_words <= column.named) + 2 * (slot_words <= column.said) + bool(kin & {column.name.lower()}),
                column,
            )
            for column in offer.columns.values()
            if column.name not in taken and column.shape.words >= 1 and not column.is_meta
        ]
        best = max(ranked, key=lambda pair: pair[0], default=(0, None))
        if best[1] is None or best[0] == 0:
            return None
        taken.append(best[1].name)
    return taken
