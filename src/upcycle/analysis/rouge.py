"""How unlike each other the texts of a set are: for each text its highest ROUGE-L with any other, exactly.

In: texts. Out: `Nearest`. ROUGE-L (Lin 2004) of two texts of m and n tokens is 2 L / (m + n), L the length of their
longest common subsequence: the F measure of the `rouge-score` package without its stemmer. The DataTune paper (arXiv
2404.14361, section 5.2, figure 4) calls a text unique at T when that highest score is below T. All pairs count, but few
are computed: texts that are the same score 1 at once, and bounds (`bags`, `lcs_compiled`) settle nearly all others.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.analysis.bags import Bags, bags, unique
from upcycle.analysis.tokens import intern

if TYPE_CHECKING:
    import numpy as np

SLOWER = (
    "numba is not installed, so ROUGE-L is computed by numpy: as exact, but 10 to 30 times slower"
    " (pip install 'upcycle[describe]')"
)
"""Said where the compiled search is missing."""

_BLOCK_PAIRS = 4_000_000
_FEW = 100  # numpy is done with so few texts before the compiled code is loaded


class Nearest(NamedTuple):
    """What each text is most like, in the order of the texts.

    Attributes:
        scores: highest ROUGE-L F with any other text, 0 to 1; float64. A text without tokens scores 0.
        neighbours: number of a text that reaches it, -1 where the score is 0; int64.
    """

    scores: np.ndarray
    neighbours: np.ndarray


def max_rouge_l(texts: Sequence[str], *, threads: int | None = None, compiled: bool | None = None) -> Nearest:
    """For each text its highest ROUGE-L F against all others, and one text that reaches it.

    Args:
        threads: how many cores; all this process may use where not given.
        compiled: whether by numba or by numpy; where not given by numba, if it is installed and there is enough to do.
    """
    import numpy as np

    interned = intern(texts)
    scores, neighbours = np.zeros(len(texts)), np.full(len(texts), -1, np.int64)
    if not len(texts):
        return Nearest(scores, neighbours)
    kinds = unique(interned)
    chosen = kinds.first
    lengths = np.diff(np.frombuffer(interned.starts, np.int64))
    empty = int(lengths[chosen[0]] == 0)  # texts without tokens are one kind, the shortest
    index = bags(interned, chosen[empty:])
    del interned
    if compiled is None:
        compiled = len(index.lengths) > _FEW and is_compiled()
    common, where = _search(index, threads or _cores(), compiled=compiled)
    found = where >= 0
    both = index.lengths + np.where(found, index.lengths[where], 1)
    by_kind, at = np.zeros(len(chosen)), np.full(len(chosen), -1, np.int64)
    by_kind[empty:] = np.where(found, 2 * common / both, 0.0)
    at[empty:] = np.where(found, chosen[where + empty], -1)
    scores, neighbours = by_kind[kinds.kind], at[kinds.kind]
    _same(kinds.kind, lengths, scores, neighbours)
    return Nearest(scores, neighbours)


def is_compiled() -> bool:
    """Whether the fast search is there."""
    return find_spec("numba") is not None


def share_unique(scores: np.ndarray, thresholds: Sequence[float]) -> list[float]:
    """Share of texts whose highest score is below each threshold: the curve of figure 4."""
    import numpy as np

    ordered = np.sort(scores)
    # A score is a rounded fraction: 0.7 stands for all that is 0.7 but for rounding, and such a text is not below it.
    below = np.searchsorted(ordered, np.asarray(thresholds) - 1e-12, side="left")
    return (below / max(1, len(ordered))).tolist()


def _same(kind: np.ndarray, lengths: np.ndarray, scores: np.ndarray, neighbours: np.ndarray) -> None:
    """Texts that are the same token by token score 1 with each other: the first with the second, the rest with it."""
    import numpy as np

    order = np.argsort(kind, kind="stable")
    again = np.flatnonzero(kind[order][1:] == kind[order][:-1]) + 1
    first = np.full(int(kind.max()) + 1, -1, np.int64)
    first[kind[::-1]] = np.arange(len(kind))[::-1]
    for places, others in ((order[again], first[kind[order[again]]]), (order[again - 1], order[again])):
        told = lengths[places] > 0
        scores[places[told]] = 1.0
        neighbours[places[told]] = others[told]
    later = order[again]
    later = later[lengths[later] > 0]
    neighbours[later] = first[kind[later]]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _search(index: Bags, threads: int, *, compiled: bool) -> tuple[np.ndarray, np.ndarray]:
    """The common tokens of each text with its nearest, and which that is (-1: none)."""
    import numpy as np

    texts = len(index.lengths)
    common, where = np.zeros(texts, np.int64), np.full(texts, -1, np.int64)
    if texts < 2:
        return common, where
    if not compiled:
        from upcycle.analysis import lcs_plain

        lcs_plain.nearest(0, texts, index, common, where)
        return common, where
    code = _compiled()
    memory = [code.scratch(index) for _ in range(threads)]
    step = max(1, min(_BLOCK_PAIRS // texts, texts // threads))
    starts = range(0, texts, step)

    def work(start: int) -> None:
        mine = memory.pop()  # there are as many as threads
        code.nearest(start, min(start + step, texts), index, mine, common, where)
        memory.append(mine)

    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(work, start) for start in starts]
        try:
            for one in waiting:
                one.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return common, where


@cache
def _compiled() -> ModuleType:
    """The compiled search; its machine code is kept in the user's cache folder, so it is compiled once a machine."""
    settings: Any = import_module("numba").config
    # Where a function's code is kept is decided when it is defined; other users of numba keep their folder.
    before, settings.CACHE_DIR = settings.CACHE_DIR, _code_folder()
    try:
        from upcycle.analysis import lcs_compiled
    finally:
        settings.CACHE_DIR = before
    return lcs_compiled


def _code_folder() -> str:
    from upcycle.cache import cache_dir

    folder = cache_dir() / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return tempfile.mkdtemp(prefix="upcycle-")
    return str(folder)
