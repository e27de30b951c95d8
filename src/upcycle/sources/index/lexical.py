"""The word half of an index: BM25 over one field of terms, in files.

In: texts in the order of their numbers, then weighted terms. Out: numbers and scores of the best matches. One field,
because over many short cards the field a word stands in says little, and one posting list a term keeps a million cards
under fifty milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from upcycle.sources.words import Term, terms

_HEAP = 128_000_000


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("number", fast=True)
    return builder.build()


def write_words(texts: Iterable[str], folder: Path) -> None:
    """Index the texts; the first is number 0."""
    import tantivy

    folder.mkdir(parents=True)
    index = tantivy.Index(_schema(), path=str(folder))
    writer: Any = index.writer(heap_size=_HEAP, num_threads=1)
    for number, text in enumerate(texts):
        document = tantivy.Document()
        document.add_text("text", " ".join(terms(text)))
        document.add_unsigned("number", number)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()


class Words:
    """The word half, opened."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._schema = _schema()
        self._searcher: Any = tantivy.Index(self._schema, path=str(folder)).searcher()

    def __len__(self) -> int:
        return self._searcher.num_docs

    def spread(self, term: str) -> int:
        """How many texts hold a term."""
        return self._searcher.doc_freq("text", term)

    def scores(self, wanted: Sequence[Term], limit: int) -> tuple[Any, Any]:
        """Numbers and scores (numpy) of at most `limit` texts that hold a wanted term, best first."""
        import numpy as np
        import tantivy

        clauses = [
            (
                tantivy.Occur.Should,
                tantivy.Query.boost_query(
                    tantivy.Query.term_query(self._schema, "text", one.stem, index_option="freq"), one.weight
                ),
            )
            for one in wanted
        ]
        if not clauses:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        found = self._searcher.search(tantivy.Query.boolean_query(clauses), limit=limit, count=False).hits
        numbers = self._searcher.fast_field_values("number", [address for _, address in found])
        return np.array(numbers, np.int64), np.array([score for score, _ in found], np.float32)
