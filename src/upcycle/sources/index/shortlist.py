"""The shortlist: the first hundred that were found, ordered again with their columns and rows in view.

In: an index, the query, and demonstrations. Out: what it found, best first, with what the second look added in `parts`
and `why`. The decision: what is not known of a dataset counts as the
average of those of which it is known, so that a card without columns is neither praised nor punished; a model, where
there is one, sees windows of twenty, and then once the best of each window together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upcycle.sources.index.card_index import EVERYTHING, CardIndex, Filters, Found
from upcycle.sources.index.listing import Listing
from upcycle.sources.index.reasons import begins_word, spaced
from upcycle.sources.index.understanding import ask_for_phrasings, bare
from upcycle.sources.words import form_words, query_terms, terms, words

if TYPE_CHECKING:
    from upcycle.llm.model import Model

CONSIDERED = 100
"""How many of the index's candidates are worth a second look; 25 lose half of what is relevant."""

_COLUMNS = 0.5
_ROWS = 0.4
_FORM = 0.8
_OTHER_LANGUAGE = 2.5  # as between sources that are opened
_WINDOW = 20
_BEST_OF_WINDOW = 5
_CARD_CHARS = 400
_ROW_CHARS = 300
_SAMPLE_CHARS = 2_000
# Columns in which what a task's demonstrations look like is found, by the word that `form_words` has for it.
_ROLES = {
    "choice": ("choices", "options", "answers", "endings", "distractor", "opa", "option"),
    "sql": ("sql", "query"),
    "code": ("code", "func", "function", "program", "solution"),
    "math": ("equation", "problem", "answer", "rationale", "solution"),
}


def shortlist(
    index: CardIndex,
    query: str,
    *,
    demonstrations: Sequence[str] = (),
    filters: Filters = EVERYTHING,
    limit: int = CONSIDERED,
    said: Sequence[str] = (),
) -> list[Found]:
    """Both stages: what the index finds, best first after a second look at the first hundred.

    Args:
        query: what the task is, in words.
        demonstrations: examples of the task as text (input and output).
        said: what a model wrote of the query.
    """
    found = index.search(query, demonstrations=demonstrations, limit=max(CONSIDERED, limit), filters=filters, said=said)
    return looked_into(query, found, demonstrations=demonstrations)[:limit]


async def shortlist_by(
    model: Model,
    index: CardIndex,
    query: str,
    *,
    demonstrations: Sequence[str] = (),
    filters: Filters = EVERYTHING,
    limit: int = CONSIDERED,
) -> list[Found]:
    """The same with a model's help: it writes what else to look for (one call) and orders the first hundred (six).

    One that fails leaves the order it had. Inside a run its calls are in the journal.
    """
    said = await ask_for_phrasings(query, model)
    ranked = shortlist(
        index, query, demonstrations=demonstrations, filters=filters, limit=max(CONSIDERED, limit), said=said
    )
    return (await ordered(query, ranked, demonstrations, model))[:limit]


def looked_into(query: str, found: Sequence[Found], *, demonstrations: Sequence[str] = ()) -> list[Found]:
    """What was found, ordered again by how columns, rows and language fit; equal scores keep their order."""
    from upcycle.language import detect

    said = [spaced(" ".join(words(" ".join(one.listing.columns)))) for one in found]
    rows = [spaced(one.listing.sample[:_SAMPLE_CHARS]) for one in found]
    spread = Counter(term for told, row in zip(said, rows, strict=True) for term in {*terms(told), *terms(row)})
    wanted = query_terms(bare(query), demonstrations, spread, max(1, len(found)))
    names = [[term.word for term in wanted if begins_word(term.stem, text)] for text in said]
    inside = [[term.word for term in wanted if begins_word(term.stem, text)] for text in rows]
    weight = {term.word: term.weight for term in wanted}
    total = sum(weight.values()) or 1.0
    halves: dict[str, list[float | None]] = {
        "columns": [
            sum(weight[word] for word in matched) / total if text else None
            for matched, text in zip(names, said, strict=True)
        ],
        "rows": [
            sum(weight[word] for word in matched) / total if text else None
            for matched, text in zip(inside, rows, strict=True)
        ],
    }
    added = {"columns": _COLUMNS, "rows": _ROWS}
    standard = {name: _standardised(values) for name, values in halves.items()}
    forms = [name for name in _ROLES if name in form_words(demonstrations)]
    # What somebody writes in English may be about comments in German; only examples of the task show its language.
    spoken = detect("\n".join(demonstrations)).code if demonstrations else "und"
    again = []
    for number, one in enumerate(found):
        parts = {name: round(added[name] * values[number], 3) for name, values in standard.items()}
        parts["form"] = _FORM * _has_form(one.listing, forms)
        parts["language"] = -_OTHER_LANGUAGE * _speaks_another(one.listing, spoken)
        again.append(_more(one, {name: part for name, part in parts.items() if part}, names[number], inside[number]))
    return sorted(again, key=lambda one: -one.score)


def _more(one: Found, parts: Mapping[str, float], names: Sequence[str], inside: Sequence[str]) -> Found:
    """A candidate with what the second look adds; the columns are already among the reasons of the first."""
    new = [word for word in inside if word not in names][:4]
    said = [
        one.why,
        f"rows: {', '.join(new)}" if new else "",
        "has the columns such a task needs" if "form" in parts else "",
        "in another language" if "language" in parts else "",
    ]
    return replace(
        one,
        score=round(one.score + sum(parts.values()), 4),
        parts={**one.parts, **parts},
        why="; ".join(part for part in said if part),
    )


def _standardised(values: Sequence[float | None]) -> list[float]:
    known = [one for one in values if one is not None]
    if len(known) < 2:
        return [0.0] * len(values)
    mean = sum(known) / len(known)
    spread = (sum((one - mean) ** 2 for one in known) / len(known)) ** 0.5
    return [0.0 if one is None or spread < 1e-9 else (one - mean) / spread for one in values]


def _has_form(listing: Listing, forms: Sequence[str]) -> bool:
    named = set(words(" ".join(listing.columns)))
    return any(named & set(_ROLES[form]) for form in forms)


def _speaks_another(listing: Listing, spoken: str) -> bool:
    stated = {code.lower().split("-")[0] for code in listing.languages} - {"code"}
    return spoken != "und" and bool(stated) and not stated & {spoken, "multilingual"}


async def ordered(query: str, ranked: Sequence[Found], demonstrations: Sequence[str], model: Model) -> list[Found]:
    """The best of each window of the first hundred, compared once more together; the others follow as they were."""
    import asyncio  # a search without a model has no use for it, and answers sooner

    if len(ranked) < 2:
        return list(ranked)
    first = ranked[:CONSIDERED]
    windows = [list(range(start, min(start + _WINDOW, len(first)))) for start in range(0, len(first), _WINDOW)]
    best = await asyncio.gather(*(_asked(query, first, window, demonstrations, model) for window in windows))
    order = list(best[0])
    if len(windows) > 1:
        finalists = sorted(place for one in best for place in one[:_BEST_OF_WINDOW])
        if finalists:
            order = await _asked(query, first, finalists, demonstrations, model)
        order += [place for place in finalists if place not in order]
    named = set(order)
    chosen = [replace(ranked[place], why=f"{ranked[place].why}; chosen by the model") for place in order]
    return chosen + [one for place, one in enumerate(ranked) if place not in named]


async def _asked(
    query: str, found: Sequence[Found], places: Sequence[int], demonstrations: Sequence[str], model: Model
) -> list[int]:
    """Those of these places that the model finds useful, best first; none where it fails."""
    from upcycle.errors import RowError
    from upcycle.llm.model import Request
    from upcycle.llm.replies import ask

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"ranking": {"type": "array", "items": {"type": "integer"}, "maxItems": 2 * len(places)}},
        "required": ["ranking"],
        "additionalProperties": False,
    }
    shown = "\n".join(_shown(number, found[place].listing) for number, place in enumerate(places, 1))
    examples = "\n".join(f"<example>\n{one[:600]}\n</example>" for one in demonstrations[:3])
    text = (Path(__file__).parent / "ordering.md").read_text(encoding="utf-8")
    for name, value in (("query", query), ("examples", examples), ("datasets", shown)):
        text = text.replace("{{" + name + "}}", value, 1)
    request = Request(({"role": "user", "content": text},), stage="rerank", max_tokens=300, schema=schema)
    try:
        ranking = (await ask(model, request, tries=2)).value["ranking"]
    except RowError:
        return []
    return [places[number - 1] for number in dict.fromkeys(ranking) if 1 <= number <= len(places)]


def _shown(number: int, listing: Listing) -> str:
    """A card, its columns and a row or two, as data: nothing in it can close its own tag."""
    facts = [
        f"{listing.id}: {listing.rows if listing.rows is not None else 'unknown number of'} rows"
        + (f", language {', '.join(listing.languages[:5])}" if listing.languages else ""),
        f"columns: {', '.join(listing.columns)[:200]}" if listing.columns else "",
        listing.text[:_CARD_CHARS],
        f"rows: {listing.sample[:_ROW_CHARS]}" if listing.sample else "",
    ]
    text = "\n".join(fact for fact in facts if fact).replace("</", "<\\/")
    return f'<dataset id="{number}">\n{text}\n</dataset>'
