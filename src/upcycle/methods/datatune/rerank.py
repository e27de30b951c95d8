"""Rerank: the model sees cards, columns and a sample row of the candidates and orders them, several times.

Votes are drawn at a temperature that makes them differ; ids that are not on the list are discarded and counted, ties
fall back to the order of the search, and "none" needs a majority of the valid votes (DataTune, section 3.1, where a
hallucinated name counts as a vote and later "none" answers lose paid rows). Pilots decide in the end, so once more than
half of the votes agree on what stands among the first, the rest are not bought.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.errors import RowError
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import ask
from upcycle.methods.prompts import cut, fill, show_records, show_task
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.sources.catalog import Hit

VOTE_TEMPERATURE = 0.7
_FIRST = 3
_PROMPT_CHARS = 8_000
_DATASET_CHARS = 1_500
_DEMONSTRATION_CHARS = (300, 150)
_LONGEST_ID = 40


class Ranking(NamedTuple):
    """The candidates in the order of the votes: those that most votes name, or any where none is named by most."""

    hits: list[Hit]
    none: bool
    votes: int
    invalid: int
    """Ids named that are not on the list, plus votes that could not be read."""


async def rerank(task: Task, hits: Sequence[Hit], model: Model, *, votes: int = 3) -> Ranking:
    """Order `hits` by usefulness for the task.

    A vote that fails is one vote less; only when all fail is the order of the search kept.

    Args:
        votes: the most there are; fewer where more than half of them agree: each puts the others' best source among
            its own first three, or all name none.
    """
    names = {f"d{n}": hit for n, hit in enumerate(hits, 1)}
    prompt = _prompt(task, names)
    majority = votes // 2 + 1
    schema = _schema(len(names))
    replies = await asyncio.gather(*(_vote(prompt, schema, model, sample) for sample in range(majority)))
    if not _agree(replies, names):
        replies += await asyncio.gather(*(_vote(prompt, schema, model, sample) for sample in range(majority, votes)))
    scores: dict[str, float] = dict.fromkeys(names, 0.0)
    named: Counter[str] = Counter()
    nones = valid = invalid = 0
    for reply in replies:
        if reply is None:
            invalid += 1
            continue
        ranking = [name for name in dict.fromkeys(reply["ranking"]) if name in names]
        invalid += len(set(reply["ranking"]) - set(names))
        if not ranking and not reply["none"]:
            continue  # named nothing that exists: not a vote for none
        valid += 1
        nones += not ranking
        named.update(ranking)
        for place, name in enumerate(ranking):
            scores[name] += len(names) - place
    if not valid:
        return Ranking(list(hits), none=False, votes=0, invalid=invalid)
    order = [name for name in names if named[name] * 2 > valid] or [name for name in names if named[name]]
    order.sort(key=lambda name: -scores[name])  # stable: ties keep the order of the search
    return Ranking([names[name] for name in order], nones * 2 > valid, valid, invalid)


def _agree(replies: Sequence[dict[str, Any] | None], names: Collection[str]) -> bool:
    """Whether each of these votes puts the best source of every other among its own first, or all name none."""
    if None in replies:
        return False
    rankings = [[name for name in reply["ranking"] if name in names] for reply in replies if reply is not None]
    best = {ranking[0] for ranking in rankings if ranking}
    return all(best <= set(ranking[:_FIRST]) for ranking in rankings)


def _schema(candidates: int) -> dict[str, Any]:
    """A ranking and "none"; a small model that is held to a schema lists for ever where nothing bounds the list."""
    ranking = {
        "type": "array",
        "items": {"type": "string", "maxLength": _LONGEST_ID},
        "maxItems": 2 * candidates,  # ids it makes up are read, and counted
    }
    return {
        "type": "object",
        "properties": {"ranking": ranking, "none": {"type": "boolean"}},
        "required": ["ranking", "none"],
        "additionalProperties": False,
    }


async def _vote(prompt: str, schema: dict[str, Any], model: Model, sample: int) -> dict[str, Any] | None:
    request = Request(
        ({"role": "user", "content": prompt},),
        stage="rerank",
        max_tokens=300,
        temperature=VOTE_TEMPERATURE,
        schema=schema,
        sample=sample,
    )
    try:
        return (await ask(model, request, tries=2)).value
    except RowError:
        return None


def _prompt(task: Task, names: dict[str, Hit]) -> str:
    # The room is shared evenly, so that a long card cannot push the others out.
    room = min(_DATASET_CHARS, _PROMPT_CHARS // max(1, len(names)))
    shown = "\n".join(f'<dataset id="{name}">\n{_show(hit, room)}\n</dataset>' for name, hit in names.items())
    here = Path(__file__).parent
    return fill(here, "rerank", datasets=shown, task=show_task(task, chars=_DEMONSTRATION_CHARS), ids=", ".join(names))


def _show(hit: Hit, room: int) -> str:
    card = hit.card
    columns = ", ".join(f"{c.name} ({c.dtype})" for c in card.columns)
    facts = f"{card.name}: {card.rows if card.rows is not None else 'unknown number of'} rows"
    facts += f", language {', '.join(card.languages) or 'unknown'}, columns: {cut(columns, room // 4)}"
    text = cut(" ".join(card.text.split()), room // 4)
    rows = show_records(hit.sample[:1], chars=max(60, room // (2 * max(1, len(card.columns)))))
    return f"{facts}\n{text}\n{cut(rows, room // 2)}"
