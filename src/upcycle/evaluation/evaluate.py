"""Hold a predictor against gold: `evaluate(predictor, gold, metric) -> Scores`.

Options are chosen by their log-likelihood, labels and texts are said and compared. Demonstrations are never items that
are scored: they are given, or drawn with a seed from gold that is then left out. Whatever makes a number mean less than
it seems (few items, unseen labels, answers that cannot be chosen) is counted and said in `Scores.warnings`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from upcycle.contract import is_number, without_options
from upcycle.errors import ConfigError
from upcycle.evaluation import metrics
from upcycle.evaluation.gold import GoldItem, PromptForm
from upcycle.evaluation.intervals import bootstrap_of, mean_interval
from upcycle.evaluation.scores import Estimate, Prediction, Scores
from upcycle.training.predictor import Predictor

METRICS = ("accuracy", "exact_match", "soft_exact_match", "multiple_choice_grade", "squad")
_FEW = 100


class Shown(Protocol):
    """Anything that can be a demonstration: a gold item, an example, a task's demonstration."""

    @property
    def input(self) -> str: ...

    @property
    def output(self) -> str: ...


def evaluate(
    predictor: Predictor,
    gold: Sequence[GoldItem],
    metric: str = "auto",
    *,
    shots: int = 0,
    demonstrations: Sequence[Shown] = (),
    seed: int = 0,
    form: PromptForm | None = None,
) -> Scores:
    """Ask a predictor every item and score what it says.

    Args:
        metric: one of `METRICS`; "auto" takes options for multiple_choice_grade, repeating short answers for accuracy
            and anything else for exact_match.
        shots: demonstrations before each item; the first of `demonstrations`, or drawn from the gold where none are
            given, and what is drawn is not scored.
        seed: of the draw and of the intervals.
        form: how the gold's items become one text.

    Raises:
        ConfigError: no items, an unknown metric, too few demonstrations, or one that is also an item.
    """
    if shots and getattr(predictor, "labels", None):
        raise ConfigError("a classifier reads its input and no demonstrations; leave --shots out")
    metric = metric_of(gold, metric)
    gold, unanswerable = _answerable(gold, metric)
    shown, gold = demonstrations_of(gold, shots, demonstrations, seed)
    if not gold:
        raise ConfigError("there is no gold item to score; give at least one beside the demonstrations")
    form = form or PromptForm()
    # A model that only continues text needs what stands between input and output; the others put it there themselves.
    frame = form.asked if getattr(predictor, "continues", False) else form.shown
    pairs = [(one.input, one.output) for one in shown]
    inputs = [frame(item.input, pairs) for item in gold]
    if metric == "multiple_choice_grade":
        predictions = _choose(predictor, gold, inputs)
    else:
        predictions = _say(predictor, gold, inputs, metric)
    warnings = [*unanswerable, *warnings_of(predictor, gold, metric), *_told(predictions, metric)]
    return scores_of(gold, predictions, metric, seed=seed, warnings=warnings)


def metric_of(gold: Sequence[GoldItem], metric: str = "auto") -> str:
    """The metric that is meant.

    Raises:
        ConfigError: there is none of this name, or it needs options and there are none.
    """
    if metric == "auto":
        if gold and all(item.choices for item in gold):
            return "multiple_choice_grade"
        return "accuracy" if _are_labels([item.output for item in gold]) else "exact_match"
    if metric not in METRICS:
        raise ConfigError(f"{metric!r} is not a metric; one of {', '.join(METRICS)}")
    if metric == "multiple_choice_grade" and (without := sum(not item.choices for item in gold)):
        raise ConfigError(
            f"{without} of {len(gold)} gold items have no choices, so multiple_choice_grade cannot be read;"
            " give them `choices`, or another metric"
        )
    return metric


def _are_labels(outputs: Sequence[str]) -> bool:
    """Few, short and repeating: what a classifier says."""
    kinds = set(outputs)
    if len(kinds) > 100 or len(outputs) < 5 * len(kinds) or (len(kinds) > 10 and all(map(is_number, kinds))):
        return False
    return all(len(one) <= 60 and len(one.split()) <= 6 for one in kinds)


def demonstrations_of(
    gold: Sequence[GoldItem], shots: int, given: Sequence[Shown], seed: int
) -> tuple[list[Shown], Sequence[GoldItem]]:
    """What is shown before each item, and the items that are scored beside it.

    Raises:
        ConfigError: fewer than `shots` there, or one of those given is itself an item.
    """
    if shots <= 0:
        return [], gold
    if given:
        if len(given) < shots:
            raise ConfigError(f"{shots} demonstrations are to be shown and {len(given)} are given; give more of them")
        chosen = list(given[:shots])
        items = {_question(item) for item in gold}
        for number, one in enumerate(chosen, 1):
            if _question(one) in items:
                raise ConfigError(
                    f"demonstration {number} is itself a gold item, and what is shown cannot be scored; give others"
                )
        return chosen, gold
    if len(gold) <= shots:
        raise ConfigError(
            f"{shots} demonstrations cannot be drawn from {len(gold)} gold items with any left to score; give"
            " demonstrations of their own"
        )
    drawn = Random(f"{seed} demonstrations").sample(range(len(gold)), shots)
    questions = {_question(gold[number]) for number in drawn}
    left = [item for item in gold if _question(item) not in questions]
    if not left:
        raise ConfigError("all gold items ask the same as the demonstrations drawn; give demonstrations of their own")
    return [gold[number] for number in drawn], left


def _question(one: Shown) -> tuple[str, frozenset[str]]:
    """What an item asks, however its options are ordered."""
    options = getattr(one, "choices", None)
    text = one.input if options is None else without_options(one.input)
    return metrics.plain(text), frozenset(map(metrics.plain, options or ()))


def _answerable(gold: Sequence[GoldItem], metric: str) -> tuple[list[GoldItem], list[str]]:
    """The items that can be right at all, and how many cannot."""
    if not gold:
        raise ConfigError("there is no gold item to score; give at least one")
    if metric != "multiple_choice_grade":
        return list(gold), []
    good = [item for item in gold if any(item.worths())]
    if not good:
        raise ConfigError("no gold item has its answer among its choices; check the columns of the gold")
    lost = len(gold) - len(good)
    return good, [f"{_items(lost)} left out: the answer is not among the choices"] if lost else []


def _choose(predictor: Predictor, gold: Sequence[GoldItem], inputs: Sequence[str]) -> list[Prediction]:
    choices = [item.choices or () for item in gold]
    score: Callable[..., list[list[float]]] | None = getattr(predictor, "score", None)
    if score is None:
        return _matched(predictor, gold, inputs)
    counts: Callable[..., list[list[int]]] | None = getattr(predictor, "token_counts", None)
    tokens = counts(inputs, choices) if counts is not None else [None] * len(gold)
    return [
        _chosen(item, found, count) for item, found, count in zip(gold, score(inputs, choices), tokens, strict=True)
    ]


def _chosen(item: GoldItem, found: Sequence[float], tokens: Sequence[int] | None) -> Prediction:
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
    said = choices[likelihoods.index(best)] if tied == 1 else ""
    return Prediction(item.id, said, metrics.grade(likelihoods, worths), item.answers, likelihoods, measures)


def _matched(predictor: Predictor, gold: Sequence[GoldItem], inputs: Sequence[str]) -> list[Prediction]:
    """Where likelihoods cannot be had: the answer is written, and the option it names is taken."""
    found: list[Prediction] = []
    for item, (said, *_) in zip(gold, predictor.predict(inputs), strict=True):
        place = option_named(said, item.choices or ())
        right = item.worths()[place] if place is not None else 0.0
        found.append(Prediction(item.id, said, right, item.answers, None, {"unmatched": float(place is None)}))
    return found


def option_named(said: str, choices: Sequence[str]) -> int | None:
    """The option that a written answer names: the whole of it, else the only one that stands in it; else None."""
    same = [number for number, choice in enumerate(choices) if metrics.exact(said, [choice])]
    if not same:
        same = [number for number, choice in enumerate(choices) if metrics.soft(said, [choice])]
        # An option inside a longer one that was named too is not what was meant.
        inner = {a for a in same for b in same if a != b and metrics.soft(choices[b], [choices[a]])}
        same = [number for number in same if number not in inner]
    return same[0] if len(same) == 1 else None


def _say(predictor: Predictor, gold: Sequence[GoldItem], inputs: Sequence[str], metric: str) -> list[Prediction]:
    said = [one[0] for one in predictor.predict(inputs)]
    return [_said(item, one, metric) for item, one in zip(gold, said, strict=True)]


def _said(item: GoldItem, said: str, metric: str) -> Prediction:
    measures = measures_of(item, said, metric)
    return Prediction(item.id, said, measures.pop(_MAIN.get(metric, metric)), item.answers, None, measures)


_MAIN = {"squad": "exact_match"}


def measures_of(item: GoldItem, said: str, metric: str) -> dict[str, float]:
    """One written answer under a metric and what is told beside it."""
    if metric == "accuracy":
        return {"accuracy": metrics.same_label(said, item.answers)}
    words = float(len(said.split()))
    if metric == "squad":
        found = {"exact_match": metrics.squad_exact(said, item.answers)}
    elif item.listed:
        found = {
            "exact_match": metrics.exact_list(said, item.listed),
            "soft_exact_match": metrics.soft_list(said, item.listed),
        }
    else:
        found = {
            "exact_match": metrics.exact(said, item.answers),
            "soft_exact_match": metrics.soft(said, item.answers),
        }
    return found | {"f1": metrics.f1(said, item.answers), "words": words}


def scores_of(
    gold: Sequence[GoldItem],
    predictions: Sequence[Prediction],
    metric: str,
    *,
    seed: int = 0,
    warnings: Sequence[str] = (),
) -> Scores:
    """Estimates with intervals from predictions in the order of their items."""
    name = _MAIN.get(metric, metric)
    estimates = {name: _mean([one.right for one in predictions], seed)}
    others = dict.fromkeys(key for one in predictions for key in one.measures)
    for key in others:
        if key not in ("words", "tied", "unmatched"):
            estimates[key] = _mean([one.measures.get(key, 0.0) for one in predictions], seed)
    beside: dict[str, float] = {}
    if metric == "multiple_choice_grade":
        chance, best = _chance(gold)
        estimates["normalized_aggregate_score"] = _normalized(estimates[name], chance, best)
        beside["chance"] = chance
    if metric == "accuracy":
        estimates["macro_f1"] = _macro_f1(gold, predictions, seed)
        beside["majority"] = max(Counter(metrics.plain(item.output) for item in gold).values()) / len(gold)
    if "words" in others:
        beside["words"] = sum(one.measures["words"] for one in predictions) / len(predictions)
        beside["gold_words"] = sum(len(item.output.split()) for item in gold) / len(gold)
    return Scores(name, estimates, predictions, beside, list(warnings))


def _mean(values: Sequence[float], seed: int) -> Estimate:
    return Estimate(sum(values) / len(values), *mean_interval(values, seed=seed), len(values))


def _chance(gold: Sequence[GoldItem]) -> tuple[float, float]:
    """Mean score of blind choice, item by item, and of the best one."""
    chances = [item.chance() or 0.0 for item in gold]
    best = [max(item.worths()) for item in gold]
    return sum(chances) / len(gold), sum(best) / len(gold)


def _normalized(raw: Estimate, chance: float, best: float) -> Estimate:
    """100 x (raw - chance) / (best - chance) (BIG-bench, arXiv 2206.04615, section 2.1); 100 where both are alike."""
    room = best - chance
    if room <= 0:
        return Estimate(100.0, 100.0, 100.0, raw.items)
    value, low, high = (100 * (one - chance) / room for one in raw[:3])
    return Estimate(value, low, high, raw.items)


def _macro_f1(gold: Sequence[GoldItem], predictions: Sequence[Prediction], seed: int) -> Estimate:
    import numpy as np

    right = [metrics.plain(item.output) for item in gold]
    said = [
        wanted if one.right == 1 else metrics.plain(one.said) for one, wanted in zip(predictions, right, strict=True)
    ]
    labels = {label: number for number, label in enumerate(dict.fromkeys(right))}
    wanted_at = np.array([labels[label] for label in right])
    said_at = np.array([labels.get(label, len(labels)) for label in said])

    def of(drawn: np.ndarray) -> float:
        wanted, told = wanted_at[drawn], said_at[drawn]
        both = np.bincount(wanted[wanted == told], minlength=len(labels))
        sizes = np.bincount(wanted, minlength=len(labels)) + np.bincount(told, minlength=len(labels) + 1)[:-1]
        there = np.bincount(wanted, minlength=len(labels)) > 0
        return float((2 * both[there] / sizes[there]).mean())

    low, high = bootstrap_of(of, len(gold), seed=seed)
    return Estimate(metrics.macro_f1(said, right), low, high, len(gold))


def warnings_of(predictor: Predictor, gold: Sequence[GoldItem], metric: str) -> list[str]:
    """What makes the numbers mean less than they seem, before any was read."""
    found: list[str] = []
    if len(gold) < _FEW:
        one = 100 / len(gold)
        least = "too few for any conclusion" if len(gold) < 20 else "only large differences can be told"
        found.append(f"{_items(len(gold))}: one is {one:.1f} points, {least}")
    labels = getattr(predictor, "labels", None)
    if labels and metric in ("accuracy", "multiple_choice_grade"):
        known = set(map(metrics.plain, labels))
        unseen = Counter(item.output for item in gold if not known & set(map(metrics.plain, item.answers)))
        if unseen:
            some = ", ".join(repr(label) for label, _ in unseen.most_common(3))
            found.append(f"{_items(unseen.total())} with labels the model never saw in training ({some}): never right")
    sizes = Counter(len(item.choices) for item in gold if item.choices)
    if metric == "multiple_choice_grade" and len(sizes) > 1:
        found.append(f"items have {min(sizes)} to {max(sizes)} choices: chance is worked out item by item")
    return found


def _told(predictions: Sequence[Prediction], metric: str) -> list[str]:
    """What the predictions show of themselves."""
    found: list[str] = []
    if tied := sum("tied" in one.measures for one in predictions):
        found.append(f"{_items(tied)} with several options equally likely to the model: they share the score")
    if any("unmatched" in one.measures for one in predictions):
        lost = sum(one.measures["unmatched"] == 1 for one in predictions)
        found.append(
            "the model gives no likelihoods: its written answers were matched with the options, and"
            f" {_items(lost)} matched none or several"
        )
    if metric != "multiple_choice_grade" and (empty := sum(not one.said.strip() for one in predictions)):
        found.append(f"{_items(empty)} with nothing said")
    return found


def _items(number: int) -> str:
    return f"{number:,} item" if number == 1 else f"{number:,} items"


def gold_items(rows: Sequence[Mapping[str, object]]) -> list[GoldItem]:
    """Items from rows with `input`, `output` and, where there are some, `choices`."""
    return [
        GoldItem(
            str(row.get("id", number)), str(row["input"]), (str(row["output"]),),
            tuple(map(str, choices)) if isinstance(choices := row.get("choices"), list | tuple) and choices else None,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
