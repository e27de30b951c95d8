"""Near-duplicates: examples that share most of their wording with a kept one, found exactly.

Two texts are as near as the Jaccard similarity of their sets of words and of pairs of neighbouring words, after
`exact.folded` (which cuts scripts written without spaces into characters). The decision: no sketches. A set whose
similarity reaches the threshold must share one of its rarest members with its partner (prefix filter: Chaudhuri et al.
2006, Bayardo et al. 2007), and parity bitmaps bound the difference of two sets from below (Sandes et al. 2017), so few
pairs are left and each is compared in full. Nothing is missed and nothing dropped by an accident of hashing; and texts
of one template, which all collide in MinHash, do not collide here, because what is rare comes first. Inputs made of
named parts (a premise and a hypothesis) must be as near in every part: a long shared premise is no repetition.

`near_check()` judges a stream and remembers what was kept; `near_join.near_duplicates()` judges a whole set at once.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from upcycle.contract import without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.duplicates.exact import folded, options_of
from upcycle.errors import ConfigError, RowKind
from upcycle.parts import cut_into_parts
from upcycle.records import Example, Verdict

BITS = 512
"""Width of the bitmap that stands for a set of grams."""

_SHORT_ANSWER = 40  # characters; two examples with different short answers are a contrast, not a copy
_BUCKETS = 1 << 16
_FIRST_ORDER = 256
_ODD = 0x9E3779B1
_MASK = (1 << 32) - 1


class Content(NamedTuple):
    """What is compared of an example: its folded wording, and its answer where that is short.

    Attributes:
        parts: where each named part of the input begins in the wording, and where the last one ends.
    """

    text: str
    answer: str
    parts: tuple[int, ...] = ()


def content_of(example: Example) -> Content:
    """Input, options in any order and output of an example, as they are compared."""
    answer, stem = folded(example.output), without_options(example.input)
    named = [folded(part) for part in cut_into_parts(stem)]
    texts = [*(named or [folded(stem)]), *sorted(map(folded, options_of(example))), answer]
    ends = tuple(accumulate((len(part) + 1 for part in named), initial=0)) if named else ()
    return Content(" ".join(filter(None, texts)), answer if len(answer) <= _SHORT_ANSWER else "", ends)


def near_check(threshold: float = 0.8) -> Check:
    """Drops an example whose wording is that of a kept one, or nearly, with the same answer.

    Args:
        threshold: Jaccard similarity of words and word pairs from which on two examples are the same, above 0, up to 1.

    The verdict names the kept example's id in `other` and the similarity in `score`; of several, the most similar.
    Examples whose short answers (up to 40 characters) differ are never near: they teach a difference.

    Raises:
        ConfigError: a threshold that is no share.
    """
    index = NearIndex(threshold)
    ids: list[str] = []

    def check(example: Example) -> Verdict:
        content = content_of(example)
        found = index.nearest(content)
        if found is None:
            index.add(content)
            ids.append(example.id)
            return KEEP
        other, score = found
        return Verdict(
            keep=False,
            kind=RowKind.DUPLICATE,
            reason=f"has {score:.0%} of its wording in common with an example already kept",
            score=round(score, 3),
            other=ids[other],
        )

    return check


class NearIndex:
    """Kept contents, searchable for one that is near; grows as examples are kept.

    The order of grams by rarity is read off what was kept so far, and again each time that has grown fourfold. Memory:
    the texts, and about 120 bytes for every five of their words.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self._threshold = checked_threshold(threshold)
        self._contents: list[Content] = []
        self._sizes = array("q")
        self._bitmaps: list[int] = []
        self._postings: dict[int, int | list[int]] = {}
        self._rarity = bytes(_BUCKETS)
        self._next_order = _FIRST_ORDER
        self._last: tuple[Content, tuple[int, ...], list[int]] | None = None

    def nearest(self, content: Content) -> tuple[int, float] | None:
        """Number and similarity of the most similar content added so far, if it reaches the threshold."""
        hashes, keys = self._read(content)
        candidates: set[int] = set()
        for key in keys:
            owners = self._postings.get(key)
            if isinstance(owners, int):
                candidates.add(owners)
            elif owners is not None:
                candidates.update(owners)
        if not candidates:
            return None
        size, bitmap = len(hashes), _bitmap(hashes)
        near = [number for number in sorted(candidates)
                if may_reach(size, self._sizes[number], bitmap ^ self._bitmaps[number], self._threshold)]  # fmt: skip
        return most_similar(content, ((number, self._contents[number]) for number in near), self._threshold)

    def add(self, content: Content) -> None:
        """Remember a content; its number is how many were added before."""
        hashes, keys = self._read(content)
        number = len(self._contents)
        self._contents.append(content)
        self._sizes.append(len(hashes))
        self._bitmaps.append(_bitmap(hashes))
        self._post(number, keys)
        if number + 1 == self._next_order:
            self._order_anew()

    def _read(self, content: Content) -> tuple[tuple[int, ...], list[int]]:
        # What was just looked for and not found is what is added next.
        if self._last is None or self._last[0] is not content:
            hashes = _hashes(content.text)
            self._last = (content, hashes, self._keys(hashes))
        return self._last[1], self._last[2]

    def _keys(self, hashes: tuple[int, ...]) -> list[int]:
        """The rarest grams of a set, one more than may be missing from a set that is similar enough."""
        count = len(hashes) - math.ceil(self._threshold * len(hashes) - 1e-9) + 1
        rarity = self._rarity
        return sorted([rarity[h % _BUCKETS] << 32 | h for h in hashes])[:count]

    def _post(self, number: int, keys: Iterable[int]) -> None:
        for key in keys:
            owners = self._postings.setdefault(key, number)
            if isinstance(owners, list):
                owners.append(number)
            elif owners != number:
                self._postings[key] = [owners, number]

    def _order_anew(self) -> None:
        self._next_order *= 4
        counts: Counter[int] = Counter()
        for content in self._contents:
            counts.update([one % _BUCKETS for one in _hashes(content.text)])
        rarity = bytearray(_BUCKETS)
        for bucket, count in counts.items():
            rarity[bucket] = min(255, int(8 * math.log2(count + 1)))
        self._rarity = bytes(rarity)
        self._last, self._postings = None, {}
        for number, content in enumerate(self._contents):
            self._post(number, self._keys(_hashes(content.text)))


def jaccard(one: str, other: str) -> float:
    """Similarity of two folded texts: shared over all different words and pairs of neighbouring words, 0 to 1."""
    mine, theirs = _grams(one), _grams(other)
    return len(mine & theirs) / len(mine | theirs)


def most_similar(
    content: Content, candidates: Iterator[tuple[int, Content]], threshold: float
) -> tuple[int, float] | None:
    """The most similar candidate that reaches the threshold, compared in full; of equals the first."""
    best: tuple[int, float] | None = None
    mine: set[str] | None = None
    for number, other in candidates:
        if other.answer != content.answer:
            continue
        mine = _grams(content.text) if mine is None else mine
        theirs = _grams(other.text)
        common = len(mine & theirs)
        score = common / (len(mine) + len(theirs) - common)
        if score >= threshold and (best is None or score > best[1]) and _parts_alike(content, other, threshold):
            best = (number, score)
    return best


def _parts_alike(one: Content, other: Content, threshold: float) -> bool:
    """Whether each named part of two contents is near the same part of the other; inputs of other parts have none."""
    if len(one.parts) != len(other.parts):
        return True
    mine = (one.text[start : end - 1] for start, end in pairwise(one.parts))
    theirs = (other.text[start : end - 1] for start, end in pairwise(other.parts))
    return all(jaccard(a, b) >= threshold for a, b in zip(mine, theirs, strict=True))


def may_reach(size: int, other: int, differing: int, threshold: float) -> bool:
    """Whether two sets of these sizes, whose bitmaps differ in these bits, can be similar enough."""
    # |A xor B| is at least the number of differing bits, and at most (1 - t) / (1 + t) of |A| + |B|.
    smaller, larger = (size, other) if size < other else (other, size)
    return (
        smaller >= threshold * larger - 1e-9
        and differing.bit_count() * (1 + threshold) <= (1 - threshold) * (size + other) + 1e-9
    )


def checked_threshold(threshold: float) -> float:
    """The threshold.

    Raises:
        ConfigError: it is no share above 0.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"a near-duplicate threshold of {threshold} is no share; give one above 0 and up to 1")
    return threshold


def _grams(text: str) -> set[str]:
    words = text.split(" ")
    return {*words, *map(" ".join, pairwise(words))}


def _hashes(text: str) -> tuple[int, ...]:
    words = text.split(" ")
    of = {word: _checksum(word) for word in words}
    return (*of.values(), *[(of[one] * _ODD + of[other]) & _MASK for one, other in set(pairwise(words))])


@lru_cache(maxsize=1 << 14)
def _checksum(word: str) -> int:
    # Python's own hash of text differs from process to process.
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def _bitmap(hashes: Iterable[int]) -> int:
    """Of each bit, whether an odd number of grams fall on it."""
    bitmap = 0
    for one in hashes:
        bitmap ^= 1 << (one >> 16) % BITS
    return bitmap
