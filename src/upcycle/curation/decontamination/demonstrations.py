"""Copies of demonstrations: what is shown in every prompt must not come back as a row of the dataset.

Whole inputs are compared, never parts: a short input that occurs inside a demonstration is no copy. A near-copy has
nearly the same words; where a number, a negation or a name was exchanged it is another example, and stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from upcycle.contract import listed_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.records import Example, Verdict

_NEAR = 0.9  # share of common words from which on an input is a near-copy
_ENOUGH_WORDS = 8  # in fewer words one of them can change everything
_MOST_CHANGED = 8  # a long shared passage does not make two questions about it the same
_NEGATIONS = {"not", "no", "never", "none", "nothing", "nobody", "neither", "nor", "without", "cannot"}
_SMALL = {
    *("a", "an", "the", "this", "that", "these", "those", "of", "in", "on", "at", "to", "for", "from", "by", "with"),
    *("and", "or", "so", "then", "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did"),
    *("it", "its", "he", "she", "they", "his", "her", "their", "there", "very", "just", "also", "now", "please"),
}  # fmt: skip
_WORD = re.compile(r"\w+")


def demonstration_check(inputs: Sequence[str], *, near: float = _NEAR) -> Check:
    """Drops an input that is one of the demonstrations, or nearly.

    Args:
        inputs: inputs of the demonstrations, with their options.
        near: the share of words (Dice, counted with repetition) from which on an input is a near-copy.
    """
    exact = {_key(text): number for number, text in enumerate(inputs, 1)}
    known = [_Known(number, Counter(_words(text)), len(text.split())) for number, text in enumerate(inputs, 1)]
    known = [one for one in known if one.words.total() >= _ENOUGH_WORDS]

    def check(example: Example) -> Verdict:
        number = exact.get(_key(example.input))
        if number is not None:
            return _copy(number, "copies", 1.0)
        # Most examples are of another length altogether, and counting their words costs more than everything else.
        size = len(example.input.split())
        alike = [one for one in known if abs(one.size - size) <= 0.3 * max(one.size, size)]
        if not alike:
            return KEEP
        words = _words(example.input)
        kinds = set(words)
        for one in alike:
            # Every word that only one of the two has is a changed word.
            if len(kinds ^ one.words.keys()) <= _MOST_CHANGED and (score := _near(Counter(words), one.words)) >= near:
                return _copy(one.number, "nearly copies", score)
        return KEEP

    return check


class _Known(NamedTuple):
    number: int
    words: Counter[str]
    size: int
    """Words between spaces: what can be counted fast."""


def _near(words: Counter[str], other: Counter[str]) -> float:
    """Share of common words; 0 where anything was changed that can make another example of it."""
    more, less = _uninflected(words - other, other - words)
    changed = more + less
    if changed.total() > _MOST_CHANGED or any(any(char.isdigit() for char in word) for word in changed):
        return 0.0
    # One name for another is another example of a template; words added or left out, or small ones, are not.
    if (more.keys() - _SMALL and less.keys() - _SMALL) or changed.keys() & _NEGATIONS:
        return 0.0
    sizes = words.total() + other.total()
    return round((sizes - changed.total()) / sizes, 3)


def _uninflected(more: Counter[str], less: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """What is left of two bags of words when pairs that begin alike ("walk", "walked") are taken out."""
    for word in list(more):
        for twin in list(less):
            if more[word] and less[twin] and len(word) >= 4 and len(twin) >= 4 and word[:4] == twin[:4]:
                common = min(more[word], less[twin])
                more[word] -= common
                less[twin] -= common
    return +more, +less


def _copy(number: int, how: str, score: float) -> Verdict:
    name = f"demonstration {number}"
    return Verdict(keep=False, kind=RowKind.DUPLICATE, reason=f"{how} {name}", score=score, other=name)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _key(text: str) -> tuple[str, ...]:
    # Options may stand in another order; everything else must be the same words in the same order.
    if "\nchoice:" not in text and not text.startswith("choice:"):
        return (_fold(text),)
    return (_fold(without_options(text)), *sorted(map(_fold, listed_options(text))))


def _fold(text: str) -> str:
    return " ".join(_words(text))
