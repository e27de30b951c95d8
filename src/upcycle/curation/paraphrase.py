"""Paraphrases: the same said in other words, which no n-gram finds.

A text is a paraphrase of the gold item whose vector is nearest to its own if a small logistic rule says so. The rule
looks at the cosine, at how far the nearest item stands out from the next one, at the content words both share, and at
whether their numbers agree: "Tom has 14 marbles" is not "Tom has 15 marbles". Its weights were fitted on one half of
`benchmarks/paraphrases.jsonl` among unrelated rows, and the benchmark reports the other half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from upcycle.curation.exact import folded
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.words import terms


class Rule(NamedTuple):
    """Weights of the logistic rule, and the probability from which on a text counts as a paraphrase.

    Attributes:
        judged: the probability from which on a judge, where there is one, is asked about it.
    """

    bias: float
    cosine: float
    margin: float
    words: float
    numbers_agree: float
    numbers_differ: float
    lengths_differ: float
    forms_differ: float
    same: float
    judged: float


RULES: Mapping[str, Rule] = {
    "minilm": Rule(-10.55, 20.2, 3.26, -3.33, 0.66, -5.79, -2.88, -2.28, same=0.6, judged=0.1),
    "static": Rule(-6.43, 15.44, 5.46, -6.43, 2.71, -3.16, -3.12, -3.4, same=0.95, judged=0.2),
}
"""By the encoder's name. Sharing words counts against a pair of the same cosine: it explains the cosine otherwise."""


class Features(NamedTuple):
    """What the rule looks at, for one text and the item nearest to it.

    Attributes:
        margin: how much nearer it is than the next item that says something else.
        words: share of the shorter one's content words that the other has, too.
        numbers_agree: 1 where both hold numbers, and at least half of them are the same.
        numbers_differ: 1 where both hold numbers, and fewer are the same.
        lengths_differ: logarithm of the ratio of their lengths in words, without sign.
        forms_differ: 1 where only one of them asks a question.
        enough: both hold so many content words that they say something of their own.
    """

    cosine: float
    margin: float
    words: float
    numbers_agree: float
    numbers_differ: float
    lengths_differ: float
    forms_differ: float
    enough: bool


class Neighbour(NamedTuple):
    """The gold item a text is nearest to, by its number; how probably both say the same; and what follows.

    Attributes:
        same: it counts as a paraphrase.
        judged: a judge, where there is one, should be asked.
    """

    item: int
    score: float
    same: bool
    judged: bool


class Paraphrases:
    """Gold items by their meaning.

    Args:
        items: the wording of each item.
        encode: the encoder; its name selects the rule.
    """

    def __init__(self, items: Sequence[str], encode: SentenceEncoder) -> None:
        self._items = [_Marks.of(item) for item in items]
        self._encode = encode
        self._rule = RULES[encode.name]
        self._matrix = encode(items) if items else None

    def nearest(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text; None where there are no items."""
        found: list[Neighbour | None] = []
        for item, features in self.features(texts):
            probability = _probability(features, self._rule) if features.enough else 0.0
            # The same sentence with other numbers is another problem, however near the vectors lie.
            same = probability >= self._rule.same and not features.numbers_differ
            found.append(Neighbour(item, probability, same, probability >= self._rule.judged))
        return found or [None for _ in texts]

    def features(self, texts: Sequence[str]) -> list[tuple[int, Features]]:
        """The nearest item of each text, and what the rule looks at; nothing where there are no items."""
        import numpy as np

        if self._matrix is None or not texts:
            return []
        found: list[tuple[int, Features]] = []
        for start in range(0, len(texts), 256):
            cosines = self._encode(texts[start : start + 256]) @ self._matrix.T
            for text, row in zip(texts[start : start + 256], cosines, strict=True):
                item = int(row.argmax())
                # Items that say nearly the same as the nearest one are no rivals of it.
                rivals = row[self._matrix @ self._matrix[item] < _TWINS]
                second = float(np.max(rivals, initial=0.0))
                found.append((item, _features(_Marks.of(text), self._items[item], float(row[item]), second)))
        return found


_TWINS = 0.7
_ENOUGH_WORDS = 2
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50",
    "hundred": "100", "thousand": "1000",
}  # fmt: skip


def numbers_of(text: str) -> set[str]:
    """Numbers of a text, those in English words up to twenty among them; not 1, for "one" is seldom a number."""
    words = folded(text).split()
    return {_NUMBER_WORDS.get(word, word) for word in words if word[0].isdigit() or word in _NUMBER_WORDS} - {"1"}


class _Marks(NamedTuple):
    """What can be compared of two texts without an encoder."""

    stems: frozenset[str]
    numbers: frozenset[str]
    length: int
    asks: bool

    @classmethod
    def of(cls, text: str) -> _Marks:
        words = folded(text).split()
        stems = (
            term
            for term in terms(text)
            if not term[0].isdigit() and term not in _NUMBER_WORDS and (len(term) > 1 or not term.isascii())
        )
        return cls(frozenset(stems), frozenset(numbers_of(text)), len(words), "?" in text)


def _features(text: _Marks, item: _Marks, cosine: float, second: float) -> Features:
    shared = len(text.stems & item.stems) / max(1, min(len(text.stems), len(item.stems)))
    both = bool(text.numbers and item.numbers)
    agree = both and 2 * len(text.numbers & item.numbers) >= len(text.numbers | item.numbers)
    lengths = abs(math.log((text.length + 2) / (item.length + 2)))
    asking = float(text.asks != item.asks)
    enough = min(len(text.stems), len(item.stems)) >= _ENOUGH_WORDS
    return Features(cosine, cosine - second, shared, float(agree), float(both and not agree), lengths, asking, enough)


def _probability(features: Features, rule: Rule) -> float:
    total = rule.bias + sum(weight * value for weight, value in zip(rule[1:8], features[:7], strict=True))
    return 1 / (1 + math.exp(-total))
