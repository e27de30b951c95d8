"""The nearest text of each text by ROUGE-L, compiled: needs numba, and is imported only where that is installed.

In: `Bags` and a range of texts. Out: for each text the longest common subsequence with its nearest one, and which that
is. The subsequence is found by the bit-parallel recurrence of Crochemore et al. (2001) and Hyyro (2004): 128 tokens of
one text at a time against each token of the other, the carry between words being the processor's own. The decision: no
pair is left out but by a bound that is never too low, so the result is exact; the bounds, each sharper and dearer than
the one before, are the overlap of the bags, then the common subsequence of the frequent tokens plus the overlap of the
others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from upcycle.analysis.bags import FREQUENT, FULL, Bags

_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_SPAN = 128
"""Tokens of one text in two machine words."""
_STEPS = 1000
_ABOVE = np.float32(1 + 1e-5)
"""Bounds are kept in 32 bits; so much is added that rounding never makes one too low."""


class Scratch(NamedTuple):
    """Memory one thread works in: where each token stands in the text at hand, and something for every other text."""

    masks: np.ndarray
    quick: np.ndarray
    carries: np.ndarray
    shared: np.ndarray
    rest: np.ndarray
    bound: np.ndarray
    some: np.ndarray
    order: np.ndarray


def scratch(bags: Bags) -> Scratch:
    """Memory for one thread: about 16 bytes a text and 16 a token."""
    texts, longest = len(bags.lengths), int(bags.lengths.max(initial=0))
    count = np.uint16 if longest < 1 << 16 else np.uint32
    return Scratch(
        np.zeros(2 * bags.known + 2, np.uint64), np.zeros(2 * FREQUENT, np.uint64), np.zeros(longest + 1, np.uint64),
        np.zeros(texts, count), np.zeros(texts, count), np.zeros(texts, np.float32),
        np.zeros(texts + 1, np.uint32), np.zeros(texts + 1, np.uint32),
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def nearest(first, last, bags, scratch, common, where):
    """Fill `common` (tokens of the longest common subsequence) and `where` (which text; -1 for none) of `first:last`.

    The best of a text is the one with the highest 2 * common / (both lengths).
    """
    four, values = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for row in range(first, last):
        below, size = _frequent(row, bags)
        _overlaps(row, below, bags, scratch.shared, scratch.rest)
        top = _bounds(scratch.shared, bags.sizes[row], bags.sizes, scratch.bound)
        short = _open(row, below, bags, scratch)
        # The most promising first: what they score decides which of the others can be better at all.
        found = _better(scratch.bound, top * np.float32(0.9999), scratch.some)
        best = _best_of(row, bags, scratch, scratch.some[:found], (0, 1, -1), short, size, four, values)
        found = _better(scratch.bound, np.float32(2 * best[0] / best[1]), scratch.some)
        _by_bound(scratch.bound, scratch.some[:found], top, scratch.order)
        best = _best_of(row, bags, scratch, scratch.order[:found], best, short, size, four, values)
        _close(row, bags, scratch, short)
        common[row], where[row] = best[0], best[2]


@njit(nogil=True, cache=True, error_model="numpy")
def _best_of(row, bags, scratch, others, best, short, size, four, values):
    """The better of `best` and the texts `others`: (common tokens, both lengths, which)."""
    length, filled = bags.lengths[row], 0
    for place in range(others.shape[0]):
        other = np.int64(others[place])
        if np.int64(scratch.shared[other]) * best[1] > best[0] * (length + bags.lengths[other]):
            four[filled] = other
            filled += 1
        if filled == 0 or (filled < 4 and place < others.shape[0] - 1):
            continue
        _frequent_common(size, bags, scratch, four, filled, values)
        for lane in range(filled):
            other = four[lane]
            both = length + bags.lengths[other]
            if (values[lane] + np.int64(scratch.rest[other])) * best[1] > best[0] * both:
                value = _pair(row, other, bags, scratch, short)
                if value * best[1] > best[0] * both:
                    best = (value, both, other)
        filled = 0
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def _frequent(row, bags):
    """Which tokens of a row count as frequent (those below the first number), so that at most 128 of it do (second)."""
    below, size = 0, 0
    for at in range(bags.own_starts[row], bags.own_starts[row + 1]):
        if bags.own_tokens[at] >= min(FREQUENT, bags.dense.shape[0]) or size + bags.own_counts[at] > _SPAN:
            break
        below, size = np.int64(bags.own_tokens[at]) + 1, size + np.int64(bags.own_counts[at])
    return below, size


@njit(nogil=True, cache=True, error_model="numpy")
def _overlaps(row, below, bags, shared, rest):
    """How many tokens the bag of one text shares with every other's, at most; `rest`: without the frequent tokens."""
    shared[:] = 0
    dense, whole = bags.dense.shape[0], False
    for at in range(bags.own_starts[row + 1] - 1, bags.own_starts[row] - 1, -1):  # the frequent tokens come last
        token, count = bags.own_tokens[at], bags.own_counts[at]
        if not whole and token < below:
            rest[:], whole = shared, True
        few = np.uint8(min(count, FULL))
        if token >= dense:
            for place in range(bags.ends[token], bags.ends[token + 1]):
                held = bags.counts[place]
                shared[bags.rows[place]] += count if held == FULL else min(few, held)
        elif count <= FULL:
            column = bags.dense[token]
            for other in range(shared.shape[0]):
                shared[other] += min(few, column[other])
        else:
            column = bags.dense[token]
            for other in range(shared.shape[0]):
                shared[other] += count if column[other] == FULL else column[other]
    if not whole:
        rest[:] = shared
    shared[row] = 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz", "arcp"})
def _bounds(shared, size, sizes, bound):
    """What each pair can score at most, and the highest of that."""
    top = np.float32(0)
    for other in range(shared.shape[0]):
        value = np.float32(shared[other]) * (np.float32(2) * _ABOVE) / (size + sizes[other])
        bound[other] = value
        if value > top:
            top = value
    return top


@njit(nogil=True, cache=True, error_model="numpy")
def _better(bound, least, some):
    """The texts whose bound is above `least`; how many there are."""
    found = 0
    for other in range(bound.shape[0]):
        some[found] = other
        found += bound[other] > least
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _by_bound(bound, some, top, order):
    """`some` in the order of their bounds, the highest first, told apart in a thousand steps."""
    fill = np.zeros(_STEPS + 2, np.int64)
    scale = np.float32(_STEPS - 1) / top
    for place in range(some.shape[0]):
        fill[_STEPS - np.int64(bound[some[place]] * scale)] += 1
    for step in range(_STEPS):
        fill[step + 1] += fill[step]
    for place in range(some.shape[0] - 1, -1, -1):
        step = _STEPS - np.int64(bound[some[place]] * scale)
        fill[step] -= 1
        order[fill[step]] = some[place]


@njit(nogil=True, cache=True, error_model="numpy")
def _open(row, below, bags, scratch):
    """Note where the row's tokens stand; whether all of them fit (longer rows are compared part by part)."""
    size = 0
    for place in range(bags.frequent_starts[row], bags.frequent_starts[row + 1]):
        if bags.frequent[place] < below:
            at = (np.uint64(bags.frequent[place]) << _ONE) + np.uint64(size >> 6)
            scratch.quick[at] |= _ONE << np.uint64(size & 63)
            size += 1
    begin, end = bags.starts[row], bags.starts[row + 1]
    if end - begin <= _SPAN:
        _set(scratch.masks, bags.flat, begin, end)
    return end - begin <= _SPAN


@njit(nogil=True, cache=True, error_model="numpy")
def _close(row, bags, scratch, short):
    """Undo `_open`."""
    scratch.quick[:] = 0
    if short:
        _clear(scratch.masks, bags.flat, bags.starts[row], bags.starts[row + 1])


@njit(nogil=True, cache=True, error_model="numpy")
def _set(masks, flat, begin, end):
    for place in range(begin, end):
        at = (np.uint64(flat[place]) << _ONE) + np.uint64((place - begin) >> 6)
        masks[at] |= _ONE << np.uint64((place - begin) & 63)


@njit(nogil=True, cache=True, error_model="numpy")
def _clear(masks, flat, begin, end):
    for place in range(begin, end):
        at = np.uint64(flat[place]) << _ONE
        masks[at] = np.uint64(0)
        masks[at + _ONE] = np.uint64(0)


@njit(nogil=True, cache=True, error_model="numpy")
def _frequent_common(size, bags, scratch, four, filled, values):
    """The common subsequences of the `size` frequent tokens of the row and of up to four others."""
    starts = bags.frequent_starts
    if size <= 64:
        four[filled:] = four[0]
        _four(scratch.quick, bags.frequent, starts, four, values)
    else:
        for lane in range(filled):
            other = four[lane]
            values[lane] = _common(scratch.quick, bags.frequent, starts[other], starts[other + 1])


@njit(nogil=True, cache=True, error_model="numpy")
def _four(masks, flat, starts, four, values):
    """Four at once: one alone waits for itself at every step, four take little longer than one."""
    i, j, k, m = starts[four[0]], starts[four[1]], starts[four[2]], starts[four[3]]
    ends = (starts[four[0] + 1], starts[four[1] + 1], starts[four[2] + 1], starts[four[3] + 1])
    steps = min(min(ends[0] - i, ends[1] - j), min(ends[2] - k, ends[3] - m))
    a, b, c, d = _ONES, _ONES, _ONES, _ONES
    for step in range(steps):
        u = a & masks[np.uint64(flat[i + step]) << _ONE]
        a = (a + u) | (a - u)
        u = b & masks[np.uint64(flat[j + step]) << _ONE]
        b = (b + u) | (b - u)
        u = c & masks[np.uint64(flat[k + step]) << _ONE]
        c = (c + u) | (c - u)
        u = d & masks[np.uint64(flat[m + step]) << _ONE]
        d = (d + u) | (d - u)
    values[0] = _bits(~_word(masks, flat, i + steps, ends[0], a))
    values[1] = _bits(~_word(masks, flat, j + steps, ends[1], b))
    values[2] = _bits(~_word(masks, flat, k + steps, ends[2], c))
    values[3] = _bits(~_word(masks, flat, m + steps, ends[3], d))


@njit(nogil=True, cache=True, error_model="numpy")
def _word(masks, flat, begin, end, a):
    for place in range(begin, end):
        u = a & masks[np.uint64(flat[place]) << _ONE]
        a = (a + u) | (a - u)
    return a


@njit(nogil=True, cache=True, error_model="numpy")
def _pair(row, other, bags, scratch, short):
    """The longest common subsequence of two texts, in tokens."""
    begin, end = bags.starts[other], bags.starts[other + 1]
    if short:
        return _common(scratch.masks, bags.flat, begin, end)
    scratch.carries[: end - begin] = 0
    total = 0
    for part in range(bags.starts[row], bags.starts[row + 1], _SPAN):
        stop = min(part + _SPAN, bags.starts[row + 1])
        _set(scratch.masks, bags.flat, part, stop)
        total += _common_part(scratch.masks, bags.flat, begin, end, scratch.carries)
        _clear(scratch.masks, bags.flat, part, stop)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _common(masks, flat, begin, end):
    """Longest common subsequence of the text in `masks` and `flat[begin:end]`."""
    a, b = _ONES, _ONES
    for place in range(begin, end):
        at = np.uint64(flat[place]) << _ONE
        u = a & masks[at]
        v = b & masks[at + _ONE]
        s = a + u
        carry = np.uint64(s < u)
        a = s | (a - u)
        b = (b + v + carry) | (b - v)
    return _bits(~a) + _bits(~b)


@njit(nogil=True, cache=True, error_model="numpy")
def _common_part(masks, flat, begin, end, carries):
    """The same for one part of a longer text; `carries` come from the part before and are left for the next."""
    a, b = _ONES, _ONES
    for place in range(begin, end):
        at = np.uint64(flat[place]) << _ONE
        u = a & masks[at]
        v = b & masks[at + _ONE]
        s = a + u
        carry = np.uint64(s < u)
        s += carries[place - begin]
        carry |= np.uint64(s < carries[place - begin])
        t = b + v
        out = np.uint64(t < v)
        t += carry
        carries[place - begin] = out | np.uint64(t < carry)
        a = s | (a - u)
        b = t | (b - v)
    return _bits(~a) + _bits(~b)


@njit(nogil=True, cache=True, error_model="numpy")
def _bits(x):
    """Set bits of a 64-bit word."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
