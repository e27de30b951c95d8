"""Semantic duplicates: examples that say the same as a kept one in other words, within a set and across methods.

Vectors of kept examples stand in one growing matrix of float32, so a comparison is one product; exact, and quick up to
some hundred thousand kept examples (1 kB each with static vectors). Two examples whose short answers differ, or whose
numbers do, are never the same, however near their vectors lie.
"""

from __future__ import annotations

from typing import Any

from upcycle.contract import without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.decontamination.numbers import numbers_of
from upcycle.curation.duplicates.exact import options_of
from upcycle.curation.duplicates.near import content_of
from upcycle.errors import ConfigError, RowKind
from upcycle.records import Example, Verdict
from upcycle.sources.encoder import Encoder, sentence_encoder

_FIRST_ROWS = 1024


def semantic_check(encode: Encoder | None = None, threshold: float = 0.95) -> Check:
    """Drops an example that says what a kept one says.

    Args:
        encode: texts to rows of length 1; None takes the encoder that is installed.
        threshold: cosine from which on two texts say the same, above 0, up to 1. Static vectors need a high one.

    The verdict names the kept example's id in `other` and the cosine in `score`.

    Raises:
        ConfigError: no encoder is installed, or a threshold that is no cosine.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"a semantic threshold of {threshold} is no cosine; give one above 0 and up to 1")
    chosen = encode or sentence_encoder()
    if chosen is None:
        raise ConfigError(
            "semantic duplicates need an encoder, and none is installed; pip install 'upcycle[embed]', or check for "
            "near duplicates instead"
        )
    kept = _Kept()

    def check(example: Example) -> Verdict:
        text = "\n".join((without_options(example.input), *sorted(options_of(example)), example.output))
        vector = chosen([text])[0]
        same_kind = (content_of(example).answer, frozenset(numbers_of(text)))
        found = kept.nearest(vector, same_kind, threshold)
        if found is None:
            kept.add(vector, same_kind, example.id)
            return KEEP
        other, score = found
        return Verdict(
            keep=False,
            kind=RowKind.DUPLICATE,
            reason="says in other words what an example already kept says",
            score=round(score, 3),
            other=other,
        )

    return check


class _Kept:
    """Vectors of kept examples, apart by what must agree; each group is one matrix that doubles when it is full."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, frozenset[str]], tuple[Any, list[str]]] = {}

    def nearest(self, vector: Any, group: tuple[str, frozenset[str]], threshold: float) -> tuple[str, float] | None:
        if group not in self._groups:
            return None
        matrix, ids = self._groups[group]
        cosines = matrix[: len(ids)] @ vector
        best = int(cosines.argmax())
        return (ids[best], min(1.0, float(cosines[best]))) if cosines[best] >= threshold else None

    def add(self, vector: Any, group: tuple[str, frozenset[str]], identifier: str) -> None:
        import numpy as np

        matrix, ids = self._groups.get(group, (np.zeros((1, len(vector)), np.float32), []))
        if len(ids) == len(matrix):
            grown = np.zeros((min(2 * len(matrix), len(matrix) + 64 * _FIRST_ROWS), len(vector)), np.float32)
            grown[: len(ids)] = matrix
            matrix = grown
        matrix[len(ids)] = vector
        ids.append(identifier)
        self._groups[group] = (matrix, ids)
