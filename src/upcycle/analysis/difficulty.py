"""How hard the examples of a set are, from 1 to 5: by a model with a rubric, or by a small model's loss.

In: examples by set. Out: `Difficulty`, the share of each level by set. A served model rates by one rubric, filled from
the task, several examples a call (the paper asks GPT-3.5 with a rubric written by hand for each task, one example a
call: arXiv 2404.14361, section 5.3, figure 5, appendix A.6). A model that runs in process is the student: its loss on
an output is the measure. With no model the loss is that of a word-bigram model, which knows how expected the words are
and nothing of meaning. Losses have no scale of their own, so their levels are the fifths of gold, or of all sets where
none is gold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from upcycle.analysis.tokens import intern, words_and_marks
from upcycle.errors import RowError
from upcycle.llm.model import Model, Request, Scoring
from upcycle.llm.together import Answer, ask_together
from upcycle.records import Example
from upcycle.run.rows import run_rows

if TYPE_CHECKING:
    import numpy as np

LEVELS = (1, 2, 3, 4, 5)
RATED = 200
"""Examples of each set that a model is asked about."""

_BATCH = 8
_FOLDS = 5
_BIGRAM = 0.7
_CHARS = 4_000
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"level": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["level"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard one set is.

    Attributes:
        by: what said so.
        shares: share of the examples at the levels 1 to 5.
        mean: their mean level.
        rated: how many examples were rated.
        unrated: how many were drawn, but could not be.
    """

    by: str
    shares: tuple[float, ...]
    mean: float
    rated: int
    unrated: int = 0


async def by_model(
    sets: Mapping[str, Sequence[Example]],
    model: Model,
    *,
    task: str,
    gold: str | None = None,
    rated: int = RATED,
    seed: int = 0,
) -> dict[str, Difficulty]:
    """Have a model say how hard a drawn part of each set is: by rubric, or by its loss where it can score.

    Args:
        task: what the examples are of, as the rubric tells it.
        gold: name of the set whose fifths are the levels of a loss.

    Raises:
        ProviderError, BudgetExceededError: what was paid for is in the journal.
    """
    drawn = {
        name: list(some) if len(some) <= rated else Random(seed).sample(list(some), rated)
        for name, some in sets.items()
    }
    if isinstance(model, Scoring):
        losses = {name: await _losses(some, model) for name, some in drawn.items()}
        return _binned(losses, gold, f"loss of {model.name} on the output")
    found: dict[str, Difficulty] = {}
    for name, some in drawn.items():
        levels = await _levels(some, model, task)
        found[name] = _summed(levels, f"rubric, {model.name}", unrated=len(some) - len(levels))
    return found


def by_words(sets: Mapping[str, Sequence[str]], *, gold: str | None = None, seed: int = 0) -> dict[str, Difficulty]:
    """How unexpected the words of each text are to a bigram model of all sets, each set weighing the same.

    The model is fitted on four fifths of all texts and asked about the fifth, for each fifth; the loss is in nats a
    token.
    """
    losses = dict(zip(sets, _word_losses(list(sets.values()), seed), strict=True))
    return _binned(losses, gold, "loss of a word-bigram model")


async def _levels(examples: Sequence[Example], model: Model, task: str) -> list[int]:
    def request(asked: Sequence[tuple[str, Example]]) -> Request:
        text = _prompt(task, asked)
        return Request(({"role": "user", "content": text},), "difficulty", 20 * len(asked) + 60, schema=_SCHEMA)

    async def work(group: Sequence[Example]) -> list[Answer]:
        return await ask_together(model, group, request)

    groups = [examples[start : start + _BATCH] for start in range(0, len(examples), _BATCH)]
    levels: list[int] = []
    async for _, answers in run_rows(groups, work, at_once=16, needed=lambda: len(groups)):
        assert isinstance(answers, list), "what went wrong with an example is in its answer"
        levels += [answer.value["level"] for answer in answers if answer.error is None]
    return levels


def _prompt(task: str, asked: Sequence[tuple[str, Example]]) -> str:
    shown = []
    for key, example in asked:
        text = f"Input:\n{example.input[:_CHARS]}\nOutput:\n{example.output[:_CHARS]}"
        shown.append(f'<example id="{key}">\n{text.replace("</example", "< /example")}\n</example>')
    text = (Path(__file__).parent / "prompts" / "difficulty.md").read_text(encoding="utf-8").strip()
    values = {"task": f"Task: {task}", "examples": "\n".join(shown)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


async def _losses(examples: Sequence[Example], model: Scoring) -> list[float]:
    """Negative log-likelihood of each output after its input, in nats a word; what cannot be scored is left out."""
    losses = []
    for example in examples:
        try:
            [score] = await model.score(f"{example.input}\n", [example.output])
        except RowError:
            continue
        losses.append(-score / max(1, len(words_and_marks(example.output))))
    return losses


def _word_losses(sets: Sequence[Sequence[str]], seed: int) -> list[list[float]]:
    import numpy as np

    texts = [text for some in sets for text in some]
    interned = intern(texts, words_and_marks)
    flat = np.frombuffer(interned.flat, np.int32).astype(np.int64) if len(interned.flat) else np.empty(0, np.int64)
    starts = np.frombuffer(interned.starts, np.int64)
    if not len(flat):
        return [[0.0] * len(some) for some in sets]
    owner = np.repeat(np.arange(len(texts)), np.diff(starts))
    fold = np.array([Random(f"{seed}/{number}").randrange(_FOLDS) for number in range(len(texts))])[owner]
    least = min(len(some) for some in sets if some)
    weight = np.concatenate([np.full(len(some), least / len(some)) for some in sets if some])[owner]
    begins = np.zeros(len(flat), bool)
    begins[starts[:-1][np.diff(starts) > 0]] = True
    loss = _losses_of(flat, begins, fold, weight, interned.known)
    sizes = np.maximum(np.diff(starts), 1)
    each = (np.bincount(owner, loss, len(texts)) / sizes).tolist()
    ends = np.cumsum([0, *map(len, sets)]).tolist()
    return [each[begin:end] for begin, end in pairwise(ends)]


def _losses_of(flat: np.ndarray, begins: np.ndarray, fold: np.ndarray, weight: np.ndarray, known: int) -> np.ndarray:
    """Loss of every token, by a model fitted on the other folds: bigrams interpolated with smoothed single words."""
    import numpy as np

    before = np.concatenate(([0], flat[:-1]))
    _, pair = np.unique(np.where(begins, -1, before * known + flat), return_inverse=True)
    pair = pair.ravel()
    everything = np.bincount(pair, weight), np.bincount(flat, weight, known)
    loss = np.zeros(len(flat))
    for one in range(_FOLDS):
        out = fold == one
        pairs = everything[0] - np.bincount(pair[out], weight[out], len(everything[0]))
        words = everything[1] - np.bincount(flat[out], weight[out], known)
        alone = (words[flat[out]] + 0.5) / (words.sum() + 0.5 * known)
        follows = pairs[pair[out]].clip(0) / np.maximum(words[before[out]], 1e-9)
        seen = ~begins[out] & (words[before[out]] > 1e-6)
        chance = np.where(seen, _BIGRAM * follows.clip(0, 1) + (1 - _BIGRAM) * alone, alone)
        loss[out] = -np.log(np.maximum(chance, 1e-12))
    return loss


def _binned(losses: Mapping[str, Sequence[float]], gold: str | None, by: str) -> dict[str, Difficulty]:
    import numpy as np

    scale = losses[gold] if gold else [loss for some in losses.values() for loss in some]
    edges = np.quantile(np.asarray(scale), [0.2, 0.4, 0.6, 0.8]) if len(scale) else np.zeros(4)
    told = f"{by}, in fifths of {gold or 'all sets'}"
    return {
        name: _summed((np.searchsorted(edges, np.asarray(some), side="left") + 1).tolist(), told)
        for name, some in losses.items()
    }


def _summed(levels: Sequence[int], by: str, *, unrated: int = 0) -> Difficulty:
    counts, total = Counter(levels), max(1, len(levels))
    shares = tuple(counts[level] / total for level in LEVELS)
    return Difficulty(by, shares, sum(levels) / total, len(levels), unrated)
