"""Candidate plans for one source: every way its columns could be put together into what the task wants.

In: what is wanted and what is offered. Out: plans, unscored and not many (tens). Nothing is proposed that would need a
guess about what a label means or where an index starts; the rest is for the scores to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from upcycle.contract import Kind
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import (
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
    MapLabel,
    OptionsFrom,
    PickOption,
    PickSentence,
    SampleOption,
    ShuffleOptions,
    Step,
    StripOpening,
    Template,
)
from upcycle.methods.datatune.plans.values import after, docstring_split, format_number, text_of
from upcycle.methods.datatune.search.columns import Offer, Offered, output_prior
from upcycle.methods.datatune.search.glossary import mapping_for
from upcycle.methods.datatune.search.options import Picked, picked
from upcycle.methods.datatune.search.relations import relations
from upcycle.methods.datatune.search.wanted import Wanted
from upcycle.methods.datatune.search.ways import Way, inputs_of, joined, plan_of

_FEW = 6
_ANSWERS = frozenset(("answer", "answers", "target", "targets", "output", "outputs", "reference", "references"))
_MOST_LABELS = 60
_DOCSTRING_PARTS = ("\n\n", ">>>", "\nExample", "\nArg", "\nParam", "\nReturns:", "\n:", "\n@", "e.g.")
_DELIMITERS = ("####", "The answer is", "the answer is", "Answer:", "answer:", "answer is", "\\boxed{")


def propose(wanted: Wanted, offer: Offer, card: Any) -> Iterator[Plan]:
    """Candidate plans for the source."""
    if wanted.relation is not None:
        yield from relations(wanted, offer, card)
        return
    inputs = list(inputs_of(wanted, offer))
    if wanted.labels is not None:
        for out in _labels(wanted, offer, card):
            yield from joined(card, inputs, out, "options" if wanted.fixed_options else None)
        return
    match wanted.contract.kind:
        case Kind.CHOICE:
            yield from _choices(wanted, offer, card, inputs)
        case Kind.NUMBER:
            for out in _numbers(offer):
                yield from joined(card, inputs, out)
        case Kind.CODE:
            for out in _texts(wanted, [column for column in offer.columns.values() if _mostly_code(column)]):
                yield from joined(card, inputs, out)
        case _:
            for out in _texts(wanted, _text_outputs(offer)):
                yield from joined(card, inputs, out)
            for way in picked(offer):
                yield from joined(card, inputs, Way(way.steps, "{answer}"))
    yield from _documented(wanted, offer, card)


def _labels(wanted: Wanted, offer: Offer, card: Any) -> Iterator[Way]:
    assert wanted.labels is not None
    for column in offer.columns.values():
        if column.is_list or not column.texts or column.distinct > min(_MOST_LABELS, 0.5 * len(column.texts) + 2):
            continue
        texts = [column.description]
        if output_prior(column) >= 0.85:
            texts += [card.text]
        for said in ([], *[[text] for text in texts if text]):
            mapping = mapping_for(wanted.labels, column.raw, column.labels, said)
            if mapping:
                steps: list[Step] = [MapLabel(field=column.name, into="verdict", mapping=mapping)]
                if wanted.fixed_options:
                    steps += [OptionsFrom(texts=wanted.fixed_options), ShuffleOptions()]
                yield Way(tuple(steps), "{verdict}")
                break


_ABOUT_OPTIONS = r"(?i)\b(which (one )?of (the|these)|the following|of these|given (options|choices)|except|none of)\b"


def _numbers(offer: Offer) -> Iterator[Way]:
    for column in offer.columns.values():
        if column.is_list or not column.texts:
            continue
        if _share(column.texts, lambda text: format_number(text) is not None) >= 0.7:
            yield Way((FormatNumber(field=column.name, into="number"),), "{number}")
            continue
        for mark in _DELIMITERS:
            if _share(column.texts, lambda text, mark=mark: format_number(after(text, mark) or "") is not None) >= 0.7:
                yield Way(
                    (After(field=column.name, into="number", delimiter=mark), FormatNumber(field="number")), "{number}"
                )
                break
    for way in picked(offer):
        yield Way((*way.steps, FormatNumber(field="answer", into="number")), "{number}")


def _text_outputs(offer: Offer) -> list[Offered]:
    listed = {name for way in picked(offer) for name in way.reads()}
    kept = [
        column
        for column in offer.columns.values()
        if column.texts
        and not column.is_meta
        and _is_words(column)
        and (not column.is_list or (column.named & _ANSWERS and column.name not in listed))
    ]
    return sorted(kept, key=output_prior, reverse=True)[:_FEW]


def _is_words(column: Offered) -> bool:
    return not isinstance(column.raw[0], (bool, int, float)) and column.distinct >= 0.2 * len(column.texts)


def _texts(wanted: Wanted, columns: Iterable[Offered]) -> Iterator[Way]:
    for column in columns:
        steps: tuple[Step, ...] = ()
        name = column.name
        if column.is_list:
            steps, name = (Item(field=column.name, into="first"),), "first"
        yield Way((*steps, *_styled(wanted, name)), "{wording}" if _sentences_wanted(wanted) else "{" + name + "}")
        if _sentences_wanted(wanted):
            openings = frequent_openings(column.texts)
            if openings:
                strip = StripOpening(field=name, into="wording", openings=openings)
                yield Way((*steps, strip, *_styled(wanted, "wording")), "{wording}")
            yield Way((*steps, *_first_sentence(name), *_styled(wanted, "wording")), "{wording}")


def _sentences_wanted(wanted: Wanted) -> bool:
    return wanted.output.shares.get("sentence", 0) > 0.6 and not wanted.output.shares.get("code", 0) > 0.5


def _first_sentence(name: str) -> tuple[Step, ...]:
    return Before(field=name, into="wording", delimiters=_DOCSTRING_PARTS), PickSentence(field="wording", index=0)


def _styled(wanted: Wanted, name: str) -> tuple[Step, ...]:
    """Steps that give a sentence the demonstrations' capitals and stops."""
    if not _sentences_wanted(wanted):
        return ()
    return (Clause(field=name, into="wording", first=wanted.capital, stop=wanted.stop),)  # type: ignore[arg-type]


def frequent_openings(texts: Sequence[str]) -> tuple[str, ...]:
    """Opening phrases that many of the texts share, cut where the texts begin to differ."""
    found: list[str] = []
    _grow("", [text for text in texts if text], len(texts), found)
    covered = sum(any(text.startswith(opening) for opening in found) for text in texts)
    return tuple(found) if found and covered >= 0.6 * len(texts) else ()


def _grow(opening: str, texts: list[str], total: int, found: list[str]) -> None:
    # A word that follows an opening most of the time belongs to it; where the next words differ, the opening ends.
    nexts = Counter(word for text in texts if (word := text[len(opening) :].split(" ", 1)[0]))
    if not nexts or len(opening.split()) > 8:
        return
    top = nexts.most_common(1)[0][1]
    if len(nexts) >= 5 and top < 0.7 * len(texts):
        if opening.count(" ") >= 2:
            found.append(opening)
        return
    for word, count in nexts.items():
        if count >= max(2, 0.04 * total):
            longer = f"{opening}{word} "
            _grow(longer, [text for text in texts if text.startswith(longer)], total, found)


# multiple choice


def _choices(wanted: Wanted, offer: Offer, card: Any, inputs: Sequence[Way]) -> Iterator[Plan]:
    few, many = wanted.contract.options or (2, 10)
    for way in picked(offer):
        if way.counts[1] < few:
            continue
        yield from joined(card, inputs, _listed(way, many), "options")
    for out in (*_texts(wanted, _text_outputs(offer)), *_numbers(offer)):
        for plan in joined(card, inputs, out):
            yield sampled(plan, many)


def _listed(way: Picked, many: int) -> Way:
    steps: list[Step] = list(way.steps)
    if way.counts[1] > many:
        steps.append(LimitOptions(options="options", answer="answer", most=many))
    return Way((*steps, ShuffleOptions()), "{answer}")


def sampled(plan: Plan, many: int) -> Plan:
    """The plan with wrong options drawn from other records."""
    field = plan.output.strip("{}")
    steps = (*plan.steps, SampleOption(field=field, count=many - 1), ShuffleOptions())
    prose = f"{plan.prose} Wrong options are the outputs of other records."
    return plan.model_copy(update={"steps": steps, "choices": "options", "prose": prose})


# code with its description inside


def _documented(wanted: Wanted, offer: Offer, card: Any) -> Iterator[Plan]:
    """Plans for columns that hold Python with docstrings, whole or in two pieces."""
    if wanted.input.shares.get("python", 0) < 0.6 or not _sentences_wanted(wanted):
        return
    for steps, field in _with_docstring(offer):
        made = (*steps, DocstringSplit(field=field), *_first_sentence("docstring"), *_styled(wanted, "wording"))
        plan = plan_of(card, made, "{code}", "{wording}")
        if wanted.contract.kind == Kind.CHOICE:
            yield sampled(plan, (wanted.contract.options or (4, 4))[1])
        elif wanted.contract.kind == Kind.TEXT:
            yield plan


def _with_docstring(offer: Offer) -> Iterator[tuple[tuple[Step, ...], str]]:
    columns = [column for column in offer.columns.values() if column.is_text and _mostly_code(column)]
    for column in columns:
        if _share(column.texts[:12], lambda text: docstring_split(text) is not None) >= 0.6:
            yield (), column.name
    for one in columns:
        for other in offer.columns.values():
            if other.name == one.name or not other.is_text or other.shape.words < 3:
                continue
            whole = [text_of(a) + text_of(b) for a, b in zip(one.raw[:12], other.raw[:12], strict=True)]
            if _share(whole, lambda text: docstring_split(text) is not None) >= 0.6:
                yield (Join(fields=(one.name, other.name), into="program"),), "program"


def _mostly_code(column: Offered) -> bool:
    shares = column.shape.shares
    return max(shares.get("code", 0.0), shares.get("python", 0.0)) >= 0.5


def _share(texts: Sequence[str], test: Any) -> float:
    texts = texts[:60]
    return sum(bool(test(text)) for text in texts) / len(texts) if texts else 0.0


_SOLUTIONS = frozenset(("rationale", "solution", "explanation", "reasoning"))


def _solution(wanted: Wanted, offer: Offer) -> str | None:
    """The column with worked solutions, where answers are numbers."""
    if wanted.output.shares.get("digit", 0) < 0.6 or wanted.contract.kind not in (Kind.CHOICE, Kind.NUMBER):
        return None
    named = [c for c in offer.columns.values() if c.named & _SOLUTIONS and c.is_text and c.shape.words >= 8]
    return named[0].name if named else None


def with_filters(plan: Plan, wanted: Wanted, offer: Offer) -> Plan:
    """The plan with the checks its kind of task needs before a row may be called right."""
    filters: list[Step] = []
    output = plan.output.strip("{}")
    drawn = [at for at, step in enumerate(plan.steps) if isinstance(step, SampleOption)]
    if wanted.contract.kind != Kind.CHOICE and any(step.do == "pick-option" for step in plan.steps):
        filters += [Filter(field=name, not_matches=_ABOUT_OPTIONS) for name in _fields(plan.input)]
    question, solution = _fields(plan.input), _solution(wanted, offer)
    pick = next((step for step in plan.steps if isinstance(step, PickOption)), None)
    if pick and solution and len(question) == 1:
        key = pick.key if pick.by == "letter" else None
        filters.append(CheckSolution(question=question[0], answer=output, solution=solution, key=key))
    if wanted.input.shares.get("python", 0) > 0.6:
        filters += [Filter(field=name, parses="python") for name in _fields(plan.input)]
        if _sentences_wanted(wanted) and plan.output == "{wording}":
            few = max(3, min(len(text.split()) for text in wanted.outputs) // 2)
            says = "action" if wanted.contract.language in (None, "en") else None
            many = 3 * max(len(text.split()) for text in wanted.outputs)
            filters += [
                Filter(field=output, min_words=few, max_words=many, says=says, not_matches=NO_DESCRIPTION),
                *(Filter(field=output, not_in=name) for name in _fields(plan.input)),
            ]
    if not filters:
        return plan
    at = drawn[0] if drawn else len(plan.steps)
    return plan.model_copy(update={"steps": (*plan.steps[:at], *filters, *plan.steps[at:])})


def _fields(template: str) -> list[str]:
    return list(Template(text=template, into="").reads())


NO_DESCRIPTION = (
    r"(?i)^(see\b|internal|private|tests?\b|(write|create|implement|complete) (a|the) (\w+ )?function|override)"
    r"|\b(deprecated|overridden|base class|subclass(es)?|don't use|do not use|this (method|function))\b"
    r"|\b(kata|your task|you (are|have|will))\b|[:,;]$|\.\.\.$| (to|the|a|of)\.$"
)
