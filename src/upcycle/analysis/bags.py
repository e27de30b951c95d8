"""Texts made ready for comparing all with all: each different text once, by length, with what bounds a pair's score.

In: interned texts. Out: `Bags`. Two texts share at most the tokens their bags share, so the overlap of the bags bounds
the longest common subsequence. That overlap is cheap to have for one text against all others at once: frequent tokens
have a row of counts over all texts (added up many at a time), rarer ones a list of the texts they are in. A token that
only one text holds can match nothing and is left out; lengths still count it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from upcycle.analysis.tokens import Interned

if TYPE_CHECKING:
    import numpy as np

_Block: TypeAlias = "tuple[np.ndarray, np.ndarray, np.ndarray]"

_DENSE_SHARE = 1 / 32
_DENSE_MOST = 512
_DENSE_BYTES = 64 << 20
_BLOCK = 1_000_000
FREQUENT = 128
"""The most frequent tokens: most of a text, and the part whose order decides most pairs."""
FULL = 255
"""A count of so many or more; the overlap it bounds is then taken to be the other text's whole count."""


class Unique(NamedTuple):
    """Each different text once.

    Attributes:
        first: number of the first text of each different kind, shortest first; int64.
        kind: which of those each text is; int64.
    """

    first: np.ndarray
    kind: np.ndarray


class Bags(NamedTuple):
    """Different texts in the order of their lengths, as numbers (see the module's docstring).

    Attributes:
        lengths, sizes: tokens of each text; int64 and float32.
        flat, starts: tokens of all texts that more than one text holds, the most frequent token being 0; uint32, int64.
        known: how many such tokens there are.
        own_tokens, own_counts, own_starts: the different tokens of each text and how often it holds them.
        dense: for each of the most frequent tokens, its count in every text (at most `FULL`); uint8.
        frequent, frequent_starts: of each text the tokens below `FREQUENT`, in their order; uint8, int64.
        rows, counts, ends: for each other token, in which texts it is and how often (at most `FULL`); the lists of
            token `t` lie between `ends[t]` and `ends[t + 1]`.
    """

    lengths: np.ndarray
    sizes: np.ndarray
    flat: np.ndarray
    starts: np.ndarray
    known: int
    own_tokens: np.ndarray
    own_counts: np.ndarray
    own_starts: np.ndarray
    dense: np.ndarray
    frequent: np.ndarray
    frequent_starts: np.ndarray
    rows: np.ndarray
    counts: np.ndarray
    ends: np.ndarray


def unique(texts: Interned) -> Unique:
    """Which texts are the same, token by token."""
    import numpy as np

    view = memoryview(texts.flat)
    seen: dict[bytes, int] = {}
    starts = texts.starts
    kind = np.fromiter(
        (seen.setdefault(bytes(view[starts[i] : starts[i + 1]]), len(seen)) for i in range(len(starts) - 1)),
        np.int64,
        len(starts) - 1,
    )
    lengths = np.diff(np.frombuffer(starts, np.int64))
    first = np.full(len(seen), len(kind), np.int64)
    np.minimum.at(first, kind, np.arange(len(kind)))
    order = np.argsort(lengths[first], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Unique(first[order], place[kind])


def bags(texts: Interned, chosen: np.ndarray) -> Bags:
    """The index of the chosen texts, which must all be different and ordered by length."""
    import numpy as np

    tokens, lengths = _tokens_of(texts, chosen)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    blocks = list(_pairs(tokens, starts, texts.known))
    held = sum((np.bincount(ids, minlength=texts.known) for _, ids, _ in blocks), np.zeros(texts.known, np.int64))
    order = np.argsort(-held, kind="stable")
    known = int((held > 1).sum())
    dense = _dense_tokens(held[order][:known], len(chosen))
    number = np.empty(texts.known, np.uint32)
    number[order] = np.arange(texts.known)
    own_rows, own_tokens, own_counts = _renumbered(blocks, number, known)

    flat = number[tokens]
    del tokens
    shared = flat < known
    kept = np.concatenate(([0], np.cumsum(shared, dtype=np.int64)))[starts]
    flat = flat[shared]
    often = flat < min(FREQUENT, dense)
    few = np.minimum(own_counts, FULL).astype(np.uint8)
    held_often = own_tokens < dense
    columns = np.zeros((dense, len(chosen)), np.uint8)
    columns[own_tokens[held_often], own_rows[held_often]] = few[held_often]
    rare = np.flatnonzero(~held_often)
    by_token = rare[np.argsort(own_tokens[rare], kind="stable")]
    return Bags(
        lengths=lengths,
        sizes=lengths.astype(np.float32),
        flat=flat,
        starts=kept,
        known=known,
        own_tokens=own_tokens,
        own_counts=own_counts,
        own_starts=np.searchsorted(own_rows, np.arange(len(chosen) + 1)),
        dense=columns,
        frequent=flat[often].astype(np.uint8),
        frequent_starts=np.concatenate(([0], np.cumsum(often, dtype=np.int64)))[kept],
        rows=own_rows[by_token].astype(np.uint32),
        counts=few[by_token],
        ends=np.searchsorted(own_tokens[by_token], np.arange(known + 1)),
    )


def _tokens_of(texts: Interned, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the chosen texts, one text after the other, and how many each has."""
    import numpy as np

    source = np.frombuffer(texts.flat, np.int32) if len(texts.flat) else np.empty(0, np.int32)
    begins = np.frombuffer(texts.starts, np.int64)
    lengths = begins[chosen + 1] - begins[chosen]
    parts = [source[begin : begin + size] for begin, size in zip(begins[chosen], lengths, strict=True)]
    return np.concatenate(parts) if parts else source, lengths


def _renumbered(blocks: list[_Block], number: np.ndarray, known: int) -> _Block:
    """The same with the tokens' new numbers and only for those below `known`; `blocks` is used up to save memory."""
    import numpy as np

    found: list[_Block] = []
    blocks.reverse()
    while blocks:
        rows, ids, counts = blocks.pop()
        ids = number[ids]
        some = np.flatnonzero(ids < known)
        some = some[np.lexsort((ids[some], rows[some]))]
        found.append((rows[some], ids[some], counts[some]))
    if not found:
        return np.empty(0, np.int32), np.empty(0, np.uint32), np.empty(0, np.int32)
    rows, ids, counts = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(ids), np.concatenate(counts)


def _dense_tokens(held: np.ndarray, texts: int) -> int:
    """How many of the most frequent tokens get a count for every text: those that enough texts hold."""
    frequent = int((held >= max(2, texts * _DENSE_SHARE)).sum())
    return min(frequent, _DENSE_MOST, _DENSE_BYTES // max(1, texts))


def _pairs(tokens: np.ndarray, starts: np.ndarray, known: int) -> Iterator[_Block]:
    """(text, token, count) of every token a text holds, by text; in blocks, so that sorting needs little memory."""
    import numpy as np

    begin, texts = 0, len(starts) - 1
    while begin < texts:
        end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + _BLOCK, side="right")) - 1)
        rows = np.repeat(np.arange(begin, end), np.diff(starts[begin : end + 1]))
        keys, counts = np.unique(rows * known + tokens[starts[begin] : starts[end]], return_counts=True)
        yield (keys // known).astype(np.int32), (keys % known).astype(np.int32), counts.astype(np.int32)
        begin = end
