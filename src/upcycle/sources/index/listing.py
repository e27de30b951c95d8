"""A listing: what an index knows of a dataset that lies elsewhere, without its data.

In: the Hub's answer, a row of a card dump, or a card that was read. Out: one flat frozen value that becomes one row of
the index's Parquet file. The decision: everything is optional but the id, because a third of all cards say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import orjson

from upcycle.errors import SourceError

_MOST_TEXT = 4_000
_HTML = re.compile(r"<[^<>]{1,500}>|<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)")
_ADDRESS = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Listing:
    """One dataset of an index.

    Attributes:
        id: what its source is opened by ("owner/name" on the Hub).
        text: what the card says, without mark-up that is no prose.
        columns: names of its columns, where they are known; `types` their types, in the same order.
        popularity: how often it is used (downloads, or what stands for them); None where nobody counts.
        modified: ISO date of the last change, or a year; "" where unknown.
        sample: a few of its rows as one text.
        skip: why it cannot be used ("gated", "a loading script"), "" where nothing is known against it.
    """

    id: str
    name: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    licence: str | None = None
    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    popularity: float | None = None
    modified: str = ""
    revision: str = ""
    sample: str = ""
    skip: str = ""


_FIELDS = tuple(one.name for one in fields(Listing))


def as_json(listing: Listing) -> bytes:
    """What is known of a listing, on one line."""
    values = ((name, getattr(listing, name)) for name in _FIELDS)
    return orjson.dumps({name: _whole(value) for name, value in values if value not in (None, "", ())})


def from_json(line: bytes | str) -> Listing:
    """The listing that `as_json` wrote."""
    values: dict[str, Any] = orjson.loads(line)
    known: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    return Listing(**known)


def _whole(value: Any) -> Any:
    # One half of a surrogate pair in a card would end the writing of all of them.
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_whole(one) for one in value] if isinstance(value, tuple) else value


def prose(markdown: str, most: int = _MOST_TEXT) -> str:
    """A card's words: tags of HTML, targets of links and addresses left out, cut at `most` characters."""
    # A card may hold a megabyte of HTML; nothing of it beyond this could reach the index.
    text = _HTML.sub(" ", markdown[: 20 * most])
    text = _ADDRESS.sub(" ", _LINK.sub("]", text))
    return " ".join(text.split())[:most]


def from_card(name: str, markdown: str, **known: Any) -> Listing:
    """A listing from a card's text; front matter that is no YAML is left out, the rest still counts.

    Args:
        name: its id.
        known: what is known from elsewhere; it wins over the card.
    """
    from upcycle.sources.card import read_front_matter  # a search reads no card, and answers sooner

    try:
        front = read_front_matter(markdown)
    except SourceError:
        body = re.sub(r"\A\s*---\n.*?(?:\n---\s*\n|\Z)", "", markdown, flags=re.DOTALL)
        return Listing(name, text=prose(body), **known)
    said: dict[str, Any] = {
        "name": front.name or "",
        "licence": front.licence,
        "languages": front.languages,
        "categories": front.categories,
        "tags": front.tags,
        "columns": tuple(front.columns),
    }
    said |= {key: value for key, value in known.items() if value not in (None, "", ())}
    return Listing(name, text=prose(front.text), **said)


def from_row(row: Mapping[str, Any]) -> Listing | None:
    """A listing from a row of a card dump; None where it names no dataset.

    Understood are the columns of `librarian-bots/dataset_cards_with_metadata` (datasetId, card, downloads, tags, ...)
    and plain ones (id or name, description or text, licence, language, downloads, features).
    """
    name = str(_first(row, "datasetId", "id", "dataset_id", "name") or "").strip()
    if not name:
        return None
    tags = _strings(_first(row, "tags"))
    known: dict[str, Any] = {
        "tags": tuple(tag for tag in tags if ":" not in tag),
        "licence": next(iter(_strings(_first(row, "licence", "license")) or _tagged(tags, "license")), None),
        "languages": _strings(_first(row, "language", "languages")) or _tagged(tags, "language"),
        "categories": _strings(_first(row, "task_categories", "categories")) or _tagged(tags, "task_categories"),
        "columns": _strings(_first(row, "features", "columns")),
        "popularity": _number(_first(row, "downloads", "popularity")),
        "modified": str(_first(row, "last_modified", "lastModified", "modified", "year") or ""),
        "revision": str(_first(row, "sha", "revision") or ""),
        "skip": "gated" if row.get("gated") not in (None, False, "", "False", "false") else "",
    }
    card = _first(row, "card")
    if isinstance(card, str):
        return from_card(name, card, **known)
    return Listing(name, text=prose(str(_first(row, "description", "text") or "")), **known)


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _strings(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(one) for one in value)


def _tagged(tags: tuple[str, ...], kind: str) -> tuple[str, ...]:
    return tuple(tag.removeprefix(f"{kind}:") for tag in tags if tag.startswith(f"{kind}:"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value and value >= 0 else None
