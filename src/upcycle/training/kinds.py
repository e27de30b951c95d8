"""Which kind of student a set of examples asks for: labels, spans of a context, or text.

Decided by the examples alone, so that the same dataset always trains the same way; `training.kind` overrules it.
"""

from __future__ import annotations

from collections.abc import Sequence

from upcycle.parts import label_counts, parts_of
from upcycle.records import Example

CONTEXT, QUESTION = "Context", "Question"
_MOST = 0.9  # share of the rows that must be so; the rest are counted and left out
_SAMPLE = 500


def kind_of(examples: Sequence[Example]) -> str:
    """`span` where outputs are cut from a context, `label` where they are few and repeat, else `text`."""
    some = examples[:: max(1, len(examples) // _SAMPLE)]
    spans = sum(is_span(example.input, example.output) for example in some)
    if some and spans >= _MOST * len(some):
        return "span"
    return "label" if label_counts(examples) is not None else "text"


def is_span(text: str, answer: str) -> bool:
    """Whether an input has a context and a question, and its answer stands in the context."""
    context, question = context_and_question(text)
    return bool(context and question and answer and answer in context)


def context_and_question(text: str) -> tuple[str, str]:
    r"""The two parts of an input for extractive question answering; empty where it has not both.

    >>> context_and_question("Context: It rains in Oslo.\nQuestion: Where does it rain?")
    ('It rains in Oslo.', 'Where does it rain?')
    """
    parts = parts_of(text, (CONTEXT, QUESTION))
    return parts[CONTEXT], parts[QUESTION]
