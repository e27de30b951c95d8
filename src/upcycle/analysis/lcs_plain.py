"""The nearest text of each text by ROUGE-L in numpy alone: as exact as `lcs_compiled`, and slower.

In: `Bags` and a range of texts. Out: the same. Pairs are bounded by the overlap of their bags and computed best first,
many at a time: the bit-parallel recurrence runs over one text's words with a whole array of other texts for a register.
Long texts are compared one pair at a time instead, with Python's integers as registers of any width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from upcycle.analysis.bags import FULL, Bags

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 512
_FIRST = 32
_MOST = 4096


def nearest(first: int, last: int, bags: Bags, common: np.ndarray, where: np.ndarray) -> None:
    """Fill `common` (tokens of the longest common subsequence) and `where` (which text, or -1) of `first:last`."""
    masks = np.zeros(bags.known + 1, np.uint64)
    for row in range(first, last):
        shared = _overlaps(row, bags)
        both = bags.lengths[row] + bags.lengths
        best, whole, at = 0, 1, -1
        bound = shared / both
        for others in _best_first(bound):
            others = others[shared[others] * whole > best * both[others]]
            if not len(others):
                break
            values = _common_with(row, others, bags, masks)
            top = int(np.argmax(values / both[others]))
            if values[top] * whole > best * both[others[top]]:
                best, whole, at = int(values[top]), int(both[others[top]]), int(others[top])
        common[row], where[row] = best, at


def _best_first(bound: np.ndarray) -> Iterator[np.ndarray]:
    """All texts by falling bound, few at first."""
    order = np.argsort(-bound, kind="stable")
    start, size = 0, _FIRST
    while start < len(order):
        yield order[start : start + size]
        start, size = start + size, min(2 * size, _MOST)


def _overlaps(row: int, bags: Bags) -> np.ndarray:
    """How many tokens the bag of one text shares with every other's, at most."""
    own = slice(bags.own_starts[row], bags.own_starts[row + 1])
    tokens, held = bags.own_tokens[own], bags.own_counts[own].astype(np.int64)
    frequent = tokens < len(bags.dense)
    shared = np.zeros(len(bags.lengths), np.int64)
    for token, count in zip(tokens[frequent], held[frequent], strict=True):
        column = bags.dense[token]
        shared += np.where(column == FULL, count, np.minimum(column, min(count, FULL)))
    for token, count in zip(tokens[~frequent], held[~frequent], strict=True):
        place = slice(bags.ends[token], bags.ends[token + 1])
        counts = bags.counts[place]
        shared[bags.rows[place]] += np.where(counts == FULL, count, np.minimum(counts, min(count, FULL)))
    shared[row] = 0
    return shared


def _common_with(row: int, others: np.ndarray, bags: Bags, masks: np.ndarray) -> np.ndarray:
    """The longest common subsequence of one text with each of `others`, in tokens."""
    sizes = bags.starts[others + 1] - bags.starts[others]
    values = np.zeros(len(others), np.int64)
    mine = bags.flat[bags.starts[row] : bags.starts[row + 1]]
    short = np.flatnonzero(sizes <= _LONG) if len(mine) <= _LONG else np.empty(0, np.int64)
    if len(short):
        width = int(sizes[short].max())
        texts = np.full((width, len(short)), bags.known, np.uint32)
        for column, other in enumerate(others[short]):
            tokens = bags.flat[bags.starts[other] : bags.starts[other + 1]]
            texts[: len(tokens), column] = tokens
        values[short] = _common(mine, texts, masks)
    for place in np.setdiff1d(np.arange(len(others)), short):
        other = others[place]
        values[place] = _common_long(mine, bags.flat[bags.starts[other] : bags.starts[other + 1]])
    return values


def _common(mine: np.ndarray, texts: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """One text against many, 64 of its tokens at a time; `texts` holds one text a column, filled up with no token."""
    width, count = texts.shape
    total = np.zeros(count, np.int64)
    carries = np.zeros((width, count), np.uint64)
    for part in range(0, len(mine), 64):
        tokens = mine[part : part + 64]
        np.bitwise_or.at(masks, tokens, np.uint64(1) << np.arange(len(tokens), dtype=np.uint64))
        state = np.full(count, 0xFFFFFFFFFFFFFFFF, np.uint64)
        for step in range(width):
            match = state & masks[texts[step]]
            half = state + match
            whole = half + carries[step]
            carries[step] = (half < match) | (whole < half)
            state = whole | (state - match)
        total += _bits(~state)
        masks[tokens] = 0
    return total


def _bits(x: np.ndarray) -> np.ndarray:
    """Set bits of 64-bit words (numpy has a function for it only since 2.0)."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _common_long(mine: np.ndarray, other: np.ndarray) -> int:
    """Two texts of any length: one is a register as wide as it is long, the shorter is walked."""
    wide, walked = (mine, other) if len(mine) >= len(other) else (other, mine)
    wanted = set(walked.tolist())
    places: dict[int, list[int]] = {}
    for place, token in enumerate(wide.tolist()):
        if token in wanted:
            places.setdefault(token, []).append(place)
    masks = {token: _register(found, len(wide)) for token, found in places.items()}
    full = (1 << len(wide)) - 1
    state = full
    for token in walked.tolist():
        match = state & masks.get(token, 0)
        state = ((state + match) | (state - match)) & full
    return len(wide) - state.bit_count()


def _register(places: list[int], width: int) -> int:
    register = bytearray(width // 8 + 1)
    for place in places:
        register[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(register, "little")
