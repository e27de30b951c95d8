"""Rows of JSONL, JSON, CSV or Parquet as documents: titled paragraphs, with or without links.

In: a file. Out: documents, and rows that are none with the reason. Text may be one string, a list of paragraphs or of
sentences, or a list of objects with `section`, `text` and `links`; links may be titles or objects. A row of HotpotQA,
2WikiMultihopQA or MuSiQue is read as the titled paragraphs it carries, never as its question. The decision: columns are
recognised by the names such files give them and by nothing else; a file without a text column is said to be none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from upcycle.errors import SourceError
from upcycle.sources.documents.document import Document, Link, Passage, make_document, plain_title
from upcycle.sources.documents.dump import Lost
from upcycle.sources.files.opened import printable, stem_of
from upcycle.sources.files.readers import rows as read_rows
from upcycle.sources.files.tabular import Damaged

TEXTS = ("paragraphs", "text", "body", "content", "document", "passage", "article", "sentences", "contents", "abstract")
_TITLES = ("title", "name", "heading", "page_title", "subject", "headline")
_LINKS = ("links", "hyperlinks", "outlinks", "related")
_LINK_TEXTS = ("anchor", "text", "surface", "label")
_LINK_TARGETS = ("target", "title", "href", "url", "page", "to")
_CARRIED = ("context", "paragraphs")
_MOST_EMPTY = 1000
_BLANK_LINE = re.compile(r"\n\s*\n")
_SPACES = re.compile(r"[ \t\r\n]+")


def documents_of(path: Path) -> Iterator[Document | Lost]:
    """The documents of a file, in its order.

    Raises:
        SourceError: the file cannot be read, or no row of it holds text under a name that is known.
    """
    stem, found, first = printable(stem_of(path)), False, ""
    empty: list[Lost] = []  # told only where other rows hold text: else it is the file that holds none
    for number, row in enumerate(read_rows(path)):
        name = f"{printable(path.name)} row {number + 1}"
        if isinstance(row, Damaged):
            yield Lost(name, row.reason)
            continue
        first = first or ", ".join(map(str, row))
        carried = _carried(row)
        if carried:
            found = True
            yield from (make_document(title, title, _passages(text, ())) for title, text in carried)
            continue
        document = _document(row, stem, number)
        if isinstance(document, Lost):
            empty[_MOST_EMPTY:] = [document]
        else:
            found = True
            yield document
    if not found and first:
        named = ", ".join(TEXTS[:5])
        raise SourceError(f"none of its columns ({first}) holds text; name one of them {named}, with a title beside it")
    yield from empty


def _document(row: Mapping[str, Any], stem: str, number: int) -> Document | Lost:
    name = f"{stem} {number + 1}"
    value = next((row[key] for key in TEXTS if _holds_text(row.get(key))), None)
    title = next((text for key in _TITLES if (text := _title(row.get(key)))), "")
    redirect = row.get("redirect")
    redirect = redirect.strip() if isinstance(redirect, str) and redirect.strip() else None
    if value is None and redirect is None:
        return Lost(title or name, "it holds no text")
    links = next((_links(row[key]) for key in _LINKS if isinstance(row.get(key), list)), ())
    names = tuple(row[key] for key in ("id", "url") if isinstance(row.get(key), str))
    passages = _passages(value, links)
    return make_document(title or name, title or name, passages, names=names, redirect=redirect)


def _title(value: Any) -> str:
    """A title as text; a year or a number is one too, and the readers make a number of it."""
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _holds_text(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, list) and any(isinstance(one, str | Mapping) and one for one in value)


def _carried(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Titled paragraphs that a question row brings along as its context."""
    for key in _CARRIED:
        value = row.get(key)
        if isinstance(value, Mapping):
            titles, texts = value.get("title"), value.get("sentences") or value.get("content")
            if isinstance(titles, list) and isinstance(texts, list):
                return [(str(title), text) for title, text in zip(titles, texts, strict=False)]
        if "question" not in row or not isinstance(value, list):
            continue
        pairs = [one for one in value if isinstance(one, Sequence) and not isinstance(one, str) and len(one) == 2]
        if pairs and len(pairs) == len(value):
            return [(str(title), text) for title, text in pairs]
        titled = [one for one in value if isinstance(one, Mapping) and one.get("title")]
        if titled and len(titled) == len(value):
            return [(str(one["title"]), one.get("paragraph_text") or one.get("text") or "") for one in titled]
    return []


def _passages(value: Any, links: Sequence[Link]) -> list[Passage]:
    passages: list[Passage] = []
    if isinstance(value, str):
        passages = [Passage(_SPACES.sub(" ", part).strip()) for part in _BLANK_LINE.split(value)]
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        # Sentences of one paragraph come as a list too; paragraphs are longer than a line or two.
        if sum(map(len, value)) / max(1, len(value)) < 250:
            passages = [Passage(_SPACES.sub(" ", " ".join(value)).strip())]
        else:
            passages = [Passage(_SPACES.sub(" ", one).strip()) for one in value]
    elif isinstance(value, list):
        passages = [_passage(one) for one in value]
    return _with_links(passages, links) if links else passages


def _passage(value: Any) -> Passage:
    if not isinstance(value, Mapping):
        return Passage(_joined(value))
    text = _SPACES.sub(" ", _joined(value.get("text") or value.get("paragraph_text"))).strip()
    links = value.get("links")
    return Passage(text, str(value.get("section") or ""), _links(links) if isinstance(links, list) else ())


def _joined(value: Any) -> str:
    """The text of a paragraph, which may be given as a list of its sentences."""
    if isinstance(value, list):
        return " ".join(one for one in value if isinstance(one, str))
    return str(value or "")


def _links(values: Sequence[Any]) -> tuple[Link, ...]:
    found: list[Link] = []
    for value in values:
        if isinstance(value, str) and value.strip():
            found.append(Link(plain_title(value.strip()), value.strip()))
        elif isinstance(value, Mapping):
            target = next((str(value[key]) for key in _LINK_TARGETS if value.get(key)), "")
            text = next((str(value[key]) for key in _LINK_TEXTS if value.get(key)), plain_title(target))
            if target:
                found.append(Link(text, target))
    return tuple(found)


def _with_links(passages: list[Passage], links: Sequence[Link]) -> list[Passage]:
    """Links that are given for a whole document go to the first passage that shows their text, else to the first."""
    if not passages or any(passage.links for passage in passages):
        return passages
    at: list[list[Link]] = [[] for _ in passages]
    for link in links:
        place = next((number for number, passage in enumerate(passages) if link.text in passage.text), 0)
        at[place].append(link)
    return [Passage(one.text, one.section, tuple(held)) for one, held in zip(passages, at, strict=True)]
