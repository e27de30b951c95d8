"""Paraphrases: the same said in other words, which no n-gram finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

_SAME = 0.9


class SentenceEncoder(Protocol):
    """Texts to rows of length 1, under a name that thresholds are calibrated for."""

    name: str

    def __call__(self, texts: Sequence[str]) -> Any: ...


class Neighbour(NamedTuple):
    """The gold item a text is nearest to, and whether both say the same."""

    item: int
    score: float
    same: bool


class Paraphrases:
    """Gold items by their meaning."""

    def __init__(self, items: Sequence[str], encode: SentenceEncoder) -> None:
        self._encode = encode
        self._matrix = encode(items) if items else None

    def nearest(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """The nearest item of each text; None where there are no items."""
        if self._matrix is None or not texts:
            return [None for _ in texts]
        cosines = self._encode(texts) @ self._matrix.T
        best = cosines.argmax(axis=1)
        return [
            Neighbour(int(item), float(row[item]), bool(row[item] >= _SAME))
            for item, row in zip(best, cosines, strict=True)
        ]
