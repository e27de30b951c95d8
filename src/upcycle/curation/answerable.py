"""Answerable: keeps an example only if a model, shown the input alone, comes to the output within k tries.

Source2Synth's filter with any model in the place of a trained one. It removes wrong and underdetermined rows, and also
the rows that are merely too hard for the model asked, so it makes a set easier. Outputs are compared as the contract
says: numbers by value, labels and options after folding case and spaces, text by containment in either direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upcycle.contract import Contract, Kind, is_number
from upcycle.curation.asking import BATCH, asked_together, prompt, task_text
from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.llm.model import Model, Request
from upcycle.records import Example, Verdict
from upcycle.task import Task

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": ["string", "number", "boolean"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
_TEMPERATURE = 0.7  # of the second try on: the first is the model's best


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model answered.

    Attributes:
        tries: id to the try that came to the output, counted from 1; 0 where none did.
        answers: id to the last answer given, where it was not the output.
        unread: id to the reason, where no answer could be read.
    """

    tries: Mapping[str, int]
    answers: Mapping[str, str]
    unread: Mapping[str, str]
    model: str
    calls: int
    tokens: int
    cost_micro: int

    def check(self) -> Check:
        """Drops what was not answered; what could not be asked passes."""

        def check(example: Example) -> Verdict:
            if self.tries.get(example.id, 1):
                return KEEP
            said = self.answers.get(example.id, "")[:80]
            reason = f"{self.model} did not come to its output; it last said {said!r}"
            return Verdict(keep=False, kind=RowKind.UNANSWERED, reason=reason)

        return check

    def facts(self) -> dict[str, object]:
        """Counts as plain values for JSON."""
        return {
            "model": self.model,
            "asked": len(self.tries) + len(self.unread),
            "answered": sum(map(bool, self.tries.values())),
            "at_once": sum(number == 1 for number in self.tries.values()),
            "unread": len(self.unread),
            "calls": self.calls,
            "tokens": self.tokens,
            "usd": self.cost_micro / 1e6,
        }


async def answerable(
    examples: Sequence[Example], task: Task, model: Model, *, tries: int = 3, batch: int = BATCH, at_once: int = 16
) -> Answered:
    """Ask a model for the output of every example, up to `tries` times.

    Raises:
        ProviderError, BudgetExceededError: the asking stops; what was paid for is in the journal.
    """
    about = task_text(task)
    found = {example.id: 0 for example in examples}
    answers: dict[str, str] = {}
    unread: dict[str, str] = {}
    calls: set[str] = set()
    tokens = cost = 0
    for number in range(1, tries + 1):
        left = [example for example in examples if not found.get(example.id, 1)]

        def request(asked: Sequence[tuple[str, Example]], number: int = number) -> Request:
            text = prompt("answer", task=about, examples=asked, outputs=False)
            room = sum(min(600, 100 + 2 * len(example.output)) for _, example in asked) + 100
            heat = 0.0 if number == 1 else _TEMPERATURE
            return Request(
                ({"role": "user", "content": text},), "answer", room, heat, _SCHEMA, sample=number - 1
            )  # fmt: skip

        async for example, answer in asked_together(left, model, request, batch=batch, at_once=at_once):
            calls.update(filter(None, answer.calls))
            tokens, cost = tokens + answer.tokens, cost + answer.cost_micro
            if answer.error is not None:
                unread[example.id] = str(answer.error)
                continue
            unread.pop(example.id, None)
            said = str(answer.value["answer"])
            if same(said, example.output, task.contract):
                found[example.id] = number
            else:
                answers[example.id] = said
    missing = {key for key in unread if not found[key] and key not in answers}
    tried = {key: number for key, number in found.items() if key not in missing}
    lost = {key: why for key, why in unread.items() if key in missing}
    return Answered(tried, answers, lost, model.name, len(calls), tokens, cost)


def same(said: str, output: str, contract: Contract) -> bool:
    """Whether an answer is the output, as the contract compares them."""
    said, output = said.strip(), output.strip()
    if is_number(said) and is_number(output):
        return _value(said) == _value(output)
    one, other = " ".join(said.casefold().split()), " ".join(output.casefold().split())
    if one.rstrip(".") == other.rstrip("."):
        return True
    return contract.kind in (Kind.TEXT, Kind.SPAN) and bool(one and other) and (other in one or one in other)


def _value(text: str) -> float:
    percent = text.endswith("%")
    return float(text.rstrip("%").replace(",", "")) / (100 if percent else 1)
