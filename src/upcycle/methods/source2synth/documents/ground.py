"""Documents as units: what the application and recipes over documents share (`application.Ground`).

A unit is a whole document, for nothing of it may lie on both sides of the split; a recipe is shown a stretch of it that
the seed draws, so that questions about long documents do not all come from their beginnings.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from upcycle.errors import RowKind
from upcycle.methods.source2synth.application import METHOD, Unit
from upcycle.records import Dropped, Origin, example_id
from upcycle.sources.documents import Document, DocumentStore


class DocumentGround:
    """The documents of a store as units."""

    def __init__(self, store: DocumentStore, source: str) -> None:
        self.store, self._source = store, source

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        """Documents in the seed's order, after what could not be read; redirects and lists of meanings are dropped."""
        store = self.store
        for lost in store.lost():
            yield self._not_used(lost.name, lost.why)
        for number in store.numbers(seed):
            document = store.get(number)
            if document.redirect is not None:
                yield self._not_used(document.id, "it is a redirect")
            elif document.disambiguation:
                yield self._not_used(document.id, "it is a disambiguation page")
            elif not document.passages:
                yield self._not_used(document.id, "it holds no text")
            else:
                yield Unit(document.id, self._source, document, store.revision, store.licences)

    def shown(self, unit: Unit, chars: int) -> str:
        """The document's title and as many of its passages as there is room for, from a drawn one on."""
        document: Document = unit.value
        texts = [passage.text for passage in document.passages]
        room = chars - len(document.title) - len("Title: \n")
        begin = 0
        if sum(map(len, texts)) + len(texts) > room:
            # Where the rest would leave the room unused, an earlier beginning shows as much.
            last = max(0, len(texts) - 1)
            while last > 0 and sum(map(len, texts[last:])) < room // 2:
                last -= 1
            begin = random.Random(f"{unit.source}:{unit.id}").randint(0, last)
        return f"Title: {document.title}\n" + "\n".join(texts[begin:])[:room]

    def _not_used(self, name: str, why: str) -> Dropped:
        origin = Origin(method=METHOD, source=self._source, revision=self.store.revision, record=name)
        key = example_id(METHOD, self._source, self.store.revision, name)
        return Dropped(key, origin, "source", RowKind.SKIPPED, why)


def open_ground(sources: Sequence[str | Path], folder: Path | None = None) -> DocumentGround:
    """The documents of these sources as units for a recipe.

    Raises:
        SourceError: a path that is not there, or holds no document.
        ConfigError: a library that reads this kind of file is not installed.
    """
    name = ", ".join(Path(source).name for source in sources)
    return DocumentGround(DocumentStore.open(sources, folder), name)
