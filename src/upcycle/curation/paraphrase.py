"""Paraphrases: the same said in other words, which no n-gram finds.

A text is a paraphrase of the gold item whose vector is nearest to its own if a small logistic rule says so. The rule
looks at the cosine and, against it, at how near the text lies to everything else (its background: texts of one genre
all lie near each other; Conneau et al. 2018, section 2.3), at the content words both share, their lengths and their
form. Texts with other numbers are never paraphrases. The weights were fitted on `benchmarks/paraphrases.jsonl` among
unrelated rows; the benchmark judges each half of them by a rule fitted on the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from upcycle.curation.exact import folded
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.words import terms


class Rule(NamedTuple):
    """Weights of the logistic rule, and the probability from which on a text counts as a paraphrase.

    Attributes:
        judged: the probability from which on a judge, where there is one, is asked about it.
        usual: the background of a text about whose surroundings nothing is known yet.
    """

    bias: float
    cosine: float
    background: float
    words: float
    numbers_agree: float
    lengths_differ: float
    forms_differ: float
    same: float
    judged: float
    usual: float


WEIGHTS = 7
"""How many numbers of a rule are fitted; they come first."""

RULES: Mapping[str, Rule] = {
    "minilm": Rule(-8.54, 26.14, -13.01, -4.58, 1.17, -2.92, -1.65, same=0.8, judged=0.1, usual=0.35),
    "static": Rule(-4.47, 21.33, -13.72, -7.24, 2.58, -2.84, -2.31, same=0.95, judged=0.2, usual=0.35),
}
"""By the encoder's name. Sharing words counts against a pair of the same cosine: it explains the cosine otherwise."""


class Features(NamedTuple):
    """What the rule looks at, for one text and the item nearest to it.

    Attributes:
        background: mean cosine of the ten nearest other items and earlier texts.
        words: share of the shorter one's content words that the other has, too.
        numbers_agree: 1 where both hold numbers, and at least half of them are the same.
        lengths_differ: logarithm of the ratio of their lengths in words, without sign.
        forms_differ: 1 where only one of them asks a question.
        numbers_differ: both hold numbers, and fewer than half of them are the same.
        enough: both hold so many content words that they say something of their own.
    """

    cosine: float
    background: float
    words: float
    numbers_agree: float
    lengths_differ: float
    forms_differ: float
    numbers_differ: bool
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
    """Gold items by their meaning, and the surroundings of the texts that are looked at.

    The first texts looked at are remembered as surroundings, so what is said of a text can depend on those before it;
    the same texts in the same order are always judged the same.

    Args:
        items: the wording of each item.
        encode: the encoder; its name selects the rule.
    """

    def __init__(self, items: Sequence[str], encode: SentenceEncoder) -> None:
        self._items = [_Marks.of(item) for item in items]
        self._encode = encode
        self._rule = RULES[encode.name]
        self._matrix = encode(items) if items else None
        self._seen: Any = None

    def nearest(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text; None where there are no items."""
        found: list[Neighbour | None] = []
        for item, features in self.features(texts):
            probability = probability_of(features, self._rule)
            # The same sentence with other numbers is another problem, however near the vectors lie.
            same = probability >= self._rule.same and not features.numbers_differ
            found.append(Neighbour(item, probability, same, probability >= self._rule.judged))
        return found or [None for _ in texts]

    def features(self, texts: Sequence[str]) -> list[tuple[int, Features]]:
        """The nearest item of each text, and what the rule looks at; nothing where there are no items."""
        if self._matrix is None:
            return []
        found: list[tuple[int, Features]] = []
        for start in range(0, len(texts), _BLOCK):
            block = texts[start : start + _BLOCK]
            vectors = self._encode(block)
            cosines = vectors @ self._matrix.T
            nearest = cosines.argmax(axis=1)
            backgrounds = self._backgrounds(vectors, cosines, nearest)
            for text, row, item, background in zip(block, cosines, nearest.tolist(), backgrounds, strict=True):
                found.append((item, _features(_Marks.of(text), self._items[item], float(row[item]), background)))
        return found

    def _backgrounds(self, vectors: Any, cosines: Any, nearest: Any) -> list[float]:
        """For each text how near it lies to the other items and to the texts before it; remembers those."""
        import numpy as np

        seen = np.zeros((0, vectors.shape[1]), np.float32) if self._seen is None else self._seen
        room = _SURROUNDINGS - len(seen)
        before = np.tril(vectors @ vectors[:room].T, -1) if room else np.zeros((len(vectors), 0), np.float32)
        others = cosines.copy()
        others[np.arange(len(others)), nearest] = 0
        around = np.concatenate((others, vectors @ seen.T, before), axis=1)
        around[around > _COPY] = 0  # the same text again says nothing about its surroundings
        usual = np.full((len(around), _NEAREST), self._rule.usual, np.float32)
        known = np.minimum(np.sum(around != 0, axis=1), _NEAREST)
        top = -np.sort(-np.concatenate((around, np.zeros_like(usual)), axis=1), axis=1)[:, :_NEAREST]
        top = np.where(np.arange(_NEAREST) < known[:, None], top, usual)
        if room:
            self._seen = np.concatenate((seen, vectors[:room]))
        return top.mean(axis=1).tolist()


_BLOCK = 256
_SURROUNDINGS = 512
_NEAREST = 10
_COPY = 0.98
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


def _features(text: _Marks, item: _Marks, cosine: float, background: float) -> Features:
    both = bool(text.numbers and item.numbers)
    agree = both and 2 * len(text.numbers & item.numbers) >= len(text.numbers | item.numbers)
    return Features(
        cosine=cosine,
        background=background,
        words=len(text.stems & item.stems) / max(1, min(len(text.stems), len(item.stems))),
        numbers_agree=float(agree),
        lengths_differ=abs(math.log((text.length + 2) / (item.length + 2))),
        forms_differ=float(text.asks != item.asks),
        numbers_differ=both and not agree,
        enough=min(len(text.stems), len(item.stems)) >= _ENOUGH_WORDS,
    )


def probability_of(features: Features, weights: Sequence[float]) -> float:
    """How probably a text with these features says what its item says; the weights are a rule's first seven."""
    if not features.enough:
        return 0.0
    total = weights[0] + sum(w * value for w, value in zip(weights[1:WEIGHTS], features[: WEIGHTS - 1], strict=True))
    return 1 / (1 + math.exp(-total))
