"""The searchable index of sources: which of them fit a task, best first.

In: sources, then a query (the task's instruction, and its demonstrations where there are some). Out: hits with score,
reason and sample records. The decision: word matches (BM25 over card, columns and sample records) are the base and
dense vectors, where an encoder is installed, are added with a smaller weight; both as distances from the mean in
standard deviations, because ranks fused with equal weights let the weaker half pull the stronger one down.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from upcycle.language import detect
from upcycle.records import Record
from upcycle.sources.card import Card
from upcycle.sources.encoder import Encoder, installed_encoder
from upcycle.sources.licences import permits
from upcycle.sources.source import Source
from upcycle.sources.words import Term, query_terms, stem, terms, words

_WEIGHTS = {"name": 1.0, "about": 2.0, "columns": 1.2, "tags": 0.8, "rows": 0.7}
_OTHER_FIELDS = 0.1
_DENSE_WEIGHT = 0.7
_OTHER_LANGUAGE = 2.5
_MATCHES = 2000
_ROW_CHARS = 1200
_ABOUT_CHARS = 4000
_BORING = re.compile(r"\b(licen[sc]e|licensing|source|files|citation|contributions|splits?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    """A source that may fit.

    Attributes:
        score: comparable inside one search only.
        why: the words and columns that matched.
        duplicates: ids of sources with the same data or the same description and columns, left out of the list.
        sample: the first records, decoded and flattened.
    """

    source: Source
    card: Card
    score: float
    why: str
    duplicates: tuple[str, ...] = ()
    sample: list[Record] = field(default_factory=list)


class _Entry(NamedTuple):
    source: Source
    card: Card
    sample: list[Record]
    texts: dict[str, str]
    terms: dict[str, frozenset[str]]
    marks: list[tuple[str, ...]]


class Catalog:
    """Sources with their index; `build` it, then `search`."""

    def __init__(self, entries: Sequence[_Entry], encoder: Encoder | None) -> None:
        self._entries = entries
        self._spread = Counter(term for entry in entries for term in frozenset[str]().union(*entry.terms.values()))
        self._schema, self._index = _indexed(entries)
        self._encoder = encoder
        self._vectors = encoder([_prose(entry) for entry in entries]) if encoder and entries else None

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def build(cls, sources: Sequence[Source], *, sample_rows: int = 8, dense: bool = True) -> Catalog:
        """Index the sources: their cards and their first `sample_rows` records.

        Args:
            dense: also compare by meaning where an encoder is installed.
        """
        entries = [_entry(source, sample_rows) for source in sources]
        return cls(entries, installed_encoder() if dense else None)

    def search(
        self,
        query: str,
        *,
        demonstrations: Sequence[str] = (),
        limit: int = 25,
        licence: str = "any",
        languages: Sequence[str] | None = None,
        max_bytes: int | None = None,
        min_rows: int | None = None,
    ) -> list[Hit]:
        """Sources that fit, best first; equal scores in the order of their ids.

        Args:
            query: what the task is, in words.
            demonstrations: examples of the task as text (input and output).
            licence: "any" or "permissive".
            languages: keep sources that state one of these codes, or whose records are in one.
            max_bytes: leave out larger sources; one of unknown size stays.
            min_rows: leave out smaller sources; one of unknown length stays.
        """
        allowed = [
            number
            for number, entry in enumerate(self._entries)
            if permits(entry.card.licence, licence)
            and (languages is None or _speaks(entry, languages))
            and (max_bytes is None or (entry.card.bytes or 0) <= max_bytes)
            and (min_rows is None or entry.card.rows is None or entry.card.rows >= min_rows)
        ]
        if not allowed:
            return []
        wanted = query_terms(query, demonstrations, self._spread, len(self._entries))
        scores = self._scores(query, demonstrations, wanted, allowed)
        ranked = sorted(allowed, key=lambda number: (-scores[number], self._entries[number].card.id))
        return self._hits(ranked, scores, wanted, limit)

    def _scores(
        self, query: str, demonstrations: Sequence[str], wanted: Sequence[Term], allowed: Sequence[int]
    ) -> dict[int, float]:
        import numpy as np

        lexical = self._lexical(wanted)
        total = _standardised(np.array([lexical.get(number, 0.0) for number in allowed]))
        if self._encoder is not None and self._vectors is not None:
            asked = self._encoder([query, *(text[:_ROW_CHARS] for text in demonstrations)])
            near = self._vectors[allowed] @ asked[0]
            if demonstrations:
                near = near + 0.5 * (self._vectors[allowed] @ asked[1:].mean(axis=0))
            total = total + _DENSE_WEIGHT * _standardised(near)
        spoken = detect("\n".join([query, *demonstrations])).code
        for place, number in enumerate(allowed):
            stated = {code.split("-")[0].lower() for code in self._entries[number].card.languages} - {"code"}
            if spoken != "und" and stated and not stated & {spoken, "multilingual"}:
                total[place] -= _OTHER_LANGUAGE
        return {number: float(total[place]) for place, number in enumerate(allowed)}

    def _lexical(self, wanted: Sequence[Term]) -> dict[int, float]:
        import tantivy

        clauses: list[Any] = []
        for term in wanted:
            if term.stem in self._spread:
                fields = [
                    tantivy.Query.boost_query(
                        tantivy.Query.term_query(self._schema, name, term.stem), weight * term.weight
                    )
                    for name, weight in _WEIGHTS.items()
                ]
                # The best field counts in full, the others a little: a card that repeats one word in its text, columns
                # and labels must not beat one that holds every word of the task once.
                clauses.append((tantivy.Occur.Should, tantivy.Query.disjunction_max_query(fields, _OTHER_FIELDS)))
        if not clauses:
            return {}
        searcher = self._index.searcher()
        found = searcher.search(tantivy.Query.boolean_query(clauses), limit=min(_MATCHES, len(self._entries)))
        return {searcher.doc(address)["number"][0]: score for score, address in found.hits}

    def _hits(self, ranked: Sequence[int], scores: dict[int, float], wanted: Sequence[Term], limit: int) -> list[Hit]:
        first: dict[Any, str] = {}
        same: dict[str, list[str]] = {}
        kept: list[_Entry] = []
        number_of: dict[str, int] = {}
        for number in ranked:
            entry = self._entries[number]
            original = next((first[mark] for mark in entry.marks if mark in first), None)
            for mark in entry.marks:
                first.setdefault(mark, original or entry.card.id)
            if original:
                same.setdefault(original, []).append(entry.card.id)
            elif len(kept) < limit:
                kept.append(entry)
                number_of[entry.card.id] = number
        return [
            Hit(
                source=entry.source,
                card=entry.card,
                score=round(scores[number_of[entry.card.id]], 4),
                why=_why(entry, wanted),
                duplicates=tuple(same.get(entry.card.id, ())),
                sample=entry.sample,
            )
            for entry in kept
        ]


def _entry(source: Source, sample_rows: int) -> _Entry:
    card = source.card
    sample = sample_records(source, sample_rows)
    labels = [label for column in card.columns for label in column.labels or ()]
    texts = {
        "name": f"{card.id} {card.name}",
        "about": _about(card.text),
        "columns": " ".join([*(f"{column.name} {column.description}" for column in card.columns), *labels]),
        "tags": " ".join((*card.categories, *card.tags)),
        "rows": "\n".join(_as_text(record)[:_ROW_CHARS] for record in sample),
    }
    found = {name: frozenset(terms(text)) for name, text in texts.items()}
    return _Entry(source, card, sample, texts, found, _identity(card))


def sample_records(source: Source, number: int) -> list[Record]:
    """The first records, taken from all configurations in turn."""
    configs = [config.name for config in source.card.configs[: max(1, number)]] or [None]
    iterators = [source.records(config=config) for config in configs]
    taken: list[Record] = []
    while iterators and len(taken) < number:
        for iterator in list(iterators):
            record = next(iterator, None)
            if record is None:
                iterators.remove(iterator)
            elif len(taken) < number:
                taken.append(record)
    return taken


def _about(text: str) -> str:
    """The card's body without the sections that are alike in every card."""
    kept: list[str] = []
    keep = True
    for line in text.splitlines():
        if line.startswith("#"):
            keep = not _BORING.search(line)
        if keep:
            kept.append(line)
    return "\n".join(kept)[:_ABOUT_CHARS]


def _as_text(record: Record) -> str:
    parts = []
    for value in record.fields.values():
        if isinstance(value, str):
            parts.append(value)
        elif isinstance(value, list):
            parts.extend(inner for inner in value if isinstance(inner, str))
    return "\n".join(parts)


def _prose(entry: _Entry) -> str:
    texts = entry.texts
    return "\n".join((texts["name"], texts["about"][:800], texts["columns"][:300], texts["rows"][:600]))


def _indexed(entries: Sequence[_Entry]) -> tuple[Any, Any]:
    import tantivy

    builder = tantivy.SchemaBuilder()
    for name in _WEIGHTS:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    builder.add_integer_field("number", stored=True)
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer(heap_size=64_000_000, num_threads=1)
    for number, entry in enumerate(entries):
        document = tantivy.Document()
        for name, text in entry.texts.items():
            document.add_text(name, " ".join(terms(text)))
        document.add_integer("number", number)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return schema, index


def _standardised(values: Any) -> Any:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 else values * 0.0


def _speaks(entry: _Entry, languages: Sequence[str]) -> bool:
    asked = {code.lower() for code in languages}
    stated = {code.lower() for code in entry.card.languages}
    if stated:
        return bool(asked & (stated | {code.split("-")[0] for code in stated}))
    found = detect("\n".join(_as_text(record) for record in entry.sample)[:2000]).code
    return found == "und" or found in asked


def _identity(card: Card) -> list[tuple[str, ...]]:
    """What makes two sources the same: their data, or their description together with their columns."""
    marks: list[tuple[str, ...]] = [("revision", card.revision)]
    about = " ".join(words(_about(card.text)))
    if len(about) > 20:
        marks.append(("card", about, *sorted(column.name for column in card.columns)))
    return marks


def _why(entry: _Entry, wanted: Sequence[Term]) -> str:
    by_weight = sorted(wanted, key=lambda term: -term.weight)
    matched = [term.word for term in by_weight if term.stem in entry.terms["name"] | entry.terms["about"]]
    inside = [term.word for term in by_weight if term.stem in entry.terms["rows"] and term.word not in matched]
    stems = {term.stem for term in wanted if term.weight > 0.2}
    columns = [column.name for column in entry.card.columns if stems & {stem(word) for word in words(column.name)}]
    parts = [
        f"card: {_listed(matched)}" if matched else "",
        f"columns: {_listed(columns)}" if columns else "",
        f"records: {_listed(inside)}" if inside else "",
    ]
    return "; ".join(part for part in parts if part) or "near in meaning"


def _listed(found: Iterable[str]) -> str:
    return ", ".join(itertools.islice(dict.fromkeys(found), 6))
