"""Documents found by what they say: phrases and telling words, by tantivy; and the names that stand in a text.

The index lies in a folder beside the documents and is made once. A phrase is found as words next to each other, after
folding case; the caller checks the text itself, which alone decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"[^\W_][^\s,;:.!?()\[\]\"“”„«»]*")
_BEGINS = re.compile(r"(?:^|[.!?:;\n][\"'”’)]?\s)\W?$")
_LONGEST_NAME = 6  # words
_TELLING = 24  # words of a text that are looked for
_HEAP = 32_000_000


class TextIndex:
    """The words of documents, by their numbers."""

    def __init__(self, index: Any) -> None:
        self._index, self._schema = index, index.schema
        self._searcher = index.searcher()

    @classmethod
    def open(cls, folder: Path, texts: Iterable[tuple[int, str]]) -> Self:
        """The index in a folder; made of (number, text) where there is none."""
        import tantivy

        done = folder / "done"
        if done.exists():
            return cls(tantivy.Index.open(str(folder)))
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.iterdir():
            part.unlink()
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", index_option="position")
        builder.add_integer_field("number", stored=True)
        index = tantivy.Index(builder.build(), path=str(folder))
        writer = index.writer(heap_size=_HEAP, num_threads=1)
        for number, text in texts:
            document = tantivy.Document()
            document.add_text("text", text)
            document.add_integer("number", number)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        done.touch()
        index.reload()
        return cls(index)

    def phrase(self, phrase: str, limit: int) -> list[int]:
        """Documents that hold the words of a phrase next to each other."""
        import tantivy

        words = [word.casefold() for word in _WORD.findall(phrase)]
        if not words:
            return []
        if len(words) == 1:
            return self._found(tantivy.Query.term_query(self._schema, "text", words[0]), limit)
        return self._found(tantivy.Query.phrase_query(self._schema, "text", list(words)), limit)

    def like(self, text: str, limit: int) -> list[int]:
        """Documents that share the longest words of a text, the best first."""
        import tantivy

        words = sorted({word.casefold() for word in _WORD.findall(text) if len(word) > 3}, key=lambda w: (-len(w), w))
        clauses: list[Any] = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", word)) for word in words[:_TELLING]
        ]
        return self._found(tantivy.Query.boolean_query(clauses), limit) if clauses else []

    def _found(self, query: Any, limit: int) -> list[int]:
        hits = self._searcher.search(query, limit=limit).hits
        return [self._searcher.doc(address)["number"][0] for _, address in hits]


def name_candidates(text: str) -> Iterator[tuple[int, bool, list[str]]]:
    """Where a name may begin (a word with a capital or a digit), with the texts it could be, the longest first.

    None of them ends where the next word goes on with a capital: "Empire" is no name in "Empire State Building". In
    between stands whether the word before lets a single word be a name: no sentence begins there, and no name ends.
    """
    found = list(_NAME.finditer(text))

    def goes_on(place: int) -> bool:
        """Whether two words with capitals stand next to each other there."""
        if not 0 < place < len(found):
            return False
        before, after = found[place - 1], found[place]
        if before[0].endswith(("'s", "’s")):
            return False
        return _is_capital(before[0]) and _is_capital(after[0]) and text[before.end() : after.start()] == " "

    for at, first in enumerate(found):
        if not _is_capital(first[0]):
            continue
        ends = [last for place, last in enumerate(found[at : at + _LONGEST_NAME], at + 1) if not goes_on(place)]
        alone = not goes_on(at) and _BEGINS.search(text, max(0, first.start() - 4), first.start()) is None
        forms = [text[first.start() : last.end()] for last in reversed(ends)]
        yield first.start(), alone, [_trimmed(form) for form in forms if "\n" not in form]


def _is_capital(word: str) -> bool:
    return word[0].isupper() or word[0].isdigit() or not word[0].isascii()


def _trimmed(form: str) -> str:
    return form.removesuffix("'s").removesuffix("’s").rstrip("'’-")
