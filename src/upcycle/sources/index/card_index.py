"""The index, opened: which datasets fit what a user wrote, best first, and why.

In: a folder `write_index` filled, then queries. Out: found listings with score and reason. The decision: nearness in
meaning counts in full, matching words, popularity and mentions with smaller weights, all as distances from the mean in
standard deviations; ranks fused with equal weights let the weaker half pull the stronger one down.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from upcycle.errors import SourceError
from upcycle.sources.index.lexical import Words
from upcycle.sources.index.listing import Listing, from_json
from upcycle.sources.index.place import current
from upcycle.sources.index.reasons import why
from upcycle.sources.index.understanding import Wanted, understand
from upcycle.sources.index.vectors import Vectors
from upcycle.sources.licences import permits

if TYPE_CHECKING:
    from upcycle.sources.encoder import SentenceEncoder

_MATCHES = 1_000
_SAMPLE = 4_096
_MOST_DUPLICATES = 5
_FIRST = 10
_FAR = 4.0
_FILTERED = 20  # times as many matches are looked at where a filter takes most of them away


class Weights(NamedTuple):
    """How much each half of the score counts; set by cross-validation on the visible queries of DataFinder.

    Fitted as a choice among candidates (the likelihood of the datasets that were used, arXiv 2305.16636), in both
    forms of the queries together; between the folds no weight moves by more than about a quarter. `neighbours`
    (nearness to the first ten found, a form of pseudo-relevance feedback) is kept below what was fitted, for it repeats
    the others' mistakes too.
    """

    meaning: float = 1.0
    words: float = 0.25
    popularity: float = 0.5
    mentions: float = 0.33
    neighbours: float = 0.3


WITHOUT_MEANING = Weights(0.0, 1.0, 0.7, 0.5, 0.0)
WITH_STATIC = Weights(1.0, 0.5, 0.7, 0.5)


@dataclass(frozen=True, slots=True)
class Found:
    """A dataset that may fit.

    Attributes:
        score: comparable inside one search only.
        parts: what the score is made of: "meaning", "words", "popularity", "mentions", "neighbours".
        why: the same in words.
        duplicates: ids of datasets with the same description, left out of the list.
    """

    listing: Listing
    score: float
    parts: Mapping[str, float]
    why: str
    duplicates: tuple[str, ...] = ()


class Filters(NamedTuple):
    """What may be found.

    Attributes:
        licence: "any" or "permissive".
        languages: codes; a listing that states none stays.
        until: latest date or year of the last change; a listing without a date stays.
        least_rows: a listing whose length is not known stays.
        most_bytes: a listing whose size is not known stays.
        blocked: parts of ids that may not be found (benchmarks that the result is scored on).
        usable: leave out what is known to be gated or to need a script.
    """

    licence: str = "any"
    languages: tuple[str, ...] = ()
    until: str = ""
    least_rows: int | None = None
    most_bytes: int | None = None
    blocked: tuple[str, ...] = ()
    usable: bool = False

    def allows(self, listing: Listing) -> bool:
        """Whether a listing may be found."""
        stated = {code.lower().split("-")[0] for code in listing.languages}
        return (
            permits(listing.licence, self.licence)
            and (not self.languages or not stated or bool(stated & {*self.languages, "multilingual"}))
            and (not self.until or not listing.modified or listing.modified[: len(self.until)] <= self.until)
            and (self.least_rows is None or listing.rows is None or listing.rows >= self.least_rows)
            and (self.most_bytes is None or listing.bytes is None or listing.bytes <= self.most_bytes)
            and not any(part in listing.id.lower() for part in self.blocked)
            and not (self.usable and listing.skip)
        )


EVERYTHING = Filters()


class CardIndex:
    """An index in use; `CardIndex.open`, then `search`."""

    def __init__(self, folder: Path, encoder: Callable[[Sequence[str]], Any] | None, encoded_by: str | None) -> None:
        import numpy as np

        self._folder = folder
        self._words = Words(folder / "words")
        self._encoder, self._encoded_by = encoder, encoded_by
        self._vectors = Vectors(folder) if encoder is not None else None
        with np.load(folder / "numbers.npz") as numbers:
            self._popularity, self._mentioned = numbers["popularity"], numbers["mentioned"]
            self._mentions, self._marks = numbers["mentions"], numbers["marks"]
        self._listings = _Listings(folder)

    @classmethod
    def open(cls, folder: Path, *, dense: bool = True) -> CardIndex:
        """Open the generation in use.

        Args:
            dense: also compare by meaning, where the index has vectors and the encoder that made them is here.

        Raises:
            SourceError: there is no index, or one of another version.
        """
        generation = current(folder)
        if generation is None:
            raise SourceError(
                f"there is no index in {folder}; make one with: upcycle index build --hub, or index import FILE"
            )
        name = orjson.loads((generation / "meta.json").read_bytes())["encoder"] if dense else None
        if name is None:
            return cls(generation, None, None)
        from upcycle.sources.encoder import encoder_named

        encoder: SentenceEncoder | None = encoder_named(name)
        return cls(generation, encoder, name if encoder else None)

    def __len__(self) -> int:
        return len(self._marks)

    @cached_property
    def _sample(self) -> Any:
        """Numbers of listings by which distances from the mean are estimated."""
        import numpy as np

        # Not numpy's generator: it takes longer to load than a search does to answer.
        return np.array(sorted(Random(0).sample(range(len(self)), min(_SAMPLE, len(self)))), np.int64)

    def search(
        self,
        query: str,
        *,
        demonstrations: Sequence[str] = (),
        limit: int = 25,
        filters: Filters = EVERYTHING,
        said: Sequence[str] = (),
        weights: Weights | None = None,
    ) -> list[Found]:
        """Datasets that fit, best first; equal scores in the order of the index.

        Args:
            demonstrations: examples of the task as text (input and output).
            said: what a model wrote of the query (`ask_for_phrasings`).
            weights: others than those the encoder in use was given.
        """
        import numpy as np

        wanted = understand(query, demonstrations, _Spread(self._words), len(self), said=said)
        narrow = filters != EVERYTHING
        numbers, parts = self._parts(wanted, demonstrations, narrow=narrow)
        chosen = weights or self._usual_weights()
        score = _weighed(parts, chosen)
        best = _best(score, min(len(self), _MATCHES * (_FILTERED if narrow else 1)))
        best = best[np.lexsort((numbers[best], -score[best]))]
        numbers, parts = numbers[best], {name: values[best] for name, values in parts.items()}
        if self._vectors is not None and chosen.neighbours:
            parts["neighbours"] = self._near_the_first(numbers, filters)
        score = _weighed(parts, chosen)
        return self._found(numbers, parts, score, np.lexsort((numbers, -score)), wanted, limit, filters)

    def _near_the_first(self, numbers: Any, filters: Filters) -> Any:
        """How near each is to the first ten that may be found, standardised over the whole index."""
        import numpy as np

        assert self._vectors is not None
        first: dict[int, int] = {}  # by mark: ten copies of one card say no more than it does
        for number in numbers.tolist():
            if int(self._marks[number]) not in first and filters.allows(self._listings.one(number)):
                first[int(self._marks[number])] = number
            if len(first) == _FIRST:
                break
        if not first:
            return np.zeros(len(numbers), np.float32)
        near, mean, spread = self._vectors.near_the_middle(np.array([*first.values()]), numbers, self._sample)
        return (near - mean) / spread if spread > 1e-9 else np.zeros_like(near)

    def _usual_weights(self) -> Weights:
        if self._vectors is None:
            return WITHOUT_MEANING
        return Weights() if self._encoded_by == "minilm" else WITH_STATIC

    def _parts(self, wanted: Wanted, demonstrations: Sequence[str], *, narrow: bool) -> tuple[Any, dict[str, Any]]:
        """Numbers of the candidates, and each half of their scores, standardised over the whole index."""
        import numpy as np

        limit = min(len(self), _MATCHES * (_FILTERED if narrow else 1))
        matched, bm25 = self._words.scores(wanted.terms, limit)
        matched, bm25 = matched[np.argsort(matched)], bm25[np.argsort(matched)]
        candidates, near, mean, spread = matched, np.zeros(len(matched), np.float32), 0.0, 0.0
        if self._vectors is not None and self._encoder is not None:
            asked = np.asarray(self._encoder([*wanted.phrasings, *(one[:1_200] for one in demonstrations)]))
            query = asked[: len(wanted.phrasings)].mean(axis=0)
            if demonstrations:
                query = query + 0.5 * asked[len(wanted.phrasings) :].mean(axis=0)
            query /= max(float(np.linalg.norm(query)), 1e-9)
            candidates, near, mean, spread = self._vectors.scores(query, self._sample, matched)
        found = np.zeros(len(candidates), np.float32)
        found[np.searchsorted(candidates, matched)] = bm25
        # What no word matched scores 0: mean and spread over all of them follow from the matches alone.
        total, squares = float(bm25.sum()), float((bm25**2).sum())
        middle = total / len(self)
        deviation = max(max(squares / len(self) - middle**2, 0.0) ** 0.5, 1e-9)  # rounding may take it below 0
        meaning = (near - mean) / spread if spread > 1e-9 else np.zeros_like(near)
        return candidates, ({"meaning": meaning} if self._vectors is not None else {}) | {
            "words": _damped((found - middle) / deviation) if len(bm25) else np.zeros_like(found),
            "popularity": self._popularity[candidates],
            "mentions": self._mentioned[candidates],
        }

    def _found(
        self, numbers: Any, parts: dict[str, Any], score: Any, order: Any, wanted: Wanted, limit: int, filters: Filters
    ) -> list[Found]:
        kept: dict[int, tuple[int, Listing]] = {}  # by mark
        same: dict[int, list[int]] = {}
        for place in order.tolist():
            number = int(numbers[place])
            mark = int(self._marks[number])
            if mark in kept:
                same.setdefault(mark, []).append(number)
            elif len(kept) < limit and filters.allows(listing := self._listings.one(number)):
                kept[mark] = place, listing
        return [
            Found(
                listing,
                round(float(score[place]), 4),
                told := {name: round(float(values[place]), 3) for name, values in parts.items()},
                why(listing, told, wanted.terms, int(self._mentions[numbers[place]])),
                tuple(self._listings.one(number).id for number in same.get(mark, ())[:_MOST_DUPLICATES]),
            )
            for mark, (place, listing) in kept.items()
        ]


def _weighed(parts: Mapping[str, Any], weights: Weights) -> Any:
    import numpy as np

    return np.asarray(sum(getattr(weights, name) * values for name, values in parts.items()))


def _damped(values: Any) -> Any:
    """The same up to 4 standard deviations, from there on growing with the logarithm.

    One rare word that stands in a handful of cards puts them dozens of deviations above the others, and would decide
    alone.
    """
    import numpy as np

    return np.where(values > _FAR, _FAR * (1 + np.log(np.maximum(values, _FAR) / _FAR)), values).astype(np.float32)


def _best(scores: Any, count: int) -> Any:
    """Places of the `count` highest scores, in no order."""
    import numpy as np

    return np.argpartition(-scores, count - 1)[:count] if count < len(scores) else np.arange(len(scores))


class _Spread(Mapping[str, int]):
    """How many texts hold a term, asked of the words when it is looked up."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def __getitem__(self, term: str) -> int:
        if (count := self._words.spread(term)) == 0:
            raise KeyError(term)
        return count

    def __iter__(self) -> Any:
        raise TypeError("terms of an index are looked up, not listed")

    def __len__(self) -> int:
        return len(self._words)


class _Listings:
    """Listings by number, read where they lie in a file that is mapped into memory."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._places = np.load(folder / "places.npy", mmap_mode="r")
        with (folder / "listings.json").open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def one(self, number: int) -> Listing:
        """The listing with this number."""
        start, end = self._places[number : number + 2].tolist()
        return from_json(self._text[start:end])
