"""Hold a predictor against gold: `evaluate(predictor, gold, metric) -> Scores`.

Options are chosen by their log-likelihood, labels and texts are said and compared. Demonstrations are never items that
are scored: they are given, or drawn with a seed from gold that is then left out. Whatever makes a number mean less than
it seems (few items, unseen labels, answers that cannot be chosen) is counted and said in `Scores.warnings`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from upcycle.errors import ConfigError
from upcycle.evaluation import metrics
from upcycle.evaluation.asked import Asked, Shown, asked_of, counted, labels_of
from upcycle.evaluation.estimates import MAIN, measures_of, scores_of
from upcycle.evaluation.gold import GoldItem, PromptForm
from upcycle.evaluation.scores import Prediction, Scores
from upcycle.training.predictor import Predictor

_AT_ONCE = 256  # items between two reports of progress; what their prompts share is computed once for each lot


def evaluate(
    predictor: Predictor,
    gold: Sequence[GoldItem],
    metric: str = "auto",
    *,
    shots: int = 0,
    demonstrations: Sequence[Shown] = (),
    seed: int = 0,
    form: PromptForm | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Scores:
    """Ask a predictor every item and score what it says.

    Args:
        metric: one of `METRICS`; "auto" takes options for multiple_choice_grade, repeating short answers for accuracy
            and anything else for exact_match.
        shots: demonstrations before each item; the first of `demonstrations`, or drawn from the gold where none are
            given, and what is drawn is not scored.
        seed: of the draw and of the intervals.
        form: how the gold's items become one text.
        told: hears how many items are done, of how many.

    Raises:
        ConfigError: no items, an unknown metric, too few demonstrations, or one that is also an item.
    """
    asked = asked_of(gold, metric, shots=shots, demonstrations=demonstrations, seed=seed)
    return evaluate_asked(predictor, asked, form=form, seed=seed, told=told)


def evaluate_asked(
    predictor: Predictor,
    asked: Asked,
    *,
    form: PromptForm | None = None,
    seed: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> Scores:
    """The same where what is to be asked was worked out before.

    Raises:
        ConfigError: demonstrations for a model that reads none.
    """
    labels = getattr(predictor, "labels", None)
    if asked.shown and labels:
        raise ConfigError("a classifier reads its input and no demonstrations; leave the shots out")
    form = form or PromptForm()
    # A model that only continues text needs what stands between input and output; the others put it there themselves.
    frame = form.asked if getattr(predictor, "continues", False) else form.shown
    predictions: list[Prediction] = []
    cut = 0
    for start in range(0, len(asked.items), _AT_ONCE):
        items = asked.items[start : start + _AT_ONCE]
        predictions += _answers(predictor, asked, items, [frame(item.input, asked.shown) for item in items])
        cut += getattr(predictor, "cut", 0)
        if told is not None:
            told(len(predictions), len(asked.items))
    warnings = [*asked.warnings, *([_cut(cut, bool(labels))] if cut else []), *unseen_labels(labels, asked)]
    return scores_of(asked, predictions, seed=seed, warnings=warnings)


def _answers(predictor: Predictor, asked: Asked, items: Sequence[GoldItem], inputs: Sequence[str]) -> list[Prediction]:
    if asked.metric == "multiple_choice_grade":
        return _choose(predictor, items, inputs)
    if getattr(predictor, "continues", False) and (labels := labels_of(asked)):
        return _choose_label(predictor, items, inputs, labels)
    said = predictor.predict(inputs)
    return [said_of(item, one[0], asked.metric) for item, one in zip(items, said, strict=True)]


def _choose(predictor: Predictor, gold: Sequence[GoldItem], inputs: Sequence[str]) -> list[Prediction]:
    choices = [item.choices or () for item in gold]
    score: Callable[..., list[list[float]]] | None = getattr(predictor, "score", None)
    if score is None:
        return _matched(predictor, gold, inputs)
    counts: Callable[..., list[list[int]]] | None = getattr(predictor, "token_counts", None)
    tokens = counts(inputs, choices) if counts is not None else [None] * len(gold)
    return [chosen(item, found, count) for item, found, count in zip(gold, score(inputs, choices), tokens, strict=True)]


def chosen(item: GoldItem, found: Sequence[float], tokens: Sequence[int] | None) -> Prediction:
    """An option chosen by the likelihoods of all, `tokens` long each."""
    choices, worths = item.choices or (), item.worths()
    likelihoods = tuple(-math.inf if math.isnan(one) else one for one in found)
    best = max(likelihoods)
    tied = likelihoods.count(best)
    by_length = [one / max(1, len(text)) for one, text in zip(likelihoods, choices, strict=True)]
    measures = {"per_character": metrics.grade(by_length, worths)}
    if tokens is not None:
        measures["per_token"] = metrics.grade(
            [one / max(1, count) for one, count in zip(likelihoods, tokens, strict=True)], worths
        )
    if tied > 1:
        measures["tied"] = float(tied)
    if any(map(math.isnan, found)):
        measures["not_a_number"] = 1.0
    said = choices[likelihoods.index(best)] if tied == 1 else ""
    return Prediction(item.id, said, metrics.grade(likelihoods, worths), item.answers, likelihoods, measures)


def _matched(predictor: Predictor, gold: Sequence[GoldItem], inputs: Sequence[str]) -> list[Prediction]:
    """Where likelihoods cannot be had: the answer is written, and the option it names is taken."""
    return [matched(item, one[0]) for item, one in zip(gold, predictor.predict(inputs), strict=True)]


def matched(item: GoldItem, said: str) -> Prediction:
    """A written answer to an item with options."""
    place = option_named(said, item.choices or ())
    right = item.worths()[place] if place is not None else 0.0
    return Prediction(item.id, said, right, item.answers, None, {"unmatched": float(place is None)})


def option_named(said: str, choices: Sequence[str]) -> int | None:
    """The option that a written answer names: the whole of it, else the only one that stands in it; else None."""
    same = [number for number, choice in enumerate(choices) if metrics.exact(said, [choice])]
    if not same:
        same = [number for number, choice in enumerate(choices) if metrics.soft(said, [choice])]
        # An option inside a longer one that was named too is not what was meant.
        inner = {a for a in same for b in same if a != b and metrics.soft(choices[b], [choices[a]])}
        same = [number for number in same if number not in inner]
    return same[0] if len(same) == 1 else None


def _choose_label(
    predictor: Predictor, items: Sequence[GoldItem], inputs: Sequence[str], labels: Sequence[str]
) -> list[Prediction]:
    """The likeliest label: a model that was not trained for the task cannot know how its labels are spelled."""
    found: list[Prediction] = []
    for item, likely in zip(items, predictor.score(inputs, [labels] * len(inputs)), strict=True):
        said = labels[max(range(len(labels)), key=lambda place: (likely[place], -place))]
        found.append(Prediction(item.id, said, metrics.same_label(said, item.answers), item.answers, tuple(likely)))
    return found


def said_of(item: GoldItem, said: str, metric: str) -> Prediction:
    """A written answer under a metric."""
    measures = measures_of(item, said, metric)
    return Prediction(item.id, said, measures.pop(MAIN.get(metric, metric)), item.answers, None, measures)


def unseen_labels(labels: Sequence[str] | None, asked: Asked) -> list[str]:
    """How many items have a label that the model was never taught, so that it cannot be right."""
    if not labels or asked.metric not in ("accuracy", "multiple_choice_grade"):
        return []
    known = set(map(metrics.plain, labels))
    unseen = Counter(item.output for item in asked.items if not known & set(map(metrics.plain, item.answers)))
    if not unseen:
        return []
    some = ", ".join(repr(label) for label, _ in unseen.most_common(3))
    return [f"{counted(unseen.total())} with labels the model never saw in training ({some}): never right"]


def _cut(number: int, classifies: bool) -> str:
    # What a classifier is asked stands anywhere in its text, what a language model is asked at the end of its prompt.
    return f"{counted(number)} longer than the model reads: the {'end' if classifies else 'beginning'} was cut off"
