"""What each typed step does to the fields of one record: a function per step, made once when a plan is compiled.

An operation changes the fields in place and returns None, or returns why the record is skipped. It reads nothing but
the fields, a draw (seeded by record and step) and the pool (what is known of the source's other records).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from upcycle.contract import parses
from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.actions import says_action
from upcycle.methods.datatune.plans.solutions import contradiction
from upcycle.methods.datatune.plans.steps import (
    PLACE,
    After,
    Before,
    CheckSolution,
    Clause,
    DocstringSplit,
    Filter,
    FormatNumber,
    Item,
    Join,
    LimitOptions,
    Llm,
    MapLabel,
    OptionsFrom,
    OrderByDirection,
    PickOption,
    PickSentence,
    SampleOption,
    Select,
    ShuffleOptions,
    Step,
    StripOpening,
    StripOptions,
    Template,
    key_text,
)


@dataclass(frozen=True, slots=True)
class Pool:
    """What a program knows of the source's other records: values to draw wrong answers from, and plain words."""

    drawn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


EMPTY = Pool()

Apply = Callable[[dict[str, Any], "Draw", Pool], "str | None"]
"""One compiled step: changes the fields in place; a text says why the record is skipped."""


class Draw(NamedTuple):
    """Where a record's randomness comes from: the same text, the same draws."""

    key: str

    def at(self, step: int) -> Random:
        return Random(f"{self.key}/{step}")


def filler(text: str) -> Callable[[dict[str, Any]], str]:
    """A compiled template; "" where a field is missing or empty."""
    pieces = PLACE.split(text)
    names = pieces[1::2]
    if len(names) == 1 and text == "{" + names[0] + "}":
        name = names[0]

        def one(fields: dict[str, Any]) -> str:
            value = fields.get(name)
            return value.strip("\n") if isinstance(value, str) else values.text_of(value)

        return one

    def fill(fields: dict[str, Any]) -> str:
        out = pieces[0]
        for name, literal in zip(names, pieces[2::2], strict=True):
            value = values.text_of(fields.get(name)).strip()
            if not value:
                return ""
            out += value + literal
        return out

    return fill


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
        wanted = re.compile(step.matches)
        tests.append(lambda t, f: None if wanted.search(t[:_SEARCHED]) else "does not match")
    if step.not_matches is not None:
        unwanted = re.compile(step.not_matches)
        tests.append(lambda t, f: f"holds {m[0][:40]!r}" if (m := unwanted.search(t[:_SEARCHED])) else None)
    if (other := step.not_in) is not None:
        tests.append(lambda t, f: f"stands in {other!r}" if _contained(t, values.text_of(f.get(other))) else None)
    if step.parses == "python":
        tests.append(lambda t, f: None if parses(t) else "is not Python")
    if step.says == "action":
        tests.append(lambda t, f: None if says_action(t) else "does not open with what is done")
    return tests


_SEARCHED = 4_000


def _contained(text: str, whole: str) -> bool:
    return values.same(text) in " ".join(whole.casefold().split())


def _pick_option(step: PickOption, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        options = values.list_of(fields.get(step.options))
        if not options:
            return f"{step.options!r} is no list of options"
        labels = values.list_of(fields.get(step.labels)) if step.labels else None
        place = values.option_at(options, fields.get(step.key), step.by, labels)
        if place is None and step.by == "text":
            place = values.option_at(values.strip_options(options), fields.get(step.key), step.by)
        if place is None:
            return f"{values.text_of(fields.get(step.key))[:40]!r} names no option"
        fields[step.into] = options[place]
        return None

    return apply


def _strip_options(step: StripOptions, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        options = values.list_of(fields.get(step.field))
        if not options:
            return f"{step.field!r} is no list of options"
        fields[step.into or step.field] = values.strip_options(options)
        return None

    return apply


def _options_from(step: OptionsFrom, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        found: list[str] = []
        for name in step.fields:
            value = fields.get(name)
            found += values.list_of(value) or [" ".join(values.text_of(value).split())]
        if not all(found):
            return "an option is empty"
        fields[step.into] = [*found, *step.texts]
        return None

    return apply


_CONTENT = re.compile(r"\b(?!(?:the|and|for|from|with|given|that|which|using|into)\b)\w{3,}")
_TRIED = 60


def _sample_option(step: SampleOption, number: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        answer = values.text_of(fields.get(step.field)).strip()
        others = pool.drawn.get(step.field, ())
        if not answer:
            return f"{step.field!r} is empty"
        if len(others) <= step.count:
            return "the source has too few other values to draw wrong options from"
        wrong = _wrong_options(answer, others, step.count, draw.at(number))
        if len(wrong) < step.count:
            return "too few other values differ enough from the answer"
        fields[step.into] = [answer, *wrong]
        return None

    return apply


def _wrong_options(answer: str, others: tuple[str, ...], count: int, random: Random) -> list[str]:
    # Near-equal texts may be right as well, so a wrong option shares less than half of its words with the answer and
    # with the options drawn before; similar length keeps the right one from standing out.
    drawn = {others[random.randrange(len(others))]: None for _ in range(_TRIED)}
    near = sorted(drawn, key=lambda text: abs(len(text) - len(answer)))
    kept = [answer]
    close = near[: count * 5]
    random.shuffle(close)
    for text in [*close, *near[count * 5 :]]:
        if len(kept) > count:
            break
        if not any(_alike(text, other) for other in kept):
            kept.append(text)
    return kept[1:]


def _alike(one: str, other: str) -> bool:
    a, b = values.number_value(one), values.number_value(other)
    if a is not None or b is not None:
        return a == b
    if values.same(one) == values.same(other):
        return True
    words, more = (set(_CONTENT.findall(text.casefold())) for text in (one, other))
    return bool(words and more) and len(words & more) >= 0.5 * min(len(words), len(more))


def _limit_options(step: LimitOptions, number: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        options = values.list_of(fields.get(step.options)) or []
        answer = " ".join(values.text_of(fields.get(step.answer)).split())
        if answer not in options:
            return "the answer is not among the options"
        wrong = [option for option in options if option != answer]
        if len(options) > step.most:
            kept = {answer, *draw.at(number).sample(wrong, min(step.most - 1, len(wrong)))}
            options = [option for option in options if option in kept]
        fields[step.options] = options
        return None

    return apply


def _shuffle_options(step: ShuffleOptions, number: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        options = values.list_of(fields.get(step.field))
        if not options:
            return f"{step.field!r} is no list of options"
        # The draw must not depend on the order found, or a biased source would stay biased.
        draw.at(number).shuffle(options)
        fields[step.field] = options
        return None

    return apply


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


def _check_solution(step: CheckSolution, _: int) -> Apply:
    def apply(fields: dict[str, Any], draw: Draw, pool: Pool) -> str | None:
        question, answer, solution = (
            values.text_of(fields.get(name)) for name in (step.question, step.answer, step.solution)
        )
        return contradiction(question, answer, solution, values.text_of(fields.get(step.key)) if step.key else "")

    return apply


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


def _not_here(step: Llm, _: int) -> Apply:
    raise AssertionError("an llm step is the caller's")


_BUILDERS: Mapping[type, Callable[[Any, int], Apply]] = {
    Select: _select,
    Template: _template,
    MapLabel: _map_label,
    Filter: _filter,
    PickOption: _pick_option,
    StripOptions: _strip_options,
    OptionsFrom: _options_from,
    SampleOption: _sample_option,
    LimitOptions: _limit_options,
    ShuffleOptions: _shuffle_options,
    FormatNumber: _format_number,
    After: _after,
    Before: _before,
    Item: _item,
    PickSentence: _pick_sentence,
    StripOpening: _strip_opening,
    DocstringSplit: _docstring_split,
    Join: _join,
    CheckSolution: _check_solution,
    Clause: _clause,
    OrderByDirection: _order_by_direction,
    Llm: _not_here,
}
