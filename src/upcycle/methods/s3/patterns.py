"""Patterns of errors: mined errors that are alike are put together, and the model names what they have in common.

In: errors. Out: clusters, and for each one sentence. The decision: who names a pattern sees the rows, who writes from
it the sentence alone; one that repeats eight words of a mined row, or all of a short one, is asked for again, so no
gold row reaches a prompt that writes (PaDA-Agent, arXiv 2510.18143; DataEnvGym, arXiv 2410.06215, abstracts).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from upcycle.curation.duplicates.exact import folded
from upcycle.errors import RowError
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import ask
from upcycle.methods.prompts import cut, fill, show_task
from upcycle.methods.s3.gold import GoldParts
from upcycle.methods.s3.rounds import Error
from upcycle.methods.s3.shape import Shape
from upcycle.task import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIZE = 8  # errors of a cluster, about
_MOST = 12  # clusters of a round
_SHOWN = 8
_CHARS = 500
_RUN = 8  # words in a row that a sentence may not share with gold
_SHORTEST = 3  # words of a text that may not be repeated as a whole
_STEPS = 20
_WORDS = 5


@dataclass(frozen=True)
class Cluster:
    """Errors that are alike.

    Attributes:
        said: what the student says of most of them.
        gold: what is right for them.
        words: what they speak of more than the other errors do.
        pattern: what they have in common, in a sentence of the model's; "" where it was not asked.
    """

    errors: tuple[Error, ...]
    said: str
    gold: str
    words: tuple[str, ...]
    pattern: str = ""

    def ids(self) -> list[str]:
        return [error.row.id for error in self.errors]


def clusters(errors: Sequence[Error], shape: Shape, gold: GoldParts, *, seed: int = 0) -> list[Cluster]:
    """Errors by what was said for what, then by their words (spherical k-means on TF-IDF); largest first."""
    background = Counter(word for row in gold.mine for word in _telling(shape.cut(row.input).written))
    groups: dict[tuple[str, str], list[Error]] = defaultdict(list)
    for error in errors:
        groups[(error.said, error.row.output) if shape.labels else ("", "")].append(error)
    total = max(1, len(errors))
    found: list[Cluster] = []
    for (said, right), group in sorted(groups.items()):
        wanted = max(1, min(round(_MOST * len(group) / total), len(group) // _SIZE))
        found += [
            Cluster(tuple(part), said, right, _own_words(part, shape, background, len(gold.mine)))
            for part in _parted(group, shape, wanted, seed)
        ]
    return sorted(found, key=lambda one: (-len(one.errors), one.ids()))


def _parted(errors: Sequence[Error], shape: Shape, wanted: int, seed: int) -> list[list[Error]]:
    """Errors in so many parts."""
    if wanted < 2:
        return [list(errors)]
    import numpy as np

    from upcycle.training.shallow.tfidf import Vocabulary

    _, rows = Vocabulary.of([shape.cut(error.row.input).written for error in errors], longest=1)
    dense = np.zeros(rows.shape)
    dense[rows.rows, rows.columns] = rows.weights
    owner = _k_means(dense, wanted, seed).tolist()
    return [[error for error, of in zip(errors, owner, strict=True) if of == number] for number in sorted(set(owner))]


def _own_words(errors: Sequence[Error], shape: Shape, background: Counter[str], rows: int) -> tuple[str, ...]:
    """Words that stand in these errors more often than in the mined rows, by pointwise mutual information x share."""
    here = Counter(word for error in errors for word in _telling(shape.cut(error.row.input).written))
    share = {word: count / len(errors) for word, count in here.items() if count > 1 or len(errors) == 1}
    gain = {word: part * math.log(part * (rows + 1) / (background[word] + 1)) for word, part in share.items()}
    best = sorted(gain, key=lambda word: (-gain[word], word))
    return tuple(word for word in best[:_WORDS] if gain[word] > 0)


def _telling(text: str) -> set[str]:
    from upcycle.training.shallow.tfidf import tokens

    return {word for word in tokens(text) if len(word) > 3}


def _k_means(rows: NDArray[np.float64], wanted: int, seed: int) -> NDArray[np.int64]:
    """Which of `wanted` centres each row of length 1 is nearest to, by the cosine."""
    import numpy as np

    centres = rows[Random(f"{seed}/clusters").sample(range(len(rows)), wanted)]
    owner = np.zeros(len(rows), dtype=np.int64)
    for _ in range(_STEPS):
        now = np.asarray((rows[:, None, :] * centres[None, :, :]).sum(axis=2).argmax(axis=1), dtype=np.int64)
        if (now == owner).all():
            break
        owner = now
        for number in range(wanted):
            if (owner == number).any():
                centre = rows[owner == number].sum(axis=0)
                centres[number] = centre / max(1e-12, float(np.sqrt((centre * centre).sum())))
    return owner


async def named(
    found: Sequence[Cluster], task: Task, shape: Shape, gold: GoldParts, model: Model, *, temperature: float = 0.0
) -> list[Cluster]:
    """The clusters with their pattern; one call each. One for which no sentence can be had keeps ""."""
    import asyncio

    wording = Wording.of(gold, shape)
    sentences = await asyncio.gather(*(_name(one, task, wording, model, temperature) for one in found))
    return [
        Cluster(one.errors, one.said, one.gold, one.words, pattern)
        for one, pattern in zip(found, sentences, strict=True)
    ]


async def _name(cluster: Cluster, task: Task, wording: Wording, model: Model, temperature: float) -> str:
    shown = "\n".join(f"<input>{cut(error.row.input, _CHARS)}</input>" for error in cluster.errors[:_SHOWN])
    prompt = fill(
        Path(__file__).parent, "name-pattern", task=show_task(task), errors=shown,
        said=repr(cluster.said) if cluster.said else "something else", gold=repr(cluster.gold or "another output"),
    )  # fmt: skip
    request = Request(
        ({"role": "user", "content": prompt},), stage="s3-pattern", max_tokens=200, temperature=temperature,
        schema=_PATTERN,
    )  # fmt: skip

    def check(value: dict[str, str]) -> str | None:
        if not _words_of(value["pattern"]):
            return "the pattern is empty"
        return "the pattern quotes an input" if wording.quoted_in(value["pattern"]) else None

    try:
        return " ".join((await ask(model, request, check=check, tries=3)).value["pattern"].split())
    except RowError:
        return ""


@dataclass(frozen=True)
class Wording:
    """What a pattern may not repeat: eight words in a row of a mined row, or all of a part that has three to eight."""

    runs: frozenset[str]
    whole: frozenset[str]

    @classmethod
    def of(cls, gold: GoldParts, shape: Shape) -> Wording:
        cuts = [shape.cut(row.input) for row in gold.mine]
        texts = [text for one in cuts for text in (one.context, one.written)]
        short = {" ".join(words) for words in map(_words_of, texts) if _SHORTEST <= len(words) < _RUN}
        return cls(frozenset(run for text in texts for run in _runs_of(text)), frozenset(short))

    def quoted_in(self, sentence: str) -> bool:
        said = f" {' '.join(_words_of(sentence))} "
        return any(run in self.runs for run in _runs_of(sentence)) or any(f" {text} " in said for text in self.whole)


def _runs_of(text: str) -> list[str]:
    words = _words_of(text)
    return [" ".join(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]


def _words_of(text: str) -> list[str]:
    return folded(text).split()


_PATTERN = {
    "type": "object",
    "properties": {"pattern": {"type": "string", "minLength": 1}},
    "required": ["pattern"],
    "additionalProperties": False,
}
