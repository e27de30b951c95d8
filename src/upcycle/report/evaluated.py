"""What an evaluation leaves behind: `evaluation.json`, `predictions.jsonl`, and the table people read.

In: `Scores`, and where there is another model what it said of the same items. The decision: a number is never shown
without its interval, nor a difference without the words whether it is significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

import upcycle
from upcycle.errors import ConfigError
from upcycle.evaluation.asked import counted
from upcycle.evaluation.scores import Compared, Estimate, Prediction, Scores
from upcycle.run import write_text

FACTS = "evaluation.json"
PREDICTIONS = "predictions.jsonl"

_POINTS = {"normalized_aggregate_score"}
_NAMES = {
    "per_character": "... per character",
    "per_token": "... per token",
    "normalized_aggregate_score": "normalised (0 is chance)",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model held against one gold.

    Attributes:
        path: the folder with `evaluation.json` and `predictions.jsonl`.
        shots: demonstrations before each item.
        against: the other model, and what the comparison found; None without one.
        left_out: why gold rows could not be scored, and how many for each reason.
    """

    path: str
    model: str
    gold: str
    read_as: str
    scores: Scores
    shots: int = 0
    against: tuple[str, Compared] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def facts(self) -> dict[str, Any]:
        """Everything but the predictions as plain values, for `--json` and `evaluation.json`."""
        found: dict[str, Any] = {
            "upcycle": upcycle.__version__,
            "path": self.path,
            "model": self.model,
            "gold": self.gold,
            "read_as": self.read_as,
            "shots": self.shots,
            **self.scores.as_json(),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }
        if self.against is not None:
            found["against"] = {"model": self.against[0], **self.against[1].as_json()}
        return found

    def __str__(self) -> str:
        shown = f", {self.shots} demonstration{'s' * (self.shots > 1)} before each" if self.shots else ""
        lines = [f"{self.model} on {self.gold}: {self.scores.main.items:,} items{shown}"]
        width = max(len(_NAMES.get(name, name)) for name in self.scores.estimates)
        for name, one in self.scores.estimates.items():
            lines.append(f"  {_NAMES.get(name, name):<{width}}  {_shown(name, one)}{self._beside(name)}")
        if "words" in self.scores.beside:
            words, gold = self.scores.beside["words"], self.scores.beside["gold_words"]
            lines.append(f"  {'words':<{width}}  {words:5.1f}    gold has {gold:.1f}")
        if self.against is not None:
            lines += _compared(*self.against)
        left = [f"rows left out: {count:,} {reason}" for reason, count in self.left_out.items()]
        lines += [f"  note: {text}" for text in (*self.notes, *left, *self.scores.warnings)]
        return "\n".join(lines)

    __repr__ = __str__

    def _beside(self, name: str) -> str:
        if name == self.scores.metric:
            for other in ("chance", "majority"):
                if other in self.scores.beside:
                    return f"    {other} {100 * self.scores.beside[other]:.1f} %"
        return ""


def _shown(name: str, one: Estimate) -> str:
    if name in _POINTS:
        return f"{one.value:5.1f}    {one.low:.1f} to {one.high:.1f}"
    return f"{100 * one.value:5.1f} %  {100 * one.low:.1f} to {100 * one.high:.1f}"


def _compared(name: str, found: Compared) -> list[str]:
    value, low, high, p = found.difference
    told = f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}), {_p(p)} by the paired bootstrap"
    lines = [f"  against {name} on {found.items:,} shared items: {told}"]
    significant = found.difference.significant
    if found.disagreement is not None:
        only_this, only_other, exact = found.disagreement
        significant = significant and exact < 0.05
        lines.append(f"    only this one is right on {only_this:,}, only the other on {only_other:,};"
                     f" {_p(exact)} by McNemar's test")  # fmt: skip
    lines.append(f"    {'significant' if significant else 'not significant'} at 95 %")
    if found.left_out:
        items = counted(found.left_out)
        lines.append(
            f"    {items} that only one of them was asked {'is' if found.left_out == 1 else 'are'} not compared"
        )
    return lines


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def claim(path: Path) -> None:
    """Make `path` a folder that an evaluation may be written into.

    Raises:
        ConfigError: it is a file, or holds something else; nothing was changed.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; give a folder with -o")
    known = (path / FACTS).is_file() or (path / "run.db").is_file()
    if path.is_dir() and any(path.iterdir()) and not known:
        raise ConfigError(f"{path} exists and was not written by `upcycle evaluate`; give another folder with -o")


def write_evaluation(found: Evaluation) -> None:
    """Write the predictions, then the facts: their presence means that both are whole."""
    write_predictions(Path(found.path), found.scores.items)
    text = orjson.dumps(found.facts(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    write_text(Path(found.path) / FACTS, text + "\n")


def write_predictions(folder: Path, items: Sequence[Prediction]) -> None:
    """Write one line an item."""
    lines = b"\n".join(orjson.dumps(one.as_json()) for one in items)
    write_text(folder / PREDICTIONS, lines.decode() + "\n")
