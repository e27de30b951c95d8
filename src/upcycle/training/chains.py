"""Examples with a rationale as what a student is taught: the chain and then "Answer: ...", and the answer read back.

Source2Synth trains on both (arXiv 2409.08239, section 3.3). The decision: a dataset keeps them apart, so that one
setting (`training.teach`) decides, and whoever asks a student that was taught chains gets its answers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from upcycle.errors import ConfigError
from upcycle.records import Example

ANSWER_MARK = "Answer:"
"""Stands between a chain and its answer."""


def taught_of(answer: str, rationale: str | None) -> str:
    r"""What a student is to say: the chain where there is one, and then the answer.

    >>> taught_of("a bear", "Who had it? Byron.")
    'Who had it? Byron.\nAnswer: a bear'
    """
    chain = f"{rationale}\n" if rationale else ""
    return f"{chain}{ANSWER_MARK} {answer}"


def answer_of(said: str) -> str:
    """The answer in a reply: what follows its last "Answer:", else the whole of it.

    >>> answer_of("Who led it? Byron. Answer: a bear")
    'a bear'
    """
    return said.rpartition(ANSWER_MARK)[2].strip() if ANSWER_MARK in said else said.strip()


def with_chains(examples: Sequence[Example]) -> list[Example]:
    """The examples as they are taught with their chains.

    Raises:
        ConfigError: there are examples, and none has a rationale.
    """
    if examples and not any(one.rationale for one in examples):
        raise ConfigError("no example has a rationale; leave out teach: chain, or give a dataset that has some")
    return [replace(one, output=taught_of(one.output, one.rationale), rationale=None) for one in examples]
