"""What the steps about options do."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.operation import Apply, Draw, Pool
from upcycle.methods.datatune.plans.option_steps import (
    LimitOptions,
    OptionsFrom,
    PickOption,
    SampleOption,
    ShuffleOptions,
    StripOptions,
)


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


BUILDERS = {
    PickOption: _pick_option,
    StripOptions: _strip_options,
    OptionsFrom: _options_from,
    SampleOption: _sample_option,
    LimitOptions: _limit_options,
    ShuffleOptions: _shuffle_options,
}
