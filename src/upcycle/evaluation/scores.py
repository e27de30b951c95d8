"""What an evaluation found: estimates with their intervals, what to hold them against, and every item's prediction.

Written as `evaluation.json` and `predictions.jsonl` (one line an item), so that another model can be held against the
same items later without running this one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from upcycle.errors import ConfigError
from upcycle.evaluation.intervals import Difference, Disagreement, mcnemar, paired_bootstrap


class Estimate(NamedTuple):
    """A number read on `items` items and the 95 % interval it stands in."""

    value: float
    low: float
    high: float
    items: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said of one item.

    Attributes:
        right: the item's score under the main metric, 0 to 1.
        likelihoods: natural log-likelihood of each option, where it chose by them.
        measures: the item's value under every other metric.
    """

    id: str
    said: str
    right: float
    answers: tuple[str, ...] = ()
    likelihoods: tuple[float, ...] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"id": self.id, "said": self.said, "right": self.right, "answers": list(self.answers)}
        if self.likelihoods is not None:
            found["likelihoods"] = list(self.likelihoods)
        return found | ({"measures": dict(self.measures)} if self.measures else {})


@dataclass(frozen=True, slots=True)
class Scores:
    """The result of one evaluation.

    Attributes:
        metric: the main metric, a name in `estimates`.
        estimates: name to estimate; shares between 0 and 1, but `normalized_aggregate_score` in points up to 100.
        beside: what to hold them against: `chance` and `majority` of the same items, `words` of what was said.
        items: one prediction an item, in the order of the gold.
        warnings: what whoever reads the numbers must know, a sentence each.
        chosen: how often each label was said, or the option of each place was chosen; empty where answers are free.
    """

    metric: str
    estimates: Mapping[str, Estimate]
    items: Sequence[Prediction]
    beside: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    chosen: Mapping[str, int] = field(default_factory=dict)

    @property
    def main(self) -> Estimate:
        """The main metric's estimate."""
        return self.estimates[self.metric]

    def as_json(self) -> dict[str, Any]:
        """Everything but the predictions; intervals stand under the same name with `_ci`."""
        found: dict[str, Any] = {"metric": self.metric, "items": self.main.items}
        for name, one in self.estimates.items():
            found |= {name: one.value, f"{name}_ci": [one.low, one.high]}
        return found | {"beside": dict(self.beside), "chosen": dict(self.chosen), "warnings": list(self.warnings)}


class Compared(NamedTuple):
    """Two models on the items both have.

    Attributes:
        items: how many.
        difference: of the main score, this model minus the other, by the paired bootstrap.
        disagreement: McNemar's test; None where scores are not right or wrong.
        left_out: items that only one of them has.
    """

    items: int
    difference: Difference
    disagreement: Disagreement | None
    left_out: int

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "items": self.items,
            "left_out": self.left_out,
            "difference": self.difference.value,
            "difference_ci": [self.difference.low, self.difference.high],
            "p_bootstrap": self.difference.p,
        }
        if self.disagreement is not None:
            only_this, only_other, p = self.disagreement
            found |= {"only_this": only_this, "only_other": only_other, "p_mcnemar": p}
        return found


def compared(these: Sequence[Prediction], others: Sequence[Prediction], *, seed: int = 0) -> Compared:
    """Hold one model's predictions against another's, item by item.

    Raises:
        ConfigError: no item is in both, or an item has other answers in the other file: it is another gold.
    """
    known = {one.id: one for one in others}
    pairs = [(one, known[one.id]) for one in these if one.id in known]
    if not pairs:
        raise ConfigError("the two sets of predictions share no item, so they cannot be compared; use the same gold")
    for one, other in pairs:
        if one.answers and other.answers and set(one.answers) != set(other.answers):
            raise ConfigError(
                f"item {one.id} has the answer {one.answers[0]!r} here and {other.answers[0]!r} in the other"
                " predictions; both must be of the same gold"
            )
    first, second = [one.right for one, _ in pairs], [other.right for _, other in pairs]
    exact = all(value in (0, 1) for value in (*first, *second))
    return Compared(
        len(pairs),
        paired_bootstrap(first, second, seed=seed),
        mcnemar(first, second) if exact else None,
        len(these) + len(others) - 2 * len(pairs),
    )


def read_predictions(path: Path) -> list[Prediction]:
    """Predictions that an evaluation wrote.

    Raises:
        ConfigError: no such file, or something else in it; named with its line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"predictions: {path} cannot be read ({error.strerror})") from None
    found: list[Prediction] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            likelihoods = row.get("likelihoods")
            found.append(
                Prediction(
                    str(row["id"]), str(row["said"]), float(row["right"]), tuple(map(str, row.get("answers") or ())),
                    None if likelihoods is None else tuple(map(_likelihood, likelihoods)),
                    row.get("measures") or {},
                )
            )  # fmt: skip
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise ConfigError(
                f"{path} line {number} is no prediction; give a predictions.jsonl that `upcycle evaluate` wrote"
            ) from None
    if not found:
        raise ConfigError(f"{path} holds no predictions; give a predictions.jsonl that `upcycle evaluate` wrote")
    return found


def _likelihood(value: float | None) -> float:
    # JSON has no infinity: what is impossible was written as null.
    return -float("inf") if value is None else float(value)
