"""What models see and are taught: a grounded example as the input and output of the dataset.

Open book, the input is a line "Context: ..." and a line "Question: ..."; closed book, the question alone. Taught is the
answer, or the chain and then "Answer: ...", as the paper trains on both (arXiv 2409.08239, section 3.4). The dataset
itself always keeps them apart: output is the answer, rationale the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from upcycle.config import Source2Synth
from upcycle.methods.source2synth.application import Application, Grounded
from upcycle.records import Example
from upcycle.training.chains import taught_of as with_chain
from upcycle.training.kinds import kind_of


def asked(grounded: Grounded, settings: Source2Synth) -> str:
    """The input of an example."""
    if settings.book == "closed" or not grounded.context:
        return grounded.question
    return f"Context: {grounded.context}\nQuestion: {grounded.question}"


def taught(grounded: Grounded, settings: Source2Synth) -> str:
    """What a model is to say to it."""
    return taught_of(grounded.answer, grounded.rationale, settings)


def taught_of(answer: str, rationale: str | None, settings: Source2Synth) -> str:
    """What a model is to say, of an answer and the chain before it."""
    return answer if settings.teach == "answer" else with_chain(answer, rationale)


def example_of(grounded: Grounded, settings: Source2Synth, *, slice_: int) -> Example:
    """The row of the dataset; its origin says which slice it came from."""
    origin = replace(grounded.origin, split=f"slice {slice_}")
    return Example(grounded.id, asked(grounded, settings), grounded.answer, origin, grounded.rationale)


class Lessons(NamedTuple):
    """What the intermediate model is taught.

    Attributes:
        questions: each question of slice 0 with what is to be said to it.
        blanks: how a blanked part is written, where parts are imputed and the answers are free text: a student that
            chooses a label or a span cannot write.
    """

    questions: Sequence[Example]
    blanks: Sequence[Example]


def lessons_of(examples: Sequence[Grounded], settings: Source2Synth, application: Application) -> Lessons:
    """The lessons of slice 0."""
    questions = [Example(one.id, asked(one, settings), taught(one, settings), one.origin) for one in examples]
    blanks: list[Example] = []
    if settings.impute != "off" and kind_of(questions) == "text":
        found = ((one, application.blank(one)) for one in examples)
        blanks = [Example(f"{one.id}-blank", blank.prompt, blank.part, one.origin) for one, blank in found if blank]
    return Lessons(questions, blanks)
