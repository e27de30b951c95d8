"""A served or embedded language model as the student: what it learns from are the examples it is shown.

In: examples. Out: what the model says of each gold row when it is shown the examples most like it. The decision: it
stands where a trained student stands and is "retrained" by what is there to be shown, so rounds, gate and report are
the same; its answers are calls like any other, in the journal and under the budget. A model that can score text is
asked which label is likeliest, since a small one tells that better than it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from upcycle.contract import listed_options, with_options
from upcycle.errors import ProviderError, RowError
from upcycle.evaluation.gold import GoldItem, PromptForm
from upcycle.llm.model import Message, Model, Request, Scoring, in_process
from upcycle.methods.prompts import cut
from upcycle.records import Example
from upcycle.run import Run
from upcycle.task import Task

STAGE = "s3-student"
_LEAST_TOKENS = 48
_MOST_TOKENS = 512
_UNANSWERED = 0.1
"""Share of the gold rows from which on an exam with so many unanswered says nothing."""


class _Room(NamedTuple):
    """How much is shown: examples, characters of each, and characters of the row that is asked of."""

    examples: int
    chars: int
    asked: int


_SERVED = _Room(8, 1500, 12_000)
_EMBEDDED = _Room(4, 300, 1200)  # every token it reads is the user's own time


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
    run: Run
    labels: tuple[str, ...] | None = None
    at_once: int = 32

    async def learn(
        self, examples: Sequence[Example], items: Sequence[GoldItem], *, seed: int
    ) -> list[tuple[str, str, float, float]]:
        """(id, said, right, near) of every item, each asked with the examples most like it.

        Raises:
            ProviderError: the model left more than a tenth of the items unanswered, or its server refused for good.
            BudgetExceededError, DiskError: the run stops.
        """
        gate = asyncio.Semaphore(self.at_once)
        nearest = _nearest(examples, [item.input for item in items], self._room.examples)
        failed: list[RowError] = []

        async def ask(item: GoldItem, shown: Sequence[Example]) -> str:
            async with gate:
                try:
                    return await self._said(item, shown)
                except RowError as error:
                    failed.append(error)
                    return ""

        said = await asyncio.gather(*(ask(item, shown) for item, shown in zip(items, nearest, strict=True)))
        if failed:
            self._tell_of(failed, len(items))
        scores = self.evaluate(
            _Said({item.input: text for item, text in zip(items, said, strict=True)}), items, self.metric, seed=seed
        )
        return [(one.id, one.said, float(one.right), float(one.measures.get("f1", one.right))) for one in scores.items]

    @property
    def _room(self) -> _Room:
        return _EMBEDDED if in_process(self.model) else _SERVED

    def _tell_of(self, failed: Sequence[RowError], items: int) -> None:
        told = f"{self.model.name}, the student, did not answer {len(failed)} of {items} gold rows ({failed[-1]})"
        if len(failed) > _UNANSWERED * items:
            raise ProviderError(f"{told}; run again to ask them anew")
        self.run.tell("s3", "warning", text=f"{told}; they count as wrong")

    async def _said(self, item: GoldItem, shown: Sequence[Example]) -> str:
        choices = self.labels or item.choices
        if choices and isinstance(self.model, Scoring):
            likely = await self.model.score(self._prompt(item, shown), list(choices))
            return choices[max(range(len(choices)), key=likely.__getitem__)]
        said = (await self.model.complete(self._request(item, shown))).text.strip()
        return self._named(said)

    def _prompt(self, item: GoldItem, shown: Sequence[Example]) -> str:
        pairs = [(cut(example.input, self._room.chars), example.output) for example in shown]
        form = PromptForm(prefix=f"{self.task.instruction}\n\n")
        return form.asked(cut(item.input, self._room.asked), pairs)

    def _request(self, item: GoldItem, shown: Sequence[Example]) -> Request:
        rule = "Answer with the output alone, as in the examples, without any explanation."
        if self.labels:
            rule = f"Answer with one of these, and nothing else: {', '.join(self.labels)}."
        messages: list[Message] = [{"role": "system", "content": f"{self.task.instruction}\n\n{rule}"}]
        for example in shown:
            messages.append({"role": "user", "content": cut(example.input, self._room.chars)})
            messages.append({"role": "assistant", "content": example.output})
        text = cut(item.input, self._room.asked)
        if item.choices and not all(choice in text for choice in item.choices) and not listed_options(text):
            text = with_options(text, item.choices)
        messages.append({"role": "user", "content": text})
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


def _nearest(examples: Sequence[Example], inputs: Sequence[str], count: int) -> list[list[Example]]:
    """For each input the examples with most words in common (cosine of TF-IDF), the nearest last."""
    import numpy as np

    from upcycle.training.shallow.tfidf import Vocabulary

    vocabulary, known = Vocabulary.of([example.input for example in examples], longest=1)
    asked = vocabulary.rows(inputs)
    found = []
    for number in range(len(inputs)):
        mine = asked.rows == number
        wanted = np.zeros(asked.shape[1])
        wanted[asked.columns[mine]] = asked.weights[mine]
        best = np.argsort(-known.times(wanted), kind="stable")[:count]
        found.append([examples[place] for place in best[::-1].tolist()])
    return found
