"""Where several sets of texts lie beside each other: one flat map of all of them.

In: texts by set. Out: a point for each text. Texts become vectors (the installed encoder of `sources.encoder`, else
TF-IDF of hashed words) and the two directions in which all sets together vary most are the map's axes, so that what is
near on one set's map is near on the other's. The paper's figure 6 uses t-SNE; principal components are used here,
because the same texts give the same map on every machine and distances between groups mean something.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from upcycle.analysis.tokens import words
from upcycle.sources.encoder import Encoder, installed_encoder

if TYPE_CHECKING:
    import numpy as np

_BUCKETS = 1024
_FIT = 4000
_CELLS = 20


class Layout(NamedTuple):
    """The map.

    Attributes:
        points: set to its texts' places in their order; float32, one row (x, y) a text, each axis within -1 to 1.
        explained: share of all variance that each of the two axes holds.
        encoder: what made the vectors, for the legend.
    """

    points: dict[str, np.ndarray]
    explained: tuple[float, float]
    encoder: str


def layout(texts_by_set: Mapping[str, Sequence[str]], *, encoder: Encoder | None = None) -> Layout:
    """Place all texts of all sets on one map.

    Args:
        encoder: texts to unit vectors; the installed one, or hashed TF-IDF, where not given.
    """
    import numpy as np

    encoder = encoder or installed_encoder()
    texts = [text for some in texts_by_set.values() for text in some]
    vectors = np.asarray(encoder(texts) if encoder and texts else hashed_tfidf(texts), dtype=np.float32)
    named = "static word vectors" if encoder else "TF-IDF of hashed words"
    flat, explained = _principal(vectors)
    ends = np.cumsum([len(some) for some in texts_by_set.values()])
    parts = np.split(flat, ends[:-1]) if len(ends) else []
    return Layout(dict(zip(texts_by_set, parts, strict=True)), explained, named)


def covered(points: np.ndarray, others: np.ndarray) -> float:
    """Share of the cells of a 20 by 20 grid that `others` lie in where `points` lie too."""
    here, there = _cells(points), _cells(others)
    return len(here & there) / len(there) if there else 0.0


def _cells(points: np.ndarray) -> set[int]:
    import numpy as np

    cell = np.clip(((points + 1) / 2 * _CELLS).astype(int), 0, _CELLS - 1)
    return set((cell[:, 0] * _CELLS + cell[:, 1]).tolist())


def hashed_tfidf(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors of 1,024 hashed words, weighted by log frequency and rarity; float32."""
    import numpy as np

    vectors = np.zeros((len(texts), _BUCKETS), np.float32)
    places: dict[str, int] = {}
    for row, text in enumerate(texts):
        for word in words(text):
            place = places.get(word)
            if place is None:
                place = places[word] = zlib.crc32(word.encode()) % _BUCKETS
            vectors[row, place] += 1
    held = (vectors > 0).sum(axis=0)
    np.log1p(vectors, out=vectors)
    vectors *= np.log((1 + len(texts)) / (1 + held)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors


def _principal(vectors: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The two principal components, fitted on at most 4,000 evenly spread rows, scaled to -1..1 with signs fixed."""
    import numpy as np

    count, width = vectors.shape
    if count < 2 or width == 0:
        return np.zeros((count, 2), np.float32), (0.0, 0.0)
    centred = vectors - vectors.mean(axis=0)
    some = centred[np.linspace(0, count - 1, min(count, _FIT)).astype(int)]
    if len(some) < width:
        spread, axes = np.linalg.eigh(some @ some.T)
        axes = some.T @ axes[:, ::-1][:, :2]
        axes /= np.maximum(np.linalg.norm(axes, axis=0), 1e-12)
    else:
        spread, axes = np.linalg.eigh(some.T @ some)
        axes = axes[:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.hstack([axes, np.zeros((width, 2 - axes.shape[1]), axes.dtype)])
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, [0, 1]] < 0, -1, 1)
    flat = (centred @ axes).astype(np.float32)
    flat /= np.maximum(np.abs(flat).max(axis=0), 1e-9)
    top = [*spread[::-1][:2].clip(0), 0.0, 0.0]
    total = max(float(spread.clip(0).sum()), 1e-12)
    return flat, (float(top[0] / total), float(top[1] / total))
