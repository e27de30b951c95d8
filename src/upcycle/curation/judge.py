"""The judge: a model reads examples against a rubric and says which are right.

In: examples and the task. Out: `Judged`, with an estimate of how many of all examples are right, its interval, and a
verdict for each example that was read. Several examples travel in one call. The decision: the estimate is of a drawn
sample with Wilson's interval and says nothing of the judge's own mistakes; `trust` measures those on examples whose
outputs are known, by showing half of them with another one's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from upcycle.curation.asking import BATCH, asked_together, prompt, task_text
from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.evaluation.intervals import wilson
from upcycle.llm.model import Model, Request
from upcycle.records import Example, Verdict
from upcycle.task import Task

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "right": {"type": "boolean"},
        "fault": {"type": "string", "enum": ["none", "input", "output", "form"]},
        "why": {"type": "string"},
    },
    "required": ["right", "fault", "why"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said.

    Attributes:
        read: examples that were judged.
        right: those of them that are right.
        unread: examples that were drawn but not judged; id to the reason.
        low, high: 95 % Wilson interval of the share of right examples among all.
        verdicts: id to verdict, of each example that was judged.
    """

    read: int
    right: int
    unread: Mapping[str, str]
    low: float
    high: float
    verdicts: Mapping[str, Verdict]
    model: str
    calls: int
    tokens: int
    cost_micro: int

    @property
    def accuracy(self) -> float | None:
        """Share of right examples in the sample; None where nothing could be read."""
        return self.right / self.read if self.read else None

    def check(self) -> Check:
        """Drops what was judged not to be right; what was not judged passes."""
        return lambda example: self.verdicts.get(example.id, KEEP)

    def facts(self) -> dict[str, object]:
        """The estimate as plain values for JSON."""
        return {
            "model": self.model,
            "read": self.read,
            "right": self.right,
            "unread": len(self.unread),
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "calls": self.calls,
            "tokens": self.tokens,
            "usd": self.cost_micro / 1e6,
        }

    def __str__(self) -> str:
        if not self.read:
            return f"{self.model} judged none of {len(self.unread)} examples"
        told = f"{self.accuracy:.0%} right ({self.low:.0%} to {self.high:.0%})"
        return f"{told} of {self.read} judged by {self.model}" + (f", {len(self.unread)} unread" if self.unread else "")


async def judge(
    examples: Sequence[Example],
    task: Task,
    model: Model,
    *,
    share: float = 1.0,
    expanded: str = "",
    batch: int = BATCH,
    at_once: int = 16,
    seed: int = 0,
) -> Judged:
    """Have a model judge a drawn share of the examples.

    Args:
        share: how many of the examples are read, above 0, up to 1; at least one.
        expanded: what a model wrote about the task, where one did.
        batch: examples in one call.

    Raises:
        ProviderError, BudgetExceededError: the judging stops; what was paid for is in the journal.
    """
    drawn = list(examples)
    if share < 1 and drawn:
        drawn = Random(seed).sample(drawn, max(1, round(share * len(drawn))))
    about = task_text(task, expanded)

    def request(asked: Sequence[tuple[str, Example]]) -> Request:
        text = prompt("judge", task=about, examples=asked, outputs=True)
        room = 120 * len(asked) + 100
        return Request(({"role": "user", "content": text},), stage="judge", max_tokens=room, schema=_SCHEMA)

    verdicts: dict[str, Verdict] = {}
    unread: dict[str, str] = {}
    calls: set[str] = set()
    tokens = cost = 0
    async for example, answer in asked_together(drawn, model, request, batch=batch, at_once=at_once):
        calls.update(filter(None, answer.calls))
        tokens, cost = tokens + answer.tokens, cost + answer.cost_micro
        if answer.error is not None:
            unread[example.id] = str(answer.error)
        else:
            verdicts[example.id] = _verdict(answer.value)
    right = sum(verdict.keep for verdict in verdicts.values())
    low, high = wilson(right, len(verdicts))
    ordered = {example.id: verdicts[example.id] for example in drawn if example.id in verdicts}
    return Judged(len(verdicts), right, unread, low, high, ordered, model.name, len(calls), tokens, cost)


async def trust(known: Sequence[Example], task: Task, model: Model, *, seed: int = 0, batch: int = BATCH) -> Judged:
    """How often a judge is right itself, on examples whose outputs are known to be right.

    Half of them are shown with the output of another one, and the judge should find out which. `right` counts its
    right answers. Examples whose outputs are all the same cannot tell.
    """
    order = list(known)
    Random(seed).shuffle(order)
    shown: list[Example] = []
    for number, example in enumerate(order):
        others = [other.output for other in order if other.output != example.output]
        if example.choices:
            others = [option for option in example.choices if option != example.output]
        false = number % 2 == 1 and bool(others)
        shown.append(replace(example, output=Random(f"{seed}/{example.id}").choice(others)) if false else example)
    judged = await judge(shown, task, model, batch=batch, seed=seed)
    truths = {example.id: example.output == other.output for example, other in zip(shown, order, strict=True)}
    right = sum(verdict.keep == truths[key] for key, verdict in judged.verdicts.items())
    low, high = wilson(right, judged.read)
    return replace(judged, right=right, low=low, high=high)


def _verdict(value: Mapping[str, Any]) -> Verdict:
    if value["right"]:
        return KEEP
    fault = {"none": "it", "form": "the form of its output"}.get(value["fault"], f"its {value['fault']}")
    why = " ".join(value["why"].split())[:200] or "no reason given"
    return Verdict(keep=False, kind=RowKind.JUDGED, reason=f"{fault} is not right: {why}")
