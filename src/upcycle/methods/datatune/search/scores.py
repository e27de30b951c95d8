"""How well a plan does what the task wants, measured on a sample of records, comparable between sources.

Every part lies between 0 and 1 and the score is their product, so that one thing clearly wrong is enough: a wrong plan
makes wrong rows, and a source left out costs only itself. The parts are kept, to say why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from upcycle.contract import Kind, without_options
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Made, Program, compile_plan
from upcycle.methods.datatune.plans.steps import PickOption, SampleOption, places
from upcycle.methods.datatune.plans.values import same
from upcycle.methods.datatune.search.columns import Offer, input_prior, output_prior
from upcycle.methods.datatune.search.glossary import plain
from upcycle.methods.datatune.search.shapes import language_of, likeness, same_script, shape
from upcycle.methods.datatune.search.wanted import Wanted
from upcycle.records import Record
from upcycle.sources.words import query_terms, stem, words
from upcycle.task import Task


class ScoredPlan(NamedTuple):
    """A plan with its score and what the score is made of."""

    plan: Plan
    score: float
    parts: Mapping[str, float]
    why: str


class Tried(NamedTuple):
    """What a program did with a sample: its examples, and how many records failed for a reason nobody planned."""

    made: tuple[Made, ...]
    planned: int
    failed: int


_PLANNED = (
    "filter:",
    "check-solution:",
    "clause:",
    "map-label:",
    "strip-opening:",
    "sample-option: too few other values differ",
)


def tried(wanted: Wanted, program: Program, records: Sequence[Record]) -> Tried:
    """Run a program over the sample and check its rows against the contract."""
    pool = program.fill(records)
    made: list[Made] = []
    planned = failed = 0
    for record in records:
        result = program(record, pool)
        if not isinstance(result, list):
            planned += result.reason.startswith(_PLANNED)
            failed += not result.reason.startswith(_PLANNED)
            continue
        for one in result:
            if wanted.contract.violation(one.input, one.output, one.choices) is None:
                made.append(one)
            else:
                failed += 1
    return Tried(tuple(made), planned, failed)


def score(wanted: Wanted, offer: Offer, card: Any, plan: Plan, fits: float, *, seed: int) -> ScoredPlan:
    """Score one plan; `fits` is how far the source is about what the task is about."""
    parts = _measured(wanted, tried(wanted, compile_plan(plan, seed=seed), offer.records))
    parts |= {"domain": fits, "columns": _columns(plan, offer), "context": _context(plan, offer)}
    parts["options"] = _option_steps(wanted, plan)
    total = 1.0
    for value in parts.values():
        total *= value
    low = sorted(parts.items(), key=lambda pair: pair[1])[:3]
    why = ", ".join(f"{name} {value:.2f}" for name, value in low if value < 1) or "fits in every part"
    return ScoredPlan(plan, round(total, 4), {name: round(value, 4) for name, value in parts.items()}, why)


def score_made(wanted: Wanted, offer: Offer, plan: Plan, fits: float, found: Tried) -> float:
    """Score of a plan that asks a model, from what its pilot made.

    What a model wrote has no column to speak for it; in the middle of the scale it neither gains nor loses by that.
    """
    parts = {**_measured(wanted, found), "domain": fits, "context": _context(plan, offer), "written": 0.85}
    if len(found.made) >= 2:
        # A handful of rows need not show every label; that they are not all the same is what can be asked of them.
        parts["variety"] = min(1.0, len({one.input for one in found.made}) / (0.5 * len(found.made)))
    total = 1.0
    for value in parts.values():
        total *= value
    return round(total, 4)


def _option_steps(wanted: Wanted, plan: Plan) -> float:
    if any(isinstance(step, SampleOption) for step in plan.steps):
        return 0.85
    # A question written for its options often cannot be answered without them.
    picks = any(isinstance(step, PickOption) for step in plan.steps)
    return 0.45 if picks and wanted.contract.kind != Kind.CHOICE else 1.0


def _measured(wanted: Wanted, found: Tried) -> dict[str, float]:
    made = found.made
    if len(made) < 2:
        return {"yield": 0.0}
    worked = len(made) + found.failed
    share = len(made) / (worked + found.planned)
    stems = [_stem(wanted, one) for one in made]
    outputs = [one.output for one in made]
    closed = wanted.labels is not None
    return {
        "yield": min(1.0, share / 0.1),
        "consistent": (len(made) / worked) ** 0.5,
        "input": likeness(wanted.input, shape(stems), role="labelled" if closed else "input")
        if wanted.fixed_stem is None
        else 1.0,
        "output": 1.0 if closed else likeness(wanted.output, shape(outputs), role="output"),
        "variety": _variety(wanted, stems, outputs, made),
        "copied": _copied(wanted, stems, outputs),
        "language": _language(wanted, made),
    }


def _stem(wanted: Wanted, made: Made) -> str:
    return without_options(made.input) if made.choices else made.input


def _variety(wanted: Wanted, stems: Sequence[str], outputs: Sequence[str], made: Sequence[Made]) -> float:
    if wanted.labels is not None:
        seen = Counter(outputs)
        rarest = min(seen[label] for label in wanted.labels) / len(outputs)
        several = min(1.0, len(set(stems)) / (0.5 * len(stems)))
        return min(1.0, rarest / 0.05) * several
    # Other outputs are not a closed set: few different ones over many records are a label or an index.
    distinct = len(set(outputs)) / len(outputs)
    if wanted.contract.kind in (Kind.NUMBER, Kind.CHOICE):
        distinct = min(1.0, distinct / (0.12 if wanted.contract.kind == Kind.NUMBER else 0.05))
    else:
        distinct = min(1.0, distinct / 0.7) ** 2
    inputs = {one.input for one in made}
    return distinct * min(1.0, len(inputs) / (0.5 * len(made))) * _openings(wanted, outputs)


def _openings(wanted: Wanted, outputs: Sequence[str]) -> float:
    """Whether outputs open as differently as the demonstrations': "Write a function to" is no part of a description."""
    firsts = Counter(" ".join(text.split()[:3]) for text in outputs if len(text.split()) > 4)
    if not firsts or len({" ".join(text.split()[:3]) for text in wanted.outputs}) < len(wanted.outputs):
        return 1.0
    return 1 - max(0.0, firsts.most_common(1)[0][1] / len(outputs) - 0.2)


def _copied(wanted: Wanted, stems: Sequence[str], outputs: Sequence[str]) -> float:
    """Whether outputs stand in their inputs as often as the demonstrations' do; few demonstrations say little."""
    if wanted.labels is not None or not wanted.stems or wanted.contract.kind == Kind.SPAN:
        return 1.0
    rate = _inside(stems, outputs)
    doubt = 1 / (len(wanted.stems) + 2)
    apart = abs(rate - _inside(wanted.stems, wanted.outputs))
    return 1 - 0.8 * max(0.0, apart - doubt - 0.15)


def _inside(stems: Sequence[str], outputs: Sequence[str]) -> float:
    found = [f" {same(out)} " in f" {' '.join(words(stem_))} " for stem_, out in zip(stems, outputs, strict=True)]
    return sum(found) / len(found) if found else 0.0


def _language(wanted: Wanted, made: Sequence[Made]) -> float:
    inputs, outputs = [one.input for one in made[:20]], [one.output for one in made[:20]]
    for mine, theirs in ((wanted.stems, inputs), (wanted.outputs, outputs)):
        if mine and not same_script(mine, theirs):
            return 0.0
    said = wanted.contract.language
    for texts in (inputs, outputs):
        spoken = language_of(texts)
        if said and spoken and spoken != said and sum(map(len, texts)) > 400:
            return 0.3
    return 1.0


def _columns(plan: Plan, offer: Offer) -> float:
    """What the names of the columns say of their use."""
    ins = [offer.columns[name] for name in _sources(plan, plan.input, offer)]
    outs = [offer.columns[name] for name in _sources(plan, plan.output, offer)]
    into = min((input_prior(column) for column in ins), default=1.0)
    if any(step.do == "docstring-split" for step in plan.steps):
        return 1.0  # what the columns hold has shown itself
    out = max((output_prior(column) for column in outs), default=0.7)
    others = [column for column in offer.columns.values() if column not in ins and column not in outs]
    if out <= 0.3 and any(output_prior(column) == 1.0 for column in others):
        out = 0.1  # a worked solution beside an answer is not the answer
    return into**0.5 * out


def _context(plan: Plan, offer: Offer) -> float:
    """Whether the input leaves out a text that it is about: a passage, or the other sentence of a pair."""
    used = set(_sources(plan, plan.input, offer)) | set(_sources(plan, plan.output, offer))
    inputs = [offer.columns[name] for name in _sources(plan, plan.input, offer)]
    for column in offer.contexts():
        if column.name not in used and any(other.shape.words < 60 for other in inputs):
            return 0.3
    if any(other not in used for name in used for other in offer.siblings(name) if offer.columns[name].shape.words > 2):
        return 0.3
    return 1.0


def _sources(plan: Plan, template: str, offer: Offer) -> list[str]:
    """Columns of the source that reach a template, through any steps."""
    wanted = set(places(template)) | ({plan.choices} if plan.choices and template == plan.output else set())
    for step in reversed(plan.steps):
        if set(step.writes()) & wanted and step.do != "sample-option":
            wanted = (wanted - set(step.writes())) | set(step.reads())
    return [name for name in offer.columns if name in wanted]


_ANY_WORDS = """
english languag descript describ short number onli multipl name true fals answer question text sentenc input output
task word solv given count
"""
_ABOUT_ANY = frozenset(_ANY_WORDS.split())


def domain(task: Task, card: Any, offer: Offer) -> float:
    """How far the source is about what the instruction speaks of, from its card, its columns and its rows."""
    asked = [
        term
        for term in query_terms(task.instruction, (), {}, 1)
        if term.weight > 0.5 and term.stem not in _ABOUT_ANY and term.word not in (task.contract.labels or ())
    ]
    if not asked:
        return 0.7
    told = " ".join([card.id, card.name, card.text, *card.tags, *card.languages, *offer.columns])
    said = {stem(word) for word in words(told)}
    rows = Counter(
        stem(word)
        for record in offer.records[:100]
        for word in {w for value in record.fields.values() if isinstance(value, str) for w in words(value[:1500])}
    )
    often = {term for term, count in rows.items() if count >= max(2, 0.03 * min(100, len(offer.records)))}
    hits = sum(max(1.0 * _among(term.stem, said), 0.8 * _among(term.stem, often)) for term in asked)
    terms = len(asked)
    # The same labels over other matters say nothing; over the same matter they say that the same is asked of it.
    if hits and _names_labels(task.contract.labels or (), offer):
        hits, terms = hits + 1, terms + 1
    return min(1.0, 0.15 + 1.1 * hits / terms)


_LABELS_OF_ANY = frozenset(("yes", "no", "true", "false", "0", "1", "a", "b", "c", "d"))


def _names_labels(labels: Sequence[str], offer: Offer) -> bool:
    """Whether a column holds all of the task's labels by their own names, and these say what is asked."""
    names = {plain(label) for label in labels}
    if not names - _LABELS_OF_ANY:
        return False
    return any(names <= {plain(text) for text in column.texts} for column in offer.columns.values())


def _among(term: str, known: set[str]) -> bool:
    if term in known:
        return True
    return any(other.startswith(term) or term.startswith(other) for other in known if min(len(other), len(term)) >= 4)
