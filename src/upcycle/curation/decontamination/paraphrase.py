"""Paraphrases: the same said in other words, which no n-gram finds.

A text is a paraphrase of the gold item whose vectors are nearest to its own if a small logistic rule says so. The rule
looks at the cosines of two layers and, against them, at how near the text lies to the other items (its background:
texts of one genre all lie near each other; Conneau et al. 2018, section 2.3), at how well the words of both find each
other (`alignment.py`), at the content words both share, their lengths and their form. Texts with other numbers are
never paraphrases. Where a whole set is judged together, the rule also looks at how near each text lies to its fellows:
what leaked lies nearer to gold than to the set it came in. The benchmark judges each pair by a rule fitted on others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from upcycle.curation.decontamination.alignment import aligned
from upcycle.curation.decontamination.numbers import NUMBER_WORDS, numbers_of
from upcycle.curation.decontamination.paraphrase_rule import Features, Rule, least_of, probability_of, rule_for
from upcycle.curation.duplicates.exact import folded
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.minilm import Reading
from upcycle.sources.words import terms


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


class Seen(NamedTuple):
    """A text, or an item, as it was looked at: where it stands, its nearest item, what the rule sees, its vectors."""

    place: int
    item: int
    features: Features
    vectors: Any


class Paraphrases:
    """Gold items by their meaning.

    Items say different things by definition, so the rule is also asked about each item and the one nearest to it: what
    is no likelier to say the same than two items of the gold are counts as nothing (all but the most alike in a
    hundred). Items and texts of more than 80 words are left out: nobody rewords a whole review, and spans find its
    copies.

    Args:
        items: the wording of each item.
        encode: the encoder; its name selects the rule.
    """

    def __init__(self, items: Sequence[str], encode: SentenceEncoder) -> None:
        self._numbers = [number for number, item in enumerate(items) if _short(item)]
        self._encode = encode
        self._rule, self._rule_together = (rule_for(encode, together=together) for together in (False, True))
        wording = [items[number] for number in self._numbers]
        self._items = [_Text(reading, _Marks.of(text))
                       for text, reading in zip(wording, self._read(wording), strict=True)]  # fmt: skip
        self._matrix = _stacked([item.reading.vectors for item in self._items])
        self._themselves = list(self._seen_items())
        self._least = self._bound(self._themselves, self._rule)

    def nearest(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text, whatever came before it; None where there is none, or the text is too long."""
        return self._neighbours(texts, self._seen(texts, _short_ones(texts)), self._rule, self._least)

    def nearest_together(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text, judged against the set that all of them are.

        A set of fewer than 200 short texts says nothing of its texts; those are judged each by itself.
        """
        if self._rule_together is self._rule or len(_short_ones(texts)) < _FEWEST_FELLOWS or not self._items:
            return self.nearest(texts)
        seen, among = self.together(texts)
        return self._neighbours(texts, seen, self._rule_together, self._bound(among, self._rule_together))

    def alone(self, texts: Sequence[str]) -> tuple[Iterator[Seen], list[Seen]]:
        """What the rule sees of texts by themselves, and of the items among themselves."""
        return self._seen(texts, _short_ones(texts)), self._themselves

    def together(self, texts: Sequence[str]) -> tuple[Iterator[Seen], list[Seen]]:
        """What the rule sees of the texts of a set, and of the items held against that set."""
        fellows = self._fellows(texts)
        rest = [place for place in _short_ones(texts) if place not in fellows.seen]
        return self._beside(fellows, self._all(fellows, texts, rest)), list(self._beside(fellows, self._themselves))

    def _neighbours(
        self, texts: Sequence[str], seen: Iterator[Seen], rule: Rule, least: float
    ) -> list[Neighbour | None]:
        found: list[Neighbour | None] = [None] * len(texts)
        for one in seen:
            probability = probability_of(one.features, rule.weights)
            same = probability > 0 and probability >= least
            found[one.place] = Neighbour(self._numbers[one.item], probability, same, probability >= rule.judged)
        return found

    def _bound(self, among: Sequence[Seen], rule: Rule) -> float:
        return least_of([one.features for one in among], rule.weights, rule.same)

    def _read(self, texts: Sequence[str]) -> list[Reading]:
        import numpy as np

        if not texts:
            return []
        if self._encode.read is not None:
            return self._encode.read(texts)
        nothing = np.zeros((0, 0), np.float32)
        return [Reading(np.asarray(row)[None], nothing, nothing) for row in self._encode(texts)]

    def _seen(self, texts: Sequence[str], places: Sequence[int]) -> Iterator[Seen]:
        for start in range(0, len(places) if self._items else 0, _BLOCK):
            block = places[start : start + _BLOCK]
            wording = [texts[place] for place in block]
            read = [_Text(reading, _Marks.of(text)) for text, reading in zip(wording, self._read(wording), strict=True)]
            yield from self._compared(block, read, self._cosines([one.reading.vectors for one in read]))

    def _seen_items(self) -> Iterator[Seen]:
        """Items (up to a thousand of them) as texts among the others, those that are nearly the same left out."""
        import numpy as np

        chosen = np.linspace(0, len(self._items) - 1, min(len(self._items), _CALIBRATING)).astype(int).tolist()
        for start in range(0, len(chosen) if len(self._items) > 1 else 0, _BLOCK):
            block = chosen[start : start + _BLOCK]
            cosines = self._cosines([self._items[number].reading.vectors for number in block])
            cosines[:, (cosines[0] >= _TWINS)] = 0
            yield from self._compared(block, [self._items[number] for number in block], cosines)

    def _cosines(self, vectors: Sequence[Any]) -> Any:
        return _stacked(vectors).swapaxes(1, 2) @ self._matrix

    def _compared(self, places: Sequence[int], texts: Sequence[_Text], cosines: Any) -> Iterator[Seen]:
        """Texts beside their nearest items; `cosines` are (layers, texts, items)."""
        nearest = cosines.sum(axis=0).argmax(axis=1)
        backgrounds = [_background(layer, nearest, usual)
                       for layer, usual in zip(cosines, self._rule.usual, strict=True)]  # fmt: skip
        for row, (place, text, item) in enumerate(zip(places, texts, nearest.tolist(), strict=True)):
            told = [
                (float(layer[row, item]), float(near[row])) for layer, near in zip(cosines, backgrounds, strict=True)
            ]
            yield Seen(place, item, _features(text, self._items[item], told), text.reading.vectors)

    def _fellows(self, texts: Sequence[str]) -> _Fellows:
        import numpy as np

        places = _short_ones(texts)
        chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), _MOST_FELLOWS)).astype(int))
        seen = {one.place: one for one in self._seen(texts, [places[number] for number in chosen.tolist()])}
        return _Fellows(seen, _stacked([one.vectors for one in seen.values()]))

    def _all(self, fellows: _Fellows, texts: Sequence[str], rest: Sequence[int]) -> Iterator[Seen]:
        yield from fellows.seen.values()
        yield from self._seen(texts, rest)

    def _beside(self, fellows: _Fellows, seen: Iterator[Seen] | Sequence[Seen]) -> Iterator[Seen]:
        """The same with how near each lies to its fellows. Near-copies are none, or a leak would hide a leak."""
        stream = iter(seen)
        while block := list(islice(stream, _BLOCK)):
            cosines = _stacked([one.vectors for one in block]).swapaxes(1, 2) @ fellows.matrix
            cosines[:, cosines[0] > _NEAR_COPY] = 0
            for one, (fellow, earlier) in zip(block, cosines.max(axis=2).T.tolist(), strict=True):
                yield one._replace(features=one.features._replace(fellow=fellow, earlier_fellow=earlier))


_BLOCK = 256
_NEAREST = 10
_MISSING = -2.0
_COPY = 0.98
_NEAR_COPY = 0.85
_TWINS = 0.95
_CALIBRATING = 1000
_FEWEST_FELLOWS = 200
_MOST_FELLOWS = 5000
_LONGEST = 80
_ENOUGH_WORDS = 2


class _Fellows(NamedTuple):
    """Texts of a set, up to 5,000 of them: as they were looked at, by their places, and their vectors."""

    seen: dict[int, Seen]
    matrix: Any


def _short(text: str) -> bool:
    return len(text) <= 20 * _LONGEST and len(folded(text).split()) <= _LONGEST


def _short_ones(texts: Sequence[str]) -> list[int]:
    return [place for place, text in enumerate(texts) if _short(text)]


def _stacked(vectors: Sequence[Any]) -> Any:
    """Vectors of texts, (layers, width) each, as one array (layers, width, texts)."""
    import numpy as np

    return np.ascontiguousarray(np.stack(vectors, axis=-1)) if vectors else np.zeros((1, 0, 0), np.float32)


def _background(cosines: Any, nearest: Any, usual: float) -> Any:
    """Mean cosine of the ten nearest other items of each text, copies left out."""
    import numpy as np

    others = cosines.copy()
    others[np.arange(len(others)), nearest] = 0
    others[others > _COPY] = 0
    # Where there are few other items, texts about anything stand in for those that are missing.
    others = np.concatenate((others, np.full((len(others), _NEAREST), _MISSING, np.float32)), axis=1)
    top = -np.partition(-np.where(others == 0, _MISSING, others), _NEAREST - 1, axis=1)[:, :_NEAREST]
    return np.where(top == _MISSING, usual, top).mean(axis=1)


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
            if not term[0].isdigit() and term not in NUMBER_WORDS and (len(term) > 1 or not term.isascii())
        )
        return cls(frozenset(stems), frozenset(numbers_of(text)), len(words), "?" in text)


class _Text(NamedTuple):
    """What is known of a text: as the encoder sees it, and what can be compared without one."""

    reading: Reading
    marks: _Marks


def _features(text: _Text, item: _Text, told: Sequence[tuple[float, float]]) -> Features:
    """What the rule looks at, given the cosine and the background in each layer, the last one first."""
    mine, theirs = text.marks, item.marks
    both = bool(mine.numbers and theirs.numbers)
    agree = both and 2 * len(mine.numbers & theirs.numbers) >= len(mine.numbers | theirs.numbers)
    (cosine, background), (earlier, earlier_background) = told[0], (*told, (0.0, 0.0))[1]
    return Features(
        cosine=cosine,
        background=background,
        words=len(mine.stems & theirs.stems) / max(1, min(len(mine.stems), len(theirs.stems))),
        numbers_agree=float(agree),
        lengths_differ=abs(math.log((mine.length + 2) / (theirs.length + 2))),
        forms_differ=float(mine.asks != theirs.asks),
        earlier=earlier,
        earlier_background=earlier_background,
        **aligned(text.reading, item.reading)._asdict(),
        numbers_differ=both and not agree,
        enough=min(len(mine.stems), len(theirs.stems)) >= _ENOUGH_WORDS,
    )
