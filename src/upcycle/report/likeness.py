"""How alike the examples on a page are: each one's nearest other, the curve of uniqueness, a map, levels of difficulty.

In: examples of one or several datasets. Out: plain values for the page. These take seconds to minutes, so a build
leaves them out and `upcycle report` measures them; where there are very many examples, on a drawn sample that is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from upcycle.contract import without_options
from upcycle.records import Example

MEASURED = 20_000
"""Examples of one dataset compared with each other, or placed on the map; more are sampled."""
_MEASURED_SLOWLY = 3_000
_STEPS = 100
_GROUPS = 5


class Uniqueness(NamedTuple):
    """How alike the texts of one set are.

    Attributes:
        curve: share of texts whose highest ROUGE-L with any other is below T, at 101 thresholds from 0 to 1.
        scores: that highest ROUGE-L of each text; None where it was not in the sample.
        nearest: place of a text that reaches it; -1 where there is none.
        note: what was measured, where that was not everything.
    """

    curve: list[float]
    scores: list[float | None]
    nearest: list[int]
    note: str = ""


def compared_texts(datasets: Sequence[Sequence[Example]]) -> tuple[list[list[str]], str]:
    """What of each example is compared, and how that is said.

    Inputs without their option lines, as `upcycle describe` measures them; where that leaves mostly the same question,
    the options are what examples differ in, and whole inputs are compared.
    """
    bare = [[without_options(example.input).strip() or example.input for example in examples] for examples in datasets]
    if all(2 * len(set(texts)) >= len(texts) for texts in bare):
        return bare, "Inputs are compared without their option lines."
    return [[example.input for example in examples] for examples in datasets], "Whole inputs are compared."


def uniqueness(texts: Sequence[str], *, seed: int = 0) -> Uniqueness | None:
    """How alike texts are (DataTune, arXiv 2404.14361, figure 4); None for fewer than two."""
    from upcycle.analysis import rouge

    if len(texts) < 2:
        return None
    most = MEASURED if rouge.is_compiled() else _MEASURED_SLOWLY
    places = drawn(len(texts), most, seed)
    found = rouge.max_rouge_l([texts[place] for place in places])
    scores: list[float | None] = [None] * len(texts)
    nearest = [-1] * len(texts)
    for place, score, other in zip(places, found.scores.tolist(), found.neighbours.tolist(), strict=True):
        scores[place] = round(score, 4)
        nearest[place] = places[other] if other >= 0 else -1
    curve = rouge.share_unique(found.scores, [step / _STEPS for step in range(_STEPS + 1)])
    note = ""
    if len(places) < len(texts):
        note = f"Measured among {len(places):,} of {len(texts):,} examples, drawn with seed {seed}."
        if not rouge.is_compiled():
            note += f" More are compared where numba is installed: {rouge.SLOWER}."
    return Uniqueness([round(value, 4) for value in curve], scores, nearest, note)


def difficulty(datasets: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, Any]]:
    """Levels of difficulty by the loss of a word-bigram model, of several datasets: alone, a set has no scale."""
    from upcycle.analysis.difficulty import by_words

    full = {name: examples for name, examples in datasets.items() if examples}
    if len(full) < 2:
        return {}
    texts = {
        name: [f"{examples[place].input}\n{examples[place].output}" for place in drawn(len(examples), MEASURED, 0)]
        for name, examples in full.items()
    }
    return {name: {"shares": list(one.shares), "mean": one.mean, "by": one.by} for name, one in by_words(texts).items()}


def placed(texts: Mapping[str, Sequence[str]], datasets: Sequence[Sequence[Example]]) -> dict[str, Any] | None:
    """The map's points: place, dataset, row and colour of each; None for fewer than three texts.

    Colours are datasets where there are several, else sources, else labels.
    """
    from upcycle.analysis.coverage import layout

    each = max(1, MEASURED // max(1, len(texts)))
    places = {name: drawn(len(some), each, 0) for name, some in texts.items()}
    if sum(map(len, places.values())) < 3:
        return None
    found = layout({name: [texts[name][place] for place in places[name]] for name in texts})
    points = [found.points[name] for name in texts]
    groups, of = _groups(list(texts), datasets)
    return {
        "x": _spread([x for some in points for x in some[:, 0].tolist()]),
        "y": _spread([y for some in points for y in some[:, 1].tolist()]),
        "dataset": [number for number, name in enumerate(places) for _ in places[name]],
        "row": [place for name in places for place in places[name]],
        "group": [of[number][place] for number, name in enumerate(places) for place in places[name]],
        "groups": groups,
        "note": f"Two principal components of {found.encoder}; they hold {sum(found.explained):.0%} of the variance.",
    }


def _spread(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [round((value - low) / (high - low), 4) if high > low else 0.5 for value in values]


def _groups(names: Sequence[str], datasets: Sequence[Sequence[Example]]) -> tuple[list[str], list[list[int]]]:
    if len(datasets) > 1:
        return list(names), [[number] * len(examples) for number, examples in enumerate(datasets)]
    examples = datasets[0]
    sources, outputs = {example.origin.source for example in examples}, {example.output for example in examples}
    if len(sources) > 1:
        values = [example.origin.source or "no source" for example in examples]
    elif 1 < len(outputs) <= _GROUPS + 1:
        values = [example.output for example in examples]
    else:
        return [""], [[0] * len(examples)]
    common = [value for value, _ in Counter(values).most_common()]
    shown = common if len(common) <= _GROUPS + 1 else [*common[:_GROUPS], "others"]
    number = {value: min(place, len(shown) - 1) for place, value in enumerate(common)}
    return shown, [[number[value] for value in values]]


def drawn(count: int, most: int, seed: int) -> list[int]:
    """All places, or a sample of them in their order."""
    return list(range(count)) if count <= most else sorted(Random(seed).sample(range(count), most))
