"""Near-duplicates of a whole set at once: what `near.near_check` would drop, row for row, many times faster.

The join of `near.py` (rare keys, sizes, bitmaps, full comparison) with its first steps done on arrays, some thousand
texts at a time: hashes of words and pairs are computed, ordered and counted by numpy, and only rows that
share a rare key with another are walked one by one. Results do not depend on hashes, so both forms agree exactly.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.curation.duplicates.near import BITS, Content, checked_threshold, may_reach, most_similar

if TYPE_CHECKING:
    import numpy as np

_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x100000001B3, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_BUCKETS = 1 << 20
_CHUNK_ROWS = 1 << 12  # a row's number in a chunk, its rarity class and its hash share 64 bits: 12 + 6 + 46
_CHUNK_CHARS = 1 << 22
_HASH_BITS = 46


class Near(NamedTuple):
    """Row `row` repeats the earlier, kept row `other` with this Jaccard similarity."""

    row: int
    other: int
    score: float


def near_duplicates(contents: Sequence[Content], threshold: float = 0.8) -> list[Near]:
    """Every row that repeats an earlier kept row, in order: what `near_check` would drop, many times faster.

    Memory: about 250 bytes a row beside the texts, and about 5 for each of their words.

    Raises:
        ConfigError: a threshold that is no share.
    """
    import numpy as np

    checked_threshold(threshold)
    repeated, rows = _first_of_each(contents)
    texts = [contents[row].text for row in rows]
    counts = np.zeros(_BUCKETS, np.int64)
    for chunk in _chunks(texts, _unordered()):
        counts += np.bincount(chunk.keys & np.uint64(_BUCKETS - 1), minlength=_BUCKETS)
    keys, owners, bitmaps = [], [], []
    sizes = array("q")
    for chunk in _chunks(texts, _rarity(counts)):
        prefix = chunk.prefixes(threshold)
        keys.append(chunk.keys[prefix])
        owners.append(chunk.rows[prefix] + len(sizes))
        sizes.extend(chunk.sizes.tolist())
        bitmaps.extend(chunk.bitmaps())
    walk = _Walk(contents, rows, sizes, bitmaps, threshold)
    repeats: dict[int, list[int]] = {}
    for row, first in repeated:
        repeats.setdefault(first, []).append(row)
    again: list[tuple[int, int, list[int]]] = []
    for number, mine in _shared(keys, owners):
        if walk.keep(number, mine):
            walk.remember(number, mine)
        else:
            again += [(row, number, mine) for row in repeats.pop(rows[number], ())]
    # What repeats a kept row is that row; what repeats a dropped one may by now be nearer to another.
    found = [*walk.found, *(Near(row, first, 1.0) for first, repeating in repeats.items() for row in repeating)]
    for row, number, mine in again:
        nearest = walk.nearest(number, mine, before=row)
        assert nearest is not None, "what its first was dropped for is still kept"
        found.append(Near(row, *nearest))
    return sorted(found)


def _first_of_each(contents: Sequence[Content]) -> tuple[list[tuple[int, int]], list[int]]:
    """Rows that are, word for word, an earlier one (with that one), and the rows that are not."""
    first: dict[Content, int] = {}
    repeated: list[tuple[int, int]] = []
    for row, content in enumerate(contents):
        known = first.setdefault(content, row)
        if known != row:
            repeated.append((row, known))
    return repeated, list(first.values())


def _shared(keys: list[Any], owners: list[Any]) -> Iterator[tuple[int, list[int]]]:
    """For each row that shares a key with another: its number and those keys (as small numbers), in order of rows."""
    import numpy as np

    if not keys:
        return
    key, owner = np.concatenate(keys), np.concatenate(owners)
    order = np.argsort(key, kind="stable")
    key, owner = key[order], owner[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    lengths = np.diff(np.append(starts, len(key)))
    group = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
    several = np.repeat(lengths > 1, lengths)
    group, owner = group[several], owner[several]
    order = np.argsort(owner, kind="stable")
    group, owner = group[order], owner[order]
    starts = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))[: len(owner)]
    ends = np.append(starts, len(owner))[1:]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield int(owner[start]), group[start:end].tolist()


class _Walk:
    """Kept rows by their shared keys, while the rows are walked in order."""

    def __init__(
        self,
        contents: Sequence[Content],
        rows: Sequence[int],
        sizes: Sequence[int],
        bitmaps: Sequence[int],
        threshold: float,
    ) -> None:
        self.found: list[Near] = []
        self._contents, self._rows, self._sizes, self._bitmaps = contents, rows, sizes, bitmaps
        self._threshold = threshold
        self._postings: dict[int, list[int]] = {}

    def keep(self, number: int, keys: Iterable[int]) -> bool:
        """Whether no kept row is near this one; else what it repeats is in `found`."""
        nearest = self.nearest(number, keys, before=self._rows[number])
        if nearest is not None:
            self.found.append(Near(self._rows[number], *nearest))
        return nearest is None

    def remember(self, number: int, keys: Iterable[int]) -> None:
        for key in keys:
            self._postings.setdefault(key, []).append(number)

    def nearest(self, number: int, keys: Iterable[int], *, before: int) -> tuple[int, float] | None:
        """The kept row nearest to this one among those that stand before a row."""
        candidates: set[int] = set()
        for key in keys:
            candidates.update(self._postings.get(key, ()))
        size, bitmap = self._sizes[number], self._bitmaps[number]
        near = (
            (self._rows[other], self._contents[self._rows[other]])
            for other in sorted(candidates)
            if self._rows[other] < before
            and may_reach(size, self._sizes[other], bitmap ^ self._bitmaps[other], self._threshold)
        )
        return most_similar(self._contents[self._rows[number]], near, self._threshold)


class Grams(NamedTuple):
    """The different words and pairs of words of some texts, ordered inside each text from rare to common.

    Attributes:
        keys: rarity class and hash of each, uint64.
        rows: number of its text, int64.
        sizes: how many each text has.
    """

    keys: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray

    def prefixes(self, threshold: float) -> np.ndarray:
        """Which of them are in their text's prefix: one more than may be missing from a set similar enough."""
        import numpy as np

        lengths = self.sizes - np.ceil(threshold * self.sizes - 1e-9).astype(np.int64) + 1
        starts = np.cumsum(self.sizes) - self.sizes
        return np.arange(len(self.keys)) - starts[self.rows] < lengths[self.rows]

    def bitmaps(self) -> Iterator[int]:
        """One number of 512 bits a text: of each bit, whether an odd number of its grams fall on it."""
        import numpy as np

        bit = (self.keys >> np.uint64(12)) & np.uint64(BITS - 1)
        places = self.rows * BITS + bit.astype(np.int64)
        odd = (np.bincount(places, minlength=len(self.sizes) * BITS) & 1).astype(np.uint8)
        for row in np.packbits(odd).reshape(len(self.sizes), BITS // 8):
            yield int.from_bytes(row.tobytes())


def _chunks(texts: Sequence[str], rarity: np.ndarray) -> Iterator[Grams]:
    """The grams of all texts, some thousand texts at a time."""
    start = 0
    while start < len(texts):
        end, chars = start, 0
        while end < len(texts) and end - start < _CHUNK_ROWS and chars < _CHUNK_CHARS:
            chars += len(texts[end])
            end += 1
        yield _ordered(texts[start:end], rarity)
        start = end


def _ordered(texts: Sequence[str], rarity: np.ndarray) -> Grams:
    import numpy as np

    words, rows = _hashed_words(texts)
    pairs = words[:-1] * np.uint64(_ODD[0]) + words[1:] * np.uint64(_ODD[1])
    inside = rows[:-1] == rows[1:]  # a pair that reaches into the next text belongs to none
    hashes = _mixed(np.concatenate((words, pairs[inside])))
    rows = np.concatenate((rows, rows[:-1][inside]))
    packed = rows.astype(np.uint64) << np.uint64(52)
    packed |= rarity[(hashes & np.uint64(_BUCKETS - 1)).astype(np.int64)] << np.uint64(_HASH_BITS)
    packed |= hashes
    packed.sort()
    packed = packed[np.concatenate(([True], packed[1:] != packed[:-1]))]
    rows = (packed >> np.uint64(52)).astype(np.int64)
    return Grams(packed & np.uint64((1 << 52) - 1), rows, np.bincount(rows, minlength=len(texts)))


def _hashed_words(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A hash of every word of folded texts (uint64), the same on every machine, and the number of its text."""
    import numpy as np

    joined = "\n".join(texts) + "\n"  # folded texts hold no line ends, so each of these ends a text
    chars = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.flatnonzero((chars == 32) | (chars == 10))
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(len(chars)) - np.repeat(starts, ends - starts + 1)
    powers = np.cumprod(np.full(int(place.max()) + 1, _ODD[2], np.uint64))
    values = chars.astype(np.uint64) + np.uint64(1)
    values[ends] = 0  # a word is the same before a space and at the end of its text
    words = np.add.reduceat(values * powers[place], starts)
    last = chars[ends] == 10
    rows = np.cumsum(last) - last
    return words ^ (words >> np.uint64(31)), rows


def _mixed(hashes: np.ndarray) -> np.ndarray:
    import numpy as np

    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(_ODD[3])
    return (hashes ^ (hashes >> np.uint64(27))) * np.uint64(_ODD[4]) >> np.uint64(64 - _HASH_BITS)


def _unordered() -> np.ndarray:
    import numpy as np

    return np.zeros(_BUCKETS, np.uint64)


def _rarity(counts: np.ndarray) -> np.ndarray:
    """Bucket of a hash to its class, 0 (rarest) to 63: a third of a doubling each."""
    import numpy as np

    return np.minimum(63, np.log2(counts + 1) * 3).astype(np.uint64)
