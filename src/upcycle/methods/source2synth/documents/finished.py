"""A chain of hops as an example: question, context, answer and rationale, and what imputation and judging need of it.

The order of the documents in the context is drawn, so that it tells nothing of where the answer stands.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upcycle.methods.source2synth.application import Grounded, Writer
from upcycle.methods.source2synth.documents.checks import Hop
from upcycle.methods.source2synth.matching import soft_match
from upcycle.sources.documents import occurs
from upcycle.training.chains import answer_of


@dataclass(frozen=True, slots=True)
class Finished:
    """A question that passed every check.

    Attributes:
        hops: its steps in order; of a comparison, the two facts.
        chosen, other: of a comparison, the answer and what it was compared with.
    """

    kind: str
    question: str
    hops: list[Hop]
    chosen: str | None = None
    other: str | None = None

    @property
    def answer(self) -> str:
        return self.chosen or self.hops[-1].answer

    def is_answer(self, said: str) -> bool:
        """Whether this comes to the answer; of two things compared, the other must not be named beside it."""
        return is_answer(said, self.answer, self.other)


def is_answer(said: str, answer: str, other: str | None) -> bool:
    """Whether a reply comes to the answer, and of a comparison does not name both."""
    return soft_match(said, answer) and not (other and occurs(other, answer_of(said)))


def finished(writer: Writer, made: Finished) -> Grounded:
    """The example."""
    hops = made.hops
    steps = "\n".join(f"{hop.question} {_stopped(hop.answer)}" for hop in hops)
    if made.chosen is not None:
        steps += f"\nSo it is {_stopped(made.chosen)}"
    texts = [f"{hop.title}: {hop.passage}" for hop in hops]
    # A comparison that two documents lead to must come out the same from both, so as to be kept once.
    (random.Random(made.question) if made.chosen is not None else writer.rng).shuffle(texts)
    details: dict[str, Any] = {
        "hops": [plain(hop) for hop in hops],
        "document_one": f"Title: {hops[0].title}\n{hops[0].passage}",
        "other": made.other,
    }  # fmt: skip
    return writer.grounded(
        made.question,
        made.answer,
        context="\n\n".join(texts),
        rationale=steps,
        kind=made.kind,
        units=[hop.document for hop in hops],
        details=details,
    )


def plain(hop: Hop) -> dict[str, Any]:
    """A hop as JSON values, without its passage."""
    return {
        "question": hop.question, "answer": hop.answer, "document": hop.document, "title": hop.title,
        "names": list(hop.names),
    }  # fmt: skip


def hop_of(value: Mapping[str, Any]) -> Hop:
    """A hop out of JSON values; its passage is not among them."""
    names = tuple(value["names"])
    return Hop(value["question"], value["answer"], value["document"], value["title"], "", names)


def _stopped(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
