"""Paraphrases: the same said in other words, which no n-gram finds.

A text is a paraphrase of the gold item whose vector is nearest to its own if a small logistic rule says so. The rule
looks at the cosine and, against it, at how near the text lies to the other items (its background: texts of one genre
all lie near each other; Conneau et al. 2018, section 2.3), at the content words both share, their lengths and their
form. Texts with other numbers are never paraphrases. The weights were fitted on `benchmarks/paraphrases.jsonl` among
unrelated rows and rows of the gold's own dataset; the benchmark judges each half by a rule fitted on the other.
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
    "minilm": Rule(-5.57, 24.25, -28.39, -3.96, 1.57, -2.61, -1.68, same=0.69, judged=0.1, usual=0.3),
    "static": Rule(-3.04, 20.01, -27.16, -5.9, 2.53, -2.62, -1.62, same=0.95, judged=0.2, usual=0.2),
}
"""By the encoder's name. Sharing words counts against a pair of the same cosine: it explains the cosine otherwise."""


class Features(NamedTuple):
    """What the rule looks at, for one text and the item nearest to it.

    Attributes:
        background: mean cosine of the ten nearest other items.
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
    """Gold items by their meaning.

    Items say different things by definition, so the rule is also asked about each item and the one nearest to it: what
    is no likelier to say the same than two items of the gold are counts as nothing (all but the most alike in fifty).
    Items and texts of more than 80 words are left out: nobody rewords a whole review, and spans find its copies.

    Args:
        items: the wording of each item.
        encode: the encoder; its name selects the rule.
    """

    def __init__(self, items: Sequence[str], encode: SentenceEncoder) -> None:
        self._numbers = [number for number, item in enumerate(items) if _short(item)]
        self._items = [_Marks.of(items[number]) for number in self._numbers]
        self._encode = encode
        self._rule = RULES[encode.name]
        self._matrix = encode([items[number] for number in self._numbers]) if self._items else None
        among = [features for _, features in self.among_themselves()]
        self._least = least_of(among, self._rule, self._rule.same)

    def nearest(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text; None where there are no items, or the text is too long to be reworded."""
        found: list[Neighbour | None] = [None] * len(texts)
        short = [place for place, text in enumerate(texts) if _short(text)]
        for place, (item, features) in zip(short, self.features([texts[place] for place in short]), strict=False):
            probability = probability_of(features, self._rule)
            same, judged = probability >= self._least, probability >= self._rule.judged
            found[place] = Neighbour(item, probability, same and probability > 0, judged)
        return found

    def features(self, texts: Sequence[str]) -> list[tuple[int, Features]]:
        """The nearest item of each text, and what the rule looks at; nothing where there are no items."""
        found: list[tuple[int, Features]] = []
        if self._matrix is None:
            return found
        for start in range(0, len(texts), _BLOCK):
            block = texts[start : start + _BLOCK]
            found += self._seen([_Marks.of(text) for text in block], self._encode(block) @ self._matrix.T)
        return found

    def among_themselves(self) -> list[tuple[int, Features]]:
        """Items (up to a thousand of them) as texts among the others, those that are nearly the same left out."""
        import numpy as np

        found: list[tuple[int, Features]] = []
        if self._matrix is None or len(self._items) < 2:
            return found
        chosen = np.linspace(0, len(self._items) - 1, min(len(self._items), _CALIBRATING)).astype(int)
        for start in range(0, len(chosen), _BLOCK):
            block = chosen[start : start + _BLOCK]
            cosines = self._matrix[block] @ self._matrix.T
            cosines[cosines >= _TWINS] = 0
            found += self._seen([self._items[number] for number in block], cosines)
        return found

    def _seen(self, texts: Sequence[_Marks], cosines: Any) -> list[tuple[int, Features]]:
        import numpy as np

        nearest = cosines.argmax(axis=1)
        others = cosines.copy()
        others[np.arange(len(others)), nearest] = 0
        others[others > _COPY] = 0
        # Where there are few other items, texts about anything stand in for those that are missing.
        others = np.concatenate((others, np.full((len(others), _NEAREST), _MISSING, np.float32)), axis=1)
        top = -np.partition(-np.where(others == 0, _MISSING, others), _NEAREST - 1, axis=1)[:, :_NEAREST]
        backgrounds = np.where(top == _MISSING, self._rule.usual, top).mean(axis=1)
        return [
            (self._numbers[item], _features(text, self._items[item], float(row[item]), float(background)))
            for text, row, item, background in zip(texts, cosines, nearest.tolist(), backgrounds, strict=True)
        ]


_BLOCK = 256
_NEAREST = 10
_MISSING = -2.0
_COPY = 0.98
_TWINS = 0.95
_UNLIKE = 0.98
_CALIBRATING = 1000
_LONGEST = 80


def _short(text: str) -> bool:
    return len(text) <= 20 * _LONGEST and len(folded(text).split()) <= _LONGEST


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
    # The same sentence with other numbers is another problem, however near the vectors lie.
    if not features.enough or features.numbers_differ:
        return 0.0
    total = weights[0] + sum(w * value for w, value in zip(weights[1:WEIGHTS], features[: WEIGHTS - 1], strict=True))
    return 1 / (1 + math.exp(-total))


def least_of(among: Sequence[Features], weights: Sequence[float], same: float) -> float:
    """The probability from which on a text counts as a paraphrase, for gold whose items among themselves look so."""
    import numpy as np

    told = [probability_of(features, weights) for features in among]
    return max(same, float(np.quantile(told, _UNLIKE)) if told else 0.0)
