"""What models see and are taught: a grounded example as the input and output of the dataset.

Open book, the input is a line "Context: ..." and a line "Question: ..."; closed book, the question alone. Taught is the
answer, or the chain and then "Answer: ...", as the paper trains on both (arXiv 2409.08239, section 3.4). The dataset
itself always keeps them apart: output is the answer, rationale the chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upcycle.config import Source2Synth
from upcycle.methods.source2synth.application import Application, Grounded
from upcycle.methods.source2synth.matching import ANSWER_MARK
from upcycle.records import Example


def asked(grounded: Grounded, settings: Source2Synth) -> str:
    """The input of an example."""
    if settings.book == "closed" or not grounded.context:
        return grounded.question
    return f"Context: {grounded.context}\nQuestion: {grounded.question}"


def taught(grounded: Grounded, settings: Source2Synth) -> str:
    """What a model is to say to it."""
    if settings.teach == "answer":
        return grounded.answer
    chain = f"{grounded.rationale}\n" if grounded.rationale else ""
    return f"{chain}{ANSWER_MARK} {grounded.answer}"


def example_of(grounded: Grounded, settings: Source2Synth, *, slice_: int) -> Example:
    """The row of the dataset; its origin says which slice it came from."""
    origin = replace(grounded.origin, split=f"slice {slice_}")
    return Example(grounded.id, asked(grounded, settings), grounded.answer, origin, grounded.rationale)


def lessons_of(examples: Iterable[Grounded], settings: Source2Synth, application: Application) -> list[Example]:
    """What the intermediate model is trained on: each question, and where parts are imputed how one is written."""
    lessons: list[Example] = []
    for one in examples:
        lessons.append(Example(one.id, asked(one, settings), taught(one, settings), one.origin))
        blank = application.blank(one) if settings.impute != "off" and settings.teach == "chain" else None
        if blank is not None:
            lessons.append(Example(f"{one.id}-blank", blank.prompt, blank.part, one.origin))
    return lessons
