"""A served or embedded language model as the student: what it learns from are the examples it is shown.

In: examples. Out: what the model says of each gold row when it is shown the examples most like it. The decision: it
stands where a trained student stands and is "retrained" by what is there to be shown, so rounds, gate and report are
the same; its answers are calls like any other, in the journal and under the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from upcycle.errors import ProviderError, RowError
from upcycle.evaluation.gold import GoldItem
from upcycle.llm.model import Message, Model, Request
from upcycle.methods.prompts import cut
from upcycle.records import Example
from upcycle.task import Task

STAGE = "s3-student"
_SHOWN = 8
_CHARS = 1500
_LEAST_TOKENS = 48
_MOST_TOKENS = 512


@dataclass(frozen=True)
class ShownModel:
    """The student.

    Attributes:
        labels: what it may say, where that is a closed set.
        at_once: most calls under way.
    """

    task: Task
    model: Model
    evaluate: Callable[..., Any]
    metric: str
    labels: tuple[str, ...] | None = None
    at_once: int = 32

    async def learn(
        self, examples: Sequence[Example], items: Sequence[GoldItem], *, seed: int
    ) -> list[tuple[str, str, float, float]]:
        """(id, said, right, near) of every item, each asked with the examples most like it.

        Raises:
            ProviderError: the model answered not one item, or its server refused for good.
            BudgetExceededError, DiskError: the run stops.
        """
        gate = asyncio.Semaphore(self.at_once)
        nearest = _nearest(examples, [item.input for item in items])
        failed: list[RowError] = []

        async def ask(item: GoldItem, shown: Sequence[Example]) -> str:
            async with gate:
                try:
                    return (await self.model.complete(self._request(item, shown))).text.strip()
                except RowError as error:
                    failed.append(error)
                    return ""

        said = await asyncio.gather(*(ask(item, shown) for item, shown in zip(items, nearest, strict=True)))
        if failed and len(failed) == len(items):
            raise ProviderError(f"{self.model.name}, the student, answered none of {len(items)} items: {failed[-1]}")
        known = {item.input: self._named(text) for item, text in zip(items, said, strict=True)}
        scores = self.evaluate(_Said(known), items, self.metric, seed=seed)
        return [(one.id, one.said, float(one.right), float(one.measures.get("f1", one.right))) for one in scores.items]

    def _request(self, item: GoldItem, shown: Sequence[Example]) -> Request:
        rule = "Answer with the output alone, as in the examples, without any explanation."
        if self.labels:
            rule = f"Answer with one of these, and nothing else: {', '.join(self.labels)}."
        messages: list[Message] = [{"role": "system", "content": f"{self.task.instruction}\n\n{rule}"}]
        for example in shown:
            messages.append({"role": "user", "content": cut(example.input, _CHARS)})
            messages.append({"role": "assistant", "content": example.output})
        messages.append({"role": "user", "content": item.input})
        longest = max((len(example.output) for example in shown), default=0)
        tokens = min(_MOST_TOKENS, max(_LEAST_TOKENS, longest))
        return Request(tuple(messages), STAGE, max_tokens=tokens)

    def _named(self, said: str) -> str:
        """The label that an answer names; the answer as it is where outputs are no labels, or it names none or two."""
        if not self.labels:
            return said
        from upcycle.evaluation.evaluate import option_named

        place = option_named(said, self.labels)
        return said if place is None else self.labels[place]


class _Said:
    """Says again what was said: what `evaluate` scores."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        return [[self._known[text]] * samples for text in inputs]


def _nearest(examples: Sequence[Example], inputs: Sequence[str]) -> list[list[Example]]:
    """For each input the examples with most words in common (cosine of TF-IDF), the nearest last."""
    import numpy as np

    from upcycle.training.tfidf import Vocabulary

    vocabulary, known = Vocabulary.of([example.input for example in examples], longest=1)
    asked = vocabulary.rows(inputs)
    found = []
    for number in range(len(inputs)):
        mine = asked.rows == number
        wanted = np.zeros(asked.shape[1])
        wanted[asked.columns[mine]] = asked.weights[mine]
        best = np.argsort(-known.times(wanted), kind="stable")[:_SHOWN]
        found.append([examples[place] for place in best[::-1].tolist()])
    return found
