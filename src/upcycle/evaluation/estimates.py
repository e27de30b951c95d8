"""From predictions to numbers: every metric's mean with its 95 % interval, and what to hold it against.

Chance is worked out item by item, since items may have different numbers of options, and the normalised aggregate is
BIG-bench's. The decision: soft exact match is never told without exact match, F1 and the length of what was said,
because it rewards whoever says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from upcycle.evaluation import metrics
from upcycle.evaluation.asked import Asked, counted
from upcycle.evaluation.gold import GoldItem
from upcycle.evaluation.intervals import bootstrap_of, mean_interval, wilson
from upcycle.evaluation.scores import Estimate, Prediction, Scores

MAIN = {"squad": "exact_match"}
"""The estimate that stands for a metric, where it has another name."""

_ALWAYS = 0.9  # share of the items from which one answer is a habit
_NOT_ALWAYS = 0.7  # share of the items up to which that answer is not simply the truth
_NO_ESTIMATE = ("words", "tied", "unmatched", "not_a_number")


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
    asked: Asked, predictions: Sequence[Prediction], *, seed: int = 0, warnings: Sequence[str] = ()
) -> Scores:
    """Estimates with intervals from the predictions of all items, in their order."""
    gold, metric = asked.items, asked.metric
    name = MAIN.get(metric, metric)
    estimates = {name: _mean([one.right for one in predictions], seed)}
    others = dict.fromkeys(key for one in predictions for key in one.measures)
    for key in others:
        if key not in _NO_ESTIMATE:
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
    chosen = _chosen(gold, predictions, metric)
    doubts = [*warnings, *_told(predictions, metric), *_always(chosen, gold, metric)]
    return Scores(name, estimates, predictions, beside, doubts, chosen)


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
    if low == high:
        # Nothing varies where all are right or all are wrong, which makes nothing certain.
        low, high = wilson(sum(one == wanted for one, wanted in zip(said, right, strict=True)), len(gold))
    return Estimate(metrics.macro_f1(said, right), low, high, len(gold))


def _chosen(gold: Sequence[GoldItem], predictions: Sequence[Prediction], metric: str) -> dict[str, int]:
    """How often each label was said, or the option of each place was chosen; the commonest first."""
    if metric == "accuracy":
        found = Counter(metrics.plain(one.said) for one in predictions)
    elif metric == "multiple_choice_grade":
        found = Counter(
            f"option {item.choices.index(one.said) + 1}"
            for item, one in zip(gold, predictions, strict=True)
            if item.choices and one.said in item.choices
        )
    else:
        return {}
    return dict(found.most_common())


def _always(chosen: Mapping[str, int], gold: Sequence[GoldItem], metric: str) -> list[str]:
    """A model that gives nearly every item one answer, or the option of one place, where that is not the truth."""
    if not chosen:
        return []
    said, times = next(iter(chosen.items()))
    if metric == "accuracy":
        true = sum(said in map(metrics.plain, item.answers) for item in gold)
    else:
        place = int(said.removeprefix("option ")) - 1
        true = sum(item.worths()[place] > 0 for item in gold if place < len(item.worths()))
    if times < _ALWAYS * len(gold) or true > _NOT_ALWAYS * len(gold):
        return []
    return [f"{said!r} is the answer to {times / len(gold):.0%} of the items, and right for {true / len(gold):.0%}"]


def _told(predictions: Sequence[Prediction], metric: str) -> list[str]:
    """What the predictions show of themselves."""
    found: list[str] = []
    if tied := sum("tied" in one.measures for one in predictions):
        found.append(f"{counted(tied)} with several options equally likely to the model: they share the score")
    if broken := sum("not_a_number" in one.measures for one in predictions):
        found.append(f"{counted(broken)} with an option whose likelihood is no number: the model's weights are damaged")
    if any("unmatched" in one.measures for one in predictions):
        lost = sum(one.measures.get("unmatched") == 1 for one in predictions)
        if metric == "multiple_choice_grade":
            found.append(
                "the model gives no likelihoods: its written answers were matched with the options, and"
                f" {counted(lost)} matched none or several"
            )
        elif lost:
            found.append(f"{counted(lost)} with an answer that names no label, or several: never right")
    if metric != "multiple_choice_grade" and (empty := sum(not one.said.strip() for one in predictions)):
        found.append(f"{counted(empty)} with nothing said")
    return found
